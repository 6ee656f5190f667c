//! A mounted disk, used by processes of its own.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::*;

/// A disk; `None`, told, where none can be mounted.
fn mounted(disk: Result<Disk, LoadError>) -> Option<Disk> {
    match disk {
        Ok(disk) => Some(disk),
        Err(error) if std::env::var_os("TESTS_MUST_NOT_SKIP").is_none() => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_disk_is_a_folder() {
    let Some(disk) = mounted(Disk::mount()) else { return };
    let path = disk.path().to_owned();
    let file = path.join("one");
    std::fs::write(&file, "Hello").unwrap();
    let mut open = File::options().read(true).write(true).open(&file).unwrap();
    open.seek(SeekFrom::Start(7)).unwrap();
    open.write_all(b"world").unwrap();
    open.set_len(11).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"Hello\0\0worl");
    std::fs::rename(&file, path.join("two")).unwrap();
    std::fs::write(path.join("three"), "").unwrap();
    assert_eq!(names(&path), ["three", "two"]);
    // A file without a name lasts while it is open.
    std::fs::remove_file(path.join("two")).unwrap();
    let mut text = String::new();
    open.rewind().unwrap();
    open.read_to_string(&mut text).unwrap();
    assert_eq!((text.len(), disk.used()), (11, 11));
    assert_eq!(names(&path), ["three"]);
    drop(disk);
    assert!(!path.exists(), "it is unmounted and its folder removed");
}

#[test]
fn a_disk_fails_as_it_is_told_to() {
    let Some(disk) = mounted(Disk::mount()) else { return };
    let file = disk.path().join("file");
    let mut open = File::create(&file).unwrap();
    open.write_all(&[1; 100]).unwrap();
    disk.set(Faults { bytes_max: Some(150), ..Faults::default() });
    assert_eq!(open.write_all(&[2; 100]).unwrap_err().kind(), ErrorKind::StorageFull);
    open.write_all(&[2; 50]).unwrap();
    let new = File::create(disk.path().join("new")).unwrap_err();
    assert_eq!(new.kind(), ErrorKind::StorageFull);
    open.rewind().unwrap();
    open.write_all(&[3; 100]).expect("what takes no more room");
    disk.set(Faults { is_read_only: true, ..Faults::default() });
    assert_eq!(open.write_all(&[4]).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(std::fs::remove_file(&file).unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    disk.set(Faults { has_sync_errors: true, ..Faults::default() });
    open.write_all(&[4]).unwrap();
    assert_eq!(open.sync_data().unwrap_err().raw_os_error(), Some(5), "EIO");
    let delay = Duration::from_millis(50);
    disk.set(Faults { delay, ..Faults::default() });
    let begun = Instant::now();
    open.write_all(&[4]).unwrap();
    open.sync_all().unwrap();
    assert!(begun.elapsed() >= delay * 2);
    disk.set(Faults::default());
    assert_eq!(std::fs::read(&file).unwrap().len(), 150);
}

#[test]
fn every_change_is_recorded_in_order() {
    let Some(disk) = mounted(Disk::recorded()) else { return };
    let file = disk.path().join("file");
    let mut open = File::create(&file).unwrap();
    open.write_all(b"ab").unwrap();
    open.sync_data().unwrap();
    open.set_len(1).unwrap();
    disk.set(Faults { has_false_syncs: true, ..Faults::default() });
    open.sync_data().unwrap();
    disk.set(Faults::default());
    std::fs::rename(&file, disk.path().join("other")).unwrap();
    File::open(disk.path()).unwrap().sync_all().unwrap();
    std::fs::remove_file(disk.path().join("other")).unwrap();
    assert_eq!((disk.operations(), disk.counter().now()), (7, 7));
    let wanted = [
        Operation::Create { name: "file".into(), file: 2 },
        Operation::Write { file: 2, at: 0, bytes: b"ab".to_vec() },
        Operation::Sync { file: 2 },
        Operation::Resize { file: 2, length: 1 },
        Operation::Rename { from: "file".into(), to: "other".into() },
        Operation::SyncFolder,
        Operation::Unlink { name: "other".into() },
    ];
    assert_eq!(disk.take_recording().operations, wanted);
    assert_eq!(disk.operations(), 0);
}

/// Runs as a process of its own in the test below, and never ends.
#[test]
#[ignore = "the other half of the next one"]
fn a_process_with_a_disk_that_is_killed() {
    let disk = Disk::mount().unwrap();
    println!("disk {}", disk.path().display());
    std::io::stdout().flush().unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn the_disk_of_a_killed_process_is_unmounted_by_the_next_one() {
    let Some(first) = mounted(Disk::mount()) else { return };
    drop(first);
    let name = "disk::tests::a_process_with_a_disk_that_is_killed";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(lines).map(Result::unwrap);
    let path = lines.find_map(|line| Some(line.split_once("disk /")?.1.to_owned())).unwrap();
    let path = Path::new("/").join(path);
    assert!(path.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    let disk = Disk::mount().unwrap();
    assert!(!path.exists());
    assert_eq!(names(disk.path()), Vec::<String>::new());
}

/// The files after a loss at an operation.
fn after(recording: &Recording, at: usize, loss: Loss) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let mut replay = Replay::new(recording);
    replay.advance(at);
    replay.write_to(folder.path(), loss).unwrap();
    let names = names(folder.path()).into_iter();
    names
        .map(|name| {
            let bytes = std::fs::read(folder.path().join(&name)).unwrap();
            (name, bytes)
        })
        .collect()
}

fn write(at: usize, bytes: &[u8]) -> Operation {
    Operation::Write { file: 2, at, bytes: bytes.to_vec() }
}

#[test]
fn what_was_synced_is_there_after_every_loss() {
    let create = Operation::Create { name: "a".into(), file: 2 };
    let rename = Operation::Rename { from: "a".into(), to: "b".into() };
    let (sync, sync_folder) = (Operation::Sync { file: 2 }, Operation::SyncFolder);
    let operations = vec![create, write(0, b"1122"), sync, rename, sync_folder, write(2, b"3344")];
    let recording = Recording { operations };
    let (mut names, mut contents): (Vec<Vec<String>>, _) = (Vec::new(), Vec::new());
    for seed in 0..200 {
        let loss = Loss { seed, sector: 2 };
        names.push(after(&recording, 4, loss).into_iter().map(|(name, _)| name).collect());
        let found = after(&recording, 6, loss);
        let [(name, bytes)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(name, "b");
        contents.push(bytes.clone());
        assert_eq!(found, after(&recording, 6, loss), "a seed says everything");
    }
    names.sort();
    names.dedup();
    assert_eq!(names, [vec![], vec!["a".to_owned()], vec!["b".to_owned()]]);
    contents.sort();
    contents.dedup();
    let wanted = ["1122", "1122\0\0", "112244", "1133", "1133\0\0", "113344"];
    assert_eq!(contents, wanted.map(|text| text.as_bytes().to_vec()));
}

#[test]
fn a_sector_has_any_of_its_contents_and_a_file_any_of_its_lengths() {
    let create = Operation::Create { name: "a".into(), file: 2 };
    let resize = |length| Operation::Resize { file: 2, length };
    let synced = [create, Operation::SyncFolder, write(0, b"aa"), Operation::Sync { file: 2 }];
    let later = [write(1, b"b"), write(0, b"c"), resize(0), resize(2)];
    let recording = Recording { operations: synced.into_iter().chain(later).collect() };
    let all = |at| {
        let found = (0..300).map(|seed| after(&recording, at, Loss { seed, sector: 2 }));
        let mut found: Vec<String> =
            found.map(|files| String::from_utf8(files[0].1.clone()).unwrap()).collect();
        found.sort();
        found.dedup();
        found
    };
    assert_eq!(all(4), ["aa"]);
    assert_eq!(all(6), ["aa", "ab", "cb"], "never a torn one");
    assert_eq!(all(8), ["", "\0\0", "aa", "ab", "cb"]);
}
