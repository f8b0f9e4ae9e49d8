# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
# shellcheck shell=bash
#
# Functions of quickstart, test, bench and soak, which source this file with `root` set to the checkout.

: "${root:?set it to the checkout}"
started_seconds=$SECONDS

say() { printf '[%4d s] %s\n' $((SECONDS - started_seconds)) "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# ensure_debian_packages PACKAGE...: installs missing packages.
ensure_debian_packages() {
    local package missing=()
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "these Debian packages are missing: ${missing[*]}; install them, or run this as root"
    say "installing Debian packages: ${missing[*]}"
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >"$log_dir/apt.log" 2>&1 ||
        { tail -n 20 "$log_dir/apt.log" >&2; die "apt-get failed; complete output: $log_dir/apt.log"; }
}

# find_python: the newest Python, 3.11 or later, that can create a virtual environment.
find_python() {
    local candidate
    for candidate in python3.14 python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# ensure_venv REQUIREMENTS: installs the packages of that file into .venv, which is recreated if the file or the Python has changed.
ensure_venv() {
    local python stamp wanted
    python=${PYTHON:-$(find_python || true)}
    if [ -z "$python" ]; then
        ensure_debian_packages python3 python3-venv
        python=$(find_python) || die "expected Python 3.11 or newer with venv, found $(python3 --version 2>&1); install it, or set PYTHON"
    fi
    stamp=$root/.venv/.requirements
    wanted=$("$python" -c 'import sys; print(sys.version)'; cat "$root"/dev/requirements*.txt; echo "$1")
    # The requirements of the tests include those of the quickstart.
    if [ -e "$stamp" ] && { [ "$(cat "$stamp")" = "$wanted" ] || [ "$(cat "$stamp")" = "${wanted%"$1"}requirements-test.txt" ]; }; then
        return 0
    fi
    rm -f "$stamp"
    "$python" -m venv --clear "$root/.venv"
    # --no-compile: most of the twenty thousand files are never imported, and Python compiles the others itself.
    "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile -r "$root/dev/$1" >"$log_dir/pip.log" 2>&1 ||
        { tail -n 20 "$log_dir/pip.log" >&2; die "pip failed; complete output: $log_dir/pip.log"; }
    printf '%s\n' "$wanted" >"$stamp"
}

# ensure_axe: installs axe-core, which tests/unit runs in Chromium.
axe_version=4.12.1
ensure_axe() {
    local folder=$root/.ansible/axe
    [ "$(cat "$folder/.version" 2>/dev/null)" != "$axe_version" ] || return 0
    command -v npm >/dev/null || ensure_debian_packages npm
    mkdir -p "$folder"
    npm install --no-audit --no-fund --ignore-scripts --prefix "$folder" "axe-core@$axe_version" >"$log_dir/npm.log" 2>&1 ||
        { tail -n 20 "$log_dir/npm.log" >&2; die "npm failed; complete output: $log_dir/npm.log"; }
    echo "$axe_version" >"$folder/.version"
}

# link_collection: makes the checkout available as homelab.postgres_backup (dev/env sets the path).
link_collection() {
    local folder=$root/.ansible/collections/ansible_collections/homelab
    mkdir -p "$folder"
    ln -sfn "$root" "$folder/postgres_backup"
}

log_dir=${TMPDIR:-/tmp}/homelab-postgres-backup-logs
mkdir -p "$log_dir"
