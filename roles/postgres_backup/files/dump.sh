# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: dumps the server part by part (the globals, each database, the end) to a partial file on the volume.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154,SC2030,SC2031,SC2094 # variables are shared with the other files and with subshells
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# Files in $work, by which the processes of the dump exchange fields. An attempt is one start of a part's programs; they
# are numbered from 0.
#   attempts       a line for each attempt that has ended: ATTEMPT PART RESULT OFFSET LENGTH SECONDS; PART is the number of
#                  a database (see step_list_databases), globals or end; RESULT is dumped, failed or dropped; OFFSET and LENGTH
#                  are bytes of the partial file
#   start.ATTEMPT  the offset at which the attempt begins, its PART, and the name of the database as OCTAL
#   end.ATTEMPT    the offset at which it ended, or `failed`
#   dump.ATTEMPT   the messages of a failed attempt; status.ATTEMPT is its exit status
#   streams        a line for each stream: OFFSET END SHA256 of what was written to the partial file at a stretch. A part
#                  that fails ends a stream: what it wrote is cut off.
#   again          PART TRIES of the part that an encrypted stream begins again for (see encryption.sh)
#   lost           exists when the server did not answer any more; contains the message

# How often a part is dumped before it counts as failed, if another attempt may succeed.
PART_ATTEMPTS=3

dump() {
    log "dumping $(grep -c "^[0-9]*${TAB}dump$TAB" "$work/databases") databases to ${partial##*/}"
    clear_stages
    run_group dump "$partial"
    explain_dump
    [ "$step_status" -eq 0 ] || fail "the dump was cut off" "its processes ended $(status_in_words "$step_status")" "Read the messages above."
    read_parts
    backup_state=complete
    [ "$failed_databases" -eq 0 ] || backup_state=incomplete
    report_remarks
    report_changes
    bytes=$(stat -c %s "$partial")
    end_step dump "$(cat "$work/written")"
    log "dumped: $(human_bytes "$uncompressed_bytes") of SQL, $(human_bytes "$bytes") compressed, flushed to the volume; every part in it is complete"
}

# report_remarks: warns about what the dump programs printed although they succeeded, and about what the inspection found.
report_remarks() {
    while read -r attempt part _; do
        [ -s "$work/remarks.$attempt" ] || continue
        warn "a dump program printed$(of_part "$part"): $(grep -v '^$' "$work/remarks.$attempt" | head -n 6 | cut -c 1-400)"
    done <"$work/attempts"
    for inspected in "$work"/inspect.*[0-9]; do
        [ -e "$inspected" ] || continue
        warn_about_server_by "$inspected"
    done
}

of_part() { case $1 in globals | end) ;; *) printf ' for %s' "$(name_of_database "$1")" ;; esac; }

# step_dump PARTIAL: dumps every part. Each is compressed into a separate gzip member. At the same time, step_follow
# decompresses the growing file: it reads the file, so that the dump does not wait for the check.
step_dump() {
    : >"$work/attempts" && : >"$work/streams" || exit 1
    # The check must not slow down the dump.
    if [ "$encrypts" = yes ]; then
        mkfifo "$work/part.fifo" || exit 1
        echo 0 >"$work/follow.status"
    elif command -v nice >/dev/null 2>&1; then nice -n "$FOLLOW_NICENESS" sh "$SCRIPT" _step follow "$1" &
    else step_follow "$1" &
    fi
    step_inspect 2>"$work/inspect.err" &
    inspector=$!
    attempt=0 part=globals tries=1 stream_offset=0
    printf '%s\n' "$attempt $part $tries" >"$work/next"
    while :; do
        write_stream "$1" || break
        [ -e "$work/failed" ] || break
        if [ "$encrypts" = yes ]; then restart_stream "$1" || break; else cut_failed_part "$1" || break; fi
        rm -f "$work/failed"
    done
    now_epoch >"$work/written"
    kill "$inspector" 2>/dev/null
    if [ "$(stage_status_of compress)$(stage_status_of write)" = 00 ]; then read_from_server "$1"; fi
    wait
}

