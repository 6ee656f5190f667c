#!/usr/bin/env bash
# Passes all tests on a fresh machine: installs what is missing, skips nothing silently.
# Needs a Rust toolchain, and (for what is missing) Debian's packages as root or by sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install() { # install COMMAND PACKAGE: the package, unless the command is there
    command -v "$1" >/dev/null && return
    say "installing $2 (for $1)"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null
    command -v "$1" >/dev/null || { echo "tests/run.sh: $1 is missing and could not be installed" >&2; exit 1; }
}

# A C compiler for SQLite, a browser for the clients' own tests.
install cc gcc
install chromium chromium

# With this set, a test that cannot run here fails instead of naming itself as skipped.
export TESTS_MUST_NOT_SKIP=1

say "doc tests"
cargo test --quiet --workspace --doc

if cargo nextest --version >/dev/null 2>&1; then
    say "tests (cargo nextest)"
    cargo nextest run --workspace --no-fail-fast "$@"
else
    say "tests (cargo test)"
    cargo test --workspace --lib --bins --tests --no-fail-fast "$@"
fi
