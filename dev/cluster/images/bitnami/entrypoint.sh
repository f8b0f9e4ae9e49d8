#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Entrypoint with the outward behaviour of Bitnami's PostgreSQL image: any user id, also one without a
# passwd entry; a read-only root filesystem with a writable /tmp; other commands are run as they are.
# The data folder lies in a volume, it is not one itself (/bitnami/postgresql is the volume).
set -o errexit -o nounset -o pipefail

export PGDATA=${PGDATA:-/bitnami/postgresql/data}

say() { printf 'postgresql %(%T)T.00 INFO  ==> %s\n' -1 "$*" >&2; }
die() {
    printf 'postgresql %(%T)T.00 ERROR ==> %s\n' -1 "$*" >&2
    exit 1
}

# setting NAME...: the value of the first of these variables that is set, or of the file NAME_FILE names.
setting() {
    local name file
    for name in "$@"; do
        file=${name}_FILE
        if [[ -n ${!file:-} ]]; then
            cat -- "${!file}"
            return
        fi
        if [[ -n ${!name:-} ]]; then
            printf '%s' "${!name}"
            return
        fi
    done
}

# initdb and postgres want a user name for their user id.
provide_user() {
    if getent passwd "$(id -u)" > /dev/null; then
        return
    fi
    NSS_WRAPPER_PASSWD=$(mktemp)
    NSS_WRAPPER_GROUP=$(mktemp)
    printf 'postgres:x:%d:%d:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" > "$NSS_WRAPPER_PASSWD"
    printf 'postgres:x:%d:\n' "$(id -g)" > "$NSS_WRAPPER_GROUP"
    export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD=$NSS_WRAPPER_LIB
}

initialize() {
    local user password database auth=md5 new=$PGDATA.new sockets password_file
    user=$(setting POSTGRESQL_USERNAME POSTGRES_USER POSTGRESQL_USER)
    user=${user:-postgres}
    password=$(setting POSTGRESQL_PASSWORD POSTGRES_PASSWORD)
    database=$(setting POSTGRESQL_DATABASE POSTGRES_DATABASE POSTGRES_DB)
    if [[ -z $password ]]; then
        [[ ${ALLOW_EMPTY_PASSWORD:-no} == yes ]] ||
            die "The POSTGRESQL_PASSWORD environment variable is empty or not set."
        auth=trust
    fi
    say "Initializing PostgreSQL database..."
    sockets=$(mktemp -d)
    password_file=$sockets/password
    printf '%s\n' "$password" > "$password_file"
    rm -rf -- "$new"
    initdb --pgdata "$new" --username "$user" --encoding UTF8 --auth "$auth" \
        ${password:+--pwfile "$password_file"} >&2
    printf 'host all all 0.0.0.0/0 %s\nhost all all ::/0 %s\n' "$auth" "$auth" >> "$new/pg_hba.conf"
    if [[ -n $database && $database != postgres ]]; then
        pg_ctl --pgdata "$new" --wait --silent start \
            -o "-c listen_addresses='' -c unix_socket_directories='$sockets'" >&2
        PGPASSWORD=$password createdb --host "$sockets" --username "$user" --maintenance-db postgres -- "$database"
        pg_ctl --pgdata "$new" --wait --silent stop >&2
    fi
    rm -rf -- "$sockets"
    # Whole or not at all: a start that was interrupted begins again.
    mv --no-target-directory -- "$new" "$PGDATA"
}

if [[ ${1:-} == */run.sh ]]; then
    provide_user
    if [[ -s $PGDATA/PG_VERSION ]]; then
        say "Deploying PostgreSQL with persisted data..."
    else
        initialize
    fi
fi
exec "$@"
