//! The time of day of processes: libfaketime shifts it while they run.
//!
//! The library is loaded into a process before all others and answers its questions for the time of
//! day. It reads how far it is off from a file, again and again. The monotonic clock, which timers
//! go by, is left alone: that is how a machine behaves whose clock is set.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::LoadError;

/// Where Debian's package has it, on any architecture: `/usr/lib/…/faketime`.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// How far off a process' clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// It is right.
    None,
    /// It is ahead.
    Ahead(Duration),
    /// It is behind.
    Behind(Duration),
}

/// The clock of the processes that have its [`settings`](Self::settings).
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    file: PathBuf,
}

impl WallClock {
    /// A clock that is right, with its file in a folder.
    ///
    /// # Errors
    /// The library is not installed; the text says which package has it.
    pub fn new(folder: &Path) -> Result<Self, LoadError> {
        let missing = || {
            LoadError::failed(
                "faults of the clock need libfaketime, which is not installed: apt-get install \
                 libfaketime",
            )
        };
        let clock = Self { library: library().ok_or_else(missing)?, file: folder.join("clock") };
        clock.set(Shift::None)?;
        Ok(clock)
    }

    /// The variables of a process that goes by it.
    #[must_use]
    pub fn settings(&self) -> [(String, String); 5] {
        let own = |name: &str, value: String| (name.to_owned(), value);
        [
            own("LD_PRELOAD", self.library.display().to_string()),
            own("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            own("FAKETIME_CACHE_DURATION", "1".to_owned()),
            own("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            own("NO_FAKE_STAT", "1".to_owned()),
        ]
    }

    /// Sets it. Processes notice within a second.
    ///
    /// # Errors
    /// Its file could not be written.
    pub fn set(&self, shift: Shift) -> Result<(), LoadError> {
        let text = match shift {
            Shift::None => "+0".to_owned(),
            Shift::Ahead(by) => format!("+{}", by.as_secs()),
            Shift::Behind(by) => format!("-{}", by.as_secs()),
        };
        // Replaced as a whole: it is read at any time.
        let new = self.file.with_extension("new");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &self.file));
        written.map_err(|error| LoadError::failed(format!("{}: {error}", self.file.display())))
    }
}

fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir(LIBRARIES).ok()?;
    let folders = folders.filter_map(|entry| Some(entry.ok()?.path()));
    std::iter::once(PathBuf::from(LIBRARIES))
        .chain(folders)
        .map(|folder| folder.join(LIBRARY))
        .find(|library| library.exists())
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_process_has_the_time_that_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let clock = match WallClock::new(folder.path()) {
            Ok(clock) => clock,
            Err(error) if std::env::var_os("TESTS_MUST_NOT_SKIP").is_none() => {
                return println!("skipped: {error}");
            }
            Err(error) => panic!("{error}"),
        };
        let ahead_s = || {
            let mut date = Command::new("date");
            let output = date.arg("+%s").envs(clock.settings()).output().unwrap();
            let found: i64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
            let right = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            found - i64::try_from(right).unwrap()
        };
        let hour = Duration::from_secs(3_600);
        for (shift, wanted) in
            [(Shift::None, 0), (Shift::Ahead(hour), 3_600), (Shift::Behind(hour), -3_600)]
        {
            clock.set(shift).unwrap();
            assert!((wanted - 2..=wanted + 2).contains(&ahead_s()), "{shift:?}");
        }
    }
}
