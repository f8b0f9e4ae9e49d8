# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The temporary server of a drill.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# The settings of a server that is deleted afterwards: no durability, and little memory, so that a small pod is enough.
# Dynamic shared memory is in files, since /dev/shm of a pod has 64 MiB (PostgreSQL documentation, "Populating a Database",
# "Non-Durable Settings" and "Resource Consumption").
drill_settings() {
    cat <<SETTINGS
listen_addresses = ''
unix_socket_directories = '$work'
port = 5432
max_connections = 10
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
archive_mode = off
wal_buffers = 16MB
max_wal_size = 2GB
checkpoint_timeout = 1d
bgwriter_lru_maxpages = 0
autovacuum = off
track_counts = off
jit = off
shared_buffers = 64MB
maintenance_work_mem = 64MB
max_locks_per_transaction = 4096
dynamic_shared_memory_type = mmap
restart_after_crash = off
logging_collector = off
log_min_messages = fatal
log_min_error_statement = panic
lc_messages = 'C'
SETTINGS
    if [ "$image_major" -ge 12 ]; then echo "wal_init_zero = off"; fi
    # A login trigger of the restored databases must not prevent counting.
    if [ "$image_major" -ge 17 ]; then echo "event_triggers = off"; fi
    printf '%s\n' "$POSTGRES_BACKUP_DRILL_SETTINGS" | setting_lines
}

# setting_lines: copies lines "name = value" as postgresql.conf has them.
setting_lines() {
    sed -n -e "s/'/''/g" -e 's/\\/\\\\/g' -e "s/^ *\([A-Za-z_][A-Za-z0-9_.]*\) *= *\(.*\)\$/\1 = '\2'/p"
}

# make_server: creates and starts the temporary server, and waits until it accepts connections.
make_server() {
    encoding=$(fact encoding)
    case $encoding in
        '' | BIG5 | GB18030 | GBK | JOHAB | SJIS | SHIFT_JIS_2004 | UHC) encoding=UTF8 ;; # client encodings only
    esac
    export encoding image_major POSTGRES_BACKUP_DRILL_SETTINGS superuser
    run_group drill_initdb
    [ "$step_status" -eq 0 ] || fail "initdb failed" "$(initdb_error)" \
        "Read its message: does the folder have free space, and does this user id ($(id -u)) have an entry in /etc/passwd?"
    check_hash
    # Overrides the settings of the restored databases and of the superuser's role that would prevent the restore or need
    # more memory than the pod has.
    PGOPTIONS=$(session_options "$image_major" yes)
    case $POSTGRES_BACKUP_DRILL_SETTINGS in *maintenance_work_mem*) ;; *) PGOPTIONS="$PGOPTIONS -c maintenance_work_mem=64MB" ;; esac
    export PGOPTIONS
    start_server
}

# start_server: starts the temporary server, and waits until it accepts connections.
start_server() {
    start_group drill_server
    server_group=$group
    tries=0
    until psql --no-psqlrc --no-password --quiet --tuples-only --command='SELECT 1' >/dev/null 2>"$work/ready.err"; do
        tries=$((tries + 1))
        if ! kill -0 "$server_group" 2>/dev/null || [ "$tries" -gt 600 ]; then
            fail_server_stopped "the temporary server does not start"
        fi
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# initdb_error: prints the error messages of initdb, else its first messages, else its exit status.
initdb_error() {
    initdb_messages=$(grep -E '(FATAL|error|hint|detail): ' "$work/initdb.err" | head -n 4 | cut -c 1-400)
    [ -n "$initdb_messages" ] || initdb_messages=$(grep . "$work/initdb.err" | head -n 4 | cut -c 1-400)
    [ -n "$initdb_messages" ] || initdb_messages="it printed no message, and ended $(status_in_words "$step_status")"
    printf '%s' "$(utf8 "$initdb_messages")"
}

# fail_server_stopped WHAT: fails with the last messages of the server.
fail_server_stopped() {
    last_messages=$(sed -n 's/^.* \(LOG\|FATAL\|PANIC\):  /\1: /p' "$data/server.log" 2>/dev/null | tail -n 3 | cut -c 1-400)
    fail "$1" "${last_messages:-no output; it may have been killed (out of memory)}" \
        "Check the settings (postgres_backup_drill_settings), the memory limit (postgres_backup_resources) and the free space for its data."
}

step_drill_initdb() {
    set -- --pgdata="$data/pgdata" --username="$superuser" --encoding="$encoding" --auth=trust --no-sync
    if [ "$image_major" -ge 14 ]; then set -- "$@" --no-instructions; fi
    # Checksums are the default since version 18, but these pages are never read again.
    if [ "$image_major" -ge 18 ]; then set -- "$@" --no-data-checksums; fi
    # The image's locale, which the server's first databases most likely have; C if it is not set or not valid.
    if [ -n "${LANG:-}" ] && initdb "$@" --locale="$LANG" --lc-messages=C >/dev/null 2>"$work/initdb.err"; then :; else
        rm -rf "$data/pgdata"
        initdb "$@" --locale=C >/dev/null 2>"$work/initdb.err" || exit
    fi
    drill_settings >>"$data/pgdata/postgresql.conf"
}

step_drill_server() {
    # A foreign server cannot be reached from here: libpq must not wait long for it.
    export PGCONNECT_TIMEOUT=5
    exec postgres -D "$data/pgdata" >"$data/server.log" 2>&1
}

end_server() {
    [ -n "${server_group:-}" ] || return 0
    # Immediate shutdown: the data are deleted. (QUIT to the group reaches its children too.)
    kill -QUIT "$server_group" 2>/dev/null || :
    end_group "$server_group"
    server_group=
}
