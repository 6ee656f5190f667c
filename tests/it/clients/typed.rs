//! Front ends in TypeScript: what the declarations of the hub's own client promise is what it has,
//! and who uses it in another way is told so by the compiler.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{script, tools};
use crate::support::skip::skipped;

/// What is wrong with each, as the compiler numbers it.
const WRONG: [(&str, u64); 9] = [
    ("connect({ token: 't', sockettries: 3 });", 2561),
    ("connect({ token: 't', transport: 'websockets' });", 2820),
    ("connect();", 2554),
    ("connect({ token: 't' }).on('notifcation', () => {});", 2345),
    ("connect({ token: 't' }).on('unread', (count: string) => count);", 2345),
    ("connect({ token: 't' }).markRead('everything');", 2345),
    ("connect({ token: 't' }).user.username;", 2531),
    ("new BellpullError();", 2554),
    ("import { conect } from CLIENT;", 2724),
];

fn client() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/client/bellpull.js")
}

/// What `types.mjs` tells of the sources; `None` (after saying so) where there is no compiler.
fn told(sources: &[&Path]) -> Option<Value> {
    let modules = tools().join("node/node_modules");
    if !modules.join("typescript").exists() {
        skipped("TypeScript is not installed (tests/run.sh does)");
        return None;
    }
    let mut command = Command::new("node");
    command.arg(script("types.mjs")).arg(client()).args(sources);
    let output = command.env("CLIENT_MODULES", modules).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn a_front_end_that_is_right_passes_and_nothing_is_undeclared_or_invented() {
    let Some(mut told) = told(&[&script("typed.ts")]) else { return };
    assert_eq!(told["said"], json!([]));
    for kind in ["names", "methods", "options"] {
        let mut sorted = |whose: &str| {
            let names = told[whose][kind].as_array_mut().unwrap();
            names.sort_by_key(Value::to_string);
            assert!(names.len() > 1, "{kind} were not found");
            names.clone()
        };
        assert_eq!(sorted("has"), sorted("declared"), "{kind}");
    }
}

#[test]
fn a_wrong_use_is_told_by_the_compiler() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.ts");
    let client = format!("'{}'", client().display());
    let mut text = format!("import {{ BellpullError, connect }} from {client};\n");
    for (line, _) in WRONG {
        writeln!(text, "{}", line.replace("CLIENT", &client)).unwrap();
    }
    std::fs::write(&file, text).unwrap();
    let Some(told) = told(&[&file]) else { return };
    let said = told["said"].as_array().unwrap();
    let of_line = |line: usize| {
        let found = said.iter().filter(move |one| one["line"] == line);
        found.map(|one| one["code"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    for (n, (line, wanted)) in WRONG.iter().enumerate() {
        assert_eq!(of_line(n + 2), [*wanted], "{line}: {said:?}");
    }
    assert_eq!(said.len(), WRONG.len(), "{said:?}");
}
