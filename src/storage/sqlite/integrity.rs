//! Looks for damage in a whole file, also between its tables and their indices.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Looks for damage in a database that no process has open. A log that was not copied into the file
/// is read, too.
///
/// # Errors
/// The first damage that SQLite found, or why it could not read the file.
pub fn inspect(file: &Path) -> Result<(), String> {
    let found = || {
        // SQLite writes: it has to build the log's index.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(file, flags)?;
        connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get::<_, String>(0))
    };
    match found() {
        Ok(found) if found == "ok" => Ok(()),
        Ok(damage) => Err(damage),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        inspect(&file).unwrap_err();
        let connection = Connection::open(&file).unwrap();
        connection.execute_batch("CREATE TABLE t (a); CREATE INDEX i ON t (a)").unwrap();
        connection.execute_batch("INSERT INTO t VALUES ('one'), ('two')").unwrap();
        drop(connection);
        assert_eq!(inspect(&file), Ok(()));
        let mut bytes = std::fs::read(&file).unwrap();
        let at = bytes.windows(3).rposition(|found| found == b"two").unwrap();
        bytes[at] = b'x';
        std::fs::write(&file, bytes).unwrap();
        let damage = inspect(&file).unwrap_err();
        assert!(damage.contains("index i"), "{damage}");
    }
}
