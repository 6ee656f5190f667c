#!/usr/bin/env bash
# Builds the Debian package, installs it, uses it, upgrades it, removes and purges it: as root, on a
# machine that has no Bellpull of its own. Where no systemd runs (a container), the service is
# started as its unit says.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }
fail() {
    echo "tests/package.sh: $*" >&2
    exit 1
}
[ "$(id -u)" = 0 ] || fail "installs a package: run it as root"
dpkg -s bellpull >/dev/null 2>&1 && fail "a package bellpull is installed already"

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
export PATH="$target/test-tools/cargo/bin:$PATH"
if ! command -v cargo-deb >/dev/null; then
    say "installing cargo-deb"
    cargo install --quiet --locked --version '^3.8' --root "$target/test-tools/cargo" cargo-deb
fi

work="$(mktemp -d)"
served=
cleanup() {
    [ -z "$served" ] || kill "$served" 2>/dev/null || true
    dpkg --purge bellpull >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap cleanup EXIT

say "building two versions"
docs/deploy/package.sh --deb-revision 1 --output "$work/one.deb"
docs/deploy/package.sh --deb-revision 2 --output "$work/two.deb"
dpkg-deb --info "$work/one.deb" | sed -n 's/^ \(Package\|Version\|Installed-Size\|Depends\)/\1/p'
systemd-analyze verify --man=no docs/deploy/bellpull.service 2>&1 | grep -v 'is not executable' || true

# As the unit does: its user, its variables, its folder.
serve() {
    if [ -d /run/systemd/system ]; then
        systemctl is-active --quiet bellpull || systemctl start bellpull
    else
        (cd /var/lib/bellpull && exec runuser -u bellpull -- env BELLPULL_CONFIG=/etc/bellpull/bellpull.toml \
            BELLPULL_WS_MAX_CONNECTIONS=1000 /usr/bin/bellpull serve) >"$work/serve.log" 2>&1 &
        served=$!
    fi
    for _ in $(seq 100); do
        python3 -c 'import urllib.request as r; r.urlopen("http://127.0.0.1:8000/readyz/")' 2>/dev/null && return
        sleep 0.1
    done
    cat "$work/serve.log" >&2
    fail "the hub did not start"
}
stop() {
    if [ -d /run/systemd/system ]; then
        systemctl stop bellpull
    else
        pkill -TERM -u bellpull -x bellpull
        wait "$served" || fail "the hub did not end well"
        served=
    fi
}
as_hub() { runuser -u bellpull -- env BELLPULL_CONFIG=/etc/bellpull/bellpull.toml bellpull "$@"; }

say "installing"
dpkg --install "$work/one.deb" >/dev/null
[ "$(stat -c '%U %a' /var/lib/bellpull)" = "bellpull 750" ] || fail "/var/lib/bellpull is not its own"
[ "$(stat -c '%G %a' /etc/bellpull/environment)" = "bellpull 640" ] || fail "its secrets can be read"
[ -e /lib/systemd/system/bellpull.service ] || [ -e /usr/lib/systemd/system/bellpull.service ] || fail "no unit"
bash -c 'source /usr/share/bash-completion/completions/bellpull && complete -p bellpull' >/dev/null
gzip -dc /usr/share/man/man1/bellpull-serve.1.gz | grep -q listen || fail "no manual page"
(cd / && as_hub check >"$work/check") || { cat "$work/check"; fail "check fails"; }
serve
(cd / && as_hub user create --username ada --password 'correct horse' --role admin) >/dev/null
(cd / && as_hub notify --user-id 1 --title Hello --message 'It works.') | grep -q Hello || fail "no notification"
stop

say "upgrading"
echo '# an operator was here' >>/etc/bellpull/bellpull.toml
dpkg --install --force-confold "$work/two.deb" >/dev/null
grep -q 'an operator was here' /etc/bellpull/bellpull.toml || fail "the upgrade has overwritten the settings"
dpkg -s bellpull | grep -q '^Version: .*-2$' || fail "not upgraded"
serve
(cd / && as_hub user list) | grep -q '"ada"' || fail "the upgrade has lost the accounts"
stop

say "removing"
dpkg --remove bellpull >/dev/null
[ ! -e /usr/bin/bellpull ] || fail "the binary stays behind"
[ -e /var/lib/bellpull/hub.db ] || fail "removal has taken the database along"
dpkg --purge bellpull >/dev/null
[ ! -e /var/lib/bellpull ] && [ ! -e /etc/bellpull ] || fail "purge leaves something behind"
! getent passwd bellpull >/dev/null || fail "purge leaves the user behind"

say "the package can be installed, used, upgraded, removed and purged"
