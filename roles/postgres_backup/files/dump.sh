# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: dumps the server to a partial file on the volume, and reads it back from there.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# step_query_server: queries what the header and the result contain about the server. (pg_dumpall omits databases that do
# not allow connections, and databases with a connection limit of -2, which an interrupted DROP DATABASE leaves: nothing
# can connect to them.) It is a step, so that the time limit also ends a run whose server does not respond.
step_query_server() {
    PGCLIENTENCODING=UTF8 psql --no-psqlrc --no-password --tuples-only --no-align --quiet \
        --dbname="$(connection "$POSTGRES_BACKUP_DATABASE")" --set=ON_ERROR_STOP=1 \
        --command="SELECT current_setting('server_version')" \
        --command="SELECT current_setting('server_version_num')" \
        --command="SELECT floor(extract(epoch FROM clock_timestamp()))" \
        --command="SELECT to_json(rolname::text) FROM pg_catalog.pg_roles WHERE oid = 10" \
        --command="SELECT coalesce(json_agg(datname::text ORDER BY datname), '[]') FROM pg_catalog.pg_database
            WHERE datconnlimit = -2 OR NOT datallowconn AND datname <> 'template0'" \
        --command="SELECT coalesce(json_agg(datname::text ORDER BY datname), '[]') FROM pg_catalog.pg_database WHERE datconnlimit = -2" \
        --command="SELECT string_agg('DROP DATABASE \"' || regexp_replace(replace(datname, '\"', '\"\"'), '[[:cntrl:]]', '?', 'g') || '\";', ' ')
            FROM (SELECT datname::text FROM pg_catalog.pg_database WHERE datconnlimit = -2 ORDER BY datname LIMIT 5) AS first_ones" \
        >"$work/answers" 2>"$work/psql.err"
}

# query_server: sets the variables about the server for the header and the result.
query_server() {
    run_group query_server
    answer_epoch=$(now_epoch)
    if [ "$step_status" -ne 0 ]; then
        message=$(head -n 6 "$work/psql.err")
        fail_by_postgres "the server does not answer" "${message:-psql ended $(status_in_words "$step_status")}" "$step_status"
    fi
    { IFS= read -r server_version; IFS= read -r server_version_num; IFS= read -r server_epoch; IFS= read -r superuser; IFS= read -r skipped
        IFS= read -r invalid; IFS= read -r drop_invalid; } <"$work/answers"
    # Names in an SQL_ASCII database may be in any encoding.
    superuser=$(utf8 "$superuser") skipped=$(utf8 "$skipped") invalid=$(utf8 "$invalid") drop_invalid=$(utf8 "$drop_invalid")
    if [ "$invalid" != '[]' ]; then
        warn "not in the backup, because an interrupted DROP DATABASE left them invalid and nothing can connect to them any more: $invalid. Drop them: $drop_invalid"
    fi
    version_output=$(pg_dumpall --version 2>/dev/null)
    client_status=$?
    [ "$client_status" -lt 128 ] || fail "pg_dumpall failed" "pg_dumpall --version ended $(status_in_words "$client_status")" \
        "It was killed. If the pod ran out of memory, raise the limit in postgres_backup_resources."
    client_version=$(printf '%s\n' "$version_output" | sed -n 's/^pg_dumpall (PostgreSQL) \([^ ]*\).*/\1/p')
    client_major=${client_version%%[!0-9]*}
    if ! is_whole_number "$client_major" || ! is_whole_number "$server_version_num"; then
        fail_with 2 "the versions cannot be compared" "pg_dumpall reports '$client_version', the server '$server_version'" \
            "Use an image with PostgreSQL's own pg_dumpall."
    fi
    if [ "$client_major" -lt $((server_version_num / 10000)) ]; then
        fail_with 2 "pg_dumpall is older than the server" "pg_dumpall $client_version, server $server_version" \
            "Use an image of the server's major version: unset postgres_backup_image, or set it to one of PostgreSQL $((server_version_num / 10000))."
    fi
    clock_difference=$((answer_epoch - server_epoch))
}

