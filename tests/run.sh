#!/usr/bin/env bash
# Passes all tests on a fresh machine: installs what is missing, skips nothing silently.
# Needs a Rust toolchain, and (for what is missing) Debian's packages as root or by sudo.
#
#   tests/run.sh            everything
#   tests/run.sh quick      what shows most mistakes within two minutes: no service, no browser
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

# The crates with files that differ from the last commit, as cargo's options; all of them if what
# they share differs.
changed_crates() {
    local path folder
    { git diff --name-only HEAD; git ls-files --others --exclude-standard; } | while read -r path; do
        case "$path" in
            *.rs | */Cargo.toml) ;;
            Cargo.toml | Cargo.lock | clippy.toml) echo --workspace && continue ;;
            *) continue ;;
        esac
        folder="$(dirname "$path")"
        until [ -e "$folder/Cargo.toml" ]; do folder="$(dirname "$folder")"; done
        echo "--package=$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/Cargo.toml" | head -n 1)"
    done | sort -u
}

quick() {
    local crates
    say "formatting"
    cargo fmt --all --check
    mapfile -t crates < <(changed_crates)
    [[ " ${crates[*]} " != *" --workspace "* ]] || crates=(--workspace)
    if [ "${#crates[@]}" != 0 ]; then
        say "lints of ${crates[*]#--package=}"
        cargo clippy "${crates[@]}" --all-targets --quiet -- -D warnings
    fi
    say "tests of the rules, the actors, the client formats, the settings and the stores"
    cargo test --quiet --lib -p bellpull-domain -p bellpull-port -p bellpull-actors \
        -p bellpull-wire -p bellpull-config -p bellpull-storage
    say "the source's rules, and the suite of the stores on SQLite"
    cargo test --quiet --test tidy
    cargo test --quiet --test it -- store:: --skip store::postgres
    say "passed; not run: services, proxies, browsers, PostgreSQL (tests/run.sh)"
}
if [ "${1:-}" = quick ]; then
    quick
    exit
fi

# apt-get, once no other program holds its locks: an upgrade of the machine may run. Its own timeout
# is for the lock of the installed packages; that of the lists it does not wait for.
apt_get() { # apt_get ARGUMENT...
    local errors deadline=$((SECONDS + 600))
    errors="$(mktemp)"
    until as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=600 "$@" >/dev/null 2>"$errors"; do
        if ! grep -q 'Could not get lock' "$errors" || [ "$SECONDS" -ge "$deadline" ]; then
            cat "$errors" >&2
            rm -f "$errors"
            return 1
        fi
        sleep 2
    done
    rm -f "$errors"
}

install() { # install CHECK PACKAGE...: the packages, unless the check says that they are there
    local check="$1"
    shift
    eval "$check" >/dev/null 2>&1 && return
    say "installing $*"
    apt_get update
    apt_get install -y --no-install-recommends "$@"
    eval "$check" >/dev/null 2>&1 || fail "$* could not be installed"
}

# A C compiler for SQLite, a browser for the clients' own tests, and the languages of third-party
# clients.
install 'command -v cc' gcc libc6-dev
install 'command -v chromium' chromium
install 'python3 -c "import venv, ensurepip"' python3 python3-venv
# The documentation's commands.
install 'command -v curl' curl
install 'command -v node && command -v npm' nodejs npm
# Root mounts the disk with faults itself; others need a program for it.
install '[ "$(id -u)" = 0 ] || command -v fusermount3' fuse3
# Shifts the clock of processes.
install 'ls /usr/lib/*/faketime/libfaketimeMT.so.1' libfaketime
# The store and the broker of several nodes. The server's programs are not in the path.
install 'ls /usr/lib/postgresql/*/bin/initdb || command -v initdb' postgresql
install 'command -v redis-server || command -v valkey-server' redis-server

# The proxies of the recipes in docs/deploy, and what checks rules for alerts.
install 'PATH=$PATH:/usr/sbin command -v nginx' nginx-light
install 'PATH=$PATH:/usr/sbin command -v haproxy' haproxy
install 'command -v caddy' caddy
install 'PATH=$PATH:/usr/sbin command -v apache2' apache2-bin
install 'command -v promtool' prometheus
# A pooler before PostgreSQL.
install 'PATH=$PATH:/usr/sbin command -v pgbouncer' pgbouncer
export PATH="$PATH:/usr/sbin"

