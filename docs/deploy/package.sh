#!/usr/bin/env bash
# Builds the Debian package into target/debian/. Needs cargo-deb (`cargo install cargo-deb`).
set -euo pipefail
cd "$(dirname "$0")/../.."

target="${CARGO_TARGET_DIR:-target}"
command -v cargo-deb >/dev/null || { echo "package.sh: cargo install cargo-deb" >&2; exit 1; }
# A server: without the load tester and what it draws with.
cargo build --release --locked --bin bellpull --no-default-features
binary="$target/release/bellpull"

# Where Cargo.toml looks for them.
made=target/package
rm -rf "$made"
mkdir -p "$made"
"$binary" man "$made/man" >/dev/null
gzip -9n "$made"/man/*.1
for shell in bash zsh fish; do
    "$binary" completions "$shell" >"$made/bellpull.$shell"
done
"$binary" config | sed 's|^#database_url = .*|database_url = "sqlite:///var/lib/bellpull/hub.db"|' >"$made/bellpull.toml"

# Line numbers for backtraces are ten times the program.
exec cargo deb --no-build --strip "$@"
