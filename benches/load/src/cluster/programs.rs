//! The machine's own PostgreSQL and Redis programs.

use std::path::{Path, PathBuf};

use crate::LoadError;

/// Where packages put PostgreSQL's programs that are not in PATH: a folder a version.
const POSTGRES_FOLDERS: [&str; 2] = ["/usr/lib/postgresql", "/opt/postgresql"];

/// What else is needed if a program is missing.
const POSTGRES_MISSING: &str = "there is no PostgreSQL on this machine (the programs initdb and \
    postgres): install it (Debian: apt-get install postgresql), or name running services";
const REDIS_MISSING: &str = "there is no Redis on this machine (the program redis-server or \
    valkey-server): install it (Debian: apt-get install redis-server), or name running services";

/// The folder with PostgreSQL's programs: of PATH, or the newest version of the usual places.
pub(super) fn postgres() -> Result<PathBuf, LoadError> {
    let is_whole =
        |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let newest = || {
        let versions = POSTGRES_FOLDERS.iter().flat_map(|folder| versions(Path::new(folder)));
        versions.filter(|(_, folder)| is_whole(folder)).max().map(|(_, folder)| folder)
    };
    let found = path_folders().into_iter().find(is_whole).or_else(newest);
    found.ok_or_else(|| LoadError::failed(POSTGRES_MISSING))
}

/// The program of a Redis, or of a Valkey.
pub(super) fn redis() -> Result<PathBuf, LoadError> {
    let names = ["redis-server", "valkey-server"];
    let folders = path_folders();
    let programs = names.iter().flat_map(|name| folders.iter().map(move |path| path.join(name)));
    let mut programs = programs.filter(|program| program.is_file());
    programs.next().ok_or_else(|| LoadError::failed(REDIS_MISSING))
}

/// PATH, and what a user's PATH may lack.
fn path_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/bin"].map(PathBuf::from));
    folders
}

/// The versions in a folder, and their programs.
fn versions(folder: &Path) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let version = |entry: std::fs::DirEntry| {
        let version = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    };
    entries.filter_map(Result::ok).filter_map(version).collect()
}