# Third-party clients, pinned, beside what cargo builds. They are installed anew only when
# what they should be changes, or the Python under them.
tools="${CARGO_TARGET_DIR:-target}/test-tools"
wanted="$(cat tests/tools/* <(python3 --version) | sha256sum)"
if [ "$(cat "$tools/installed" 2>/dev/null)" != "$wanted" ]; then
    say "installing third-party clients (Python, Node) and cargo-deny"
    rm -rf "$tools"
    mkdir -p "$tools/node"
    python3 -m venv "$tools/python" || fail "no virtual environment for Python"
    "$tools/python/bin/python" -m pip install --quiet --disable-pip-version-check \
        --requirement tests/tools/requirements.txt || fail "Python's packages could not be installed"
    cp tests/tools/package.json tests/tools/package-lock.json "$tools/node/"
    # React is there in two versions, and each version's renderer asks for its own.
    npm ci --prefix "$tools/node" --legacy-peer-deps --ignore-scripts --no-audit --no-fund --loglevel=error ||
        fail "Node's packages could not be installed"
    printf '%s\n' "$wanted" >"$tools/installed"
fi

# The web app's committed build is of its source. Compressed files depend on Node's own version.
say "web app (svelte-check, build)"
app="$tools/app"
rm -rf "$app"
mkdir -p "$app/console" "$app/client"
cp -R src/console/app "$app/console/app"
rm -rf "$app/console/app/node_modules"
cp src/client/bellpull.d.ts "$app/client/"
npm ci --prefix "$app/console/app" --no-audit --no-fund --loglevel=error ||
    fail "the web app's packages could not be installed"
npm run check --prefix "$app/console/app" --silent || fail "the web app does not pass its checks"
npm run build --prefix "$app/console/app" --silent >/dev/null || fail "the web app cannot be built"
diff -rq --exclude='*.gz' "$app/console/built" src/console/built ||
    fail "src/console/built is not of the present source: npm ci && npm run build in src/console/app"

# What the dependencies may be: deny.toml. Advisories are in a git repository, not in the registry:
# see SECURITY.md.
say "dependencies (cargo deny)"
deny="$(command -v cargo-deny || echo "$tools/python/bin/cargo-deny")"
"$deny" --locked --workspace check -D unmatched-skip -D license-not-encountered \
    --hide-inclusion-graph bans licenses sources

# A private PostgreSQL and a private Redis: temporary folders, free ports, gone afterwards.
services="$(mktemp -d "${TMPDIR:-/tmp}/bellpull-services.XXXXXX")"
postgres_bin="$(dirname "$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)")"
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
unprivileged() { # PostgreSQL refuses to run as root
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}
stop_services() {
    unprivileged "$postgres_bin/pg_ctl" -D "$services/postgres/data" -m immediate stop >/dev/null 2>&1 || true
    [ -z "${redis_pid:-}" ] || kill "$redis_pid" 2>/dev/null || true
    rm -rf "$services"
}
trap stop_services EXIT

say "starting PostgreSQL and Redis"
chmod 755 "$services"
mkdir "$services/postgres" "$services/redis"
[ "$(id -u)" != 0 ] || chown postgres "$services/postgres"
postgres_port="$(free_port)"
(
    cd "$services/postgres"
    unprivileged "$postgres_bin/initdb" -D data -U bellpull --auth=trust --encoding=UTF8 --locale=C.UTF-8 >log 2>&1
    # What the tests need to survive is the end of a process, not of the machine.
    unprivileged tee -a data/postgresql.conf >/dev/null <<EOF
port = $postgres_port
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
max_connections = 1000
EOF
    unprivileged "$postgres_bin/pg_ctl" -D data -l server.log -w start >/dev/null
) || { cat "$services"/postgres/*log >&2; fail "PostgreSQL could not be started"; }
redis_port="$(free_port)"
"$(command -v redis-server || command -v valkey-server)" --port "$redis_port" --bind 127.0.0.1 \
    --save '' --dir "$services/redis" >"$services/redis/log" 2>&1 &
redis_pid=$!
export TEST_POSTGRES="postgres://bellpull@127.0.0.1:$postgres_port/postgres"
export TEST_REDIS="redis://127.0.0.1:$redis_port"

# With this set, a test that cannot run here fails instead of naming itself as skipped.
export TESTS_MUST_NOT_SKIP=1

say "doc tests"
cargo test --quiet --workspace --doc

# What runs once more on PostgreSQL: whole-system tests that are about no store.
on_postgres='^(rest|ws|clients|delivery|browser|schema)::'

if cargo nextest --version >/dev/null 2>&1; then
    say "tests (cargo nextest)"
    cargo nextest run --profile ci --workspace "$@"
    say "whole-system tests on PostgreSQL (cargo nextest)"
    TEST_STORE=postgres cargo nextest run --profile ci --test it -E "test(/$on_postgres/)"
else
    say "tests (cargo test)"
    cargo test --workspace --lib --bins --tests --no-fail-fast "$@"
    say "whole-system tests on PostgreSQL (cargo test)"
    TEST_STORE=postgres cargo test --test it --no-fail-fast -- \
        rest:: ws:: clients:: delivery:: browser:: schema::
fi