# write_stream PARTIAL: dumps parts from $work/next on, to the last one or to one that fails.
# dd writes the file: it reports a full volume, and flushes the file to the server.
write_stream() {
    rm -f "$work/hash.fifo"
    mkfifo "$work/hash.fifo" || exit 1
    stage hash sha256sum <"$work/hash.fifo" >"$work/hash" &
    hasher=$!
    if [ "$encrypts" = yes ]; then
        rm -f "$work/encrypt.status"
        large_pipes=yes
        into_pipe dump_parts 0 | into_pipe stage encrypt encrypt | into_pipe stage split tee "$work/hash.fifo" | stage write dd bs=65536 conv=fsync >>"$1"
    else
        dump_parts "$stream_offset" | stage split tee "$work/hash.fifo" | stage write dd bs=65536 conv=fsync >>"$1"
    fi
    wait "$hasher"
    [ "$(stage_status_of split)$(stage_status_of write)$(stage_status_of hash)" = 000 ] || return 1
    stream_end=$(cat "$work/stream_end" 2>/dev/null) || return 1
    [ "$encrypts" = no ] || { [ "$(stage_status_of encrypt)" = 0 ] && stream_end=$(stat -c %s "$1"); } || return 1
    printf '%s %s %s\n' "$stream_offset" "$stream_end" "$(cut -c 1-64 "$work/hash")" >>"$work/streams"
}

# cut_failed_part PARTIAL: cuts off what the part that failed has written. What was written before it is hashed again:
# the stream's hash contains the part that failed.
cut_failed_part() {
    written_end=$(stat -c %s "$1")
    sed -i '$d' "$work/streams"
    [ "$(hash_of_range "$1" "$stream_offset" "$written_end")" = "$(cut -c 1-64 "$work/hash")" ] || {
        printf '%s\n' "the file on the volume is not what was written" >"$work/changed"
        return 1
    }
    if [ "$stream_end" -gt "$stream_offset" ]; then
        printf '%s %s %s\n' "$stream_offset" "$stream_end" "$(hash_of_range "$1" "$stream_offset" "$stream_end")" >>"$work/streams"
    fi
    dd if=/dev/null of="$1" bs=1 seek="$stream_end" 2>"$work/write.err" || {
        echo 1 >"$work/write.status"
        return 1
    }
    stream_offset=$stream_end
}

# hash_of_range FILE OFFSET END
hash_of_range() { copy_range "$1" "$2" $(($3 - $2)) 2>/dev/null | sha256sum | cut -c 1-64; }

# dump_parts OFFSET: prints the compressed parts from $work/next on; ends at the first one that fails, and then creates
# $work/failed. The offset is that of its output in the partial file. Writes the end of the last complete part to stream_end.
dump_parts() {
    offset=$1 octal='' began=$(now_epoch) dump_stage=dump compress_stage=compress
    read -r attempt part tries <"$work/next"
    printf '%s\n' "$offset" >"$work/stream_end"
    if [ "$part" = globals ]; then
        dump_part globals globals_text || return
        part=0
    fi
    exec 3<"$work/databases"
    ahead_number=none
    next_database
    while [ -n "$next_number" ]; do
        number=$next_number octal=$next_octal json_name=$next_json_name oid=$next_oid arguments=$next_arguments encoding=$next_encoding
        next_database
        [ "$number" = "$part" ] || tries=1
        take_tries
        if [ -e "$work/lost" ]; then
            skip_part "$number"
            continue
        fi
        inspect_first "$number" || continue
        take_ahead
        dump_ahead
        dump_part "$number" database_text || return
    done
    exec 3<&-
    octal=
    dump_part end end_text
}

