#!/usr/bin/env bash
# Passes all tests on a fresh machine: installs what is missing, skips nothing silently.
# Needs a Rust toolchain, and (for what is missing) Debian's packages as root or by sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

fail() {
    echo "tests/run.sh: $*" >&2
    exit 1
}

install() { # install CHECK PACKAGE...: the packages, unless the check says that they are there
    local check="$1"
    shift
    eval "$check" >/dev/null 2>&1 && return
    say "installing $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    eval "$check" >/dev/null 2>&1 || fail "$* could not be installed"
}

# A C compiler for SQLite, a browser for the clients' own tests, and the languages of third-party
# clients.
install 'command -v cc' gcc libc6-dev
install 'command -v chromium' chromium
install 'python3 -c "import venv, ensurepip"' python3 python3-venv
install 'command -v node && command -v npm' nodejs npm

# Third-party clients, pinned, beside what cargo builds. They are installed anew only when
# what they should be changes, or the Python under them.
tools="${CARGO_TARGET_DIR:-target}/test-tools"
wanted="$(cat tests/tools/* <(python3 --version) | sha256sum)"
if [ "$(cat "$tools/installed" 2>/dev/null)" != "$wanted" ]; then
    say "installing third-party clients (Python, Node)"
    rm -rf "$tools"
    mkdir -p "$tools/node"
    python3 -m venv "$tools/python" || fail "no virtual environment for Python"
    "$tools/python/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement tests/tools/requirements.txt || fail "Python's packages could not be installed"
    cp tests/tools/package.json tests/tools/package-lock.json "$tools/node/"
    npm ci --prefix "$tools/node" --no-audit --no-fund --loglevel=error ||
        fail "Node's packages could not be installed"
    printf '%s\n' "$wanted" >"$tools/installed"
fi

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