write_header() {
    cat >"$work/header" <<HEADER
-- Backup made by homelab.postgres_backup $VERSION
-- started: $started
-- server: $(json "$POSTGRES_BACKUP_HOST:$POSTGRES_BACKUP_PORT")
-- server version: $(json "$server_version")
-- pg_dumpall version: $(json "$client_version")
-- bootstrap superuser: $superuser
-- databases skipped: $skipped
--

HEADER
}

dump() {
    log "dumping every database to ${partial##*/}"
    clear_stages
    run_group dump "$partial"
    explain_dump
    [ "$step_status" -eq 0 ] || fail "the dump was cut off" "its processes ended $(status_in_words "$step_status")" "Read the messages above."
    is_complete_dump || fail "the dump is not complete" "pg_dumpall ended with status 0, but its text does not end with the completion marker ('-- PostgreSQL database cluster dump complete')" \
        "Check whether the image has a wrapper around pg_dumpall, and check postgres_backup_extra_args."
    remarks=$(stage_message_of dump)
    [ -z "$remarks" ] || warn "pg_dumpall printed: $remarks"
    sha256=$(cut -c 1-64 "$work/hash")
    bytes=$(stat -c %s "$partial")
    uncompressed_bytes=$(tr -d ' \n' <"$work/count")
    end_step dump "$(cat "$work/written")"
    log "dumped: $(human_bytes "$uncompressed_bytes") of SQL, $(human_bytes "$bytes") compressed, flushed to the volume; the dump is complete"
}

# dump_text: prints the header and pg_dumpall's text.
dump_text() {
    cat "$work/header" || return 1
    # Keepalives, which have no environment variable: they detect a server that has vanished.
    set -- --no-password --database="$(connection "$POSTGRES_BACKUP_DATABASE")" \
        --dbname="keepalives_idle=60 keepalives_interval=15 keepalives_count=8" --lock-wait-timeout="$lock_timeout_ms"
    while IFS= read -r argument; do
        if [ -n "$argument" ]; then set -- "$@" "$argument"; fi
    done <<ARGUMENTS
$POSTGRES_BACKUP_EXTRA_ARGS
ARGUMENTS
    pg_dumpall "$@"
}

# step_dump PARTIAL: dump → compressor → partial file, hashed on the way, then read back from the server. At the same time,
# step_follow decompresses the growing file: it reads the file, so that the dump does not wait for the check.
# dd writes the file: it reports a full volume, and flushes the file to the server.
step_dump() {
    mkfifo "$work/hash.fifo" || exit 1
    stage hash sha256sum <"$work/hash.fifo" >"$work/hash" &
    # The check must not slow down the dump.
    if command -v nice >/dev/null 2>&1; then nice -n 19 sh "$SCRIPT" _step follow "$1" & else step_follow "$1" & fi
    stage dump dump_text | stage compress compress | stage split tee "$work/hash.fifo" |
        stage write dd ibs=65536 obs=1048576 conv=notrunc,fsync of="$1"
    now_epoch >"$work/written"
    if [ "$(stage_status_of dump)$(stage_status_of compress)$(stage_status_of write)" = 000 ]; then read_from_server "$1"; fi
    wait
}

# step_follow PARTIAL: decompresses the partial file while it grows.
step_follow() { stage follow follow "$1" | read_to_end; }

# follow FILE: prints the file while it grows, until its writer has ended ($work/written exists).
follow() {
    blocks=0 has_ended=no
    while [ "$has_ended" = no ]; do
        if [ -e "$work/written" ]; then
            has_ended=yes
            copy_blocks "$1" "$blocks" || return
        else
            grown=$(($(stat -c %s "$1" 2>/dev/null || echo 0) / 1048576))
            if [ "$grown" -gt "$blocks" ]; then
                copy_blocks "$1" "$blocks" "count=$((grown - blocks))" || return
                blocks=$grown
            else
                sleep 0.2 2>/dev/null || sleep 1
            fi
        fi
    done
}