# next_database: reads the next database to dump from descriptor 3 into `next_number`, which is empty after the last one, and
# `next_octal`, `next_json_name`, `next_oid`, `next_arguments` and `next_encoding`.
next_database() {
    while IFS=$TAB read -r next_number next_state next_octal next_json_name next_oid next_arguments next_members <&3; do
        next_encoding=${next_members#*,\"encoding\":\"} next_encoding=${next_encoding%%\"*}
        if [ "$next_state" = dump ] && [ "$next_number" -ge "$part" ] && ! was_given_up "$next_number"; then return 0; fi
    done
    next_number=
}

# The dump of a small database leaves a processor idle: pg_dump and the server wait for each other. So the next one begins
# in the meantime, if both are small: its output waits in a pipe (descriptor 7, then 6) for its turn. A large one would keep
# its locks and its snapshot for as long as the current one takes.

# dump_ahead: begins the dump of the next database, if both are small. Only superusers are not limited in connections.
dump_ahead() {
    ahead_number=none
    [ "$is_superuser" = t ] && [ -n "$next_number" ] && [ "$tries" = 1 ] && is_small "$number" && is_small "$next_number" || return 0
    # The pipe and the stages have separate names: after a database that fails, the dump that began ahead may live on.
    ahead_name=ahead_${next_number}_$attempt
    mkfifo "$work/$ahead_name.fifo" || return 0
    # Opened for both, so that neither end waits for the other.
    exec 5<>"$work/$ahead_name.fifo" 7<"$work/$ahead_name.fifo"
    (
        octal=$next_octal arguments=$next_arguments encoding=$next_encoding
        run_stage "dump_$ahead_name" database_text | run_stage "compress_$ahead_name" compress
    ) >&5 3<&- 5<&- 6<&- 7<&- &
    exec 5<&-
    ahead_number=$next_number
}

# take_ahead: makes the dump that began ahead, if it is that of $number, the one that dump_part reads; sets `dump_stage` and
# `compress_stage`, the names of its stages.
take_ahead() {
    dump_stage=dump compress_stage=compress
    [ "$ahead_number" != none ] || return 0
    exec 6<&7 7<&-
    if [ "$ahead_number" = "$number" ]; then dump_stage=dump_$ahead_name compress_stage=compress_$ahead_name; else exec 6<&-; fi
}

# is_small NUMBER: whether a database has less than 100 MB on the server, and nothing is known against its dump.
is_small() {
    [ -e "$work/inspect.$1" ] || return 1
    IFS= read -r members <"$work/inspect.$1"
    size=${members##*\"size_bytes\":}
    case ${size%%[!0-9]*} in '' | ?????????*) return 1 ;; esac
    inspect_first "$1"
}

# inspect_first NUMBER: waits for the inspection of a database (inspect.sh); fails if the database must not be dumped.
inspect_first() {
    while [ ! -e "$work/inspect.$1" ]; do
        kill -0 "$inspector" 2>/dev/null || break
        sleep 0.05 2>/dev/null || sleep 1
    done
    [ -e "$work/inspect.$1" ] || return 0
    while IFS=$TAB read -r letter _; do
        [ "$letter" != R ] || return 1
    done <"$work/inspect.$1"
}

# take_tries: sets `tries` for the database that an encrypted stream began again for.
take_tries() {
    [ -e "$work/again" ] || return 0
    read -r again_part again_tries <"$work/again"
    [ "$number" != "$again_part" ] || tries=$again_tries
}

# skip_part NUMBER: a database that is not dumped, because the server is lost.
skip_part() { printf '%s %s failed 0 0 0\n' - "$1" >>"$work/attempts"; }

# dump_part PART FUNCTION: prints the compressed text of a part, which the function prints. (Runs may have thousands of
# databases: here and in what it calls, processes are started only where they are needed.)
dump_part() {
    printf '%s %s %s\n' "$offset" "$1" "${octal:-}" >"$work/start.$attempt"
    begin_check "$1"
    if [ "$dump_stage" = dump ]; then
        # If the shell of a stage is killed, the status of an earlier part must not remain.
        for stage_name in dump compress size; do printf '%s\n' none >"$work/$stage_name.status"; done
        into_pipe run_stage dump "$2" | into_pipe stage compress compress | count_part
    else
        count_part <&6
        exec 6<&-
    fi
    end_check
    ended=$(now_epoch)
    seconds=$((ended - began)) began=$ended
    read_status "$compress_stage"
    if [ "$stage_result" != 0 ]; then
        [ "$compress_stage" = compress ] || { cp "$work/$compress_stage.err" "$work/compress.err"; cp "$work/$compress_stage.status" "$work/compress.status"; }
        return 1
    fi
    read_status size
    [ "$stage_result" = 0 ] || return 1
    read -r length <"$work/size"
    read_status "$dump_stage"
    if [ "$stage_result" != 0 ]; then
        end_failed_attempt "$1"
        return 1
    fi
    [ "$encrypts" = no ] || judge_checked_part "$1" || return 1
    printf '%s %s dumped %s %s %s\n' "$attempt" "$1" "$offset" "$length" "$seconds" >>"$work/attempts"
    offset=$((offset + length))
    printf '%s\n' "$offset" >"$work/end.$attempt"
    printf '%s\n' "$offset" >"$work/stream_end"
    [ ! -s "$work/$dump_stage.err" ] || cp "$work/$dump_stage.err" "$work/remarks.$attempt"
    dump_stage=dump compress_stage=compress
    attempt=$((attempt + 1)) tries=1
    [ "$seconds" -lt 10 ] || [ -z "${json_name:-}" ] || log "dumped $json_name, $(human_bytes "$length") compressed, in $seconds s"
}

# end_failed_attempt PART: decides what to dump after a part that failed: the same one again, or the next one.
end_failed_attempt() {
    cp "$work/$dump_stage.err" "$work/dump.$attempt"
    printf '%s\n' failed >"$work/end.$attempt"
    : >"$work/failed"
    [ ! -e "$work/$dump_stage.status" ] || cp "$work/$dump_stage.status" "$work/status.$attempt"
    explain_attempt "$attempt"
    if [ "$1" = globals ]; then
        record_failure "$1" failed
        # Without roles and tablespaces, there is no backup.
        rm -f "$work/failed"
        return
    fi
    # Not only the session may be gone.
    [ "$fault_passes" = no ] || await_server
    case $error in *'does not exist'*) take_new_name "$1" && return ;; esac
    if [ ! -e "$work/lost" ] && [ "$tries" -lt "$PART_ATTEMPTS" ] && [ "$fault_passes" = yes ]; then
        log "$json_name could not be dumped and is tried again: $(server_error "$error")"
        continue_with "$1" $((tries + 1))
        return
    fi
    record_failure "$1" failed
    log "$json_name could not be dumped: $(server_error "$error")"
    continue_with $(($1 + 1)) 1
}

