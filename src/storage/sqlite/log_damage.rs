//! Damage in the log that a process has left behind.
//!
//! SQLite reads a log up to the first frame whose checksum is wrong and ignores the rest, since a
//! power loss may tear the last transaction, which was not acknowledged. But a transaction is
//! written only after the one before is on the disk. So where a whole one follows the bad frame, it
//! was not torn: what was acknowledged has been damaged, and SQLite would drop it without a word.
//!
//! The format is SQLite's (<https://www.sqlite.org/fileformat2.html#walformat>). A frame's checksum
//! continues the one before, so a frame can be checked by what the one before it says.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use rusqlite::Connection;

use super::file::beside;
use super::options::OpenError;

/// The log's header: magic, version, page size, checkpoints, salt (two words), checksum (two).
const HEAD_LEN: usize = 32;
/// A frame's header: page, pages of the database after a commit (else 0), salt, checksum.
const FRAME_HEAD_LEN: usize = 24;
/// The log's first word, without the bit that tells the order of bytes in checksums.
const MAGIC: u32 = 0x377f_0682;
/// SQLite's smallest and largest pages, and those of the hub's databases.
const PAGE_MIN: usize = 512;
const PAGE_MAX: usize = 65_536;
const PAGE: usize = 4096;
/// Where these are in the log's header.
const SALT_AT: usize = 16;
const HEAD_SUM_AT: usize = 24;
/// Where these are in a frame's.
const COMMIT_AT: usize = 4;
const FRAME_SALT_AT: usize = 8;
const FRAME_SUM_AT: usize = 16;

/// What is damaged, and what SQLite would drop because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogDamage {
    /// The first bad frame, counted from 1; 0 is the log's header.
    frame: u64,
    /// Frames in the log.
    frames: u64,
    /// Transactions behind it.
    behind: u64,
}

impl std::fmt::Display for LogDamage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.frame {
            0 => write!(f, "its header is damaged")?,
            frame => write!(f, "page {frame} of {} in it is damaged", self.frames)?,
        }
        write!(f, ", and {} or more transactions were written after it", self.behind)
    }
}

type Checksum = [u32; 2];
type Salt = [u32; 2];

/// Looks at the log of a database that no hub has open.
///
/// # Errors
/// [`OpenError::DamagedLog`], or that the log cannot be read.
pub(super) fn check(database: &Path) -> Result<(), OpenError> {
    let log = beside(database, "-wal");
    let read = || read(&log).map_err(|source| OpenError::io(&log, source));
    // A command may be writing: what it has not finished is whole the next time.
    match (read()?, read()?) {
        (Some(damage), Some(again)) if damage.frame == again.frame => {
            Err(OpenError::DamagedLog { path: log, damage: damage.to_string() })
        }
        _ => Ok(()),
    }
}

/// Goes on without what lies behind the damage. The log is kept under another name, and what is
/// lost is logged. The hub's lock must be held.
pub(super) fn accept(database: &Path) -> Result<(), OpenError> {
    let Err(error) = check(database) else { return Ok(()) };
    let OpenError::DamagedLog { path: log, damage } = error else { return Err(error) };
    let kept = beside(&log, ".damaged");
    if kept.exists() {
        let there = io::Error::other("a log that was damaged before is there: move it away");
        return Err(OpenError::io(&kept, there));
    }
    fs::copy(&log, &kept)
        .and_then(|_| File::open(&kept)?.sync_all())
        .map_err(|source| OpenError::io(&kept, source))?;
    tracing::error!(%damage, kept = %kept.display(), "the log is damaged: what follows is lost");
    // What is before the damage goes into the file, and the log with the rest of it goes away.
    let failed = |error| OpenError::database(database, error);
    let connection = Connection::open(database).map_err(failed)?;
    let sql = "PRAGMA wal_checkpoint(FULL)";
    connection.query_row(sql, (), |_| Ok(())).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))
}

