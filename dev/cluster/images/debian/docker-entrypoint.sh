#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Entrypoint with the outward behaviour of the PostgreSQL project's own image: started as root it goes on
# as the user postgres, and it also starts as any other user id.
set -o errexit -o nounset -o pipefail

die() {
    printf 'Error: %s\n' "$*" >&2
    exit 1
}

# setting NAME DEFAULT: the variable's value, or the content of the file that NAME_FILE names.
setting() {
    local file=$1_FILE
    if [[ -n ${!1:-} && -n ${!file:-} ]]; then
        die "both $1 and $file are set (but are exclusive)"
    elif [[ -n ${!file:-} ]]; then
        cat -- "${!file}"
    else
        printf '%s' "${!1:-$2}"
    fi
}

initialize() {
    local user password database method
    user=$(setting POSTGRES_USER postgres)
    password=$(setting POSTGRES_PASSWORD '')
    database=$(setting POSTGRES_DB "$user")
    method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [[ -z $password && $method != trust ]]; then
        die "Database is uninitialized and superuser password is not specified. Set POSTGRES_PASSWORD."
    fi
    if ! getent passwd "$(id -u)" > /dev/null; then
        NSS_WRAPPER_PASSWD=$(mktemp)
        NSS_WRAPPER_GROUP=$(mktemp)
        printf 'postgres:x:%d:%d:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" > "$NSS_WRAPPER_PASSWD"
        printf 'postgres:x:%d:\n' "$(id -g)" > "$NSS_WRAPPER_GROUP"
        export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD
        LD_PRELOAD=$(echo /usr/lib/*/libnss_wrapper.so)
    fi
    # Its arguments are separate words, as in the original.
    local -a extra
    read -r -a extra <<< "${POSTGRES_INITDB_ARGS:-}"
    initdb --username="$user" --pwfile=<(printf '%s\n' "$password") "${extra[@]}"
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
    if [[ $database != postgres ]]; then
        local sockets
        sockets=$(mktemp -d)
        pg_ctl --wait --silent start -o "-c listen_addresses='' -c unix_socket_directories='$sockets'"
        createdb --host "$sockets" --username "$user" --maintenance-db postgres -- "$database"
        pg_ctl --wait --silent stop
        rm -rf -- "$sockets"
    fi
    if [[ -n ${NSS_WRAPPER_PASSWD:-} ]]; then
        rm -f -- "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
        unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    fi
}

if [[ ${1:-} == -* ]]; then
    set -- postgres "$@"
fi
if [[ ${1:-} == postgres ]]; then
    if [[ $(id -u) == 0 ]]; then
        mkdir -p -- "$PGDATA" /var/run/postgresql
        chown -R postgres:postgres -- "$PGDATA" /var/run/postgresql
        chmod 3777 /var/run/postgresql
        exec setpriv --reuid=postgres --regid=postgres --init-groups -- "${BASH_SOURCE[0]}" "$@"
    fi
    mkdir -p -- "$PGDATA"
    chmod 00700 -- "$PGDATA" 2> /dev/null || true
    if [[ ! -s $PGDATA/PG_VERSION ]]; then
        initialize
    fi
fi
exec "$@"