# record_failure PART RESULT: notes that an attempt has put nothing into the file.
record_failure() { printf '%s %s %s 0 0 %s\n' "$attempt" "$1" "$2" "$seconds" >>"$work/attempts"; }

# continue_with PART TRIES: sets what the next stream begins with.
continue_with() { printf '%s %s %s\n' "$((attempt + 1))" "$1" "$2" >"$work/next"; }

# explain_attempt ATTEMPT: sets `error` to the message of a failed attempt, and the variables of postgres_fault.
explain_attempt() {
    error=$(pg_dump_errors "$work/dump.$1")
    # A stage that was killed has none.
    attempt_status=none
    [ ! -s "$work/status.$1" ] || read -r attempt_status <"$work/status.$1"
    # The only message of a killed process may be the shell's "Killed".
    if [ -z "$error" ] || [ "$attempt_status" = "$SIGKILL_STATUS" ]; then
        error="the dump program ended $(status_in_words "$attempt_status")${error:+: $error}"
    fi
    [ "$attempt_status" != none ] || attempt_status=$SIGKILL_STATUS
    postgres_fault "$error" "$attempt_status"
}

# take_new_name PART: decides what to dump if the database has another name by now, or was dropped; else it fails.
take_new_name() {
    step_current_name "$oid" || return 1
    IFS=$TAB read -r new_octal new_json_name <"$work/current"
    if [ "$new_octal$TAB$new_json_name" = "end$TAB" ]; then
        record_failure "$1" dropped
        log "$json_name was dropped during the run"
        continue_with $(($1 + 1)) 1
        return 0
    fi
    [ "$new_octal" != "$octal" ] || return 1
    log "$json_name was renamed to $new_json_name during the run"
    NUMBER=$1 OCTAL=$new_octal NAME=$new_json_name awk -F "$TAB" -v OFS="$TAB" '
        $1 == ENVIRON["NUMBER"] { $3 = ENVIRON["OCTAL"]; $4 = ENVIRON["NAME"] } { print }' "$work/databases" >"$work/databases.new" &&
        [ "$(grep -c '' "$work/databases.new")" = "$(grep -c '' "$work/databases")" ] && mv "$work/databases.new" "$work/databases" || return 1
    continue_with "$1" $((tries + 1))
}

# await_server: waits for a server that has lost a connection: a crash of one session makes it restart. Creates
# $work/lost if it does not answer in time.
await_server() {
    waited=0
    while ! query_psql '' --command='SELECT 1' >/dev/null 2>"$work/lost.err"; do
        if [ "$waited" -ge "$POSTGRES_BACKUP_RESTART_SECONDS" ]; then
            mv "$work/lost.err" "$work/lost"
            return
        fi
        [ "$waited" -gt 0 ] || log "the server does not answer; waiting for $POSTGRES_BACKUP_RESTART_SECONDS s at most"
        sleep 3
        waited=$((waited + 3))
    done
}