fn read(log: &Path) -> io::Result<Option<LogDamage>> {
    match File::open(log) {
        Ok(file) => {
            let len = file.metadata()?.len();
            look(BufReader::with_capacity(1 << 20, file), len)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks through a log of this length.
fn look(mut log: impl Read, len: u64) -> io::Result<Option<LogDamage>> {
    let mut head = [0; HEAD_LEN];
    if len < HEAD_LEN as u64 {
        return Ok(None);
    }
    log.read_exact(&mut head)?;
    let size = usize::try_from(word(&head, 8)).unwrap_or(0);
    let is_size = size.is_power_of_two() && (PAGE_MIN..=PAGE_MAX).contains(&size);
    // If it is the size that is damaged: what the hub's databases have.
    let page_len = if is_size { size } else { PAGE };
    let sums = Sums { are_big_endian: word(&head, 0) & 1 == 1 };
    let computed = sums.of([0, 0], head.get(..HEAD_SUM_AT).unwrap_or_default());
    let said = said(&head, HEAD_SUM_AT);
    let is_head_whole = word(&head, 0) & !1 == MAGIC && is_size && said == computed;
    let frames = (len - HEAD_LEN as u64) / (FRAME_HEAD_LEN + page_len) as u64;
    let mut walk = Walk {
        sums,
        salt: salt(&head, SALT_AT),
        seeds: [said, computed],
        is_after_commit: true,
        bad: (!is_head_whole).then_some(0),
        behind: 0,
    };
    let mut frame = vec![0; FRAME_HEAD_LEN + page_len];
    for at in 1..=frames {
        log.read_exact(&mut frame)?;
        walk.step(at, &frame);
        // SQLite writes a header to the disk before any frame: a bad one from which the first frame
        // does not go on was torn, before there was anything behind it.
        if walk.bad == Some(0) && walk.behind == 0 {
            return Ok(None);
        }
    }
    let Walk { bad, behind, .. } = walk;
    Ok(bad.filter(|_| behind > 0).map(|frame| LogDamage { frame, frames, behind }))
}

/// What is known after some frames.
struct Walk {
    sums: Sums,
    /// Of this use of the log; behind its end there may be frames of an earlier one.
    salt: Salt,
    /// From which the next frame may go on: what the one before says, and, where that may be what
    /// is damaged, what it has.
    seeds: [Checksum; 2],
    is_after_commit: bool,
    bad: Option<u64>,
    behind: u64,
}

impl Walk {
    fn step(&mut self, at: u64, frame: &[u8]) {
        let said = said(frame, FRAME_SUM_AT);
        let computed = self.seeds.map(|seed| self.sums.of_frame(seed, frame));
        // No page has the number 0: zeros that were never written are no frame.
        let goes_on = computed.contains(&said) && word(frame, 0) != 0;
        if self.bad == Some(0) && at == 1 && goes_on {
            self.salt = salt(frame, FRAME_SALT_AT);
        }
        let has_salt = salt(frame, FRAME_SALT_AT) == self.salt;
        let is_first_bad = self.bad.is_none() && !(has_salt && goes_on);
        if is_first_bad {
            self.bad = Some(at);
        } else if self.bad.is_some() && has_salt && goes_on && self.is_after_commit {
            // It was written when the commit before it was on the disk, and so was the bad frame.
            self.behind += 1;
        }
        self.is_after_commit = word(frame, COMMIT_AT) != 0 && (has_salt || is_first_bad);
        self.seeds = if is_first_bad { [said, computed[0]] } else { [said; 2] };
    }
}

#[derive(Debug, Clone, Copy)]
struct Sums {
    are_big_endian: bool,
}

impl Sums {
    /// Of a frame's first two words and its page.
    fn of_frame(self, seed: Checksum, frame: &[u8]) -> Checksum {
        let seed = self.of(seed, frame.get(..FRAME_SALT_AT).unwrap_or_default());
        self.of(seed, frame.get(FRAME_HEAD_LEN..).unwrap_or_default())
    }

    fn of(self, [mut one, mut two]: Checksum, bytes: &[u8]) -> Checksum {
        for pair in bytes.chunks_exact(8) {
            let [mut x, mut y] = [word(pair, 0), word(pair, 4)];
            if !self.are_big_endian {
                [x, y] = [x.swap_bytes(), y.swap_bytes()];
            }
            one = one.wrapping_add(x).wrapping_add(two);
            two = two.wrapping_add(y).wrapping_add(one);
        }
        [one, two]
    }
}

fn said(head: &[u8], at: usize) -> Checksum {
    [word(head, at), word(head, at + 4)]
}

fn salt(head: &[u8], at: usize) -> Salt {
    said(head, at)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    found.map_or(0, u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A database and its log, as they are at some moment.
    struct Left {
        file: Vec<u8>,
        log: Vec<u8>,
    }

    impl Left {
        fn by(path: &Path) -> Self {
            let read = |path: PathBuf| fs::read(path).unwrap();
            Self { file: read(path.to_owned()), log: read(beside(path, "-wal")) }
        }

        /// The rows that SQLite finds with this log.
        fn rows(&self, log: &[u8]) -> i64 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            fs::write(&path, &self.file).unwrap();
            fs::write(beside(&path, "-wal"), log).unwrap();
            let connection = Connection::open(&path).unwrap();
            let count = "SELECT count(*) FROM rows";
            connection.query_row(count, (), |row| row.get(0)).unwrap_or(0)
        }
    }

    fn look_at(log: &[u8]) -> Option<LogDamage> {
        look(log, log.len() as u64).unwrap()
    }

    /// Transactions of one, two and more pages. With `used_before`, the log was started anew, and
    /// frames of its earlier use are behind those that count.
    fn left(used_before: bool) -> (Left, i64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let connection = Connection::open(&path).unwrap();
        let sql = "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0;
            CREATE TABLE rows (text TEXT);";
        connection.execute_batch(sql).unwrap();
        let mut count = 0;
        let mut write = |sizes: &[usize]| {
            for size in sizes {
                connection.execute("INSERT INTO rows VALUES (?1)", ["x".repeat(*size)]).unwrap();
                count += 1;
            }
        };
        if used_before {
            write(&[10; 30]);
            let sql = "PRAGMA wal_checkpoint(FULL)";
            connection.query_row(sql, (), |_| Ok(())).unwrap();
        }
        write(&[10, 10, 9_000, 10, 30_000, 10]);
        let left = Left::by(&path);
        (left, count)
    }

    #[test]
    fn one_bit_anywhere_is_found_where_sqlite_would_lose_more_than_the_last_transaction() {
        for used_before in [false, true] {
            let (left, all) = left(used_before);
            assert_eq!(left.rows(&left.log), all);
            assert_eq!(look_at(&left.log), None);
            let frame_len = FRAME_HEAD_LEN + PAGE;
            let frames = (left.log.len() - HEAD_LEN) / frame_len;
            let heads = (0..frames).map(|at| HEAD_LEN + at * frame_len);
            let in_frames = heads.flat_map(|head| {
                (head..head + FRAME_HEAD_LEN).chain([head + 30, head + 2_000, head + frame_len - 1])
            });
            let (mut found, mut lost) = (0, 0);
            for byte in (0..HEAD_LEN).chain(in_frames) {
                let mut log = left.log.clone();
                log[byte] ^= 1 << (byte % 8);
                let rows = left.rows(&log);
                match look_at(&log) {
                    Some(damage) => {
                        found += 1;
                        assert!(rows < all, "byte {byte}: {damage}, but nothing is lost");
                    }
                    None => {
                        lost += usize::from(rows < all);
                        assert!(rows >= all - 1, "byte {byte}: {rows} of {all} rows");
                    }
                }
            }
            assert!(found > 200 && lost > 20, "{found}, {lost}");
        }
    }

    #[test]
    fn a_torn_end_is_no_damage() {
        for used_before in [false, true] {
            let (left, _) = left(used_before);
            for len in (0..left.log.len()).step_by(97) {
                assert_eq!(look_at(&left.log[..len]), None, "cut at {len}");
            }
            // The last transactions that have many pages: sectors of it did not reach the disk.
            let mut random = fastrand::Rng::with_seed(7);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            fs::write(&path, &left.file).unwrap();
            fs::write(beside(&path, "-wal"), &left.log).unwrap();
            let connection = Connection::open(&path).unwrap();
            connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
            let before = fs::read(beside(&path, "-wal")).unwrap();
            connection.execute("INSERT INTO rows VALUES (?1)", ["y".repeat(60_000)]).unwrap();
            let after = fs::read(beside(&path, "-wal")).unwrap();
            for _ in 0..500 {
                let mut log = after.clone();
                for (at, sector) in log.chunks_mut(512).enumerate() {
                    let range = at * 512..at * 512 + sector.len();
                    let old = before.get(range.clone()).unwrap_or(&[0; 512][..sector.len()]);
                    if sector != old && random.bool() {
                        sector.copy_from_slice(old);
                    }
                }
                assert_eq!(look_at(&log), None);
            }
        }
    }

    #[test]
    fn what_is_no_log_is_left_to_sqlite() {
        let mut random = fastrand::Rng::with_seed(3);
        for len in [0, 1, 31, 32, 33, 5_000, 100_000] {
            let mut bytes = vec![0; len];
            assert_eq!(look_at(&bytes), None);
            random.fill(&mut bytes);
            assert_eq!(look_at(&bytes), None);
        }
    }

    #[test]
    fn a_log_is_accepted_once_and_kept() {
        let (left, all) = left(false);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        fs::write(&path, &left.file).unwrap();
        let mut log = left.log.clone();
        log[HEAD_LEN + FRAME_HEAD_LEN + 3 * (FRAME_HEAD_LEN + PAGE) + 100] ^= 4;
        fs::write(beside(&path, "-wal"), &log).unwrap();
        let told = check(&path).unwrap_err().to_string();
        assert!(told.contains("page 4 of"), "{told}");
        assert_eq!(fs::read(beside(&path, "-wal")).unwrap(), log);
        accept(&path).unwrap();
        assert_eq!(fs::read(beside(&path, "-wal.damaged")).unwrap(), log);
        check(&path).unwrap();
        let connection = Connection::open(&path).unwrap();
        let count = "SELECT count(*) FROM rows";
        let rows: i64 = connection.query_row(count, (), |row| row.get(0)).unwrap();
        assert!((1..all).contains(&rows), "{rows}");
    }
}
