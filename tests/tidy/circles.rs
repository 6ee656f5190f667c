//! No two files import from each other, directly or through others.
//!
//! Files are nodes, imports are edges; re-exports are followed to the file that has the item. An
//! import between a module and the module that contains it is left out: a parent declares its
//! children and shows what they have. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The path of a module within its crate.
type Module = Vec<String>;

/// What the imports of one file name.
#[derive(Debug, Default)]
struct File {
    /// The paths that it uses, split at `::`.
    uses: BTreeSet<Vec<String>>,
    /// What it re-exports: the name, and the path that it stands for.
    exports: BTreeMap<String, Vec<String>>,
}

/// The groups of modules of a crate that import each other in a circle. `sources` are paths
/// below the crate's `src` with their texts.
pub(crate) fn circles(sources: &[(String, String)], own_name: &str) -> Vec<Vec<String>> {
    let mut files: BTreeMap<Module, File> = BTreeMap::new();
    for (path, text) in sources.iter().filter(|(path, _)| !is_test(path)) {
        files.insert(module_of(path), read(text, own_name));
    }
    let mut edges: BTreeMap<&Module, BTreeSet<&Module>> = BTreeMap::new();
    for (module, file) in &files {
        for used in &file.uses {
            let Some(target) = resolve(&files, module, used, 0) else { continue };
            let is_family = target.starts_with(module) || module.starts_with(target);
            if !is_family {
                edges.entry(module).or_default().insert(target);
            }
        }
    }
    strongly_connected(&edges)
        .into_iter()
        .map(|group| group.into_iter().map(|module| module.join("::")).collect())
        .collect()
}

fn is_test(path: &str) -> bool {
    let parts = || Path::new(path).components().map(|part| part.as_os_str().to_string_lossy());
    parts().any(|part| part == "tests" || part == "tests.rs" || part == "testing.rs")
}

fn module_of(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let mut parts: Module = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib" || last == "main") {
        parts.pop();
    }
    parts
}

/// Reads the imports of a file: `use` declarations, and paths in the code that begin at the crate.
fn read(text: &str, own_name: &str) -> File {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or(line));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut file = File::default();
    for statement in text.split(';') {
        let Some(at) = statement.rfind("use ").filter(|at| is_declaration(statement, *at)) else {
            continue;
        };
        let mut found = Vec::new();
        expand(&[], &statement[at + 4..], &mut found);
        for (path, name) in found {
            if statement[..at].trim_end().lines().last().is_some_and(|line| line.contains("pub")) {
                file.exports.insert(name, path.clone());
            }
            file.uses.insert(path);
        }
    }
    for start in ["crate::", "super::", "self::", &format!("{own_name}::")] {
        for (at, _) in text.match_indices(start) {
            let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            if !text[..at].ends_with(is_word) {
                let path: String = text[at..].chars().take_while(|c| is_word(*c)).collect();
                let path = path.split("::").filter(|part| !part.is_empty());
                file.uses.insert(path.map(str::to_owned).collect());
            }
        }
    }
    file
}

/// Whether the `use` at that place begins a declaration.
fn is_declaration(statement: &str, at: usize) -> bool {
    let line = statement[..at].rsplit('\n').next().unwrap_or("").trim();
    line.is_empty() || (line.starts_with("pub") && !line.contains(' ')) || line.ends_with(')')
}

/// The single paths of a `use` with braces, each with the name that it is given here.
fn expand(before: &[String], rest: &str, found: &mut Vec<(Vec<String>, String)>) {
    let rest = rest.trim();
    if let Some((head, tail)) = rest.split_once('{') {
        let mut path = before.to_vec();
        path.extend(
            head.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned),
        );
        let tail = tail.rsplit_once('}').map_or(tail, |(inside, _)| inside);
        for part in split_outside_braces(tail) {
            expand(&path, part, found);
        }
        return;
    }
    let (path_text, alias) = rest.split_once(" as ").map_or((rest, None), |(a, b)| (a, Some(b)));
    let mut path = before.to_vec();
    let parts = path_text.split("::").map(str::trim).filter(|part| !part.is_empty());
    path.extend(parts.filter(|part| *part != "self" || before.is_empty()).map(str::to_owned));
    if let Some(last) = path.last().cloned() {
        found.push((path, alias.map_or(last, |alias| alias.trim().to_owned())));
    }
}

fn split_outside_braces(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// The module that a path leads to, seen from another one; none outside of the crate.
fn resolve<'f>(
    files: &'f BTreeMap<Module, File>,
    from: &Module,
    path: &[String],
    depth: usize,
) -> Option<&'f Module> {
    let mut at = from.clone();
    let mut rest = path.iter();
    let first = rest.next()?;
    match first.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => drop(at.pop()),
        name => {
            at.push(name.to_owned());
            if !files.contains_key(&at) {
                return None; // another crate, or an item of this very file
            }
        }
    }
    let mut rest = rest.as_slice();
    while let Some((part, behind)) = rest.split_first() {
        if part == "super" {
            at.pop();
        } else {
            at.push(part.clone());
            if !files.contains_key(&at) {
                at.pop();
                break;
            }
        }
        rest = behind;
    }
    if let Some(name) = rest.first()
        && depth < 8
        && let Some(stands_for) = files.get(&at).and_then(|file| file.exports.get(name))
        && let Some(found) = resolve(files, &at, stands_for, depth + 1)
    {
        return Some(found);
    }
    files.get_key_value(&at).map(|(module, _)| module)
}

/// The strongly connected components of more than one node.
fn strongly_connected<'m>(
    edges: &BTreeMap<&'m Module, BTreeSet<&'m Module>>,
) -> Vec<Vec<&'m Module>> {
    let reach = |from: &'m Module| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(node) = next.pop() {
            for target in edges.get(node).into_iter().flatten() {
                if seen.insert(*target) {
                    next.push(target);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = edges.keys().map(|node| (*node, reach(node))).collect();
    let mut groups: BTreeSet<Vec<&Module>> = BTreeSet::new();
    for (node, seen) in &reached {
        let is_mutual = |other: &&&Module| reached.get(**other).is_some_and(|it| it.contains(node));
        let group: Vec<&Module> = seen.iter().filter(is_mutual).copied().collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

#[test]
fn a_circle_is_found_through_a_re_export_and_a_parent_is_none() {
    let tree = |files: &[(&str, &str)]| -> Vec<(String, String)> {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    };
    let circle = tree(&[
        ("lib.rs", "pub mod a;\npub mod b;\npub use b::{inner::Deep, B};\n"),
        ("a.rs", "use crate::{Deep, b::B};\npub struct A;\n"),
        ("b/mod.rs", "mod inner;\npub use inner::Deep;\nuse std::fmt;\npub struct B;\n"),
        ("b/inner.rs", "use super::super::a::A;\npub struct Deep(A);\n"),
    ]);
    assert_eq!(circles(&circle, "made_up"), [["a", "b::inner"]]);
    let line = tree(&[
        ("a/mod.rs", "mod one;\nmod two;\npub use one::One;\npub struct A;\n"),
        ("a/one.rs", "use super::{A, two::Two};\npub struct One;\n"),
        ("a/two.rs", "use super::A;\n#[cfg(test)]\nmod tests {\n    use crate::a::one::One;\n}\n"),
    ]);
    assert_eq!(circles(&line, "made_up"), Vec::<Vec<String>>::new());
}