# globals_text: prints the header, and what pg_dumpall prints before the first database.
globals_text() {
    cat "$work/header" || return 1
    set -- --globals-only --no-password --database="$(connection "$POSTGRES_BACKUP_DATABASE")" \
        --dbname="$KEEPALIVES" --lock-wait-timeout="$lock_timeout_ms"
    [ "$no_role_passwords" = no ] || set -- "$@" --no-role-passwords
    while IFS= read -r argument; do
        [ -z "$argument" ] || set -- "$@" "$argument"
    done <<ARGUMENTS
$globals_args
ARGUMENTS
    { in_encoding "$first_encoding" pg_dumpall "$@"; echo $? >"$work/globals.status"; } | without_end || return 1
    return "$(cat "$work/globals.status")"
}

# Keepalives, which have no environment variable: they detect a server that has vanished.
CARRIAGE_RETURN=$(printf '\r')
KEEPALIVES="keepalives_idle=60 keepalives_interval=15 keepalives_count=8"

# without_end: prints the text of `pg_dumpall --globals-only` without its end, with the statements that --clean has before
# the globals ($work/drops), and the title of the databases; fails if it does not end as a complete dump does.
without_end() {
    awk -v drops="$work/drops" '
        NR > 5 { print kept[NR % 5] }
        { kept[NR % 5] = $0 }
        NR > 5 && kept[(NR - 1) % 5] ~ /^SET standard_conforming_strings = / && $0 == "" && !dropped++ {
            while ((getline line < drops) > 0) after = after line "\n"
            if (after != "") { kept[NR % 5] = "\n" substr(after, 1, length(after) - 1) }
        }
        END {
            # Two lines of dashes around the marker, then an empty line, after an empty line.
            if (NR < 5 || kept[(NR - 3) % 5] != "--" || kept[(NR - 2) % 5] != "-- PostgreSQL database cluster dump complete" || kept[(NR - 1) % 5] != "--" || kept[NR % 5] != "") {
                print "pg_dumpall: error: its text does not end with the completion marker (-- PostgreSQL database cluster dump complete)" > "/dev/stderr"
                exit 1
            }
            print kept[(NR - 4) % 5]
            print "--\n-- Databases\n--\n"
        }'
}

# title_of_database: sets `title` to the name $database as pg_dumpall writes it into the comment before it.
title_of_database() {
    title=$database
    case $title in *"$NEWLINE"* | *"$CARRIAGE_RETURN"*) title=$(printf '%s.' "$title" | tr '\n\r' '  ') title=${title%.} ;; esac
}

# database_text: prints the section of the database $octal, as pg_dumpall does.
database_text() {
    database_named "$octal"
    title_of_database
    printf -- '--\n-- Database "%s" dump\n--\n\n' "$title" || return 1
    # shellcheck disable=SC1003 # a backslash or an apostrophe
    case $database in
        *[\\\']*) target=$(connection "$database" "$KEEPALIVES") ;;
        *) target="dbname='$database' $KEEPALIVES" ;;
    esac
    set -- --no-password --format=plain --lock-wait-timeout="$lock_timeout_ms" --dbname="$target"
    case $database in
        template1 | postgres)
            # They exist in every server.
            if [ "$output_clean" = yes ]; then
                set -- --clean --create "$@"
            else
                printf '\\connect %s\n\n' "$database" || return 1
            fi ;;
        *) set -- --create "$@" ;;
    esac
    own_arguments=
    [ "$arguments" = - ] || own_arguments=$(printf '%b' "$arguments")
    while IFS= read -r argument; do
        [ -z "$argument" ] || set -- "$@" "$argument"
    done <<ARGUMENTS
$database_args
$own_arguments
ARGUMENTS
    in_encoding "$encoding" pg_dump "$@"
}

# in_encoding ENCODING COMMAND ...: runs a dump program with the encoding of its database: it would use that of the client_encoding
# setting of the server, the database or the user, which may lack characters of the database.
in_encoding() (
    PGCLIENTENCODING=$1
    export PGCLIENTENCODING
    shift
    exec "$@"
)

