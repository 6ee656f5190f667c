//! What is left of a disk after a power loss.
//!
//! What was written before the last `fsync` of a file is there, and names are as they were at the
//! last `fsync` of the folder. Of what came later anything may be there: each sector has any of
//! the contents that it had since, a file any of its lengths, and each change of a name was made or
//! not. Within a sector nothing is torn, and a name is replaced as a whole: SQLite relies on both.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use fastrand::Rng;

use super::volume::overwrite;
use super::{Operation, Recording};

/// How the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// All random choices come from it.
    pub seed: u64,
    /// The size of a sector, in bytes.
    pub sector: usize,
}

/// A recording up to some operation.
#[derive(Debug)]
pub struct Replay<'a> {
    recording: &'a Recording,
    /// How many operations have been replayed.
    at: usize,
    files: HashMap<u64, Contents<'a>>,
    names: Names,
}

/// A file: what is certain, and what was done since.
#[derive(Debug, Default)]
struct Contents<'a> {
    certain: Vec<u8>,
    pending: Vec<&'a Operation>,
}

/// The folder, likewise.
#[derive(Debug, Default)]
struct Names {
    certain: BTreeMap<OsString, u64>,
    pending: Vec<Change>,
    /// With everything that was done.
    now: BTreeMap<OsString, u64>,
}

/// A change of the folder, which is made as a whole.
#[derive(Debug, Clone)]
struct Change {
    removed: Option<OsString>,
    set: Option<(OsString, u64)>,
}

/// How much of what was not certain has survived, in quarters.
const ALL: u8 = 4;

/// The choice of what survives.
struct Choice {
    rng: Rng,
    quarters: u8,
}

impl Choice {
    fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let quarters = rng.u8(..=ALL);
        Self { rng, quarters }
    }

    fn survives(&mut self) -> bool {
        self.rng.u8(..ALL) < self.quarters
    }

    /// Which of so many later versions is there; 0: the certain one.
    fn version(&mut self, count: usize) -> usize {
        if count == 0 || !self.survives() {
            0
        } else if self.quarters == ALL || self.rng.bool() {
            count
        } else {
            self.rng.usize(1..=count)
        }
    }
}

impl<'a> Replay<'a> {
    /// At the beginning.
    #[must_use]
    pub fn new(recording: &'a Recording) -> Self {
        Self { recording, at: 0, files: HashMap::new(), names: Names::default() }
    }

    /// Replays up to this many operations; what was replayed is not undone.
    pub fn advance(&mut self, to: usize) {
        let end = to.min(self.recording.operations.len());
        for operation in self.recording.operations.get(self.at..end).unwrap_or_default() {
            match operation {
                Operation::Write { file, .. } | Operation::Resize { file, .. } => {
                    self.files.entry(*file).or_default().pending.push(operation);
                }
                Operation::Sync { file } => self.files.entry(*file).or_default().sync(),
                Operation::Create { .. } | Operation::Rename { .. } | Operation::Unlink { .. } => {
                    self.names.change(operation);
                }
                Operation::SyncFolder => self.names.sync(),
            }
        }
        self.at = self.at.max(end);
    }