# copy_blocks FILE SKIP [OPERAND]: prints blocks of 1 MiB of the file; prints messages only if it fails.
copy_blocks() {
    dd if="$1" bs=1048576 skip="$2" ${3:+"$3"} 2>"$work/follow.dd"
    copy_status=$?
    [ "$copy_status" -eq 0 ] || cat "$work/follow.dd" >&2
    return "$copy_status"
}

# read_from_server FILE: hashes the file, bypassing this machine's page cache if the file system allows it.
read_from_server() {
    if dd if="$1" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; then
        echo direct >"$work/read_mode"
        stage read dd if="$1" bs=1048576 iflag=direct | stage read_hash sha256sum >"$work/volume_hash"
    else
        echo cached >"$work/read_mode"
        stage read dd if="$1" bs=1048576 | stage read_hash sha256sum >"$work/volume_hash"
    fi
}

# dump_errors: prints the errors among pg_dumpall's messages: without earlier warnings, and only the first line of queries.
dump_errors() {
    [ -s "$work/dump.err" ] || return 0
    awk '
        BEGIN { is_wanted = is_shown = 1 }
        /^pg_dump(all)?: / {
            if ($2 != "detail:" && $2 != "hint:") is_wanted = $2 != "warning:" && $2 != "info:"
            if (is_wanted) print
            is_shown = is_wanted && $0 !~ /: [Qq]uery was: /
            next
        }
        is_shown
    ' "$work/dump.err" | head -n 6 | cut -c 1-400
}

# explain_dump: fails with the cause if a process of the dump failed. The cause of several failures is the one nearest to
# the volume: a broken pipe (SIGPIPE) or the script's SIGTERM is a consequence.
explain_dump() {
    cause=
    for name in write follow compress check hash split count text end dump; do
        status=$(stage_status_of "$name")
        case $status in
            0 | "$SIGPIPE_STATUS" | "$SIGTERM_STATUS" | none) ;;
            *) cause=$name; break ;;
        esac
    done
    if [ -z "$cause" ]; then
        for name in write follow compress check hash split count end dump; do
            [ "$(stage_status_of "$name")" = 0 ] || fail "the dump was cut off" \
                "$name ended $(status_in_words "$(stage_status_of "$name")")" "Its processes were killed: check the pod's events and the node's log."
        done
        return 0
    fi
    message=
    [ "$cause" != dump ] || message=$(dump_errors)
    [ -n "$message" ] || message=$(stage_message_of "$cause")
    # The only message of a killed process may be the shell's "Killed".
    if [ -z "$message" ] || [ "$status" = "$SIGKILL_STATUS" ]; then
        message="$cause ended $(status_in_words "$status")${message:+: $message}"
    fi
    case $cause in
        write | follow | split) fail_write "$message" ;;
        dump) fail_by_postgres "pg_dumpall failed" "$message" "$status" ;;
        compress) fail "the compressor $compressor failed" "$message" "Its memory limit may be too small (postgres_backup_resources), or the program is broken: try another postgres_backup_compressor." ;;
        check | count | text | end) fail "the compressed dump cannot be read back" "$message" "The compressor $compressor wrote something that is not gzip: try another postgres_backup_compressor." ;;
        *) fail "the dump could not be hashed" "$message" "Read the message; the image's sha256sum may be broken." ;;
    esac
}

# read_back: fails if the hash of the file on the volume is not that of the data written.
read_back() {
    read_mode=$(cat "$work/read_mode" 2>/dev/null)
    for name in read read_hash; do
        [ "$(stage_status_of "$name")" = 0 ] || fail "the backup cannot be read back from the volume" \
            "$(stage_message_of "$name"; status_in_words "$(stage_status_of "$name")")" "Check the storage behind the volume."
    done
    volume_hash=$(cut -c 1-64 "$work/volume_hash")
    [ "$volume_hash" = "$sha256" ] || fail "the volume does not hold what was written" \
        "sha256 $sha256 was written, $volume_hash was read back" "The storage is not reliable, or the file was changed: check the disks, memory and network of the NAS."
    end_step read_back
    case $read_mode in
        direct) log "read back from the server, bypassing this machine's cache: the hash matches" ;;
        *) log "read back (this file system does not allow bypassing the cache): the hash matches" ;;
    esac
}