# end_text: prints the end of the dump; before it, the names of databases that could not be dumped.
end_text() {
    missing_databases
    if [ "$missing_names" != '[]' ]; then
        printf -- '--\n-- Databases that could not be dumped: %s\n--\n\n' "$(printf '%s\n' "$missing_names" | utf8_lines | ascii_json)" || return 1
    fi
    printf -- '--\n%s' "$DUMP_END"
}

# refusals: prints NUMBER KIND of each database that the inspection refuses (inspect.sh).
refusals() {
    set -- "$work"/inspect.*[0-9]
    [ -e "$1" ] || return 0
    grep -H "^R$TAB" "$@" | sed "s/^.*inspect\.\([0-9]*\):R$TAB/\1 /"
}

# missing_databases: sets `missing_names`, the JSON names of databases that should be in the backup and are not.
missing_databases() {
    refusals >"$work/refusals"
    missing_names=$(awk -v FS="$TAB" '
        FILENAME ~ /attempts$/ { split($0, field, " "); if (field[3] ~ /^d/) is_dumped[field[2]] = 1; next }
        FILENAME ~ /refusals$/ { split($0, field, " "); if (field[2] == "provider") is_dumped[field[1]] = 1; next }
        $2 == "dump" && !($1 in is_dumped) { printf "%s%s", (count++ ? "," : "["), $4 }
        END { print count ? "]" : "[]" }' "$work/attempts" "$work/refusals" "$work/databases")
}

# explain_dump: fails with the cause if a process of the dump failed, or the globals. The cause of several failures is the
# one nearest to the volume: a broken pipe (SIGPIPE) or the script's SIGTERM is a consequence.
explain_dump() {
    [ ! -e "$work/changed" ] || fail_changed "$(cat "$work/changed")"
    cause=
    for name in write encrypt follow compress check hash split count text end size fork; do
        status=$(stage_status_of "$name")
        case $status in
            0 | "$SIGPIPE_STATUS" | "$SIGTERM_STATUS" | none) ;;
            *) cause=$name; break ;;
        esac
    done
    # The follower fails because of what it reads.
    if [ "$cause" = follow ]; then
        for name in check count text end fork; do
            case $(stage_status_of "$name") in
                0 | "$SIGPIPE_STATUS" | "$SIGTERM_STATUS" | none) ;;
                *) cause=$name status=$(stage_status_of "$name"); break ;;
            esac
        done
        [ ! -e "$work/endless" ] || explain_endless_part "$(cat "$work/endless")"
        [ ! -e "$work/mistaken" ] || fail "the dump is not what it must be" \
            "the part of $(name_of_database "$(cat "$work/mistaken")") does not begin with this database" "Report this as a bug of this collection, with the log."
    fi
    if [ "$cause" != write ] && grep -q ' globals failed ' "$work/attempts" 2>/dev/null; then explain_globals; fi
    # Nobody can read to its end what a killed compressor has not finished.
    case $cause in check | count | text | end | fork) [ "$(stage_status_of compress)" != none ] || cause='' ;; esac
    if [ -z "$cause" ]; then
        if [ "$encrypts" = yes ]; then set -- encrypt; else set --; fi
        for name in write "$@" compress follow hash split size; do
            [ "$(stage_status_of "$name")" = 0 ] || fail "the dump was cut off" \
                "$name ended $(status_in_words "$(stage_status_of "$name")")" "Its processes were killed: check the pod's events and the node's log."
        done
        return 0
    fi
    message=$(stage_message_of "$cause")
    # The only message of a killed process may be the shell's "Killed".
    if [ -z "$message" ] || [ "$status" = "$SIGKILL_STATUS" ]; then
        message="$cause ended $(status_in_words "$status")${message:+: $message}"
    fi
    case $cause in
        write | follow | split) fail_write "$message" ;;
        encrypt) encryption_failed "$message" ;;
        compress | size) fail "the compressor $compressor failed" "$message" "Its memory limit may be too small (postgres_backup_resources), or the program is broken: try another postgres_backup_compressor." ;;
        check | count | text | end) fail "the compressed dump cannot be read back" "$message" "The compressor $compressor wrote something that is not gzip: try another postgres_backup_compressor." ;;
        *) fail "the dump could not be hashed" "$message" "Read the message; the image's sha256sum may be broken." ;;
    esac
}