    /// Writes the files that are found if the power fails now into a folder.
    ///
    /// # Errors
    /// The file system's.
    pub fn write_to(&self, folder: &Path, loss: Loss) -> io::Result<()> {
        let mut choice = Choice::of(loss.seed);
        for (name, file) in self.names.survivors(&mut choice) {
            let bytes = self.files.get(&file).map(|file| file.survivor(loss.sector, &mut choice));
            let mut options = OpenOptions::new();
            let mut file =
                options.create_new(true).write(true).mode(0o600).open(folder.join(name))?;
            file.write_all(&bytes.unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Names {
    fn change(&mut self, operation: &Operation) {
        let change = match operation {
            Operation::Create { name, file } => {
                Change { removed: None, set: Some((name.clone(), *file)) }
            }
            Operation::Rename { from, to } => {
                let file = self.now.get(from).copied().unwrap_or_default();
                Change { removed: Some(from.clone()), set: Some((to.clone(), file)) }
            }
            Operation::Unlink { name } => Change { removed: Some(name.clone()), set: None },
            Operation::Write { .. }
            | Operation::Resize { .. }
            | Operation::Sync { .. }
            | Operation::SyncFolder => return,
        };
        change.make(&mut self.now);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        self.certain.clone_from(&self.now);
        self.pending.clear();
    }

    fn survivors(&self, choice: &mut Choice) -> BTreeMap<OsString, u64> {
        let mut names = self.certain.clone();
        for change in &self.pending {
            if choice.survives() {
                change.make(&mut names);
            }
        }
        names
    }
}

impl Change {
    fn make(&self, names: &mut BTreeMap<OsString, u64>) {
        if let Some(removed) = &self.removed {
            names.remove(removed);
        }
        if let Some((name, file)) = &self.set {
            names.insert(name.clone(), *file);
        }
    }
}

impl Contents<'_> {
    fn sync(&mut self) {
        for operation in self.pending.drain(..) {
            apply(operation, &mut self.certain);
        }
    }

    fn survivor(&self, sector: usize, choice: &mut Choice) -> Vec<u8> {
        let (counts, lengths) = self.versions(sector);
        let mut sectors: Vec<(usize, usize)> = counts.into_iter().collect();
        // The order of a map is not the same each time.
        sectors.sort_unstable();
        let chosen: HashMap<usize, usize> =
            sectors.into_iter().map(|(n, count)| (n, choice.version(count))).collect();
        let length = match choice.version(lengths.len()) {
            0 => self.certain.len(),
            version => lengths.get(version - 1).copied().unwrap_or_default(),
        };
        let most = lengths.iter().copied().max().unwrap_or_default().max(self.certain.len());
        let mut found = self.certain.clone();
        found.resize(most, 0);
        let mut seen: HashMap<usize, usize> = HashMap::new();
        let mut bytes = self.certain.clone();
        for operation in &self.pending {
            let touched = touched(operation, bytes.len(), sector);
            apply(operation, &mut bytes);
            for n in touched {
                let version = seen.entry(n).or_default();
                *version += 1;
                if chosen.get(&n) == Some(version) {
                    copy_sector(&bytes, &mut found, n * sector, sector);
                }
            }
        }
        found.resize(length, 0);
        found
    }

    /// How many contents each sector had since it was certain, and the lengths of the file.
    fn versions(&self, sector: usize) -> (HashMap<usize, usize>, Vec<usize>) {
        let (mut counts, mut lengths) = (HashMap::new(), Vec::new());
        let mut length = self.certain.len();
        for operation in &self.pending {
            for n in touched(operation, length, sector) {
                *counts.entry(n).or_default() += 1;
            }
            let next = length_after(operation, length);
            if next != length {
                lengths.push(next);
            }
            length = next;
        }
        (counts, lengths)
    }
}

/// The sectors that an operation on a file of this length changes.
fn touched(operation: &Operation, before: usize, sector: usize) -> std::ops::Range<usize> {
    let (start, end) = match operation {
        Operation::Write { at, bytes, .. } => (*at, at + bytes.len()),
        // What is cut off is zeros if the file becomes longer again.
        Operation::Resize { length, .. } => (*length, before.max(*length)),
        Operation::Create { .. }
        | Operation::Rename { .. }
        | Operation::Unlink { .. }
        | Operation::Sync { .. }
        | Operation::SyncFolder => (0, 0),
    };
    if start == end { 0..0 } else { start / sector..end.div_ceil(sector) }
}

fn length_after(operation: &Operation, before: usize) -> usize {
    match operation {
        Operation::Write { at, bytes, .. } => before.max(at + bytes.len()),
        Operation::Resize { length, .. } => *length,
        Operation::Create { .. }
        | Operation::Rename { .. }
        | Operation::Unlink { .. }
        | Operation::Sync { .. }
        | Operation::SyncFolder => before,
    }
}

fn apply(operation: &Operation, file: &mut Vec<u8>) {
    match operation {
        Operation::Write { at, bytes, .. } => overwrite(file, *at, bytes),
        Operation::Resize { length, .. } => file.resize(*length, 0),
        Operation::Create { .. }
        | Operation::Rename { .. }
        | Operation::Unlink { .. }
        | Operation::Sync { .. }
        | Operation::SyncFolder => {}
    }
}

/// Copies a sector, of which the shorter file may have only a part: the rest is zeros.
fn copy_sector(from: &[u8], to: &mut [u8], at: usize, sector: usize) {
    let end = at.saturating_add(sector).min(to.len());
    let Some(target) = to.get_mut(at..end) else { return };
    target.fill(0);
    let source = from.get(at..end.min(from.len())).unwrap_or_default();
    target[..source.len()].copy_from_slice(source);
}
