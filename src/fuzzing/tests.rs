//! Each target over its kept inputs, and over mutations of them: no fuzzer is needed for either.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use super::TARGETS;

/// How many mutations of each target's inputs are tried.
const MUTATIONS: u32 = 400;

/// The longest input that is mutated, in bytes: longer ones take long to shrink.
const LENGTH_MAX: usize = 2_048;

/// The size of all kept inputs together, in bytes.
const CORPUS_MAX: u64 = 2 << 20;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// A target's kept inputs, in the order of their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder().join("corpus").join(target)).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| (file.clone(), fs::read(file).unwrap());
    files.into_iter().map(read).collect()
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed = |folder: PathBuf| -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names, listed(folder().join("targets")));
    assert_eq!(names, listed(folder().join("corpus")));
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for name in &names {
        let program = fs::read_to_string(folder().join(format!("targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("fuzzing::{name}(bytes)")), "{name}");
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
    }
    let size = |(file, _): (PathBuf, _)| fs::metadata(file).unwrap().len();
    let bytes: u64 = names.iter().flat_map(|name| corpus(name)).map(size).sum();
    assert!(bytes <= CORPUS_MAX, "{bytes} bytes: `cargo fuzz cmin`");
}

#[test]
fn no_kept_input_breaks_an_invariant() {
    for (name, run) in TARGETS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name} has no input");
        for (file, bytes) in inputs {
            let outcome = std::panic::catch_unwind(|| run(&bytes));
            assert!(outcome.is_ok(), "{name}: {} breaks an invariant", file.display());
        }
    }
}

/// One change of an input.
#[derive(Debug, Clone)]
enum Edit {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// A part of another input.
    Splice(Index, Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    // What a format separates its parts with, more often than other bytes.
    let byte =
        || prop_oneof![any::<u8>(), prop::sample::select(b"\r\n\0 \"\\{}[]:;,.=&%-0".to_vec())];
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (at(), prop::collection::vec(byte(), 1..8)).prop_map(|(at, new)| Edit::Insert(at, new)),
        (at(), 1..16_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        (at(), at(), at()).prop_map(|(at, other, from)| Edit::Splice(at, other, from)),
    ]
}

fn apply(mut bytes: Vec<u8>, edits: Vec<Edit>, inputs: &[Vec<u8>]) -> Vec<u8> {
    for edit in edits {
        let place = |at: Index, bytes: &[u8]| at.index(bytes.len() + 1);
        match edit {
            Edit::Replace(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Edit::Replace(_, byte) => bytes.push(byte),
            Edit::Insert(at, new) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, new);
            }
            Edit::Remove(at, length) => {
                let at = place(at, &bytes);
                let end = (at + length).min(bytes.len());
                bytes.drain(at..end);
            }
            Edit::Splice(at, other, from) => {
                let other = other.get(inputs);
                let at = place(at, &bytes);
                bytes.splice(at.., other[place(from, other)..].iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn no_mutation_of_a_kept_input_breaks_an_invariant() {
    // The same inputs in each run, unless another seed is asked for.
    let seed = std::env::var("FUZZ_SEED").map_or(1, |seed| seed.parse::<u64>().unwrap());
    for (name, run) in TARGETS {
        let inputs: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, bytes)| bytes).collect();
        let short: Vec<Vec<u8>> =
            inputs.iter().filter(|bytes| bytes.len() <= LENGTH_MAX).cloned().collect();
        let edits = prop::collection::vec(edit(), 0..5);
        let mutated = (prop::sample::select(short.clone()), edits)
            .prop_map(move |(bytes, edits)| apply(bytes, edits, &short));
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
        let config = Config { cases: MUTATIONS, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new_with_rng(config, rng).run(&mutated, |bytes| {
            run(&bytes);
            Ok(())
        });
        if let Err(TestError::Fail(why, bytes)) = outcome {
            panic!(
                "{name} with FUZZ_SEED={seed}: {why}\nKeep the input: \
                 printf '{}' >tests/fuzz/corpus/{name}/broken",
                in_octal(&bytes)
            );
        }
    }
}

/// Bytes as `printf` of every shell takes them.
fn in_octal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:03o}")).collect()
}