explain_globals() {
    # pg_dumpall's status: the one of its attempt may be that of without_end.
    cp "$work/globals.status" "$work/status.0" 2>/dev/null
    [ "$(cat "$work/status.0")" != 0 ] || echo 1 >"$work/status.0"
    explain_attempt 0
    fail_with "$fault_status" "pg_dumpall failed on the roles and tablespaces" "$error" "$fault_advice"
}

# explain_endless_part PART
explain_endless_part() {
    case $1 in
        globals | end) endless_part="the text of the $1" endless_program=pg_dumpall ;;
        *) endless_part="the text of $(name_of_database "$1")" endless_program=pg_dump ;;
    esac
    fail "the dump is not complete" "$endless_program ended with status 0, but $endless_part does not end as it must" \
        "Check whether the image has a wrapper around $endless_program, and check postgres_backup_extra_args and postgres_backup_dump_args."
}

# name_of_database NUMBER: prints its name in JSON.
name_of_database() { awk -F "$TAB" -v number="$1" '$1 == number { print $4 }' "$work/databases"; }

# read_parts: writes a line for each part to $work/parts, in the order of the text:
#   PART RESULT OFFSET LENGTH TEXT_OFFSET TEXT_LENGTH SECONDS ATTEMPT
# RESULT is dumped, failed, excluded, dropped, not_accessible (closed, invalid, or refused by the inspection) or provider; `-` where
# there is no value. Sets `uncompressed_bytes`, `missing_names` and `dumped_databases` (how many). Fails if no database was dumped.
read_parts() {
    missing_databases
    uncompressed_bytes=0 dumped_databases=0
    while read -r attempt part result offset length seconds; do
        [ "$result" = dumped ] || continue
        text_length=''
        read -r text_length <"$work/checked.$attempt"
        printf '%s dumped %s %s %s %s %s %s\n' "$part" "$offset" "$length" "$uncompressed_bytes" "$text_length" "$seconds" "$attempt"
        uncompressed_bytes=$((uncompressed_bytes + ${text_length:-0}))
        case $part in globals | end) ;; *) dumped_databases=$((dumped_databases + 1)) ;; esac
    done <"$work/attempts" >"$work/dumped"
    awk '
        FILENAME ~ /dumped$/ { line[$1] = $0; next }
        FILENAME ~ /attempts$/ { if ($3 != "dumped") { seconds[$2] = $6; attempt[$2] = $1; outcome[$2] = $3 }; next }
        FILENAME ~ /refusals$/ { refusal[$1] = $2; next }
        !begun++ { print line["globals"] }
        {
            if ($1 in line) print line[$1]
            else if ($2 != "dump") print $1, ($2 == "excluded" ? "excluded" : "not_accessible"), "- - - - 0 -"
            else if ($1 in refusal) print $1, refusal[$1], "- - - - 0 -"
            else if (outcome[$1] == "dropped") print $1, "dropped", "- - - -", seconds[$1], "-"
            else print $1, "failed", "- - - -", seconds[$1] + 0, ($1 in attempt ? attempt[$1] : "-")
        }
        END { print line["end"] }' "$work/dumped" "$work/attempts" "$work/refusals" "$work/databases" >"$work/parts"
    if ! has_whole_parts; then fail_records; fi
    explain_failed_databases
    if [ "$dumped_databases" -eq 0 ]; then fail_without_databases; fi
    if [ "$failed_databases" -eq 0 ] && [ "$missing_names" != '[]' ]; then fail_records; fi
}

# has_whole_parts: whether $work/parts has a line for each part, each one in the file was checked, and they are all that was
# written. Without any database, there is no end, and nothing to publish.
has_whole_parts() {
    [ "$dumped_databases" -gt 0 ] || return 0
    if [ "$encrypts" = yes ]; then parts_end=$(cat "$work/stream_end"); else parts_end=$(tail -n 1 "$work/streams" | cut -d ' ' -f 2); fi
    awk -v lines="$(($(grep -c '' "$work/databases") + 2))" -v bytes="$parts_end" '
        NF != 8 || ($2 == "dumped" && $3 != position) { is_broken = 1 }
        $2 == "dumped" { position += $4; last = $1 }
        END { exit is_broken || NR != lines || last != "end" || position != bytes }' "$work/parts"
}

fail_records() {
    fail "the dump cannot be proved complete" "what its processes noted in $work is incomplete" \
        "Make sure that ${TMPDIR:-/tmp} has free space. If it has, processes were killed: check the pod's events and the node's log."
}
