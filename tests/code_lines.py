#!/usr/bin/env python3
"""Code lines of Rust, by crate: without tests, test files, comments and blank lines.

Usage: tests/code_lines.py [REVISION...]: of the work tree, or of revisions beside each other.
"""

import re
import subprocess
import sys
from collections import Counter

TEST_FILE = re.compile(r"(^|/)tests?(/|\.rs$)|_tests?\.rs$|/testing(/|\.rs$)|(^|/)fuzz(\.rs$|/)")
ROOTS = ("src/", "actors/", "benches/")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def without_tests(text):
    """The text up to each `#[cfg(test)]` item's end: a module in braces, or one line."""
    kept, lines, at = [], text.split("\n"), 0
    while at < len(lines):
        if lines[at].strip() != "#[cfg(test)]":
            kept.append(lines[at])
            at += 1
            continue
        indent = len(lines[at]) - len(lines[at].lstrip())
        at += 1
        while at < len(lines) and lines[at].strip().startswith(("#[", "///")):
            at += 1
        if not lines[at].rstrip().endswith(";"):
            while at < len(lines) and lines[at].rstrip() != " " * indent + "}":
                at += 1
        at += 1
    return kept


def code_lines(text):
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    lines = (line.strip() for line in without_tests(text))
    return sum(1 for line in lines if line and not line.startswith("//"))


def place(path):
    parts = path.split("/")
    depth = 2 if parts[0] == "src" and len(parts) > 2 else 1
    if parts[0] in ("actors", "benches") and len(parts) > 2:
        depth = 2
    return "/".join(parts[:depth]) if depth < len(parts) else parts[0]


def count(revision):
    """Lines by folder."""
    if revision is None:
        paths = run("git", "ls-files", "*.rs").split()
        read = lambda path: open(path, encoding="utf-8").read()
    else:
        paths = run("git", "ls-tree", "-r", "--name-only", revision).split()
        paths = [path for path in paths if path.endswith(".rs")]
        read = lambda path: run("git", "show", f"{revision}:{path}")
    found = Counter()
    for path in paths:
        if path.startswith(ROOTS) and not TEST_FILE.search(path):
            found[place(path)] += code_lines(read(path))
    return found


def main():
    revisions = sys.argv[1:] or [None]
    counts = [count(revision) for revision in revisions]
    folders = sorted({folder for one in counts for folder in one})
    print(f"{'folder':24}" + "".join(f"{one or 'work tree':>14}" for one in revisions))
    for folder in folders:
        print(f"{folder:24}" + "".join(f"{one[folder]:14,}" for one in counts))
    print(f"{'all':24}" + "".join(f"{sum(one.values()):14,}" for one in counts))


if __name__ == "__main__":
    main()
