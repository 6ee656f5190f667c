//! The committed build is of the committed source.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::files::SOURCES;

/// What the build is made from, in `app/`; as in `embed.ts`.
const PARTS: [&str; 9] = [
    "embed.ts",
    "index.html",
    "package-lock.json",
    "package.json",
    "public",
    "src",
    "svelte.config.js",
    "tsconfig.json",
    "vite.config.ts",
];

fn files(below: &Path, found: &mut Vec<PathBuf>) {
    if below.is_file() {
        return found.push(below.to_owned());
    }
    for entry in std::fs::read_dir(below).unwrap() {
        files(&entry.unwrap().path(), found);
    }
}

#[test]
fn the_build_is_of_the_present_source() {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/app");
    let mut found = Vec::new();
    PARTS.iter().for_each(|part| files(&app.join(part), &mut found));
    let name = |path: &PathBuf| path.strip_prefix(&app).unwrap().to_str().unwrap().to_owned();
    found.sort_by_key(name);
    let mut hash = Sha256::new();
    for path in &found {
        hash.update(format!("{}\n", name(path)));
        hash.update(std::fs::read(path).unwrap());
    }
    let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let why = "the web app has changed: npm ci && npm run build, in src/console/app";
    assert_eq!(hash, SOURCES, "{why}");
}
