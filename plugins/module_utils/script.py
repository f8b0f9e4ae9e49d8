# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The script that runs in the cluster, as the modules carry it. Made by dev/embed-script: do not edit."""

from __future__ import annotations

FILES = {
    "backup.sh": r"""#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# PostgreSQL backups that are proven: see usage() below and the collection's README.
#
# POSIX sh with the tools that PostgreSQL images have (Debian's or busybox's), nothing else. The configuration comes
# from the environment; the password is libpq's PGPASSWORD. The script starts its long steps as `sh <itself> _step` in
# process groups of their own, so that a signal or the time limit ends every process of a step.

# stage() calls functions by name:
# shellcheck disable=SC2329
set -u
LC_ALL=C
export LC_ALL
# dash and busybox end with status 2 by themselves where they cannot start a process (no memory, no process ids left) or
# not open a file: another try may succeed. Without a clean-up then, which would start one.
end_of_script() {
    ended=$?
    if [ "$ended" -eq 2 ] && [ "${exit_status:-0}" -ne 2 ]; then exit 1; fi
    [ "${has_made_work:-no}" = no ] || clean_up
}
trap end_of_script EXIT
# Nothing that is written is for others to read until it is given its mode.
umask 077
VERSION=1.1.0
TAB=$(printf '\t')
case $0 in
    /*) SCRIPT=$0 ;;
    *) SCRIPT=$PWD/$0 ;;
esac
NEWLINE='
'
# How pg_dumpall ends a whole dump (src/bin/pg_dump/pg_dumpall.c, main()).
DUMP_END="-- PostgreSQL database cluster dump complete${NEWLINE}--${NEWLINE}${NEWLINE}"
# How far two clocks may differ, and how far ahead a backup may be dated.
CLOCK_TOLERANCE_SECONDS=300
# A live run touches last-run.json each minute; one that did not for so long was interrupted.
HEARTBEAT_MINUTES=5
TERMINATION_MESSAGE_BYTES=4096
in_step=no caught_signal='' # see catch_signal
SIGKILL_STATUS=137
SIGPIPE_STATUS=141
SIGTERM_STATUS=143

usage() {
    cat <<'TEXT'
usage: backup.sh run               make a backup, prove it, then apply retention
       backup.sh list              one JSON object a line: each backup with its verdict, then the volume
       backup.sh prune [--dry-run] apply retention now, or show what it would delete
       backup.sh drill             restore a backup into a PostgreSQL that is thrown away, and count every row
Configuration: POSTGRES_BACKUP_* environment variables, named as the variables of the role homelab.postgres_backup.
Exit status: 0 when it succeeded; 1 when it failed and another try may succeed; 2 when it cannot succeed before somebody
changes something: arguments, configuration, rights, versions, programs.
TEXT
}

# ---------------------------------------------------------------------------------------------------- words for people

now_iso() { date -u +%Y-%m-%dT%H:%M:%SZ; }

now_epoch() { date +%s; }

log() { printf '%s %s\n' "$(now_iso)" "$1" >&2; }

# human_bytes BYTES
human_bytes() {
    awk -v n="$1" 'BEGIN {
        split("bytes KiB MiB GiB TiB", unit, " ")
        for (i = 1; n >= 1024 && i < 5; i++) n /= 1024
        printf (i == 1 ? "%.0f %s" : "%.1f %s"), n, unit[i]
    }'
}

# ------------------------------------------------------------------------------------------------------------- JSON

# json TEXT: TEXT as a JSON string (RFC 8259). Control characters, and bytes that are not UTF-8, become question marks.
json() {
    case $1 in
        *[!\ -~]*) json_text=$(utf8 "$1") ;;
        *) json_text=$1 ;;
    esac
    case $json_text in
        *[\"\\]* | *"$NEWLINE"*)
            json_text=$(printf '%s\n' "$json_text" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }') ;;
    esac
    printf '"%s"' "$json_text"
}

# utf8 TEXT: TEXT without control characters; in a line that is not UTF-8 (RFC 3629) only ASCII is left.
utf8() {
    printf '%s\n' "$1" | tr '\011' ' ' | tr '\001-\010\013-\037\177' '[?*]' | awk '
        BEGIN {
            tail = "[\200-\277]"
            valid = "^([\001-\177]|[\302-\337]" tail "|\340[\240-\277]" tail "|[\341-\354\356\357]" tail tail \
                "|\355[\200-\237]" tail "|\360[\220-\277]" tail tail "|[\361-\363]" tail tail tail \
                "|\364[\200-\217]" tail tail ")*$"
        }
        $0 !~ valid { gsub(/[\200-\377]/, "?") }
        { print }'
}

# json_or_null TEXT
json_or_null() { if [ -n "$1" ]; then json "$1"; else printf null; fi; }

# json_field NAME JSON: the raw value of a string, number or null in a flat JSON object that this script wrote.
json_field() {
    printf '%s\n' "$2" | sed -nE "s/^(\{|.*[,{])\"$1\":(\"([^\"\\\\]|\\\\.)*\"|[0-9]+|null).*/\2/p"
}

# ------------------------------------------------------------------------------------------------------- configuration

config_error() { fail_with 2 "wrong configuration" "$1" "Correct the variable and run it again."; }

is_whole_number() {
    case $1 in '' | *[!0-9]* | ??????????*) return 1 ;; esac
}

# whole_number NAME DEFAULT: sets the variable NAME, refusing anything but a whole number of at most nine digits.
whole_number() {
    eval "value=\${$1:-$2}"
    is_whole_number "$value" || config_error "$1: expected a whole number from 0 to 999999999, found '$value'"
    # Without its leading zeros, which arithmetic would take for octal.
    eval "$1=\$((1\$value - 1$(printf '%s' "$value" | tr '0-9' '0000000000')))"
}

# seconds_of NAME VALUE: prints the seconds of a duration such as 36h or 14d.
seconds_of() {
    number=${2%?}
    case $2 in
        *s) unit=1 ;;
        *m) unit=60 ;;
        *h) unit=3600 ;;
        *d) unit=86400 ;;
        *w) unit=604800 ;;
        *) number= ;;
    esac
    case $number in '' | *[!0-9]* | 0* | ???????*) number= ;; esac
    [ -n "$number" ] || return 1
    printf '%s' $((number * unit))
}

# duration NAME: refuses what is not a duration; the empty string is one of no length. Sets `seconds`.
duration() {
    eval "value=\${$1}"
    seconds=0
    [ -n "$value" ] || return 0
    seconds=$(seconds_of "$1" "$value") ||
        config_error "$1: expected a duration such as 90m, 36h or 14d (one number of at most six digits, one unit of s m h d w), found '$value'"
}

read_configuration() {
    : "${POSTGRES_BACKUP_NAME:=postgres-backup}"
    : "${POSTGRES_BACKUP_DIR:=/backups}"
    : "${POSTGRES_BACKUP_HOST:=${PGHOST:-}}"
    : "${POSTGRES_BACKUP_PORT:=${PGPORT:-5432}}"
    : "${POSTGRES_BACKUP_USER:=${PGUSER:-postgres}}"
    : "${POSTGRES_BACKUP_DATABASE:=postgres}"
    : "${POSTGRES_BACKUP_SSLMODE:=}" "${POSTGRES_BACKUP_SSLROOTCERT:=}"
    : "${POSTGRES_BACKUP_COMPRESSOR:=auto}"
    : "${POSTGRES_BACKUP_FILE_MODE:=0640}"
    file_mode=0600 # until it is known to be right
    : "${POSTGRES_BACKUP_KEEP_WITHIN:=}"
    : "${POSTGRES_BACKUP_TIME_LIMIT:=6h}"
    : "${POSTGRES_BACKUP_LOCK_TIMEOUT:=15m}"
    : "${POSTGRES_BACKUP_EXTRA_ARGS:=}"
    : "${POSTGRES_BACKUP_EXPECTED_MOUNT:=}"
    : "${POSTGRES_BACKUP_JOB:=}"
    : "${POSTGRES_BACKUP_POD:=$(uname -n)-$$}"
    : "${POSTGRES_BACKUP_TERMINATION_LOG:=/dev/termination-log}"

    case $POSTGRES_BACKUP_NAME in
        [!a-z0-9]* | *[!a-z0-9.-]* | *[!a-z0-9]) config_error "POSTGRES_BACKUP_NAME: expected a Kubernetes name (lower case letters, digits, dashes), found '$POSTGRES_BACKUP_NAME'" ;;
    esac
    digits='[0-9][0-9]'
    # What find knows a backup by.
    name_pattern="$POSTGRES_BACKUP_NAME-$digits$digits-$digits-$digits-$digits$digits$digits.sql.gz"
    case $POSTGRES_BACKUP_POD in
        *[!a-zA-Z0-9._-]*) config_error "POSTGRES_BACKUP_POD: expected a pod's name, found '$POSTGRES_BACKUP_POD'" ;;
    esac
    case $POSTGRES_BACKUP_JOB in
        *[!a-zA-Z0-9._-]*) config_error "POSTGRES_BACKUP_JOB: expected a Job's name, found '$POSTGRES_BACKUP_JOB'" ;;
    esac
    case $POSTGRES_BACKUP_DIR in
        /*) ;;
        *) config_error "POSTGRES_BACKUP_DIR: expected an absolute path, found '$POSTGRES_BACKUP_DIR'" ;;
    esac
    whole_number POSTGRES_BACKUP_KEEP_LAST 7
    whole_number POSTGRES_BACKUP_KEEP_DAILY 7
    whole_number POSTGRES_BACKUP_KEEP_WEEKLY 0
    whole_number POSTGRES_BACKUP_KEEP_MONTHLY 0
    whole_number POSTGRES_BACKUP_KEEP_YEARLY 0
    duration POSTGRES_BACKUP_KEEP_WITHIN
    keep_within_seconds=$seconds
    if [ "$((POSTGRES_BACKUP_KEEP_LAST + POSTGRES_BACKUP_KEEP_DAILY + POSTGRES_BACKUP_KEEP_WEEKLY + POSTGRES_BACKUP_KEEP_MONTHLY + POSTGRES_BACKUP_KEEP_YEARLY + keep_within_seconds))" -eq 0 ]; then
        config_error "POSTGRES_BACKUP_KEEP_LAST, _DAILY, _WEEKLY, _MONTHLY, _YEARLY and _WITHIN: this policy keeps nothing; expected at least one of them above 0"
    fi
    [ "$command" = run ] || return 0

    case $POSTGRES_BACKUP_FILE_MODE in
        0[67][0-7][0-7] | [67][0-7][0-7]) file_mode=$POSTGRES_BACKUP_FILE_MODE ;;
        *) config_error "POSTGRES_BACKUP_FILE_MODE: expected an octal mode such as 0640 that lets the owner read and write, found '$POSTGRES_BACKUP_FILE_MODE'" ;;
    esac
    [ -n "$POSTGRES_BACKUP_HOST" ] || config_error "POSTGRES_BACKUP_HOST: expected the server's host name, found nothing"
    case $POSTGRES_BACKUP_PORT in
        '' | 0* | *[!0-9]* | ??????*) config_error "POSTGRES_BACKUP_PORT: expected a port number, found '$POSTGRES_BACKUP_PORT'" ;;
    esac
    [ "$POSTGRES_BACKUP_PORT" -le 65535 ] || config_error "POSTGRES_BACKUP_PORT: expected a port number up to 65535, found '$POSTGRES_BACKUP_PORT'"
    case $POSTGRES_BACKUP_SSLMODE in
        '' | disable | allow | prefer | require | verify-ca | verify-full) ;;
        *) config_error "POSTGRES_BACKUP_SSLMODE: expected disable, allow, prefer, require, verify-ca or verify-full, found '$POSTGRES_BACKUP_SSLMODE'" ;;
    esac
    case $POSTGRES_BACKUP_COMPRESSOR in
        auto | igzip | pigz | gzip) ;;
        *) config_error "POSTGRES_BACKUP_COMPRESSOR: expected auto, igzip, pigz or gzip, found '$POSTGRES_BACKUP_COMPRESSOR'" ;;
    esac
    duration POSTGRES_BACKUP_TIME_LIMIT
    time_limit_seconds=$seconds
    duration POSTGRES_BACKUP_LOCK_TIMEOUT
    lock_timeout_ms=$((seconds * 1000))
    choose_compressor

    PGHOST=$POSTGRES_BACKUP_HOST PGPORT=$POSTGRES_BACKUP_PORT PGUSER=$POSTGRES_BACKUP_USER
    # kubectl create secret --from-file keeps the file's last newline; libpq would send it.
    PGPASSWORD=${PGPASSWORD:-}
    PGPASSWORD=${PGPASSWORD%"$NEWLINE"}
    : "${PGCONNECT_TIMEOUT:=30}"
    export PGHOST PGPORT PGUSER PGPASSWORD PGCONNECT_TIMEOUT
    if [ -n "$POSTGRES_BACKUP_SSLMODE" ]; then PGSSLMODE=$POSTGRES_BACKUP_SSLMODE; export PGSSLMODE; fi
    if [ -n "$POSTGRES_BACKUP_SSLROOTCERT" ]; then PGSSLROOTCERT=$POSTGRES_BACKUP_SSLROOTCERT; export PGSSLROOTCERT; fi
    export POSTGRES_BACKUP_DIR POSTGRES_BACKUP_DATABASE POSTGRES_BACKUP_EXTRA_ARGS lock_timeout_ms
}

choose_compressor() {
    case $POSTGRES_BACKUP_COMPRESSOR in
        auto) set -- igzip pigz gzip ;;
        *) set -- "$POSTGRES_BACKUP_COMPRESSOR" ;;
    esac
    compressor=
    for program; do
        if command -v "$program" >/dev/null 2>&1; then compressor=$program; break; fi
    done
    [ -n "$compressor" ] || config_error "POSTGRES_BACKUP_COMPRESSOR: the image has none of: $*; use an image that has it, or auto"
    export compressor
}

require_tools() {
    missing=
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
    done
    [ -z "$missing" ] || fail_with 2 "the image lacks programs" "missing:$missing" "Set postgres_backup_image to one that has them."
}

# status_of_folder MESSAGE: how a run ends whose temporary folder takes nothing: a disk that is full, or fails, may not be so
# on the node of the next try.
status_of_folder() {
    case $1 in *'No space left'* | *'quota exceeded'* | *'/output error'*) echo 1 ;; *) echo 2 ;; esac
}

# make_work_folder: sets `work`, a temporary folder of this process's own, and takes copies of the script's files
# ($script_files) into it: Kubernetes replaces a mounted ConfigMap while a run is at work, and a new retention.awk must not meet an old
# backup.sh. (This shell itself holds the old file open, and reads nothing after the line that started the run.)
make_work_folder() {
    work=
    if ! found=$(mktemp -d "${TMPDIR:-/tmp}/postgres-backup.XXXXXX" 2>&1); then
        fail_with "$(status_of_folder "$found")" "no temporary folder" "$found" "Mount a folder at ${TMPDIR:-/tmp} that this user id ($(id -u)) may write to."
    fi
    work=$found has_made_work=yes
    export work
    for script_file in $script_files; do
        if ! found=$(cp "${SCRIPT%/*}/$script_file" "$work/$script_file" 2>&1); then
            fail_with "$(status_of_folder "$found")" "the script could not be copied to $work" "$found" "Keep $script_files in one folder, and room in ${TMPDIR:-/tmp}."
        fi
    done
    SCRIPT=$work/backup.sh
}

# ------------------------------------------------------------------------------------------ processes of the long steps

# keep_streams, use_kept_streams: a signal may come while a function writes to a file, and the trap's output would go there
# too. What a run or drill says at its end goes to the streams that it began with.
keep_streams() { exec 8>&2 9>&1; streams_kept=yes; }

use_kept_streams() { [ "${streams_kept:-no}" = no ] || exec 2>&8 >&9; }

# start_group STEP [ARGUMENT ...]: runs a step of this script in the background, in a process group of its own where
# the image has setsid, and sets `group` to it.
start_group() {
    if command -v setsid >/dev/null 2>&1; then
        own_group=yes setsid sh "$SCRIPT" "$@" 8>&- 9>&- &
    else
        own_group=no sh "$SCRIPT" "$@" 8>&- 9>&- &
    fi
    group=$!
}

# collect PID: waits for the end of a child that was told to end. bash collects its children by itself, and a `wait` for
# one that is collected already waits for any other one instead, without end. It would also tell of one that was killed.
# shellcheck disable=SC3044 # bash has it
collect() {
    if [ -n "${BASH_VERSION:-}" ]; then
        disown "$1"
        while kill -0 "$1"; do sleep 0.1; done
    else
        wait "$1"
    fi
}

# end_group GROUP: every process of the group ends, by SIGKILL where SIGTERM does not do.
end_group() {
    [ -n "$1" ] || return 0
    {
        # The group may not be there yet (setsid not reached).
        kill -TERM "-$1" || kill -TERM "$1" || return 0
        collect "$1"
    } 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 "-$1" 2>/dev/null || return 0
        sleep 0.2 2>/dev/null || sleep 1
    done
    kill -KILL "-$1" 2>/dev/null || :
}

# end_watch: the watching group has nothing to put in order.
end_watch() {
    [ -n "${watch_group:-}" ] || return 0
    {
        kill -KILL "-$watch_group" || kill -KILL "$watch_group" || :
        collect "$watch_group"
    } 2>/dev/null
    watch_group=
}

# run_group STEP [ARGUMENT ...]: a step in a group, waited for; a signal meanwhile ends it (see catch_signal).
run_group() {
    start_group "$@"
    step_group=$group
    wait_for_step
    # Nothing of it may outlive it.
    kill -KILL "-$step_group" 2>/dev/null
    step_group=
    return "$step_status"
}

# wait_for_step: waits for $step_group; sets `step_status`. What a signal asks for meanwhile is done behind it.
wait_for_step() {
    in_step=yes
    wait "$step_group"
    step_status=$?
    in_step=no
    [ -z "$caught_signal" ] || on_signal "$caught_signal"
}

# catch_signal NAME: the trap. While a step is waited for it only ends the step: no `wait` within another one.
catch_signal() {
    if [ "$in_step" = yes ]; then
        caught_signal=$1
        kill -TERM "-$step_group" 2>/dev/null || kill -TERM "$step_group" 2>/dev/null || :
    else
        on_signal "$1"
    fi
}

# catch_signals NAME ...
catch_signals() {
    for signal_name in "$@"; do
        # shellcheck disable=SC2064 # the name of this signal
        trap "catch_signal $signal_name" "$signal_name"
    done
}

# stage NAME COMMAND...: one process of a step; its exit status and messages go to files. A missing status file means
# that it failed. The first one to fail ends the others at once.
stage() {
    stage_name=$1
    shift
    "$@" 2>"$work/$stage_name.err"
    stage_status=$?
    printf '%s\n' "$stage_status" >"$work/$stage_name.status"
    if [ "$stage_status" -ne 0 ] && [ "${own_group:-no}" = yes ]; then
        # The stages behind it see its end of file and the ones before it a broken pipe; what hangs is ended.
        { sleep 2; kill -TERM 0; } >/dev/null 2>&1 &
    fi
    return "$stage_status"
}

stage_status_of() {
    if [ -s "$work/$1.status" ]; then cat "$work/$1.status"; else echo none; fi
}

stage_message_of() {
    if [ -s "$work/$1.err" ]; then
        grep -v -e ' records in$' -e ' records out$' -e ' bytes.* copied' "$work/$1.err" | head -n 6 | cut -c 1-400
    fi
}

# dump_errors: the errors among pg_dumpall's messages: without the warnings before them, and of a query its first line.
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

clear_stages() { rm -f "$work"/*.status "$work"/*.err "$work"/*.fifo; }

# ---------------------------------------------------------------------------------------------- steps that run in groups

# connection DATABASE [PARAMETER ...]: a connection string (libpq, "Keyword/Value Connection Strings"): the programs take a
# name with an equals sign in it for one.
connection() {
    # shellcheck disable=SC1003 # a backslash before each backslash and apostrophe
    connection_database=$(printf '%s' "$1" | sed -e 's/[\\'"'"']/\\&/g')
    shift
    printf "dbname='%s' %s" "$connection_database" "$*"
}

# dump_text: the header and pg_dumpall's text on standard output.
dump_text() {
    cat "$work/header" || return 1
    # A connection string for what has no environment variable: notice a server that vanished without a word.
    set -- --no-password --database="$(connection "$POSTGRES_BACKUP_DATABASE")" \
        --dbname="keepalives_idle=60 keepalives_interval=15 keepalives_count=8" --lock-wait-timeout="$lock_timeout_ms"
    while IFS= read -r argument; do
        if [ -n "$argument" ]; then set -- "$@" "$argument"; fi
    done <<ARGUMENTS
$POSTGRES_BACKUP_EXTRA_ARGS
ARGUMENTS
    pg_dumpall "$@"
}

compress() {
    case $compressor in
        igzip) igzip -c ;;
        pigz) pigz -1 -c ;;
        *) gzip -1 -c ;;
    esac
}

decompress() {
    case $compressor in
        igzip) igzip -d -c ;;
        *) gzip -d -c ;;
    esac
}

# read_to_end [COMMAND ...]: decompresses standard input to its end; leaves the last bytes in `end` (or what the command
# says of the text) and the number of all in `count`.
# dd counts at a tenth of the cost of a tee and a wc, where it tells (busybox's may not).
read_to_end() {
    [ $# -gt 0 ] || set -- tail -c 64
    if dd if=/dev/null of=/dev/null 2>&1 | grep -q '^0 bytes'; then
        stage check decompress | stage count dd bs=65536 | stage end "$@" >"$work/end"
        sed -n 's/^\([0-9][0-9]*\) bytes .*/\1/p' "$work/count.err" >"$work/count"
    else
        mkfifo "$work/count.fifo" || exit 1
        stage count wc -c <"$work/count.fifo" >"$work/count" &
        stage check decompress | stage text tee "$work/count.fifo" | stage end "$@" >"$work/end"
        wait
    fi
}

# step_ask: what the header and the result say of the server. (pg_dumpall leaves out databases that allow no connections,
# and those with a connection limit of -2: an interrupted DROP DATABASE leaves that, and nothing can connect to them.) A group, so that a server that accepts the connection and
# then says nothing does not keep the run from its time limit.
step_ask() {
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

# follow FILE: prints the file as it grows, until $work/written says that its writer has ended.
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

# copy_blocks FILE SKIP [OPERAND]: some of the file's blocks of 1 MiB; messages only where it fails.
copy_blocks() {
    dd if="$1" bs=1048576 skip="$2" ${3:+"$3"} 2>"$work/follow.dd"
    copy_status=$?
    [ "$copy_status" -eq 0 ] || cat "$work/follow.dd" >&2
    return "$copy_status"
}

# step_dump PARTIAL: dump → compressor → partial, hashed on the way, then read back from the server. Beside it the
# partial is decompressed as it grows: from the file, so that the dump need not wait for its check.
# The partial is written by dd, which reports a full volume and flushes the file to the server.
step_dump() {
    mkfifo "$work/hash.fifo" || exit 1
    stage hash sha256sum <"$work/hash.fifo" >"$work/hash" &
    # What checks must not slow down what it checks.
    if command -v nice >/dev/null 2>&1; then nice -n 19 sh "$SCRIPT" _follow "$1" & else step_follow "$1" & fi
    stage dump dump_text | stage compress compress | stage split tee "$work/hash.fifo" |
        stage write dd ibs=65536 obs=1048576 conv=notrunc,fsync of="$1"
    now_epoch >"$work/written"
    if [ "$(stage_status_of dump)$(stage_status_of compress)$(stage_status_of write)" = 000 ]; then read_from_server "$1"; fi
    wait
}

# step_follow PARTIAL: decompresses the partial as it grows.
step_follow() { stage follow follow "$1" | read_to_end; }

# read_from_server FILE: the hash of what the server has, read past this machine's page cache where the system allows.
read_from_server() {
    if dd if="$1" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; then
        echo direct >"$work/read_mode"
        stage read dd if="$1" bs=1048576 iflag=direct | stage read_hash sha256sum >"$work/found_hash"
    else
        echo cached >"$work/read_mode"
        stage read dd if="$1" bs=1048576 | stage read_hash sha256sum >"$work/found_hash"
    fi
}

# look_at_sections: what sections.awk finds in the text on standard input.
look_at_sections() { { tr -d '\000'; echo; } | awk -f "$work/sections.awk"; }

# step_check FILE: reads a backup that another script made: its hash and what its text is.
step_check() {
    mkfifo "$work/check.fifo" || exit 1
    read_to_end look_at_sections <"$work/check.fifo" &
    stage read dd if="$1" bs=1048576 | stage split tee "$work/check.fifo" | stage hash sha256sum >"$work/hash"
    wait
}

# step_watch MAIN SECONDS PARTIAL: shows that the run lives, and ends it by SIGUSR1 at its time limit.
step_watch() {
    # By itself: a volume whose server is away holds up whoever touches it.
    show_life "$1" "$3" &
    left=$2
    while [ "$left" -gt 0 ]; do
        pause=$((left < 60 ? left : 60))
        sleep "$pause"
        kill -0 "$1" 2>/dev/null || exit 0
        left=$((left - pause))
    done
    kill -USR1 "$1"
}

# show_life MAIN PARTIAL: each minute, in last-run.json's time and in the log.
show_life() {
    minutes=0
    while sleep 60 && kill -0 "$1" 2>/dev/null; do
        minutes=$((minutes + 1))
        [ ! -e "$POSTGRES_BACKUP_DIR/last-run.json" ] || touch "$POSTGRES_BACKUP_DIR/last-run.json" 2>/dev/null
        bytes=$(stat -c %s "$2" 2>/dev/null) && log "still running after $minutes min; $(human_bytes "$bytes") written"
    done
}

# --------------------------------------------------------------------------------------------------------- the volume

sidecar_lines() { find . -maxdepth 1 -type f -name "$name_pattern.sha256" -size -2 -exec grep -H -m 1 '' {} +; }

# listing: prints each backup with its verdict, newest first, as retention.awk defines. $work/plan gets what retention
# would delete, $work/orphans the names of backups that are gone but left a sidecar.
listing() (
    : >"$work/plan" && : >"$work/orphans" || return 1
    cd "$POSTGRES_BACKUP_DIR" || return 1
    # A file that vanishes meanwhile is no error: another run's retention may be at work. A sidecar is one short line.
    # One find for each kind: busybox runs no `-exec +` inside parentheses. A backup comes after its sidecar and goes
    # before it: sidecars are read before and after, so that one that comes or goes meanwhile is not called unchecked.
    {
        sidecar_lines
        find . -maxdepth 1 -type f -name "$name_pattern" -exec stat -c "%n${TAB}B${TAB}%s" {} +
        sidecar_lines
        find . -maxdepth 1 -type f -name "$name_pattern.damaged" -size -20 -exec grep -H -m 1 '' {} +
        find . -maxdepth 1 -name "$name_pattern.damaged" -exec printf "%s:${NEWLINE}" {} +
        find . -maxdepth 1 -name "$name_pattern.keep" -exec printf "%s:${NEWLINE}" {} +
    } 2>/dev/null | tr '\000-\010\013-\037\177-\377' '[?*]' |
        sed -n -e 's/^\.\///' \
            -e "s/^\([^:]*\.sql\.gz\)\.sha256:/\1${TAB}S${TAB}/" \
            -e "s/^\([^:]*\.sql\.gz\)\.damaged:/\1${TAB}D${TAB}/" \
            -e "s/^\([^:]*\.sql\.gz\)\.keep:.*/\1${TAB}K/" \
            -e "/^[^:$TAB]*\.sql\.gz${TAB}[BSDK]/p" |
        sort -r |
        awk -v prefix="$POSTGRES_BACKUP_NAME" -v now="$(now_epoch)" \
            -v keep_last="$POSTGRES_BACKUP_KEEP_LAST" -v keep_daily="$POSTGRES_BACKUP_KEEP_DAILY" \
            -v keep_weekly="$POSTGRES_BACKUP_KEEP_WEEKLY" -v keep_monthly="$POSTGRES_BACKUP_KEEP_MONTHLY" \
            -v keep_yearly="$POSTGRES_BACKUP_KEEP_YEARLY" -v keep_within="$POSTGRES_BACKUP_KEEP_WITHIN" \
            -v within_seconds="$keep_within_seconds" -v plan="$work/plan" -v orphans="$work/orphans" -f "${SCRIPT%/*}/retention.awk"
)

# newest_complete LISTING: the name of the newest complete backup, and its bytes, or nothing.
newest_complete() {
    sed -n -e 's/.*"name":"\([^"]*\)".*"size_bytes":\([0-9]*\).*"state":"complete","future":false,.*/\1 \2/p' "$1" | head -n 1
}

free_bytes() { stat -f -c '%a %S' "$POSTGRES_BACKUP_DIR" | awk '{ printf "%.0f", $1 * $2 }'; }

volume_bytes() { stat -f -c '%b %S' "$POSTGRES_BACKUP_DIR" | awk '{ printf "%.0f", $1 * $2 }'; }

# mount_source: what is mounted at the backup directory, or nothing when it is no mount point (proc_pid_mounts(5)).
mount_source() {
    [ -r /proc/self/mounts ] || return 0
    DIR="$POSTGRES_BACKUP_DIR" awk '
        function decode(text) {
            gsub(/\\040/, " ", text); gsub(/\\011/, "\t", text); gsub(/\\134/, "\\", text)
            return text
        }
        BEGIN { dir = ENVIRON["DIR"]; while (length(dir) > 1 && dir ~ /\/$/) dir = substr(dir, 1, length(dir) - 1) }
        decode($2) == dir { source = decode($1) }
        END { printf "%s", source }' /proc/self/mounts
}

# last_run: the content of last-run.json where it is what a run wrote; a `running` that nobody keeps alive is shown as
# interrupted.
last_run() {
    last_run_file=$POSTGRES_BACKUP_DIR/last-run.json
    last_run_text=
    if [ -f "$last_run_file" ] && [ ! -L "$last_run_file" ]; then
        last_run_text=$(utf8 "$(head -c 65536 "$last_run_file" 2>/dev/null | tr -d '\000')")
    fi
    case $last_run_text in
        *"$NEWLINE"*) ;;
        '{"state":"running",'*'}')
            if [ -n "$(find "$last_run_file" -mmin +$HEARTBEAT_MINUTES 2>/dev/null)" ]; then
                last_run_text="{\"state\":\"interrupted\",${last_run_text#'{"state":"running",'}"
            fi
            printf '%s' "$last_run_text"
            ;;
        '{"state":'*'}') printf '%s' "$last_run_text" ;;
    esac
}

# last_drill: the content of last-drill.json where a drill wrote it; a `running` of long ago was interrupted.
last_drill() {
    drill_file=$POSTGRES_BACKUP_DIR/last-drill.json
    [ -f "$drill_file" ] && [ ! -L "$drill_file" ] || return 0
    drill_text=$(utf8 "$(head -c 65536 "$drill_file" 2>/dev/null | tr -d '\000')")
    case $drill_text in
        *"$NEWLINE"*) ;;
        '{"state":"running","operation":"drill",'*'}')
            duration POSTGRES_BACKUP_TIME_LIMIT
            if [ -n "$(find "$drill_file" -mmin "+$((seconds / 60 + 10))" 2>/dev/null)" ]; then
                drill_text="{\"state\":\"interrupted\",${drill_text#'{"state":"running",'}"
            fi
            printf '%s' "$drill_text" ;;
        '{"state":"'*'","operation":"drill",'*'}') printf '%s' "$drill_text" ;;
    esac
}

# write_text FILE TEXT: one line, flushed and read back; on failure `message` says why, and `write_fault` is `full` where
# the volume took a part only. dd, since a shell's own printf and busybox's tee may call a full volume an "I/O error".
write_text() {
    write_fault=''
    if ! message=$(printf '%s\n' "$2" | dd of="$1" bs=65536 conv=fsync 2>&1); then
        message=$(printf '%s\n' "$message" | grep -v -e ' records in$' -e ' records out$' -e ' bytes.* copied')
        return 1
    fi
    [ "$(cat "$1" 2>/dev/null)" = "$2" ] && return 0
    write_fault=full message="$1 was cut off: there is no more space"
    return 1
}

# replace_text FILE TEXT: the same, whole or not at all.
replace_text() {
    write_fault=''
    text_partial=${1%/*}/.${1##*/}.$POSTGRES_BACKUP_POD
    # Neither written through a link that somebody put there, nor moved into a folder.
    rm -f "$text_partial" 2>/dev/null
    if [ -d "$1" ]; then
        if [ ! -L "$1" ]; then message="$1 is a directory"; return 1; fi
        rm -f "$1" 2>/dev/null
    fi
    if message=$( (set -C; : >"$text_partial") 2>&1) && write_text "$text_partial" "$2" && { chmod "$file_mode" "$text_partial" 2>/dev/null || :; } &&
        message=$(mv -f "$text_partial" "$1" 2>&1); then
        return 0
    fi
    rm -f "$text_partial" 2>/dev/null
    return 1
}

# write_last_run JSON
write_last_run() { replace_text "$POSTGRES_BACKUP_DIR/last-run.json" "$1"; }

# check_volume: refuses a directory that is missing, not the expected mount, not readable or (run, prune) not writable.
check_volume() {
    [ -d "$POSTGRES_BACKUP_DIR" ] || fail "the backup volume is not there" "$POSTGRES_BACKUP_DIR is no directory" \
        "Check the volume claim and its mount."
    source=$(mount_source)
    case $POSTGRES_BACKUP_EXPECTED_MOUNT in
        '') ;;
        any) [ -n "$source" ] || fail "the backup volume is not mounted" \
            "$POSTGRES_BACKUP_DIR is an ordinary folder, no mount point" \
            "Check the volume: a backup written here would be lost with the pod." ;;
        *) [ "${source%/}" = "${POSTGRES_BACKUP_EXPECTED_MOUNT%/}" ] || fail "the backup volume is not the expected one" \
            "expected ${POSTGRES_BACKUP_EXPECTED_MOUNT} at $POSTGRES_BACKUP_DIR, found ${source:-no mount}" \
            "Mount the right volume, or change postgres_backup_nfs." ;;
    esac
    if [ ! -r "$POSTGRES_BACKUP_DIR" ] || [ ! -x "$POSTGRES_BACKUP_DIR" ]; then
        fail_with 2 "the backup volume cannot be read" "$(ls -ld "$POSTGRES_BACKUP_DIR"), this runs as $(id)" "$ADVICE_PERMISSION"
    fi
}

ADVICE_PERMISSION="Let this user id write to the folder (on the NAS: the share's permissions and its squash setting), or set postgres_backup_run_as_user to the folder's owner."

# ------------------------------------------------------------------------------------------------- the result of a run

# result STATE: the run's JSON object; at most the given number of bytes where possible.
result() {
    printf '{"state":"%s","job":%s,"pod":%s,"attempts":%s,"started":"%s","finished":%s' "$1" \
        "$(json_or_null "$POSTGRES_BACKUP_JOB")" "$(json "$POSTGRES_BACKUP_POD")" "$attempts" "$started" \
        "$(if [ "$1" = running ]; then printf null; else json "$(now_iso)"; fi)"
    printf ',"reason":%s,"last_reason":%s,"signal":%s,"recovered_from":%s' "$reason" "$last_reason" "$(json_or_null "$ended_by")" "$recovered_from"
    printf ',"backup":%s,"bytes":%s,"sha256":%s,"uncompressed_bytes":%s' "$(json_or_null "$final_name")" \
        "${bytes:-null}" "$(json_or_null "$sha256")" "${uncompressed_bytes:-null}"
    printf ',"seconds":{%s},"server_version":%s,"client_version":%s,"compressor":%s,"read_back":%s' "$step_seconds" \
        "$(json_or_null "$server_version")" "$(json_or_null "$client_version")" "$(json_or_null "${compressor:-}")" \
        "$(json_or_null "$read_mode")"
    printf ',"skipped_databases":%s,"invalid_databases":%s,"deleted":%s,"warnings":[%s],"script_version":"%s"}' \
        "$skipped" "$invalid" "$deleted" "$warnings" "$VERSION"
}

# write_termination_message JSON STATE: what Kubernetes shows as the container's last words, 4,096 bytes at most.
write_termination_message() {
    message=$1
    if [ ${#message} -gt "$TERMINATION_MESSAGE_BYTES" ]; then
        skipped='[]' invalid='[]' warnings='"cut: see last-run.json on the volume"'
        message=$(result "$2")
    fi
    if [ -e "$POSTGRES_BACKUP_TERMINATION_LOG" ]; then
        printf '%s' "$message" 2>/dev/null >"$POSTGRES_BACKUP_TERMINATION_LOG" || :
    fi
}

warn() {
    log "WARNING: $1"
    warnings="$warnings${warnings:+,}$(json "$1")"
}

# end_step NAME [EPOCH]: notes the seconds since the last step ended; EPOCH is when this one did, without it now.
end_step() {
    step_now=${2:-$(now_epoch)}
    step_seconds="$step_seconds${step_seconds:+,}\"$1\":$((step_now - step_began))"
    step_began=$step_now
}

# fail WHAT FOUND ADVICE: ends a run that failed, or a list or prune that cannot be done.
fail() { fail_with 1 "$@"; }

fail_with() {
    trap '' TERM INT HUP USR1 USR2
    use_kept_streams
    exit_status=$1 what=$2 found=$3 advice=$4
    end_group "${step_group:-}"
    end_watch
    # First of all: what follows may have to wait for the volume.
    log "FAILED: $what"
    printf '%s\n' "$found" | while IFS= read -r line; do log "  found: $line"; done
    log "  what to do: $advice"
    if [ "$command" = run ]; then
        [ -n "$attempts" ] || take_over_earlier_attempt
        [ -z "$partial" ] || rm -f "$partial" 2>/dev/null
        this_reason=$(json "$(printf '%s: %s' "$what" "$found" | head -c 1500)")
        if [ "$reason" = null ]; then reason=$this_reason
        elif [ "$ended_at_start" = no ]; then last_reason=$this_reason
        else last_reason=$earlier_last_reason
        fi
        if [ -z "$final_name" ]; then sha256='' bytes='' uncompressed_bytes=''; fi
        failed_result=$(result failed)
        write_last_run "$failed_result" || log "last-run.json could not be written: the volume does not allow it"
        printf '%s\n' "$failed_result"
        write_termination_message "$failed_result" failed
    fi
    if [ "$command" = drill ]; then drill_failed; fi
    if [ "$command" = run ]; then
        report_older_backups
        [ "$reason" = "$this_reason" ] || log "  The first attempt of this Job failed: $reason"
    fi
    clean_up
    exit "$exit_status"
}

report_older_backups() {
    if [ "$can_list" = no ] || ! listing >"$work/listing" 2>/dev/null; then
        log "  Nothing was deleted."
        return 0
    fi
    older=$(newest_complete "$work/listing")
    if [ -n "$older" ]; then
        log "  Older backups are untouched; the newest complete one is ${older% *} ($(human_bytes "${older#* }"))."
    else
        log "  Nothing was deleted. No complete backup was found on the volume."
    fi
}

clean_up() {
    [ -z "${work:-}" ] || rm -rf "$work"
    work=
}

on_signal() {
    # Before there is a configuration nothing was begun.
    [ -n "${POSTGRES_BACKUP_TERMINATION_LOG:-}" ] || exit "$SIGTERM_STATUS"
    # Half published is neither kept nor failed: publish() looks at what came meanwhile.
    if [ "$publishing" = yes ]; then
        pending_signal=$1
        return 0
    fi
    if [ "$step" = dump ] && [ -e "$work/written" ]; then step=read_back; fi
    case $1 in
        USR1) fail "the run took longer than its time limit of $POSTGRES_BACKUP_TIME_LIMIT" "it was in the step: $step" \
            "Find out what it waited for (a lock, a slow volume), or raise postgres_backup_time_limit." ;;
        *)
            ended_by=$1
            if is_one_try_too_many; then
                ended_at_start=yes
                fail "this attempt was ended as it began (SIG$1)" "attempt $attempts; Kubernetes does that when the Job has reached its limit of tries" \
                    "Correct what ended the first attempt: the last line has its reason."
            fi
            fail "the run was ended from outside (SIG$1)" "it was in the step: $step" \
            "Somebody or something stopped the pod: a deletion, an eviction, a node that shut down. Kubernetes tries again where the Job allows it." ;;
    esac
}

# is_one_try_too_many: whether this is a further attempt that ends within its first seconds, by a signal: a Job with
# restartPolicy OnFailure (of an earlier version of the role) ends its last one so.
is_one_try_too_many() {
    [ "$step" = prepare ] && [ $(($(now_epoch) - step_began)) -le 5 ] || return 1
    [ -n "$attempts" ] || take_over_earlier_attempt
    [ "$attempts" -gt 1 ]
}

# ------------------------------------------------------------------------------------------------------------- run

# postgres_fault MESSAGE [STATUS]: sets `fault_advice`, what a person can do about a message of psql, pg_dumpall or pg_dump,
# which ended with this status, and `fault_status`, how a run ends with it. A wrong password counts as hopeless: a secret that is being exchanged is right
# in the next run, and whoever sets up the first one need not wait for three more tries.
postgres_fault() {
    fault_status=1
    # Names, which may hold any word, are in double quotes there; what was asked for is no error.
    fault_text=$(printf '%s\n' "$1" | sed -e 's/"[^"]*"/""/g' -e '/^pg_dump[a-z]*: .*[Qq]uery was: /d')
    # Where a login with TLS is refused, libpq tries one without it (sslmode prefer, and the other way round with allow):
    # that pg_hba.conf refuses that one is not the cause.
    case $fault_text in
        *'FATAL:  '*"$NEWLINE"*'FATAL:  '*)
            fault_first=$(printf '%s\n' "$fault_text" | sed -e '/FATAL:  \(no \)*pg_hba.conf .*, no encryption$/d' -e '/FATAL:  \(no \)*pg_hba.conf .*, SSL off$/d')
            case $fault_first in *'FATAL:  '*) fault_text=$fault_first ;; esac ;;
    esac
    case $fault_text in
        *'Try "" for more information'* | *'pg_dump'*': unrecognized option'* | *'pg_dump'*': invalid option -- '* | *'pg_dump'*': option requires an argument'* | \
            *'pg_dump'*': option '*' requires '* | *'pg_dump'*': option '*'is ambiguous'* | *'pg_dump'*': option '*"doesn't allow an argument"* | *'pg_dump'*': option does not take an argument'* | *'pg_dump'*': error: option'*' cannot be used together'* | \
            *'pg_dump'*': error: too many command-line arguments'* | *'pg_dump'*' must be in range '* | *'pg_dump'*': error: invalid value '* | *'pg_dump'*': error: invalid client encoding '* | \
            *'pg_dump'*': error: could not open filter file '* | *'pg_dump'*'filter read from'* | *'unrecognized output format'*)
            fault 2 "Correct postgres_backup_extra_args: this version of pg_dumpall does not accept what is there, and every run ends here until that is changed." ;;
        *'no pg_hba.conf entry'* | *'pg_hba.conf rejects '*)
            fault 2 "The server's pg_hba.conf does not let this user in from here, or not into that database, or not with this postgres_backup_sslmode: add a line for it. A database that nobody may enter is left out with --exclude-database=NAME in postgres_backup_extra_args." ;;
        *'password authentication failed'* | *'no password supplied'* | *'no password was provided'* | *'SASL authentication failed'*)
            fault 2 "The password in the secret is not the server's: compare postgres_backup_secret_name and postgres_backup_secret_key with the server's own." ;;
        *'Peer authentication failed'* | *'Ident authentication failed'*)
            fault 2 "The server's pg_hba.conf knows this user by the operating system (peer, ident), not by a password: add a line with scram-sha-256 for it." ;;
        *'certificate authentication failed'* | *'valid client certificate'* | *'certificate required'*)
            fault 2 "The server asks this user for a client certificate (cert or clientcert in its pg_hba.conf)." ;;
        *'certificate verify failed'* | *'certificate for "" does not match host name'* | *'certificate for "" (and '*'does not match host name'* | *'root certificate'* | *'certificate file'*)
            fault 2 "Check postgres_backup_sslmode and the CA that it is checked with (postgres_backup_ssl_ca)." ;;
        *'does not support SSL'*)
            fault 2 "The server does not offer TLS: set postgres_backup_sslmode to prefer or disable, or ssl = on in the server." ;;
        *'could not translate host name'*': Temporary failure in name resolution'* | *'could not translate host name'*': Try again'*)
            fault 1 "The cluster's DNS does not answer: look at its pods (kube-system), and at network policies of the backup's namespace." ;;
        *'could not translate host name'*)
            fault 1 "Check postgres_backup_host: the cluster's DNS does not know that name." ;;
        *'FATAL:  role "" does not exist'* | *'is not permitted to log in'*)
            fault 2 "Create the role in the server (CREATE ROLE … LOGIN), let it log in (ALTER ROLE … LOGIN), or set postgres_backup_user to one that can." ;;
        *'ERROR:  role "" does not exist'* | *'permission denied to set role'*)
            fault 2 "Correct the --role of postgres_backup_extra_args: the role must exist, and postgres_backup_user must be a member of it." ;;
        *'psql: '*'database "" does not exist'* | *'psql: '*'is not currently accepting connections'*)
            fault 2 "Set postgres_backup_database to a database that exists and allows connections; the run connects to it first, and dumps all of them." ;;
        *'cannot connect to invalid database'*)
            fault 2 "An interrupted DROP DATABASE left that database invalid: drop it (DROP DATABASE), or set postgres_backup_database to another one." ;;
        *'pg_dump'*'database "" does not exist'* | *'pg_dump'*'is not currently accepting connections'*)
            fault 1 "That database was dropped or closed while the run was at work: the next try has a new list of them." ;;
        *'too many connections'* | *'too many clients'* | *'remaining connection slots'*)
            fault 1 "The server has no connection left for this user: see max_connections, and the CONNECTION LIMIT of the role and of that database (-1 is none)." ;;
        *'unsupported startup parameter'* | *'FATAL:  no such database'* | *'FATAL:  no such user'*)
            fault 2 "That is the answer of a connection pooler: set postgres_backup_host and postgres_backup_port to PostgreSQL itself." ;;
        *'server_login_retry'* | *'query_wait_timeout'*)
            fault 1 "A connection pooler answered, and does not reach its server: set postgres_backup_host and postgres_backup_port to PostgreSQL itself." ;;
        *'row-level security'*)
            fault 2 "Row security hides rows of that table from this user, and the run does not leave out rows: ALTER ROLE … BYPASSRLS, or let postgres_backup_user be a superuser." ;;
        *'permission denied for '*pg_authid*)
            fault 2 "Only a superuser may read the passwords of roles: let postgres_backup_user be one, or put --no-role-passwords into postgres_backup_extra_args; the roles of a restore have no passwords then." ;;
        *'permission denied for database'*)
            fault 2 "Let the user connect to that database (GRANT CONNECT ON DATABASE … TO …), or leave it out with --exclude-database=NAME in postgres_backup_extra_args." ;;
        *'permission denied for large object'*)
            fault 2 "Let postgres_backup_user be a superuser: pg_read_all_data does not reach large objects. (Or GRANT SELECT ON LARGE OBJECT for each of them.)" ;;
        *'permission denied for foreign server'* | *'permission denied for foreign-data wrapper'*)
            fault 2 "Let the user use it (GRANT USAGE ON FOREIGN SERVER … TO …), or let postgres_backup_user be a superuser." ;;
        *'permission denied for '* | *'permission denied to '* | *'must be superuser'* | *'must be owner of'* | *'ERROR:  42501: '*)
            fault 2 "The user may not read everything: GRANT pg_read_all_data TO it (PostgreSQL 14 and later), or let postgres_backup_user be a superuser." ;;
        *'newline or carriage return'*)
            fault 2 "pg_dumpall refuses that name: rename the database or role (ALTER ... RENAME TO)." ;;
        *'server version mismatch'* | *'server version: '*)
            fault 2 "Use an image whose pg_dumpall is as new as the server (postgres_backup_image)." ;;
        *'conflict with recovery'*)
            fault 1 "The server is a standby, and what it replays cancelled the dump: set hot_standby_feedback = on or raise max_standby_streaming_delay there, or set postgres_backup_host to the primary." ;;
        *'lock timeout'*)
            fault 1 "$ADVICE_LOCK" ;;
        *'statement timeout'*)
            case $1 in
                *'LOCK TABLE'*) fault 1 "$ADVICE_LOCK" ;; # what pg_dump makes of its --lock-wait-timeout
                *) fault 1 "A statement_timeout of the role, the database or the server ended a query: ALTER ROLE … SET statement_timeout = 0 for this user." ;;
            esac ;;
        *'invalid page in block'* | *'could not read block'* | *'page verification failed'* | *'missing chunk number'* | *'unexpected chunk '* | *'chunk number '*' for toast value'* | *'compressed pglz data is corrupt'* | *'compressed lz4 data is corrupt'* | *'could not access status of transaction'*)
            fault 1 "The data of that database are damaged on the server's disk, and no dump of them is possible before they are repaired: keep the older backups, look at the server's log and disk, and restore what is damaged from a backup." ;;
        *'could not access file ""'* | *'could not load library'* | *'could not find function "" in file'*)
            fault 1 "The server lacks the library of an extension: install the extension's package there (in the version that the database has), or DROP EXTENSION." ;;
        *'ERROR:  '*'No space left on device'* | *'FATAL:  '*'No space left on device'*)
            fault 1 "The server's own disk is full (not the backup volume): free space there." ;;
        *'ERROR:  could not open file ""'* | *'ERROR:  could not read file ""'* | *'ERROR:  could not stat file ""'* | *'FATAL:  could not open file ""'* | *'FATAL:  could not read file ""'*)
            fault 1 "The server cannot read one of its own files: look at its log and its disk." ;;
        *'out of shared memory'* | *'max_locks_per_transaction'*)
            fault 1 "pg_dump locks every table of a database at once: raise max_locks_per_transaction in the server (and restart it)." ;;
        *'invalid memory alloc request size'* | *'string buffer exceeds'* | *'Cannot enlarge string buffer'*)
            fault 1 "A row is too large to be written as text (1 GB at most), or damaged: look at the table that is named." ;;
        *'ERROR:  out of memory'* | *'FATAL:  out of memory'*)
            fault 1 "The server had too little memory for the query (not this pod): look at its log, and raise its memory limit." ;;
        *'pg_dump'*': out of memory'* | *'out of memory for query result'* | *'psql: '*'out of memory'*)
            fault 1 "This pod had too little memory: raise the limit in postgres_backup_resources; pg_dump holds a whole row, several times over." ;;
        *'has no equivalent in encoding'*)
            fault 2 "A text of that database has no equivalent in the encoding that was asked for: leave --encoding (-E) out of postgres_backup_extra_args." ;;
        *'with OID '*' does not exist'* | *'cache lookup failed'* | *'could not open relation with OID'* | *'ERROR:  relation "" does not exist'*)
            fault 1 "Something was dropped while the dump read about it, and the next try does not meet it. When every run ends so, the catalog of that database is damaged: look at the server's log." ;;
        *'unrecognized configuration parameter'*)
            fault 1 "The server does not know a setting that every PostgreSQL of its version has: is postgres_backup_host a connection pooler or another product? Set it to PostgreSQL itself." ;;
        *'Connection refused'* | *'timeout expired'* | *'onnection timed out'* | *'No route to host'* | *'Network is unreachable'* | *'starting up'* | *'shutting down'* | *'in recovery mode'* | *'not yet accepting connections'*)
            fault 1 "$ADVICE_NOT_READY" ;;
        *'server closed the connection'* | *'terminating connection'* | *'connection to server was lost'* | *'unexpected eof'* | *'SSL SYSCALL error'* | *'SSL connection has been closed'* | *'Connection reset by peer'*)
            fault 1 "PostgreSQL went away during the dump: look at its log (restart, out of memory, crash)." ;;
        *'SSL error'* | *'SSL negotiation'* | *'SSL required'*) fault 1 "Check postgres_backup_sslmode, and the server's ssl settings." ;;
        *'Killed'*'pg_dump failed'* | 'pg_dumpall: error: pg_dump failed'* | 'pg_dumpall: error: pg_dump was terminated'*)
            fault 1 "$ADVICE_KILLED" ;; # pg_dump itself left no word
        *)
            if [ "${2:-}" = "$SIGKILL_STATUS" ]; then fault 1 "$ADVICE_KILLED"; return; fi
            case $fault_text in
                *'ERROR:  '* | *'FATAL:  '*) fault 1 "Read the message above: it is the server's own, and its log may say more." ;;
                *) fault 1 "Read the message above; it is PostgreSQL's own." ;;
            esac ;;
    esac
}

fault() { fault_status=$1 fault_advice=$2; }

ADVICE_KILLED="Something killed it; when it was memory, raise the limit in postgres_backup_resources: pg_dump holds a whole row, several times over."
ADVICE_NOT_READY="Check that PostgreSQL runs and that its service has a ready pod (kubectl get pods), and postgres_backup_host and postgres_backup_port."
ADVICE_LOCK="Another session holds a lock (see pg_locks and pg_stat_activity): end it, or raise postgres_backup_lock_timeout."

# postgres_advice MESSAGE: prints what a person can do about it.
postgres_advice() {
    postgres_fault "$1"
    printf '%s\n' "$fault_advice"
}

# fail_by_postgres WHAT MESSAGE STATUS: ends the run with a message of psql or pg_dumpall, and how that ended.
fail_by_postgres() {
    postgres_fault "$2" "$3"
    fail_with "$fault_status" "$1" "$2" "$fault_advice"
}

# take_over_earlier_attempt: what last-run.json tells of an earlier attempt of this Job, or of a run that was cut off.
# `attempts` comes last: where a signal found it empty, fail_with does this again.
take_over_earlier_attempt() {
    this_attempt=1 reason=null last_reason=null recovered_from=null earlier_last_reason=null
    earlier=$(last_run)
    earlier_state=$(json_field state "$earlier")
    earlier_job=$(json_field job "$earlier")
    earlier_attempts=$(json_field attempts "$earlier")
    if [ -n "$earlier" ] && [ -n "$POSTGRES_BACKUP_JOB" ] && [ "$earlier_job" = "$(json "$POSTGRES_BACKUP_JOB")" ] && [ "$earlier_state" != '"succeeded"' ]; then
        is_whole_number "$earlier_attempts" || earlier_attempts=1
        this_attempt=$((earlier_attempts + 1))
        reason=$(json_field reason "$earlier")
        earlier_last_reason=$(json_field last_reason "$earlier")
        : "${earlier_last_reason:=null}"
        case $reason in
            '"'*) ;;
            *) reason=$(json "attempt $earlier_attempts was interrupted before it could write its result (killed, out of memory, or the node went away)") ;;
        esac
        log "attempt $this_attempt of this Job; the first failed: $reason"
    elif [ "$earlier_state" = '"interrupted"' ]; then
        warn "the run before this one (job $earlier_job, started $(json_field started "$earlier")) was interrupted before it could write its result"
    fi
    attempts=$this_attempt
}

# remove_stale_partials: those of this pod's earlier attempts, of earlier pods of this Job (evicted, say: such a pod is
# dead or about to be), and whatever is a day old. (The beginning of a pod's name has 58 characters at most.)
remove_stale_partials() {
    find "$POSTGRES_BACKUP_DIR" -maxdepth 1 -type f \( -name ".$name_pattern.$POSTGRES_BACKUP_POD.partial" \
        -o -name ".$name_pattern.$(printf '%.58s' "${POSTGRES_BACKUP_JOB:-/}-")?????.partial" \
        -o \( -name ".$name_pattern.*.partial" -mmin +1440 \) \) -exec rm -f {} + 2>/dev/null
    find "$POSTGRES_BACKUP_DIR" -maxdepth 1 -type f \( -name '.last-run.json.*' -o -name ".$name_pattern.sha256.*" \
        -o -name ".$name_pattern.damaged.*" \) -mmin +1440 -exec rm -f {} + 2>/dev/null
}

# ask_server: sets what the header and the result say of the server.
ask_server() {
    run_group _ask
    answered=$(now_epoch)
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
    client_says=$(pg_dumpall --version 2>/dev/null)
    client_status=$?
    [ "$client_status" -lt 128 ] || fail "pg_dumpall failed" "pg_dumpall --version ended $(status_in_words "$client_status")" \
        "Something killed it; when it was memory, raise the limit in postgres_backup_resources."
    client_version=$(printf '%s\n' "$client_says" | sed -n 's/^pg_dumpall (PostgreSQL) \([^ ]*\).*/\1/p')
    client_major=${client_version%%[!0-9]*}
    if ! is_whole_number "$client_major" || ! is_whole_number "$server_version_num"; then
        fail_with 2 "the versions cannot be compared" "pg_dumpall says '$client_version', the server '$server_version'" \
            "Use an image with PostgreSQL's own pg_dumpall."
    fi
    if [ "$client_major" -lt $((server_version_num / 10000)) ]; then
        fail_with 2 "pg_dumpall is older than the server" "pg_dumpall $client_version, server $server_version" \
            "Use an image of the server's major version: unset postgres_backup_image, or set it to one of PostgreSQL $((server_version_num / 10000))."
    fi
    clock_difference=$((answered - server_epoch))
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

# explain_dump: ends the run with the cause when a process of the dump failed. Of several failures the one nearest to
# the volume is the cause: a broken pipe (SIGPIPE) or our own SIGTERM is a consequence.
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
                "$name ended $(status_in_words "$(stage_status_of "$name")")" "Something killed its processes: look at the pod's events and the node's log."
        done
        return 0
    fi
    message=
    [ "$cause" != dump ] || message=$(dump_errors)
    [ -n "$message" ] || message=$(stage_message_of "$cause")
    # Of what was killed nothing but the shell's "Killed" may be there.
    if [ -z "$message" ] || [ "$status" = "$SIGKILL_STATUS" ]; then
        message="$cause ended $(status_in_words "$status")${message:+: $message}"
    fi
    case $cause in
        write | follow | split) fail_write "$message" ;;
        dump) fail_by_postgres "pg_dumpall failed" "$message" "$status" ;;
        compress) fail "the compressor $compressor failed" "$message" "Its memory limit may be too small (postgres_backup_resources), or the program is broken: try another postgres_backup_compressor." ;;
        check | count | text | end) fail "the compressed dump cannot be read back" "$message" "The compressor $compressor wrote something that is not gzip: try another postgres_backup_compressor." ;;
        *) fail "the dump could not be hashed" "$message" "Look at the message; the image's sha256sum may be broken." ;;
    esac
}

status_in_words() {
    case $1 in
        none) echo "without a status (it was killed)" ;;
        "$SIGPIPE_STATUS") echo "by SIGPIPE" ;;
        "$SIGTERM_STATUS") echo "by SIGTERM" ;;
        "$SIGKILL_STATUS") echo "by SIGKILL (status 137; often: out of memory)" ;;
        *) echo "with status $1" ;;
    esac
}

# fail_write MESSAGE [FAULT]: the volume did not take a file; FAULT is write_text's.
fail_write() {
    case ${2:-}:$1 in
        full:* | *'No space left'* | *'quota exceeded'*)
            [ -z "$partial" ] || rm -f "$partial" 2>/dev/null
            fail "the backup volume is full" "$1 (without this run $(human_bytes "$(free_bytes)") of $(human_bytes "$(volume_bytes)") are free)" \
                "Make room or enlarge the volume (postgres_backup_storage_size, the share's quota), or keep fewer backups (postgres_backup_keep_*)." ;;
        *'Permission denied'* | *'Operation not permitted'*)
            fail_with 2 "the backup volume cannot be written" "$1; $(ls -ld "$POSTGRES_BACKUP_DIR" 2>&1), this runs as $(id)" "$ADVICE_PERMISSION" ;;
        *'Read-only file system'*)
            fail "the backup volume is read-only" "$1" "Mount it read-write; a file system with errors is often switched to read-only by its server." ;;
        *) fail "the backup volume failed" "$1" "Look at the storage behind the volume and its connection: the file could not be written." ;;
    esac
}

run() {
    step=prepare step_began=$(now_epoch) step_seconds='' step_group='' watch_group='' partial=''
    started=$(now_iso) attempts='' warnings='' deleted=0 skipped='[]' invalid='[]'
    publishing=no pending_signal='' ended_by='' ended_at_start=no
    final_name='' sha256='' bytes='' uncompressed_bytes='' server_version='' client_version='' read_mode='' can_list=no
    keep_streams
    catch_signals TERM INT HUP USR1
    read_configuration
    require_tools psql pg_dumpall awk cp cut dd find grep gzip head mkfifo mktemp sed sha256sum sort stat sync tail tee touch tr
    make_work_folder
    time_of_name=$(date -u +%Y-%m-%d-%H%M%S)

    prepare
    step=dump
    dump
    step=read_back
    read_back
    step=publish
    publish
    step=check_unchecked
    check_unchecked
    step=retention
    retain
    end_step retention

    end_watch
    # A signal after this point finds a finished run.
    trap '' TERM INT HUP USR1
    recovered_from=$reason reason=null last_reason=null
    succeeded=$(result succeeded)
    write_last_run "$succeeded" || warn "last-run.json could not be written"
    write_termination_message "$succeeded" succeeded
    log "OK: $final_name, $(human_bytes "$bytes"), proven whole; deleted by retention: $deleted"
    printf '%s\n' "$succeeded"
    clean_up
}

prepare() {
    check_volume
    can_list=yes
    take_over_earlier_attempt
    remove_stale_partials
    write_last_run "$(result running)" || fail_write "$message" "$write_fault"
    listing >"$work/listing" || fail "the volume cannot be listed" "find or awk failed" "Look at the messages above."
    last_backup=$(newest_complete "$work/listing")
    free=$(free_bytes)
    if [ -n "$last_backup" ] && [ "$(awk -v free="$free" -v need="${last_backup#* }" 'BEGIN { print (free < need) }')" = 1 ]; then
        fail "the backup volume has too little room" "$(human_bytes "$free") free, the last backup took $(human_bytes "${last_backup#* }")" \
            "Make room or enlarge the volume (postgres_backup_storage_size, the share's quota), or keep fewer backups (postgres_backup_keep_*)."
    fi
    partial=$POSTGRES_BACKUP_DIR/.$POSTGRES_BACKUP_NAME-$time_of_name.sql.gz.$POSTGRES_BACKUP_POD.partial
    start_group _watch "$$" "$time_limit_seconds" "$partial"
    watch_group=$group
    ask_server
    write_header
    message=$( { (set -C; : >"$partial"); } 2>&1) || fail_write "${message:-the partial could not be created}"
    log "server $PGHOST:$PGPORT, PostgreSQL $server_version; pg_dumpall $client_version; compressor $compressor; $(human_bytes "$free") free"
    end_step prepare
}

dump() {
    log "dumping every database to ${partial##*/}"
    clear_stages
    run_group _dump "$partial"
    explain_dump
    [ "$step_status" -eq 0 ] || fail "the dump was cut off" "its processes ended $(status_in_words "$step_status")" "Look at the messages above."
    is_whole_dump || fail "the dump is not whole" "pg_dumpall ended with status 0, but its text does not end as a whole dump does ('-- PostgreSQL database cluster dump complete')" \
        "Look for a wrapper around pg_dumpall in the image, and at postgres_backup_extra_args."
    remarks=$(stage_message_of dump)
    [ -z "$remarks" ] || warn "pg_dumpall remarked: $remarks"
    sha256=$(cut -c 1-64 "$work/hash")
    bytes=$(stat -c %s "$partial")
    uncompressed_bytes=$(tr -d ' \n' <"$work/count")
    end_step dump "$(cat "$work/written")"
    log "dumped: $(human_bytes "$uncompressed_bytes") of SQL, $(human_bytes "$bytes") compressed, flushed to the volume; the dump is whole"
}

# is_whole_dump: whether the text that was decompressed last ends as a whole dump does.
is_whole_dump() {
    case $(tr '\000' '?' <"$work/end"; echo x) in *"${DUMP_END}x") ;; *) return 1 ;; esac
}

# read_back: what the last part of the step found.
read_back() {
    read_mode=$(cat "$work/read_mode" 2>/dev/null)
    for name in read read_hash; do
        [ "$(stage_status_of "$name")" = 0 ] || fail "the backup cannot be read back from the volume" \
            "$(stage_message_of "$name"; status_in_words "$(stage_status_of "$name")")" "Look at the storage behind the volume."
    done
    found_hash=$(cut -c 1-64 "$work/found_hash")
    [ "$found_hash" = "$sha256" ] || fail "the volume does not hold what was written" \
        "sha256 $sha256 was written, $found_hash was read back" "The storage is not reliable, or somebody changed the file: check disk, memory and network of the NAS."
    end_step read_back
    case $read_mode in
        direct) log "read back from the server, past this machine's cache: the hash is equal" ;;
        *) log "read back (this file system does not allow reading past the cache): the hash is equal" ;;
    esac
}

# publish: sidecar, then rename. The sidecar reserves the name: two runs in one second end up as two backups.
publish() {
    chmod "$file_mode" "$partial" 2>/dev/null || warn "the volume does not let a file's mode be set to $file_mode"
    candidate=$POSTGRES_BACKUP_NAME-$time_of_name.sql.gz
    tries=0
    publishing=yes
    while :; do
        if [ ! -e "$POSTGRES_BACKUP_DIR/$candidate" ] && [ ! -L "$POSTGRES_BACKUP_DIR/$candidate" ]; then
            sidecar=$POSTGRES_BACKUP_DIR/$candidate.sha256
            line="$sha256  $candidate"
            if message=$( (set -C; : >"$sidecar") 2>&1); then break; fi
            [ -e "$sidecar" ] || [ -L "$sidecar" ] || fail_write "${message:-the sidecar could not be created}"
        fi
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || fail "no free name for the backup" "$candidate and the $tries seconds before it are taken" "Look at the files on the volume."
        candidate=$POSTGRES_BACKUP_NAME-$(next_second "${candidate#"$POSTGRES_BACKUP_NAME-"}").sql.gz
    done
    if ! write_text "$sidecar" "$line"; then
        rm -f "$sidecar" 2>/dev/null
        fail_write "$message" "$write_fault"
    fi
    chmod "$file_mode" "$sidecar" 2>/dev/null || :
    if [ -n "$pending_signal" ]; then
        rm -f "$sidecar" 2>/dev/null
        publishing=no
        on_signal "$pending_signal"
    fi
    # A hard link refuses an existing name; where the file system has none, a rename.
    if ln "$partial" "$POSTGRES_BACKUP_DIR/$candidate" 2>/dev/null; then
        rm -f "$partial"
    elif [ -e "$POSTGRES_BACKUP_DIR/$candidate" ] || ! message=$(mv "$partial" "$POSTGRES_BACKUP_DIR/$candidate" 2>&1); then
        rm -f "$sidecar" 2>/dev/null
        fail_write "${message:-$candidate appeared while the run was at work}"
    fi
    partial=
    sync "$POSTGRES_BACKUP_DIR" 2>/dev/null || :
    final_name=$candidate
    publishing=no
    [ -z "$pending_signal" ] || on_signal "$pending_signal"
    end_step publish
    log "published as $final_name with its sidecar"
}

# next_second TIME.sql.gz: the name's time one second later.
next_second() {
    stamp=${1%.sql.gz}
    clock=${stamp##*-}
    day=${stamp%-*}
    epoch=$(date -u -d "$day $(printf %s "$clock" | sed 's/\(..\)\(..\)\(..\)/\1:\2:\3/')" +%s)
    date -u -d "@$((epoch + 1))" +%Y-%m-%d-%H%M%S
}

# damage_of FACTS BYTES: why a text of so many bytes, of which sections.awk found these facts, is not one complete dump of
# all databases; nothing where it is.
damage_of() {
    awk -v bytes="$2" '
        $1 == "kind" { kind = $2 }
        $1 == "bytes" { zeros = bytes - $2 }
        $1 == "reason" { key = $2; line = "line " $3; detail = $0; sub(/^reason [^ ]* [^ ]* ?/, "", detail) }
        END {
            if (key !~ /^(format|product|empty)$/ && zeros > 0) key = zeros * 4 >= bytes ? "encoding" : key == "" || key == "rows" ? "zeros" : key
            if (key == "" && kind == "database") print "it is a dump of one database (pg_dump), not of all of them (pg_dumpall)"
            else if (key == "message") print line " of its text is neither a statement that dumps have nor a comment: was the message of a program written into it (2>&1, kubectl exec -t)?"
            else if (key == "command") print line " of its text is a command of psql that no dump has"
            else if (key == "rows") print line " of its text, among the rows of a table, is not a row that PostgreSQL accepts: the table would stay empty"
            else if (key == "zeros") print "its text holds NUL bytes, which no dump does"
            else if (key == "cut" && detail == "newline") print "its last bytes are missing: all statements are there, but it does not end as pg_dumpall ends a dump"
            else if (key == "cut" && detail == "transaction") print "it begins a transaction and does not commit it: psql would restore nothing of it"
            else if (key == "cut") print "it is cut off: it ends before the dump does"
            else if (key == "after") print "something follows the end of the dump"
            else if (key == "two") print "it holds more than one dump"
            else if (key == "product") print "it is a dump of another product (" detail ")"
            else if (key == "encoding") print "its text is UTF-16 or UTF-32, as PowerShell writes it, which psql cannot read"
            else if (key == "format" && detail == "gzip") print "it was compressed twice"
            else if (key == "format") print "it is in the " detail " format of pg_dump, which pg_restore reads, not the SQL text of pg_dumpall"
            else if (key == "empty") print "its text is empty: the program that should have written it failed"
            else if (key != "") print "it is not a dump of pg_dumpall"
        }' "$1"
}

# what_instead_of_gzip FILE: what a file is that does not begin as gzip data does, where that is known.
what_instead_of_gzip() {
    begin=$(head -c 512 "$1" 2>/dev/null | tr '\000' '\001'; echo x)
    instead=
    case $begin in
        x) instead="an empty file" ;;
        "$(printf '\037\213')"*) return ;;
        "$(printf '\050\265\057\375')"*) instead="zstd data: decompress it, and compress it with gzip" ;;
        "$(printf '\3757zXZ')"*) instead="xz data: decompress it, and compress it with gzip" ;;
        BZh[0-9]*) instead="bzip2 data: decompress it, and compress it with gzip" ;;
        "$(printf '\004\042\115\030')"*) instead="lz4 data: decompress it, and compress it with gzip" ;;
        "$(printf 'PK\003\004')"*) instead="a ZIP archive: unpack it, and compress the dump with gzip" ;;
        PGDMP*) instead="pg_dump's custom format, which pg_restore reads" ;;
        "$(printf '\377\376')"* | "$(printf '\376\377')"*) instead="UTF-16 text, as PowerShell writes it" ;;
        "$(printf '\001\001\001\001\001\001\001\001')"*) instead="zeros: its content was never written to the volume" ;;
        -----BEGIN* | age-encryption.org*) instead="encrypted: decrypt it first" ;;
        "$(printf '\357\273\277')"* | --* | SET* | CREATE*) instead="plain SQL: compress it with gzip" ;;
        *) [ "$(printf '%s' "$begin" | tr -d '\011\012\015\040-\377')" ] || instead="plain text" ;;
    esac
    printf 'it is not gzip data%s' "${instead:+ ($instead)}"
}

# check_unchecked: backups that another script made, unchanged for an hour, become complete or damaged.
check_unchecked() {
    listing >"$work/listing" || return 0
    sed -n '/"state":"unchecked"/s/.*"name":"\([^"]*\)".*/\1/p' "$work/listing" >"$work/unchecked"
    while IFS= read -r unchecked <&3; do
        file=$POSTGRES_BACKUP_DIR/$unchecked
        [ -n "$(find "$file" -mmin +60 2>/dev/null)" ] || continue
        log "checking $unchecked, which has no sidecar"
        before=$(stat -c '%s %Y' "$file" 2>/dev/null) || continue
        clear_stages
        run_group _check "$file"
        case $(stage_status_of read) in
            0 | "$SIGPIPE_STATUS") ;; # what decompresses may end early where it finds damage
            *) warn "$unchecked could not be read: $(stage_message_of read)"; continue ;;
        esac
        if [ "$(stat -c '%s %Y' "$file" 2>/dev/null)" != "$before" ]; then
            warn "$unchecked changed while it was checked; the next run tries again"
            continue
        fi
        damage=
        case $(stage_status_of check) in
            0)
                [ "$(stage_status_of hash)" = 0 ] || { warn "$unchecked could not be hashed: $(stage_message_of hash)"; continue; }
                [ "$(stage_status_of end)" = 0 ] || { warn "$unchecked could not be checked: awk ended $(status_in_words "$(stage_status_of end)")"; continue; }
                damage=$(damage_of "$work/end" "$(tr -d ' \n' <"$work/count")") ;;
            1 | 2) damage=$(what_instead_of_gzip "$file")
                [ -n "$damage" ] || damage="gzip cannot read it: $(stage_message_of check | grep -m 1 .)" ;;
            *) warn "$unchecked could not be checked: gzip ended $(status_in_words "$(stage_status_of check)")"; continue ;;
        esac
        if [ -n "$damage" ]; then
            replace_text "$file.damaged" "$damage (checked $(now_iso))" || warn "$unchecked could not be marked as damaged: $message"
            warn "$unchecked is damaged: $damage"
        elif [ -e "$file.sha256" ] && [ ! -f "$file.sha256" ]; then
            warn "no sidecar could be written for $unchecked: $unchecked.sha256 is no file"
        else
            [ ! -e "$file.sha256" ] || warn "the sidecar of $unchecked did not name it and is replaced"
            if replace_text "$file.sha256" "$(cut -c 1-64 "$work/hash")  $unchecked"; then
                log "$unchecked is whole; it has a sidecar now"
            else
                warn "no sidecar could be written for $unchecked: $message"
            fi
        fi
    done 3<"$work/unchecked"
    end_step check_unchecked
}

# ----------------------------------------------------------------------------------------------------------- retention

retain() {
    if [ "$clock_difference" -gt "$CLOCK_TOLERANCE_SECONDS" ] || [ "$clock_difference" -lt "-$CLOCK_TOLERANCE_SECONDS" ]; then
        warn "retention was left out: this machine's clock differs from the server's by $clock_difference seconds; set the clocks right"
        return 0
    fi
    listing >"$work/listing" || { warn "retention was left out: the volume could not be listed"; return 0; }
    delete_planned
    [ -z "$not_deleted" ] || warn "retention could not delete:$not_deleted"
}

# delete_planned: deletes what $work/plan says, the backup before its sidecar, and the sidecars of backups gone.
# $work/deleted gets a line of name and bytes each; sets `deleted` (their number) and `not_deleted` (names).
delete_planned() {
    deleted=0 not_deleted=
    : >"$work/deleted"
    while IFS=' ' read -r name bytes_freed <&3; do
        file=$POSTGRES_BACKUP_DIR/$name
        # Somebody may have asked to keep it since the volume was listed.
        [ ! -e "$file.keep" ] || continue
        rm -f "$file" 2>/dev/null
        # Another run's retention may have been faster: that is no failure.
        if [ ! -e "$file" ] && [ ! -L "$file" ]; then
            rm -f "$file.sha256" "$file.damaged" 2>/dev/null
            deleted=$((deleted + 1))
            printf '%s %s\n' "$name" "$bytes_freed" >>"$work/deleted"
            log "deleted $name"
        else
            not_deleted="$not_deleted $name"
        fi
    done 3<"$work/plan"
    [ -s "$work/orphans" ] || return 0
    while IFS= read -r name <&3; do
        file=$POSTGRES_BACKUP_DIR/$name
        if [ ! -e "$file" ] && [ ! -L "$file" ]; then
            # A fresh sidecar may belong to a run that is about to publish.
            find "$POSTGRES_BACKUP_DIR" -maxdepth 1 -type f \( -name "$name.sha256" -o -name "$name.damaged" \) -mmin +60 -exec rm -f {} + 2>/dev/null
        fi
    done 3<"$work/orphans"
}

# open_volume: what list and prune need before they start.
open_volume() {
    require_tools awk cp cut find grep head mktemp sed sort stat tail tr
    check_volume
    make_work_folder
    trap 'exit 143' TERM
    trap 'exit 130' INT
    listing >"$work/listing" || fail "the volume cannot be listed" "find or awk failed" "Look at the messages above."
    cat "$work/listing"
}

list() {
    read_configuration
    open_volume
    last=$(last_run)
    rehearsed=$(last_drill)
    printf '{"type":"volume","path":%s,"source":%s,"size_bytes":%s,"free_bytes":%s,"script_version":"%s",' \
        "$(json "$POSTGRES_BACKUP_DIR")" "$(json_or_null "$(mount_source)")" "$(volume_bytes)" "$(free_bytes)" "$VERSION"
    printf '"policy":{"keep_last":%s,"keep_daily":%s,"keep_weekly":%s,"keep_monthly":%s,"keep_yearly":%s,"keep_within":%s},"last_drill":%s,"last_run":%s}\n' \
        "$POSTGRES_BACKUP_KEEP_LAST" "$POSTGRES_BACKUP_KEEP_DAILY" "$POSTGRES_BACKUP_KEEP_WEEKLY" "$POSTGRES_BACKUP_KEEP_MONTHLY" \
        "$POSTGRES_BACKUP_KEEP_YEARLY" "$(json "$POSTGRES_BACKUP_KEEP_WITHIN")" "${rehearsed:-null}" "${last:-null}"
}

# prune DRY_RUN: true or false.
prune() {
    dry_run=$1
    read_configuration
    open_volume
    not_deleted=
    if [ "$dry_run" = true ]; then planned=$work/plan; else planned=$work/deleted; delete_planned; fi
    awk -v dry_run="$dry_run" -v not_deleted="$not_deleted" '
        BEGIN { printf "{\"type\":\"prune\",\"dry_run\":%s,\"deleted\":[", dry_run }
        { printf "%s\"%s\"", (NR > 1 ? "," : ""), $1; freed += $2 }
        END {
            count = split(not_deleted, name, " ")
            printf "],\"failed\":["
            for (i = 1; i <= count; i++) printf "%s\"%s\"", (i > 1 ? "," : ""), name[i]
            printf "],\"freed_bytes\":%.0f}\n", freed
        }
    ' "$planned"
    if [ -n "$not_deleted" ]; then
        fail "not everything could be deleted" "still there:$not_deleted" "$ADVICE_PERMISSION"
    fi
}

command=${1-}
script_files='backup.sh retention.awk'
case $command in
    run) script_files="$script_files sections.awk" ;;
    drill | _drill_*)
        script_files="$script_files feeding.sh globals.awk sections.awk drill.sh"
        # shellcheck source=roles/postgres_backup/files/feeding.sh
        . "${SCRIPT%/*}/feeding.sh"
        # shellcheck source=roles/postgres_backup/files/drill.sh
        . "${SCRIPT%/*}/drill.sh"
        ;;
    _restore | _restore_step)
        script_files="$script_files feeding.sh globals.awk restore.sh"
        # shellcheck source=roles/postgres_backup/files/feeding.sh
        . "${SCRIPT%/*}/feeding.sh"
        # shellcheck source=roles/postgres_backup/files/restore.sh
        . "${SCRIPT%/*}/restore.sh"
        ;;
esac
case "$*" in
    run) run ;;
    list) list ;;
    prune) prune false ;;
    'prune --dry-run') prune true ;;
    drill) drill ;;
    help | --help | -h) usage ;;
    _ask) step_ask ;;
    '_dump '?*) step_dump "$2" ;;
    '_follow '?*) step_follow "$2" ;;
    '_check '?*) step_check "$2" ;;
    '_watch '?*) step_watch "$2" "$3" "$4" ;;
    _drill_prepare) drill_prepare ;;
    _drill_record) drill_record ;;
    '_drill_facts '?*) step_drill_facts "$2" ;;
    '_drill_text '?*) step_drill_text "$2" ;;
    '_drill_hash '?*) step_drill_hash "$2" ;;
    _drill_initdb) step_drill_initdb ;;
    _drill_server) step_drill_server ;;
    _drill_globals) step_drill_globals ;;
    _drill_restore) step_drill_restore ;;
    _drill_count) step_drill_count ;;
    '_drill_watch '?*) step_drill_watch "$2" "$3" "$4" "$5" ;;
    _restore) restore ;;
    '_restore_step '?*) restore_step "$2" ;;
    *)
        usage >&2
        exit_status=2
        exit 2
        ;;
esac; exit # on one line: a shell reads its script as it goes, and the file may be another one by now
""",
    "retention.awk": r"""# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What retention says of each backup on a volume, newest first, one JSON object a line.
#
# Input, sorted by `LC_ALL=C sort -r`, so that all lines of a backup stand together and the newest backup is first:
#   <backup> TAB B TAB <bytes>            a regular file with a backup's name
#   <backup> TAB S TAB <line>             the first line of its sidecar <backup>.sha256
#   <backup> TAB D TAB <line>             <backup>.damaged exists; one more such line may hold its first line
#   <backup> TAB K                        <backup>.keep exists
# Variables: prefix (of the names), now (seconds since 1970), keep_last, keep_daily, keep_weekly, keep_monthly,
# keep_yearly (whole numbers), keep_within (as the user wrote it) and within_seconds, plan (a file that gets what is to
# be deleted, the oldest first: name, space, bytes), orphans (one that gets the names of backups that are gone but left a
# sidecar).
#
# Must run unchanged under mawk, gawk and busybox awk: no {n} intervals, "%.0f" for every large number.

BEGIN { FS = "\t"; count = 0; current = "" }

$1 != current { finish(); start($1) }
$2 == "B" { is_file = 1; bytes = $3 }
$2 == "S" { sidecar = rest() }
$2 == "D" { is_damaged = 1; if (rest() != "") damage = rest() }
$2 == "K" { is_pinned = 1 }

END {
    finish()
    choose()
    for (i = 1; i <= count; i++) print_backup(i)
    for (i = count; i > 0 && plan != ""; i--) if (verdict[i] == "delete") printf "%s %.0f\n", name[i], size[i] > plan
}

function rest() { return substr($0, length($1) + length($2) + 3) }

function start(backup) {
    current = backup
    is_file = 0; is_damaged = 0; is_pinned = 0
    bytes = 0; sidecar = ""; damage = ""
}

function finish(    epoch, hash) {
    if (current == "") return
    epoch = created_epoch(current)
    if (epoch == "") return
    if (!is_file) {
        if (orphans != "" && (sidecar != "" || is_damaged)) print current > orphans
        return
    }
    count++
    name[count] = current
    created[count] = epoch
    size[count] = bytes
    pinned[count] = is_pinned
    future[count] = (epoch > now + 300)
    hash = substr(sidecar, 1, 64)
    state[count] = "unchecked"
    sha256[count] = ""
    if (length(hash) == 64 && hash ~ /^[0-9a-f]+$/ && substr(sidecar, 65) == "  " current) {
        state[count] = "complete"
        sha256[count] = hash
    } else if (is_damaged) {
        state[count] = "damaged"
        reason_damaged[count] = damage
    }
}

# The rules of keeping. Backups are numbered from the newest (1) to the oldest (count), so that all of a period stand
# together. What no rule asks for any more is not worked out: volumes of ten thousand backups are listed in a second.
function choose(    i, newest, taken, day, week, month, year, stamp, kept_slots, oldest_kept) {
    newest = 0
    oldest_kept = ""
    for (i = 1; i <= count; i++) {
        why[i] = ""
        if (pinned[i]) add(i, "kept by hand")
        if (future[i]) { add(i, "dated in the future"); continue }
        if (state[i] != "complete") continue
        if (!newest) newest = i
        if (pinned[i]) { oldest_kept = created[i]; continue }
        taken++
        stamp = substr(name[i], length(prefix) + 2)
        if (taken <= keep_last) add(i, "last")
        day = substr(stamp, 1, 10)
        if (days < keep_daily && day != last_day) { last_day = day; days++; add(i, "daily " day) }
        if (weeks < keep_weekly) {
            week = iso_week(number(substr(stamp, 1, 4)), number(substr(stamp, 6, 2)), number(substr(stamp, 9, 2)))
            if (week != last_week) { last_week = week; weeks++; add(i, "weekly " week) }
        }
        month = substr(stamp, 1, 7)
        if (months < keep_monthly && month != last_month) { last_month = month; months++; add(i, "monthly " month) }
        year = substr(stamp, 1, 4)
        if (years < keep_yearly && year != last_year) { last_year = year; years++; add(i, "yearly " year) }
        if (within_seconds > 0 && created[i] >= created[newest] - within_seconds) add(i, "within " keep_within)
        if (why[i] == "" && i == newest) add(i, "newest complete")
        if (why[i] != "") { kept_slots++; oldest_kept = created[i] }
    }
    for (i = 1; i <= count; i++) {
        verdict[i] = "keep"
        if (why[i] != "") continue
        if (state[i] == "complete") {
            verdict[i] = "delete"; add(i, "no rule keeps it")
        } else if (newest && kept_slots >= keep_last && created[i] < oldest_kept) {
            verdict[i] = "delete"; add(i, state[i] " and older than every kept backup")
        } else {
            add(i, state[i] == "damaged" ? "damaged: " reason_damaged[i] : "unchecked")
        }
    }
}

function add(i, reason) { why[i] = why[i] (why[i] == "" ? "" : ",") json(reason) }

function print_backup(i,    stamp, iso) {
    stamp = substr(name[i], length(prefix) + 2)
    iso = substr(stamp, 1, 10) "T" substr(stamp, 12, 2) ":" substr(stamp, 14, 2) ":" substr(stamp, 16, 2) "Z"
    printf "{\"type\":\"backup\",\"name\":%s,\"created\":\"%s\",\"size_bytes\":%.0f,\"sha256\":%s,", \
        json(name[i]), iso, size[i], sha256[i] == "" ? "null" : "\"" sha256[i] "\""
    printf "\"state\":\"%s\",\"future\":%s,\"verdict\":\"%s\",\"reasons\":[%s]}\n", state[i], future[i] ? "true" : "false", verdict[i], why[i]
}

# Seconds since 1970 of the time in a backup's name, or "" where the name holds no time that exists.
function created_epoch(backup,    stamp, y, m, d, h, mi, s) {
    if (substr(backup, 1, length(prefix) + 1) != prefix "-") return ""
    stamp = substr(backup, length(prefix) + 2)
    if (stamp !~ /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]-[0-9][0-9][0-9][0-9][0-9][0-9]\.sql\.gz$/) return ""
    y = number(substr(stamp, 1, 4)); m = number(substr(stamp, 6, 2)); d = number(substr(stamp, 9, 2))
    h = number(substr(stamp, 12, 2)); mi = number(substr(stamp, 14, 2)); s = number(substr(stamp, 16, 2))
    if (y < 1 || m < 1 || m > 12 || d < 1 || d > days_in_month(y, m) || h > 23 || mi > 59 || s > 59) return ""
    return civil_days(y, m, d) * 86400 + h * 3600 + mi * 60 + s
}

# busybox awk takes a leading zero for octal.
function number(digits) { sub(/^0+/, "", digits); return digits + 0 }

function is_leap(y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0 }

function days_in_month(y, m) {
    if (m == 2) return is_leap(y) ? 29 : 28
    return (m == 4 || m == 6 || m == 9 || m == 11) ? 30 : 31
}

# Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
# days_from_civil, for years from 1 on).
function civil_days(y, m, d,    era, yoe, doy) {
    if (m <= 2) y--
    era = int(y / 400)
    yoe = y - era * 400
    doy = int((153 * (m + (m > 2 ? -3 : 9)) + 2) / 5) + d - 1
    return era * 146097 + yoe * 365 + int(yoe / 4) - int(yoe / 100) + doy - 719468
}

# ISO 8601 week: the week belongs to the year that holds its Thursday.
function iso_week(y, m, d,    days, weekday, thursday, year) {
    days = civil_days(y, m, d)
    weekday = (days + 3) % 7
    if (weekday < 0) weekday += 7
    thursday = days - weekday + 3
    year = y
    if (thursday < civil_days(y, 1, 1)) year--
    else if (thursday >= civil_days(y + 1, 1, 1)) year++
    return sprintf("%04d-W%02d", year, int((thursday - civil_days(year, 1, 1)) / 7) + 1)
}

# The caller has replaced control characters and whatever is not ASCII, but for tabs.
function json(text,    i, c, out) {
    if (text !~ /["\\\t]/) return "\"" text "\""
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "\t") out = out "\\t"
        else out = out ((c == "\"" || c == "\\") ? "\\" : "") c
    }
    return "\"" out "\""
}
""",
    "feeding.sh": r"""# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# A backup's text on its way to psql, for drill.sh and restore.sh; read by backup.sh.
# shellcheck shell=sh
# shellcheck disable=SC2154 # `work` is backup.sh's

# expand_text: decompresses standard input by the fastest program that the image has.
expand_text() {
    if command -v igzip >/dev/null 2>&1; then igzip -d -c
    elif command -v pigz >/dev/null 2>&1; then pigz -d -c
    else gzip -d -c; fi
}

# take BYTES: copies exactly so many bytes of standard input, and reads none beyond. (head reads more than it copies.)
take() {
    blocks=$(($1 / 1048576)) rest=$(($1 % 1048576))
    [ "$blocks" -eq 0 ] || dd bs=1048576 count="$blocks" iflag=fullblock 2>/dev/null || return 1
    [ "$rest" -eq 0 ] || dd bs="$rest" count=1 iflag=fullblock 2>/dev/null
}

# begins_section: whether standard input begins as the section of a database does: since version 12 with a comment that
# names it, before with \connect, or in 11 with pg_dump's comment.
begins_section() {
    head -c 64 | tr -d '\r' | head -n 2 | grep -q -e '^-- Database "' -e '^-- PostgreSQL database dump$' -e '^\\connect '
}

# session_options MAJOR SUPERUSER (yes or no): PGOPTIONS against what server, database or role may set that would stand in a
# restore's way, or change values (array_nulls). pg_dump's text sets others itself. What gives the text its meaning, such
# as standard_conforming_strings, is left alone.
session_options() {
    printf '%s' '-c default_transaction_read_only=off -c default_transaction_isolation=read\ committed -c default_transaction_deferrable=off' \
        ' -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c array_nulls=on -c quote_all_identifiers=off'
    [ "$1" -lt 14 ] || printf ' -c idle_session_timeout=0'
    [ "$1" -lt 17 ] || printf ' -c transaction_timeout=0'
    if [ "$2" = yes ]; then printf ' -c lc_messages=C -c temp_file_limit=-1'; fi
}

# feed_psql DATABASE [PARAMETER ...]: SQL from standard input; ends at the first error.
# Its messages must be shown by psql_error only: they may hold rows.
feed_psql() {
    psql --no-psqlrc --no-password --no-align --tuples-only --set=ON_ERROR_STOP=1 --set=VERBOSITY=verbose \
        --dbname="$(connection "$@")"
}

# psql_failure STAGE: sets `message` to the first error of that stage's psql, else to what its end means (PostgreSQL
# documentation, psql, "Exit Status"), and `is_lost` to whether it ended without a word because its connection was lost.
psql_failure() {
    is_lost=no
    message=$(psql_error "$work/$1.err" 2>/dev/null)
    [ -z "$message" ] || return 0
    psql_status=$(stage_status_of "$1")
    message="psql ended $(status_in_words "$psql_status")"
    [ "$psql_status" != 2 ] || is_lost=yes message="its connection to the server was lost ($message)"
}

# psql_error FILE: the first error in what psql said with VERBOSITY=verbose, in one line, without a value of a row:
# those stand in the texts of SQLSTATE classes 22 (data exception) and 42601 (syntax error), in what functions raise
# (P0001), and in DETAIL, LINE and CONTEXT (PostgreSQL documentation, appendix A, and src/backend/utils/error/elog.c).
# Of CONTEXT the functions' names and COPY's place are kept. The server's language may be another one (lc_messages): then
# it is the last message with an SQLSTATE, since psql ends at the first error.
psql_error() {
    awk '
        # The place of a function (PL/pgSQL or SQL) or of COPY, in any language: the words between names are not looked at.
        function place(line) {
            sub(/^[^ ]+:  /, "", line)
            if (match(line, /^COPY [^:]*, line [0-9]+(, column [^:]*)?/)) return substr(line, RSTART, RLENGTH)
            if (match(line, /^PL\/pgSQL function .* line [0-9]+ at [A-Za-z ]+$/)) return line
            if (match(line, /^SQL function "[^"]*"( statement [0-9]+| during [a-z]+)?/)) return substr(line, RSTART, RLENGTH)
            return ""
        }
        function add_place(line, new) {
            new = place(line)
            if (new == "" || places >= 2 || index(context, new)) return
            places++
            context = context (context == "" ? "" : "; ") new
        }
        function begin(line) { text = line; names = context = ""; places = in_context = 0 }
        found && /^CONTEXT:  / { in_context = 1; add_place($0); next }
        found && in_context && /^[A-Z][A-Z ]*:  / { in_context = 0 }
        found && in_context { add_place($0); next }
        found && /^(SCHEMA|TABLE|CONSTRAINT) NAME:  / {
            split($0, part, ":  ")
            names = names (names == "" ? "" : ", ") tolower(substr($0, 1, index($0, " ") - 1)) " " part[2]
        }
        !found && (match($0, /(ERROR|FATAL|PANIC):  [0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]: /) || match($0, /(error|ERROR|FATAL|PANIC): /)) {
            found = 1
            begin(substr($0, RSTART))
        }
        # psql says of a command that it does not know no more than this.
        !found && /^invalid command / { found = 1; begin(substr($0, 1, 60)) }
        # A severity in another language. (Notices have the SQLSTATEs of classes 00, 01 and 42P0x.)
        !found && match($0, /^(psql:[^ ]*: )?[^ :]+:  [0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]: /) {
            other = substr($0, RLENGTH - 6, 5)
            if (other !~ /^0[01]/) { sub(/^psql:[^ ]*: /, ""); sub(/^[^ :]+:/, "ERROR:"); begin($0) }
        }
        END {
            if (text == "") exit
            state = text ~ /^[A-Z]+:  [0-9A-Z]....: / ? substr(text, index(text, ":") + 3, 5) : ""
            # What a function raises may be made of a row, under any SQLSTATE.
            if (state == "P0001" || (state != "" && context ~ /^PL\/pgSQL function .* at RAISE/)) sub(/: .*/, ": " state ": a function raised an exception", text)
            if (state ~ /^22/ || state == "42601") { gsub(/"[^"]*"/, "...", text); sub(/".*/, "...", text) }
            gsub(/:  /, ": ", text)
            print text (context == "" ? "" : " (" context ")") (names == "" ? "" : " [" names "]")
        }
    ' "$1" | cut -c 1-600
}

# sqlstate MESSAGE: the SQLSTATE in what psql_error made, nothing where there is none.
sqlstate() { printf '%s\n' "$1" | sed -n -e '1s/^[A-Z]*: \([0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]\): .*/\1/p'; }
""",
    "globals.awk": r"""# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The globals at the beginning of a pg_dumpall text: its statements up to the first database.
# (src/bin/pg_dump/pg_dumpall.c: dumpRoles, dumpRoleMembership, dumpTablespaces; standard_conforming_strings is on.)
# Before version 12 the first database begins with \connect or pg_dump's first comment. Lines may end in CRLF, and a byte
# order mark may come first: psql reads both.
#
#   mode=facts     prints `bytes N` (how long they are), `encoding NAME`, `superuser NAME` (a role with every right,
#                  preferably postgres), `tablespaces N`; -v copy=FILE gets the text itself
#   mode=restore   prints them for a server of its own: without the CREATE ROLE of $SUPERUSER, which exists, and with
#                  tablespaces inside of the data folder (allow_in_place_tablespaces)
#   mode=roles     prints what makes the roles named in the file -v wanted=FILE, one a line; memberships only in these
#                  and in those of the file -v existing=FILE; the others go to -v left_out=FILE

BEGIN {
    superuser = ENVIRON["SUPERUSER"] # awk -v would read its backslashes
    if (wanted != "") while ((getline role < wanted) > 0) is_wanted[role] = is_there[role] = 1
    if (existing != "") while ((getline role < existing) > 0) is_there[role] = 1
    whole = 0
}

{
    line = $0
    if (NR == 1) sub(/^\357\273\277/, "", line)
    if (line ~ /\r$/) line = substr(line, 1, length(line) - 1)
}

# Between statements.
statement == "" && quote == "" {
    if (line ~ /^\\connect |^-- Database "/ || line == "-- PostgreSQL database dump" || line == "-- PostgreSQL database cluster dump complete") {
        whole = 1
        exit
    }
    # A line of dashes belongs to the comment that follows.
    if (held != "") pass(held)
    held = line == "--" ? $0 : ""
    if (held != "") next
    if (line == "" || line ~ /^--/ || line ~ /^\\/) { pass($0); next }
}

{
    keep($0)
    scan(line)
    statement = statement (statement == "" ? "" : "\n") (quote == "" ? line : $0)
    if (quote == "" && line ~ /;$/) { end_statement(statement); statement = "" }
}

END {
    if (mode == "facts") {
        printf "whole %d\nbytes %.0f\nencoding %s\ntablespaces %d\n", whole, bytes, encoding, tablespaces
        if (found_superuser != "") printf "superuser %s\n", found_superuser
    }
}

function keep(text) {
    bytes += length(text) + 1
    if (copy != "") print text > copy
}

# pass TEXT: a comment or an empty line.
function pass(text) {
    keep(text)
    if (mode != "restore") return
    sub(/^\357\273\277/, "", text)
    print text
}

# scan LINE: carries `quote` to the line's end: empty, a quotation mark, an apostrophe, or E for an escape string.
function scan(line, at) {
    while (line != "") {
        if (quote == "") {
            at = match(line, /["']|--/)
            if (!at || substr(line, at, 1) == "-") return
            quote = substr(line, at, 1)
            if (quote == "'" && substr(line, 1, at) ~ /(^|[^A-Za-z0-9_$"])[Ee]'$/) quote = "E"
            line = substr(line, at + 1)
        } else if (quote == "E") {
            at = match(line, /[\\']/)
            if (!at) return
            if (substr(line, at, 1) == "\\" || substr(line, at, 2) == "''") line = substr(line, at + 2)
            else { quote = ""; line = substr(line, at + 1) }
        } else {
            at = index(line, quote)
            if (!at) return
            if (substr(line, at, 2) == quote quote) line = substr(line, at + 2)
            else { quote = ""; line = substr(line, at + 1) }
        }
    }
}

# identifier TEXT: the name at its beginning, unquoted; sets `behind` to what follows.
function identifier(text, name, at) {
    if (substr(text, 1, 1) != "\"") {
        at = match(text, /[ ;,]/)
        behind = at ? substr(text, at) : ""
        return at ? substr(text, 1, at - 1) : text
    }
    name = ""
    text = substr(text, 2)
    while ((at = index(text, "\"")) && substr(text, at, 2) == "\"\"") {
        name = name substr(text, 1, at)
        text = substr(text, at + 2)
    }
    behind = substr(text, at + 1)
    return name substr(text, 1, at - 1)
}

# named TEXT KEYWORDS: the name behind the keywords at the text's beginning; no name where it begins otherwise.
function named(text, keywords) {
    return index(text, keywords) == 1 ? identifier(substr(text, length(keywords) + 1)) : ""
}

function end_statement(text, role) {
    if (mode == "facts") {
        if (match(text, /^SET client_encoding = '[^']*'/)) encoding = substr(text, 24, RLENGTH - 24)
        if (text ~ /^CREATE TABLESPACE /) tablespaces++
        role = named(text, "ALTER ROLE ")
        if (role != "" && behind ~ /^ WITH SUPERUSER .* REPLICATION BYPASSRLS/ && (found_superuser == "" || role == "postgres"))
            found_superuser = role
    } else if (mode == "restore") {
        if (named(text, "CREATE ROLE ") == superuser && behind == ";") return
        if (named(text, "DROP ROLE ") == superuser || named(text, "DROP ROLE IF EXISTS ") == superuser) return
        if (text ~ /^CREATE TABLESPACE /) sub(/ LOCATION E?'([^']|'')*';$/, " LOCATION '';", text)
        print text
    } else if (mode == "roles") {
        role = named(text, "CREATE ROLE ")
        if (role == "") role = named(text, "ALTER ROLE ")
        if (role == "") role = named(text, "COMMENT ON ROLE ")
        if (role == "" && text ~ /^GRANT /) {
            role = member(text)
            # The grantor of the source need not exist here, nor have the right.
            sub(/ GRANTED BY ("([^"]|"")*"|[^ ;"]*);$/, ";", text)
        }
        if (role != "" && (role in is_wanted)) print text
    }
}

# member TEXT: who gets the membership of `GRANT role TO member …`, where there is such a role.
function member(text, role) {
    role = named(text, "GRANT ")
    if (index(behind, " TO ") != 1) return ""
    text = identifier(substr(behind, 5))
    if ((text in is_wanted) && !(role in is_there)) { print role > left_out; return "" }
    return text
}
""",
    "sections.awk": r"""# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What a dump's text is, and where each of its databases lies, read once and as psql reads it: statements, strings over
# several lines, comments, dollar quotes, backslash commands, COPY data (src/fe_utils/psqlscan.l, src/bin/psql/mainloop.c
# and copy.c; what the dumps hold: src/bin/pg_dump/pg_dumpall.c, pg_dump.c, pg_backup_archiver.c, versions 9.6 to 19).
# The modules judge by the same rules (dump_reader.py).
#
# Standard input: the text without NUL bytes (they end lines in some awks) and with ONE newline appended, which shows
# whether the last line has its own. feeding: `{ decompress | tr -d '\000'; echo; } | awk -f sections.awk`. Whoever
# feeds it knows whether there were NULs: `bytes` is what was read without the appended newline.
#
# Standard output, one fact a line; offsets and lengths are bytes of the text as it is (a carriage return counts, and so
# does a byte order mark):
#
#   section OFFSET LENGTH BODY ENCODING NAME   for each database in the text's order: where its section begins, its length,
#                                              where its body begins (after its \connect; OFFSET where it has none), the
#                                              client_encoding that is set before its body (- where there is none), and
#                                              its name to the line's end (bytes of the text; empty for pg_dump's)
#   kind cluster|database|globals|none
#   globals OFFSET LENGTH ENCODING             of a cluster: what stands before the first section
#   version X                                  of the server that was dumped, where the text tells it
#   bytes N                                    how long the text is
#   complete yes                               it is one complete dump; else:
#   reason KEY LINE DETAIL                     why not. LINE is the line in question or 0; DETAIL says more or is empty
#
# Keys, as the modules have them: message (neither SQL of a dump nor a comment, such as a program's warning; \. outside of COPY), command (one of
# psql's that no dump has), rows (COPY data that PostgreSQL refuses), cut (DETAIL newline: all but the last bytes is there;
# transaction: one is not committed), after (something follows the end), two (dumps), product (another one's: DETAIL),
# encoding (UTF-16, UTF-32), format (DETAIL: custom, tar, gzip), empty, unknown.

BEGIN {
    FS = "\t" # so that NF is a row's number of columns
    BETWEEN = 0; STATEMENT = 1; STRING = 2; ESCAPES = 3; NAME = 4; DOLLAR = 5; COMMENT = 6
    # What the statements of a dump begin with, of any version.
    text = "ALTER BEGIN COMMENT COMMIT COPY CREATE DROP GRANT INSERT REFRESH RESET REVOKE SECURITY SELECT SET UPDATE"
    count = split(text, part, " ")
    for (i = 1; i <= count; i++) is_word[part[i]] = 1
    standard = 1
    state = BETWEEN
    size = 0
    dashes = -1
}

# Rows of COPY that are as they should be.
in_copy > 2 && NF == columns && !index($0, "\r") { size += length($0) + 1; next }

reason != "" { size += length($0) + 1; next }

in_copy { row(); size += length($0) + 1; next }

colon_at { after_colon() }

state <= STATEMENT && standard && (state || ended == "") && is_plain_insert() {
    if (substr($0, length($0)) == ";") state = BETWEEN
    size += length($0) + 1
    next
}

{
    line = $0
    begins = size
    if (NR == 1) begin_text()
    if (ended != "") tail[++tails] = line
    if (index(line, "\r") == length(line)) sub(/\r$/, "", line)
    if (is_wide) gsub(WIDE, "\377\377", line)
    if (kind == "" && product == "" && size < 4096) look_for_product(line)
    if (reason != "") line = ""
    if (state == BETWEEN && substr(line, 1, 2) == "--" && !index(line, "\r")) comment(line)
    else {
        dashes = -1
        if (line != "") scan(line)
    }
    size += length($0) + 1
}

END {
    bytes = size - 1
    if (bytes < 0) bytes = 0
    judge()
    if (in_section) end_section(ended == "cluster" ? ended_at : bytes)
    print "kind " (kind == "" ? "none" : kind == "cluster" && !sections && ended != "" ? "globals" : kind)
    if (kind == "cluster")
        printf "globals %.0f %.0f %s\n", globals_at, (sections ? first_at : ended != "" ? ended_at : bytes) - globals_at, \
            (globals_encoding == "" ? "-" : globals_encoding)
    if (version != "") print "version " version
    printf "bytes %.0f\n", bytes
    if (reason == "") print "complete yes"
    else printf "reason %s %d %s\n", reason, reason_line, detail
}

function refuse(key, words) {
    if (reason != "") return
    if (kind == "" && key ~ /^(message|command|rows|unknown)$/ && product != "") { key = "product"; words = product }
    reason = key
    reason_line = key ~ /^(message|command|rows)$/ ? NR : 0
    found_at = NR
    detail = words
}

# judge: what only the text's end shows.
function judge(    wanted, key_line, i, last) {
    # The last line may be the beginning of one.
    if (reason != "" && found_at == NR && kind != "" && ended == "") { reason = ""; refuse("cut") }
    if (reason != "") return
    if (!bytes || (has_bom && bytes == 3)) { refuse("empty"); return }
    if (kind == "") { refuse("unknown"); return }
    if (ended == "") { refuse("cut"); return }
    wanted = "--\n\n"
    if (kind == "database" && was_restricted) wanted = wanted "\\unrestrict\n\n"
    count = split(wanted, part, "\n")
    for (i = 1; i <= tails; i++) {
        last = tail[i]
        if (i < tails) sub(/\r$/, "", last)
        else if (last == "\r" && part[i] == "" && i < count) last = ""
        if (part[i] == "\\unrestrict" && i < count) {
            if (i < tails ? last !~ /^\\unrestrict [A-Za-z0-9]+$/ : !(index("\\unrestrict ", last) == 1 || last == "" || last ~ /^\\unrestrict [A-Za-z0-9]*\r?$/)) { refuse("after"); return }
        } else if (i > count || (i < tails ? last != part[i] : last != "" && index(part[i] "\r", last) != 1)) { refuse("after"); return }
    }
    if (tails < count) refuse("cut", tails == count - 1 || tail[1] ~ /^--\r?$/ ? "newline" : "")
    else if (kind == "database" && key != "") refuse("after")
    else if (in_transaction) refuse("cut", "transaction")
}

# look_for_product LINE: other programs name themselves at the beginning, PostgreSQL's relatives in pg_dump's words.
function look_for_product(text) {
    if (text ~ /^-- [A-Za-z][A-Za-z0-9_. ]* database (cluster )?dump$/ && text !~ /^-- PostgreSQL /) {
        match(text, / database (cluster )?dump$/)
        product = substr(text, 4, RSTART - 4)
    } else if (text ~ /^PRAGMA foreign_keys/) product = "SQLite"
    else if (text ~ /^(--|#|\/\*)? ?(MySQL|MariaDB|phpMyAdmin|Adminer|HeidiSQL|Navicat|DBeaver|SQLite)([^A-Za-z0-9_].*([Dd]ump|[Tt]ransfer)|$)/) {
        match(text, /[MpAHNDS][A-Za-z]+/)
        product = substr(text, RSTART, RLENGTH)
    }
}

# begin_text: the first line, which may begin with a byte order mark: psql passes over it.
function begin_text() {
    if (substr(line, 1, 3) == "\357\273\277") {
        has_bom = 1
        line = substr(line, 4)
        begins = 3
    }
    if (substr(line, 1, 2) == "\377\376" || substr(line, 1, 2) == "\376\377") refuse("encoding", "UTF-16")
    else if (substr(line, 1, 5) == "PGDMP") refuse("format", "custom")
    else if (substr(line, 1, 2) == "\037\213") refuse("format", "gzip")
    else if (index(line, "ustar") > 1 || substr(line, 1, 7) == "toc.dat") refuse("format", "tar")
}

# ---------------------------------------------------------------------------------------------------------- statements

# is_plain_insert: whether this line is one INSERT, or one row of it, in which nothing but apostrophes means anything.
function is_plain_insert(    rest) {
    rest = substr($0, 1, 2)
    if (is_wide || (state == BETWEEN ? rest != "IN" || !in_section || $0 !~ /^INSERT INTO / : rest != "\t(" || !is_insert || parens)) return 0
    rest = $0
    gsub(/'[^']*'/, "#", rest)
    return (state == BETWEEN ? rest ~ /VALUES \(.*\);$/ : rest ~ /\)[,;]$/) && rest !~ /['"$\\\r]|--|\/\*|[A-Za-z0-9_&]#|;.|: /
}

# scan REST: what stands in the line from here on; carries `state` to its end.
function scan(rest,    at, one) {
    before = ""
    while (rest != "" && reason == "") {
        if (state == BETWEEN) {
            at = match(rest, /[^ \t\r\f\v]/)
            if (!at) return
            if (at > 1) rest = substr(rest, at)
            one = substr(rest, 1, 1)
            if (substr(rest, 1, 2) == "--") rest = behind_comment(rest)
            else if (substr(rest, 1, 2) == "/*") { state = COMMENT; outer = BETWEEN; depth = 1; rest = substr(rest, 3) }
            else if (one == "\\") { command(rest); return }
            else if (one == ";") rest = substr(rest, 2)
            else begin_statement(rest)
        } else if (state == STATEMENT) {
            at = match(rest, /['"$;\\()]|--|\/\*/)
            if (!at) { words(rest, 1); return }
            if (at > 1) words(substr(rest, 1, at - 1), 0)
            one = before = substr(rest, at, 1)
            if (one == "'") {
                state = !standard || substr(rest, 1, at) ~ /(^|[^A-Za-z0-9_$\200-\377])[Ee]'$/ ? ESCAPES : STRING
                if (state == ESCAPES && standard == 0 && substr(rest, 1, at) ~ /(^|[^A-Za-z0-9_$\200-\377])[BbXx]'$/) state = STRING
                rest = substr(rest, at + 1)
            } else if (one == "\"") { state = NAME; rest = substr(rest, at + 1) }
            else if (one == "(") { parens++; rest = substr(rest, at + 1); plain = plain "(" }
            else if (one == ")") { if (parens) parens--; rest = substr(rest, at + 1); plain = plain ")" }
            else if (one == ";") {
                rest = substr(rest, at + 1)
                if (!parens && !blocks) { end_statement(); if (in_copy) return }
            } else if (one == "$") rest = dollar(rest, at)
            else if (one == "\\") {
                if (substr(rest, at + 1, 1) ~ /[;:]/) rest = substr(rest, at + 2)
                else { command(substr(rest, at)); return }
            } else if (one == "-") rest = behind_comment(rest)
            else { state = COMMENT; outer = STATEMENT; depth = 1; rest = substr(rest, at + 2) }
        } else if (state == STRING || state == NAME) {
            one = state == NAME ? "\"" : "'"
            at = index(rest, one)
            if (!at) return
            if (substr(rest, at + 1, 1) == one) rest = substr(rest, at + 2)
            else { state = STATEMENT; rest = substr(rest, at + 1) }
        } else if (state == ESCAPES) {
            at = match(rest, /[\\']/)
            if (!at) return
            if (substr(rest, at, 1) == "\\" || substr(rest, at, 2) == "''") rest = substr(rest, at + 2)
            else { state = STATEMENT; rest = substr(rest, at + 1) }
        } else if (state == DOLLAR) {
            at = index(rest, tag)
            if (!at) return
            rest = substr(rest, at + length(tag))
            state = STATEMENT
        } else {
            at = match(rest, /\/\*|\*\//)
            if (!at) return
            if (substr(rest, at, 1) == "/") depth++
            else if (--depth == 0) state = outer
            rest = substr(rest, at + 2)
        }
    }
}

# behind_comment REST: a carriage return ends a comment of one line, too.
function behind_comment(rest,    at) {
    at = index(rest, "\r")
    return at ? substr(rest, at + 1) : ""
}

# dollar REST AT: what follows the dollar sign, which begins a dollar quote, or is part of a name or a parameter.
function dollar(rest, at,    behind) {
    behind = substr(rest, at)
    if (substr(rest, 1, at - 1) !~ /[A-Za-z_\200-\377][A-Za-z0-9_\200-\377]*$/ && match(behind, /^\$([A-Za-z_\200-\377][A-Za-z0-9_\200-\377]*)?\$/)) {
        tag = substr(behind, 1, RLENGTH)
        state = DOLLAR
        return substr(behind, RLENGTH + 1)
    }
    match(behind, /^\$[A-Za-z0-9_$\200-\377]*/)
    return substr(behind, RLENGTH + 1)
}

function begin_statement(rest,    word) {
    if (ended != "") { refuse("after"); return }
    match(rest, /^[A-Z]*/)
    word = substr(rest, 1, RLENGTH)
    # A line of capitals alone is what psql says that it did.
    if (!(word in is_word) || substr(rest, RLENGTH + 1, 1) ~ /[A-Za-z0-9_$\200-\377]/ || rest ~ /^[A-Z0-9 ]+\r?$/) {
        refuse("message")
        return
    }
    state = STATEMENT
    verb = word
    is_insert = verb == "INSERT"
    parens = blocks = 0
    plain = ""
    head = verb ~ /^(CREATE|SET|BEGIN|COMMIT)$/ ? rest : ""
    is_routine = verb == "CREATE" && toupper(rest) ~ /^CREATE[ \t]+(OR[ \t]+REPLACE[ \t]+)?(FUNCTION|PROCEDURE)([^A-Z0-9_]|$)/
}

# after_colon: the line after one that ended in a colon.
function after_colon() {
    if (reason == "" && $0 !~ /^ *CASE([^A-Za-z0-9_$\200-\377]|$)/) {
        refuse("message")
        reason_line = colon_at
    }
    colon_at = 0
}

# words TEXT AT_END: of a statement's text what is no string, name or comment; `before` stands in front of it.
function words(text, at_end,    word) {
    # `name: ` is how a program's message begins; SQL has a colon only doubled, in := and [1:2], after a blank, or in [1:
    # before a CASE on a line of its own.
    if (index(text, ":") && (text ~ /[^ \t\r\f\v:[]:[ \t\r\f\v]/ || (before != "" && text ~ /^:[ \t\r\f\v]/))) {
        refuse("message")
        return
    }
    if (at_end && (text ~ /[^ \t\r\f\v:[]:$/ || (before != "" && text == ":"))) colon_at = NR
    if (verb == "COPY") plain = substr(plain text " ", 1, 200000)
    if (!is_routine || parens) return
    # psql counts these in what creates a function or procedure only (BEGIN ATOMIC ... END).
    text = tolower(text)
    while (match(text, /[a-z_\200-\377][a-z0-9_\200-\377]*/)) {
        word = substr(text, RSTART, RLENGTH)
        if (word == "begin" || (word == "case" && blocks)) blocks++
        else if (word == "end" && blocks) blocks--
        text = substr(text, RSTART + RLENGTH)
    }
}

function end_statement(    text) {
    state = BETWEEN
    # Rows that belong to no database.
    if (!in_section && (verb == "INSERT" || (verb == "COPY" && plain ~ /FROM +[Ss][Tt][Dd][Ii][Nn]/))) { refuse("message"); return }
    if (verb == "BEGIN" || verb == "COMMIT") {
        if (head !~ /^(BEGIN|COMMIT)([ \t]+(WORK|TRANSACTION))?[ \t]*;/) refuse("message")
        in_transaction = verb == "BEGIN"
    } else if (verb == "COPY") {
        text = toupper(plain)
        if (text !~ /[ \t\r)]FROM[ \t\r]+STDIN([^A-Z0-9_]|$)/) return
        columns = -1
        if (text ~ /^COPY[^()]*\([^()]*\)[ \t\r]*FROM[ \t\r]+STDIN[ \t\r]*$/) columns = gsub(/,/, ",", text) + 1
        in_copy = 1
    } else if (verb == "SET") setting(head)
    else if (verb == "CREATE" && in_section && !is_created && match(head, /^CREATE DATABASE /)) {
        name = identifier(substr(head, RLENGTH + 1))
        is_created = 1
    }
}

function setting(text,    value) {
    if (!match(toupper(text), /^SET[ \t]+(CLIENT_ENCODING|STANDARD_CONFORMING_STRINGS)[ \t]*(=|TO)[ \t]*/)) return
    value = substr(text, RLENGTH + 1)
    sub(/^'/, "", value)
    sub(/[' ;].*$/, "", value)
    if (toupper(text) ~ /^SET[ \t]+C/) set_encoding(value)
    else standard = tolower(value) !~ /^(off|false|0|no)$/
}

# set_encoding NAME: in some, a byte of ASCII can be the second of a character.
function set_encoding(name) {
    if (!in_section) { if (globals_encoding == "") globals_encoding = name }
    else if (!has_body) encoding = name
    name = toupper(name)
    gsub(/[^A-Z0-9]/, "", name)
    is_wide = name ~ /^(SJIS|SHIFTJIS|MSKANJI|WIN932|WINDOWS932|SHIFTJIS2004|BIG5|WIN950|WINDOWS950|GBK|WIN936|WINDOWS936|UHC|WIN949|WINDOWS949|JOHAB|GB18030)$/
    WIDE = name ~ /JIS|932|MSKANJI/ ? "[\200-\240\340-\377]." : name == "GB18030" ? "[\200-\377][0-9]..|[\200-\377]." : \
        name == "JOHAB" ? "\217..|[\200-\377]." : "[\200-\377]."
}

# identifier TEXT: the name at its beginning, without its quotes.
function identifier(text,    at) {
    if (substr(text, 1, 1) != "\"") {
        at = match(text, /[ ;,\r\t]/)
        return at ? substr(text, 1, at - 1) : text
    }
    match(text, /^"([^"]|"")*"/)
    text = substr(text, 2, RLENGTH - 2)
    gsub(/""/, "\"", text)
    return text
}

# ------------------------------------------------------------------------------------------------ comments and commands

function comment(text,    at) {
    if (text == "--") { dashes = begins; return }
    at = dashes >= 0 ? dashes : begins
    dashes = -1
    if (substr(text, 1, 14) == "-- PostgreSQL ") {
        if (text == "-- PostgreSQL database cluster dump") {
            if (kind != "") { refuse("two"); return }
            kind = "cluster"
            globals_at = at
        } else if (text == "-- PostgreSQL database dump") begin_database(at)
        else if (text == "-- PostgreSQL database dump complete") {
            if (is_open) {
                is_open = 0
                if (kind == "database") end_dump(at)
            }
        } else if (text == "-- PostgreSQL database cluster dump complete") { if (kind == "cluster" && !is_open) end_dump(at) }
    } else if (substr(text, 1, 13) == "-- Database \"") {
        if (kind == "cluster" && !is_open && ended == "" && text ~ /" dump$/) {
            begin_section(at)
            name = substr(text, 14, length(text) - 19)
        }
    } else if (substr(text, 1, 10) == "-- Dumped ") {
        if (is_open && version == "" && text ~ /^-- Dumped from database version /) {
            version = substr(text, 33)
            sub(/ .*/, "", version)
        }
    }
}

function end_dump(at) {
    if (ended != "") return
    ended = kind
    ended_at = at
}

function begin_database(at) {
    if (ended != "" || is_open) { refuse("two"); return }
    if (kind == "") kind = "database"
    if (!in_section || was_open) {
        if (kind == "database" && in_section) { refuse("two"); return }
        if (connect_at == "") begin_section(at)
        else {
            begin_section(connect_at)
            name = connect_name
            body_at = connect_end
            has_body = 1
        }
    }
    connect_at = ""
    is_open = was_open = 1
}

function begin_section(at) {
    if (in_section) end_section(at)
    if (!sections++) first_at = at
    in_section = 1
    is_open = was_open = has_body = is_created = 0
    section_at = body_at = at
    if (connect_at != at) connect_at = ""
    encoding = name = key = ""
}

function end_section(at) {
    printf "section %.0f %.0f %.0f %s %s\n", section_at, at - section_at, body_at, (encoding == "" ? "-" : encoding), name
    in_section = 0
}

# command TEXT: a backslash command; it ends with its line.
function command(text,    word) {
    match(text, /^\\[^ \t\r\\]*/)
    word = substr(text, 2, RLENGTH - 1)
    text = substr(text, RLENGTH + 1)
    gsub(/^[ \t\r]+|[ \t\r]+$/, "", text)
    if (word == "unrestrict") { if (text == key) key = ""; return }
    if (ended != "") { refuse("after"); return }
    if (word == "" || word == ".") { refuse("message"); return }
    if (key != "") return # psql refuses all others there
    if (word == "restrict") { key = text; was_restricted = 1 }
    else if (word == "encoding") set_encoding(text)
    else if (word == "connect" || word == "c") connect(text)
    else if (word !~ /^(echo|qecho|warn|timing|pset)$/ && \
        (word !~ /^(un)?set$/ || text !~ /^(ON_ERROR_STOP|VERBOSITY|SHOW_CONTEXT|ECHO|QUIET|HISTFILE|HISTCONTROL|ECHO_HIDDEN)([ \t]|$)/))
        refuse("command")
}

function connect(text,    database) {
    standard = 1
    is_wide = 0
    if (in_transaction) { refuse("cut", "transaction"); return }
    sub(/^-reuse-previous=[a-z]+[ \t]+/, "", text)
    if (kind == "" || text == "") return
    database = substr(text, 1, 1) == "\"" ? identifier(text) : text
    if (match(database, /(^|[ \t])dbname[ \t]*=[ \t]*/)) {
        database = substr(database, RSTART + RLENGTH)
        if (match(database, /^'([^'\\]|\\.)*'/)) database = substr(database, 2, RLENGTH - 2)
        database = unescaped(database)
    }
    connect_end = size + length($0) + 1
    if (!in_section || (was_open && !is_open)) {
        # Before version 12 it begins a database, if pg_dump's first comment follows.
        connect_at = begins
        connect_name = database
        return
    }
    if (!is_created) name = database
    body_at = connect_end
    has_body = 1
}

function unescaped(text,    at, result) {
    while ((at = index(text, "\\"))) {
        result = result substr(text, 1, at - 1) substr(text, at + 1, 1)
        text = substr(text, at + 2)
    }
    return result text
}

# ------------------------------------------------------------------------------------------------------------ COPY data

# row: a line of COPY data that is the first, the last, or not what it should be.
function row(    at) {
    at = index($0, "\r")
    if ($0 == "\\." || $0 == "\\.\r") {
        # Up to version 17 psql sends the end marker too, which must end as the rows do.
        if (in_copy > 1 && is_crlf != (at > 0)) refuse("rows")
        in_copy = 0
        return
    }
    if (in_copy == 1) {
        is_crlf = at > 0 && at == length($0)
        in_copy = columns > 1 && !is_crlf ? 3 : 2
    }
    # One way to end lines in one COPY; a carriage return in a value is written as \r.
    if (is_crlf ? at != length($0) || !at : at) refuse("rows")
    else if (columns > 0 && NF != columns && (NF || columns > 1)) {
        # A tab after a backslash parts no columns.
        line = $0
        gsub(/\\./, "", line)
        if (gsub(/\t/, "", line) != columns - 1) refuse("rows")
    }
}
""",
    "drill.sh": r"""# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh drill`: a backup restored into a PostgreSQL that is thrown away, and every row counted. Read by backup.sh.
# It needs no credentials and no network, and the backups only to read: a dump's text can run code as superuser.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with backup.sh

# How often the watch looks at the room that the data take, in seconds.
DRILL_PAUSE_SECONDS=2

# What a database needs that nobody will miss: no durability, and so little of everything else that a small pod does.
# Dynamic shared memory in files, since a pod's /dev/shm has 64 MiB (PostgreSQL documentation, "Populating a Database",
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
    # A login trigger of the restored databases must not stand in the way of counting.
    if [ "$image_major" -ge 17 ]; then echo "event_triggers = off"; fi
    printf '%s\n' "$POSTGRES_BACKUP_DRILL_SETTINGS" | sed -n \
        -e "s/'/''/g" -e 's/\\/\\\\/g' -e "s/^ *\([A-Za-z_][A-Za-z0-9_.]*\) *= *\(.*\)\$/\1 = '\2'/p"
}

read_drill_configuration() {
    : "${POSTGRES_BACKUP_DRILL_BACKUP:=}" "${POSTGRES_BACKUP_DRILL_SUPERUSER:=}" "${POSTGRES_BACKUP_DRILL_SETTINGS:=}"
    : "${POSTGRES_BACKUP_DRILL_DATA:=/drill}" "${POSTGRES_BACKUP_DRILL_RESULT:=}" "${POSTGRES_BACKUP_DRILL_SECTIONS:=}"
    case $POSTGRES_BACKUP_DRILL_BACKUP in
        */*) config_error "POSTGRES_BACKUP_DRILL_BACKUP: expected a backup's file name, found '$POSTGRES_BACKUP_DRILL_BACKUP'" ;;
    esac
    : "${POSTGRES_BACKUP_DRILL_SIZE_LIMIT:=0}"
    case $POSTGRES_BACKUP_DRILL_SIZE_LIMIT in
        *[!0-9]* | ????????????????*) config_error "POSTGRES_BACKUP_DRILL_SIZE_LIMIT: expected a number of bytes, found '$POSTGRES_BACKUP_DRILL_SIZE_LIMIT'" ;;
    esac
    : "${POSTGRES_BACKUP_TIME_LIMIT:=6h}"
    duration POSTGRES_BACKUP_TIME_LIMIT
    time_limit_seconds=$seconds
    bad=$(printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS" | grep -v -E '^([0-9]{1,15} [0-9]{1,15} [0-9]{1,15})?$' | head -n 1)
    [ -z "$bad" ] || config_error "POSTGRES_BACKUP_DRILL_SECTIONS: expected lines of an offset, a length and the body's offset in bytes, found '$bad'"
    bad=$(printf '%s\n' "$POSTGRES_BACKUP_DRILL_SETTINGS" | grep -v -E '^ *([A-Za-z_][A-Za-z0-9_.]* *=.*)?$' | head -n 1)
    [ -z "$bad" ] || config_error "POSTGRES_BACKUP_DRILL_SETTINGS: expected lines of the form name = value, found '$bad'"
    data=$POSTGRES_BACKUP_DRILL_DATA/postgres-backup-drill.$$
}

drill() {
    step=prepare step_began=$(now_epoch) step_seconds='' step_group='' watch_group='' server_group='' data=''
    started=$(now_iso) reason=null warnings='' backup='' bytes='' sha256='' server_version=''
    databases=0 tables=0 rows=0 copied_rows=0 can_heal=null ended_by='' in_transactions=yes between=no hash_checked=no
    : "${POSTGRES_BACKUP_DRILL_RESULT:=}"
    keep_streams
    catch_signals TERM INT HUP USR1 USR2
    read_configuration
    read_drill_configuration
    require_tools awk cmp cut dd du find grep gzip head initdb mkfifo mktemp postgres psql sed sha256sum sort stat tail tr
    make_work_folder
    check_volume
    choose_backup
    PGHOST=$work PGPORT=5432 PGDATABASE=postgres
    # The server would read the last of these too (src/backend/utils/misc/guc.c, InitializeGUCOptionsFromEnvironment).
    unset PGPASSWORD PGPASSFILE PGSERVICE PGSSLMODE PGOPTIONS PGCLIENTENCODING
    export PGHOST PGPORT PGDATABASE data file sha256 POSTGRES_BACKUP_DRILL_SECTIONS
    start_group _drill_watch "$$" "$time_limit_seconds" "$data" "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT"
    watch_group=$group
    mkdir -m 0700 "$data" 2>"$work/mkdir.err" || fail "no folder for the data" "$(cat "$work/mkdir.err")" \
        "Mount a folder at $POSTGRES_BACKUP_DRILL_DATA that this user id ($(id -u)) may write to."
    look_at_the_dump
    end_step prepare
    step=initdb
    make_server
    end_step initdb
    step=globals
    restore_globals
    end_step globals
    step=restore
    restore_databases
    end_step restore
    step=count
    count_rows
    check_text
    end_step count
    end_drill
    log "OK: $backup restores: $databases databases, $tables tables, $rows rows, all counted"
    # The last word: whoever follows the log waits for nothing behind it.
    drill_ends succeeded
    clean_up
}

# choose_backup: sets `backup`, `file`, `sha256` (empty without a sidecar) and `bytes`.
choose_backup() {
    listing >"$work/listing" || fail "the volume cannot be listed" "find or awk failed" "Look at the messages above."
    backup=$POSTGRES_BACKUP_DRILL_BACKUP
    if [ -z "$backup" ]; then
        backup=$(newest_complete "$work/listing")
        backup=${backup% *}
        [ -n "$backup" ] || fail "there is no complete backup" "none in $POSTGRES_BACKUP_DIR" "Run a backup first, or name the one to rehearse."
    fi
    file=$POSTGRES_BACKUP_DIR/$backup
    [ -f "$file" ] || fail "the backup is not on the volume" "$backup" "Look at what is there: backup.sh list."
    line=$(grep -F "\"name\":\"$backup\"" "$work/listing" | head -n 1)
    case $line in
        *'"state":"damaged"'*) fail_for_good "the backup is damaged" "$backup: $(head -n 1 "$file.damaged" 2>/dev/null)" "Rehearse another one." ;;
    esac
    sha256=$(json_field sha256 "$line" | tr -d '"')
    [ "$sha256" != null ] || sha256=''
    bytes=$(stat -c %s "$file")
    log "rehearsing the restore of $backup, $(human_bytes "$bytes")"
}

# look_at_the_dump: the hash in the background, and what the text says before its first database.
look_at_the_dump() {
    clear_stages
    start_group _drill_hash "$file"
    hash_group=$group
    run_group _drill_facts "$file"
    grep -q '^-- PostgreSQL database cluster dump$' "$work/head" || {
        found=$(stage_message_of head)
        check_hash
        [ -n "$found" ] || look_at_the_text
        fail_for_good "the backup is no dump of a whole cluster" "$backup does not begin as pg_dumpall's text does: ${found:-$damage}" \
            "Only backups that pg_dumpall made can be rehearsed."
    }
    globals_bytes=$(fact bytes)
    [ "$(fact whole)" = 1 ] || {
        check_hash
        fail_for_good "the backup is cut off" "$backup ends among the roles and other globals" "Rehearse another one; this one cannot be restored."
    }
    dump_version=$(header_value 'server version')
    [ -n "$dump_version" ] || dump_version=$(sed -n 's/^-- Dumped from database version \([0-9][^ ]*\).*/\1/p' "$work/begin" | head -n 1)
    server_version=$(postgres --version | sed -n 's/^postgres (PostgreSQL) \([^ ]*\).*/\1/p')
    image_major=${server_version%%[!0-9]*} dump_major=${dump_version%%[!0-9]*}
    is_whole_number "$image_major" || fail_for_good "the image has no PostgreSQL server" "postgres --version says '$(postgres --version 2>&1 | head -n 1)'" \
        "Set postgres_backup_image to one that has the server's programs."
    if is_whole_number "$dump_major" && [ "$image_major" -lt "$dump_major" ]; then
        fail_for_good "the image's server is older than the dump" "PostgreSQL $server_version in the image, a dump of $dump_version" \
            "Use an image of PostgreSQL $dump_major or newer (postgres_backup_image)."
    fi
    superuser=$POSTGRES_BACKUP_DRILL_SUPERUSER
    [ -n "$superuser" ] || superuser=$(header_value 'bootstrap superuser')
    [ -n "$superuser" ] || superuser=$(fact superuser)
    [ -n "$superuser" ] || superuser=postgres
    PGUSER=$superuser
    export PGUSER globals_bytes
}

# header_value NAME: a value of the header that a run wrote, a JSON string there.
header_value() {
    sed -n -e '/^--$/q' -e "s/^-- $1: \"\(.*\)\"\$/\1/p" "$work/head" | sed -e 's/\\"/"/g' -e 's/\\\\/\\/g' | head -n 1
}

# fact NAME: what globals.awk found.
fact() { sed -n "s/^$1 //p" "$work/facts" | head -n 1; }

# look_at_the_text: reads all of it; sets `damage` to why it is not one complete dump of all databases, if so.
look_at_the_text() {
    [ -e "$work/sections" ] || {
        run_group _drill_text "$file"
        mv "$work/end" "$work/sections" 2>/dev/null || : >"$work/sections"
    }
    damage=$(damage_of "$work/sections" "$(tr -d ' \n' <"$work/count")")
}

# step_drill_text FILE: sections.awk's facts.
step_drill_text() {
    compressor=gzip
    if command -v igzip >/dev/null 2>&1; then compressor=igzip; fi
    read_to_end look_at_sections <"$1"
}

# plain_lines: standard input without a byte order mark and the carriage returns at the ends of lines.
plain_lines() { sed -e "1s/^$(printf '\357\273\277')//" -e "s/$(printf '\r')\$//"; }

# step_drill_facts FILE: the beginning of the text, and globals.awk's facts and copy of the globals.
step_drill_facts() {
    expand_text <"$1" 2>"$work/head.err" | head -c 65536 | plain_lines >"$work/head"
    expand_text <"$1" 2>/dev/null | awk -v mode=facts -v copy="$data/globals.sql" -f "$work/globals.awk" >"$work/facts"
    expand_text <"$1" 2>/dev/null | tail -c "+$(($(fact bytes) + 1))" 2>/dev/null | head -c 65536 | plain_lines >"$work/begin"
}

# step_drill_hash FILE: its hash; of a file without sidecar also the end of its text.
step_drill_hash() {
    stage hash sha256sum <"$1" >"$work/hash"
    [ -n "$sha256" ] || expand_text <"$1" 2>"$work/check.err" | tail -c 64 | tr -d '\r' >"$work/end"
    echo yes >"$work/hashed"
}

# check_hash: ends the drill where the file is not what its sidecar says, or is not whole.
check_hash() {
    [ "$hash_checked" = no ] || return 0
    if [ -n "$hash_group" ]; then
        step_group=$hash_group
        wait_for_step
        step_group='' hash_group=''
    fi
    [ -e "$work/hashed" ] && [ "$(stage_status_of hash)" = 0 ] || fail "the backup cannot be read from the volume" \
        "$backup: $(stage_message_of hash)" "Look at the storage behind the volume."
    found_hash=$(cut -c 1-64 "$work/hash")
    if [ -z "$sha256" ]; then
        sha256=$found_hash
        is_whole_dump || {
            look_at_the_text
            fail_for_good "the backup is not whole" "$backup, which has no sidecar, does not end as a whole pg_dumpall dump does${damage:+: $damage}" \
                "Rehearse another one; this one cannot be restored."
        }
    elif [ "$found_hash" != "$sha256" ]; then
        fail "the backup is not what its sidecar says" "$backup: sha256 $found_hash, its sidecar says $sha256" \
            "It was damaged or changed after it was made: look at the storage, and rehearse another one."
    fi
    hash_checked=yes
}

# make_server: the throwaway server, started and ready.
make_server() {
    encoding=$(fact encoding)
    case $encoding in
        '' | BIG5 | GB18030 | GBK | JOHAB | SJIS | SHIFT_JIS_2004 | UHC) encoding=UTF8 ;; # no server has these as its own
    esac
    export encoding image_major POSTGRES_BACKUP_DRILL_SETTINGS superuser
    run_group _drill_initdb
    [ "$step_status" -eq 0 ] || fail "initdb failed" "$(initdb_error)" \
        "Look at its message: does the folder have room, and does this user id ($(id -u)) have an entry in /etc/passwd?"
    check_hash
    # The settings of the restored databases and of the superuser's role must not stand in the way; nor work for more
    # memory than the pod has.
    PGOPTIONS="$(session_options "$image_major" yes) -c role=none"
    case $POSTGRES_BACKUP_DRILL_SETTINGS in *maintenance_work_mem*) ;; *) PGOPTIONS="$PGOPTIONS -c maintenance_work_mem=64MB" ;; esac
    [ "$image_major" -lt 17 ] || PGOPTIONS="$PGOPTIONS -c event_triggers=off"
    export PGOPTIONS
    start_group _drill_server
    server_group=$group
    tries=0
    until psql --no-psqlrc --no-password --quiet --tuples-only --command='SELECT 1' >/dev/null 2>"$work/ready.err"; do
        tries=$((tries + 1))
        if ! kill -0 "$server_group" 2>/dev/null || [ "$tries" -gt 600 ]; then
            server_is_gone "the throwaway server does not start"
        fi
        sleep 0.1 2>/dev/null || sleep 1
    done
}

# initdb_error: what it said, whichever words it has for that; else how it ended.
initdb_error() {
    found=$(grep -E '(FATAL|error|hint|detail): ' "$work/initdb.err" | head -n 4 | cut -c 1-400)
    [ -n "$found" ] || found=$(grep . "$work/initdb.err" | head -n 4 | cut -c 1-400)
    [ -n "$found" ] || found="it printed no message, and ended $(status_in_words "$step_status")"
    printf '%s' "$(utf8 "$found")"
}

# server_is_gone WHAT: fails with the server's own last words.
server_is_gone() {
    found=$(sed -n 's/^.* \(LOG\|FATAL\|PANIC\):  /\1: /p' "$data/server.log" 2>/dev/null | tail -n 3 | cut -c 1-400)
    fail "$1" "${found:-it left no word (killed: out of memory?)}" \
        "Look at the settings that were given (postgres_backup_drill_settings), at the memory limit (postgres_backup_resources) and at the room for its data."
}

step_drill_initdb() {
    set -- --pgdata="$data/pgdata" --username="$superuser" --encoding="$encoding" --auth=trust --no-sync
    if [ "$image_major" -ge 14 ]; then set -- "$@" --no-instructions; fi
    # From 18 on checksums are the default: nobody will read these pages again.
    if [ "$image_major" -ge 18 ]; then set -- "$@" --no-data-checksums; fi
    # The image's own locale, which the server's first databases most likely have; C where that is none.
    if [ -n "${LANG:-}" ] && initdb "$@" --locale="$LANG" --lc-messages=C >/dev/null 2>"$work/initdb.err"; then :; else
        rm -rf "$data/pgdata"
        initdb "$@" --locale=C >/dev/null 2>"$work/initdb.err" || exit
    fi
    drill_settings >>"$data/pgdata/postgresql.conf"
}

step_drill_server() {
    exec postgres -D "$data/pgdata" >"$data/server.log" 2>&1
}

restore_globals() {
    SUPERUSER=$superuser awk -v mode=restore -f "$work/globals.awk" "$data/globals.sql" >"$data/globals.restore" ||
        fail "the globals cannot be read" "awk failed" "Look at the messages above."
    : >"$work/first.sql"
    # An in-place tablespace needs no folder of its own (PostgreSQL documentation, "Developer Options").
    if [ "$(fact tablespaces)" -gt 0 ]; then echo 'SET allow_in_place_tablespaces = on;' >"$work/first.sql"; fi
    clear_stages
    run_group _drill_globals
    [ "$step_status" -eq 0 ] || drill_sql_failed globals "the roles and other globals cannot be restored"
}

step_drill_globals() {
    {
        cat "$work/first.sql" "$data/globals.restore"
        echo 'ALTER ROLE CURRENT_USER SUPERUSER LOGIN;' # whatever it may do in the source
    } | stage globals feed_psql postgres >/dev/null
}

# restore_databases: everything behind the globals, in as many parts at once as there are processors, where it is known
# ($POSTGRES_BACKUP_DRILL_SECTIONS) at which bytes of the text databases begin. Each part decompresses from the
# beginning: that costs less than what PostgreSQL does with the text.
restore_databases() {
    clear_stages
    make_between
    text_parts "$(nproc 2>/dev/null || echo 1)" >"$work/parts"
    export in_transactions between
    run_group _drill_restore
    # The decompressor's own failure is the cause, psql's a consequence.
    case $(stage_status_of expand) in
        0 | none | "$SIGPIPE_STATUS" | "$SIGTERM_STATUS") ;;
        *) fail_for_good "the backup cannot be decompressed" "$backup: $(stage_message_of expand)" "It is damaged: rehearse another one." ;;
    esac
    [ ! -e "$work/short" ] || fail_for_good "the backup cannot be read to its end" "$backup: no database begins where one should" \
        "It is damaged, or the contents are another backup's: rehearse another one."
    # Of several failures the first is the cause: its part ended the others.
    failed=
    while read -r part part_offset part_bytes <&3; do
        case $(stage_status_of "feed$part") in
            0 | none | "$SIGTERM_STATUS") ;;
            *) failed=feed$part; break ;;
        esac
    done 3<"$work/parts"
    [ "$step_status" -eq 0 ] || failed=${failed:-feed1}
    if [ -n "$failed" ]; then
        if must_not_be_in_transactions "$failed"; then
            log "not to be restored in one transaction a database: $(psql_error "$work/$failed.err"); once more without"
            in_transactions=no
            restore_again
            return
        fi
        if must_begin_between "$failed"; then
            log "not to be restored from one database to the next: $(psql_error "$work/$failed.err"); once more with each from a database without an encoding"
            between=yes
            restore_again
            return
        fi
        drill_sql_failed "$failed" "the backup does not restore"
    fi
    drop_between
    cat "$work"/copied.* >"$work/copied"
    # What was restored faster than the watch looks.
    used=$(folder_bytes "$data")
    [ "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT" -eq 0 ] || [ "${used:-0}" -le "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT" ] || too_large "$used"
    found=$(stat -c %s "$file" 2>/dev/null) || fail "the backup can no longer be read" "$backup" \
        "Look at the storage behind the volume; retention or a hand may have deleted it."
    [ "$found" = "$bytes" ] || fail "the backup changed while it was restored" "$backup" "Rehearse it again."
}

# must_not_be_in_transactions STAGE: whether its error may be due to a database's one transaction alone: too many locks,
# or what cannot be done in one (PostgreSQL documentation, appendix A: 25001, 25P01, 53200, 55P04).
must_not_be_in_transactions() {
    [ "$in_transactions" = yes ] || return 1
    case $(psql_error "$work/$1.err") in
        *': 25001: '* | *': 25P01: '* | *': 53200: '* | *': 55P04: '*) return 0 ;;
    esac
    return 1
}

# check_text: psql restores more than one complete dump, such as two that make different databases. What a run made was
# proven by it, and what comes with its contents by the module that read them.
check_text() {
    [ -z "$POSTGRES_BACKUP_DRILL_SECTIONS" ] && ! head -n 1 "$work/head" | grep -q '^-- Backup made by homelab.postgres_backup ' || return 0
    look_at_the_text
    [ -z "$damage" ] || fail_for_good "the backup is not one complete dump" "$backup: $damage" \
        "Rehearse another one; of this one take no copy for a backup, whatever its checksum file says."
}

# must_begin_between STAGE: whether its error may be that of a database whose statements, in its own encoding, go to a
# session on the database before it, as pg_dumpall's text has it: there is no conversion between these encodings (0A000),
# or its name became another one, to which psql cannot connect.
must_begin_between() {
    [ "$between" = no ] || return 1
    case $(psql_error "$work/$1.err") in
        *': 0A000: '* | 'error: \connect: '*) ;;
        *) return 1 ;;
    esac
    look_at_the_text
    [ -z "$damage" ] && awk '
        $1 == "section" && $5 != "-" && !seen[$5]++ { different++; if ($5 !~ /^(UTF8|SQL_ASCII)$/) needs = 1 }
        END { exit !(needs && different > 1) }' "$work/sections"
}

# The database that each one's section begins in, where it must: SQL_ASCII takes every client_encoding, and leaves names
# as they are, which is how the source had them.
BETWEEN_NAME="postgres-backup-drill between databases"

make_between() {
    [ "$between" = yes ] || return 0
    echo "CREATE DATABASE \"$BETWEEN_NAME\" TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';" |
        stage between feed_psql postgres >/dev/null || drill_sql_failed between "the backup does not restore"
}

drop_between() {
    [ "$between" = yes ] || return 0
    echo "DROP DATABASE \"$BETWEEN_NAME\";" | stage between feed_psql postgres >/dev/null ||
        drill_sql_failed between "the backup does not restore"
}

# restore_again: from the beginning.
restore_again() {
    end_server
    rm -rf "$data/pgdata" "$work"/copied.*
    make_server
    restore_globals
    restore_databases
}

# text_parts NUMBER: at most so many parts of about one length, each "NUMBER OFFSET BYTES"; the last has no end.
text_parts() {
    printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS" | awk -v number="$1" -v first="$globals_bytes" '
        NF == 3 { offset[++count] = $1; end = $1 + $2 }
        END {
            if (number > 4) number = 4 # each takes memory
            begin[parts = 1] = first
            for (i = 2; i <= count && parts < number; i++) {
                wanted = first + (end - first) * parts / number
                # The nearer of two beginnings.
                if (offset[i] >= wanted || (i < count && offset[i + 1] - wanted > wanted - offset[i])) begin[++parts] = offset[i]
            }
            for (i = 1; i <= parts; i++) printf "%d %.0f %.0f\n", i, begin[i], i < parts ? begin[i + 1] - begin[i] : 0
        }'
}

step_drill_restore() {
    while read -r part part_offset part_bytes <&3; do
        if [ "$part_bytes" -eq 0 ]; then stage expand expand_text; else expand_text 2>/dev/null; fi <"$file" 3<&- |
            stage "feed$part" feed_part "$part_offset" "$part_bytes" 3<&- |
            count_copied >"$work/copied.$part" 3<&- &
    done 3<"$work/parts"
    wait
    while read -r part part_offset part_bytes; do
        [ "$(stage_status_of "feed$part")" = 0 ] || exit 1
    done <"$work/parts"
}

# feed_part OFFSET BYTES: that part of the text on standard input, through one psql; with 0 bytes to the text's end.
feed_part() {
    take "$globals_bytes" | cmp -s - "$data/globals.sql" || { echo 'error: the file changed' >&2; return 1; }
    take $(($1 - globals_bytes)) >/dev/null
    if [ "$2" -eq 0 ]; then
        { transactions "$1" 0 && cat; } | feed_psql postgres
        return
    fi
    transactions "$1" "$2" | feed_psql postgres || return
    # The text went on as far as this part does, where the next one begins.
    begins_section || { : >"$work/short"; return 1; }
}

# transactions OFFSET BYTES: copies that part of the text (with 0 bytes as far as databases are known to be in it), the
# bodies that $POSTGRES_BACKUP_DRILL_SECTIONS names in one transaction each: then COPY writes no WAL (PostgreSQL
# documentation, "Disable WAL Archival and Streaming Replication"). Each section begins in a session between databases
# where it must.
transactions() {
    {
        [ "$between" = no ] || sed -n 's/^\(section [0-9]*\) .*/\1/p' "$work/sections"
        printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS"
    } | BETWEEN="\\connect \"$BETWEEN_NAME\"" awk -v position="$1" -v bytes="$2" -v wanted="$in_transactions" -v between="$between" '
        BEGIN { last = bytes + 0 ? position + bytes : 1e15 }
        $1 == "section" { begin[++count] = $2; next }
        NF == 3 && between == "no" { begin[++count] = $1 }
        NF == 3 && wanted == "yes" && $3 + 0 { body[$1] = $3; end[$1] = $1 + $2 }
        END {
            for (i = 1; i <= count; i++) {
                at = begin[i]
                if (at + 0 < position + 0 || at + 0 >= last) continue
                if (between == "yes") { printf "%.0f %s\n", at - position, ENVIRON["BETWEEN"]; position = at }
                if (!(at in body)) continue
                printf "%.0f BEGIN;\n%.0f COMMIT;\n", body[at] - position, end[at] - body[at]
                position = end[at]
            }
            if (bytes + 0) printf "%.0f\n", last - position
        }' >"$work/transactions.$1"
    while read -r piece_bytes word <&4; do
        take "$piece_bytes" 4<&- || return 1
        [ -z "$word" ] || printf '%s\n' "$word"
    done 4<"$work/transactions.$1"
}

# count_copied: from psql's command tags, the rows that each database got: "ROWS NAME" a line.
count_copied() {
    awk '
        BEGIN { behind = "\" as user \"" ENVIRON["PGUSER"] "\"." }
        /^You are now connected to database "/ {
            name = substr($0, 36, length($0) - 35 - length(behind))
            if (!(name in rows)) { rows[name] = 0; order[++count] = name }
        }
        /^COPY [0-9]+$/ { rows[name] += $2 }
        /^INSERT 0 [0-9]+$/ { rows[name] += $3 }
        END { for (i = 1; i <= count; i++) printf "%.0f %s\n", rows[order[i]], order[i] }
    '
}

# may_be_the_text MESSAGE: whether the error may be that of a text which is not one complete dump: where nobody verified
# it, syntax errors, what there is already, wrong rows, and what psql itself refuses (no SQLSTATE).
may_be_the_text() {
    [ -z "$POSTGRES_BACKUP_DRILL_SECTIONS" ] || return 1
    case $1 in
        *': 42601: '* | *': 42710: '* | *': 42P0'[4-7]': '* | *': 22'???': '* | *': 25'???': '*) return 0 ;;
        *': '[0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]': '*) return 1 ;;
    esac
}

# drill_sql_failed STAGE WHAT: what PostgreSQL refused.
drill_sql_failed() {
    message=$(psql_error "$work/$1.err")
    case $message in
        '' | *'connection to server'* | *'server closed the connection'* | *'terminating connection'*)
            sleep 1
            kill -0 "$server_group" 2>/dev/null || server_is_gone "the throwaway server ended in the middle" ;;
    esac
    psql_failure "$1"
    ! may_be_the_text "$message" || {
        log "the restore failed: $message; looking at the text for the reason"
        look_at_the_text
        [ -z "$damage" ] || fail_for_good "$2" "$message. The reason lies in the file: $damage" \
            "Rehearse another one; of this one take no copy for a backup, whatever its checksum file says."
    }
    advice=$(drill_advice "$message")
    # Connection, serialization, resources, operators, the system itself (PostgreSQL documentation, appendix A).
    case $(sqlstate "$message") in
        '' | 08* | 40* | 53* | 57* | 58* | XX*) fail "$2" "$message" "$advice" ;;
        *) fail_for_good "$2" "$message" "$advice" ;;
    esac
}

# drill_advice MESSAGE: by its SQLSTATE and the object that it begins with; what has none comes from a connection.
drill_advice() {
    error_state=$(sqlstate "$1")
    error_text=${1#*: "$error_state": }
    case $error_state:$error_text in
        58P01:*extension* | 58P01:*'could not access file'* | 0A000:'extension "'* | :*'could not access file'*)
            echo "The image lacks that extension, or a library of session_preload_libraries: use an image that has it (postgres_backup_image), the one that the live server has." ;;
        *'shared_preload_libraries'* | *'must be preloaded'*)
            echo "Name the library in postgres_backup_drill_settings (the module's option settings): shared_preload_libraries." ;;
        53100:* | *'No space left'*)
            echo "The data did not fit: raise postgres_backup_drill_size_limit (the module's option size_limit)." ;;
        53200:*'shared memory'*)
            echo "Raise max_locks_per_transaction in postgres_backup_drill_settings (the module's option settings)." ;;
        53200:*) echo "Raise the memory limit (postgres_backup_resources)." ;;
        42704:'unrecognized configuration parameter '* | 42602:* | 55P02:*)
            echo "PostgreSQL $server_version in the image does not take that setting of a database or role (a newer version removed it, or its library is missing): use the live server's own image, or take the setting back there (ALTER DATABASE or ALTER ROLE ... RESET)." ;;
        22023:parameter* | 22023:'invalid value for parameter'*)
            echo "PostgreSQL $server_version in the image does not take that value of a setting: use the live server's own image, or change the setting there." ;;
        42710:'role "'*)
            echo "The throwaway server's superuser ($superuser) is not the source's: name it (the module's option superuser)." ;;
        22023:*locale* | 22023:*collation* | 42809:*locale* | 42704:'collation "'* | 42704:'locale '* | 22023:*encoding*)
            echo "The image lacks that locale: use the live server's own image." ;;
        42883:* | 42P01:* | 3F000:* | 42703:* | 42704:*)
            echo "What the message names is not found: a function, a view or an index names it without its schema, and dumps are restored with an empty search_path; or the image's extension is older than the live server's. A restore by hand would meet it too: write the schema there, or give the function SET search_path, in the live database, and make a new backup." ;;
        42501:*) echo "The statement runs with the rights of an object's owner (a materialized view is filled with them, for instance), who lacks the right, or BYPASSRLS where it is row-level security. A restore by hand would meet it too: grant it in the live server, and make a new backup." ;;
        23*:*) echo "Rows of the backup do not fulfil the constraint that the message names. A restore by hand would meet it too: mend the rows in the live database, and make a new backup." ;;
        *) echo "Read the message above; it is PostgreSQL's own. A restore by hand would meet it too." ;;
    esac
}

# count_rows: every table of every database, as JSON lines; sets `databases`, `tables`, `rows` and `copied_rows`.
count_rows() {
    PGCLIENTENCODING=SQL_ASCII psql --no-psqlrc --no-password --no-align --tuples-only --quiet \
        --command='SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname' >"$work/databases" 2>"$work/list.err" ||
        fail "the restored databases cannot be listed" "$(psql_error "$work/list.err")" "Look at the message."
    while IFS= read -r database <&3; do
        export database
        run_group _drill_count
        [ "$step_status" -eq 0 ] || fail "the rows of the database '$(utf8 "$database")' cannot be counted" \
            "$(psql_error "$work/count.err")" "Look at the message; it is PostgreSQL's own."
        report_database
    done 3<"$work/databases"
}

# step_drill_count: "ENCODING x", then "t SCHEMA NAME ROWS TREE PART" a table, "e" for one that belongs to an extension.
# TREE is the same number for all tables of one partition tree, 0 for others; PART is root, branch, leaf, or none.
step_drill_count() {
    PGOPTIONS="$PGOPTIONS -c search_path=pg_catalog" feed_psql "$database" >"$data/counted" 2>"$work/count.err" <<'SQL'
\pset fieldsep ' '
SELECT 'ENCODING', getdatabaseencoding();
WITH RECURSIVE partitions AS (
    SELECT c.oid, c.oid AS root FROM pg_class c WHERE c.relkind = 'p' AND NOT c.relispartition
    UNION ALL SELECT i.inhrelid, p.root FROM partitions p JOIN pg_inherits i ON i.inhparent = p.oid
)
SELECT string_agg(format('SELECT %L, %L, %L, count(*), %L, %L FROM ONLY %I.%I', kind, schema_hex, name_hex, tree, part, nspname, relname), ' UNION ALL ')
FROM (
    SELECT n.nspname, c.relname, row_number() OVER (ORDER BY n.nspname, c.relname) / 100 AS statement,
        coalesce(p.root, 0) AS tree,
        CASE WHEN p.root = c.oid THEN 'root' WHEN p.root IS NULL THEN 'none' WHEN c.relkind = 'p' THEN 'branch' ELSE 'leaf' END AS part,
        encode(convert_to(n.nspname::text, getdatabaseencoding()), 'hex') AS schema_hex,
        encode(convert_to(c.relname::text, getdatabaseencoding()), 'hex') AS name_hex,
        CASE WHEN EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
            THEN 'e' ELSE 't' END AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN partitions p ON p.oid = c.oid
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
) AS found
GROUP BY statement ORDER BY statement
\gexec
SQL
}

# report_database: the JSON lines of $data/counted, and what COPY said of the same database.
report_database() {
    copied=$(awk 'BEGIN { name = ENVIRON["database"] } { n = $1; sub(/^[0-9]+ /, "") } $0 == name { print n; exit }' "$work/copied")
    awk -v copied="${copied:-0}" -v summary="$work/summary" '
        BEGIN {
            name = ENVIRON["database"]
            for (i = 1; i < 256; i++) hex[sprintf("%c", i)] = sprintf("%02x", i)
            for (i = 1; i <= length(name); i++) name_hex = name_hex hex[substr(name, i, 1)]
        }
        $1 == "ENCODING" { encoding = $2; next }
        NF == 6 {
            tree = $6 == "none" ? "" : sprintf(",\"tree\":%s,\"part\":\"%s\"", $5, $6)
            line[++count] = sprintf("{\"type\":\"table\",\"schema_hex\":\"%s\",\"name_hex\":\"%s\",\"rows\":%s%s%s}", $2, $3, $4, $1 == "e" ? ",\"extension\":true" : "", tree)
            tables++
            if ($1 == "e") extension += $4
            else rows += $4
        }
        END {
            printf "{\"type\":\"database\",\"name_hex\":\"%s\",\"encoding\":\"%s\",\"tables\":%d,\"rows\":%.0f,\"copied_rows\":%.0f,\"extension_rows\":%.0f}\n",
                name_hex, encoding, tables, rows, copied, extension
            for (i = 1; i <= count; i++) print line[i]
            printf "%d %.0f %.0f\n", tables, rows, extension > summary
        }
    ' "$data/counted"
    read -r database_tables database_rows extension_rows <"$work/summary"
    # Of an extension's tables a dump holds only the rows that users added.
    if [ "${copied:-0}" -lt "$database_rows" ] || [ "${copied:-0}" -gt $((database_rows + extension_rows)) ]; then
        fail_for_good "not every row of the dump is there" \
            "the database '$(utf8 "$database")': COPY reported ${copied:-0} rows, $database_rows are there" \
            "Look for rules, triggers or policies that change what is written, and restore it by hand to see."
    fi
    databases=$((databases + 1)) tables=$((tables + database_tables)) rows=$((rows + database_rows)) copied_rows=$((copied_rows + ${copied:-0}))
}

# step_drill_watch MAIN SECONDS FOLDER LIMIT_BYTES: ends the drill at its time limit by SIGUSR1, and by SIGUSR2 when its
# data take more than they may.
step_drill_watch() {
    watched=0 shown=0
    while [ "$watched" -lt "$2" ]; do
        sleep "$DRILL_PAUSE_SECONDS"
        kill -0 "$1" 2>/dev/null || exit 0
        looked=$(now_epoch)
        used=$(folder_bytes "$3")
        looked=$(($(now_epoch) - looked))
        watched=$((watched + DRILL_PAUSE_SECONDS + looked))
        if [ "$4" -gt 0 ] && [ "${used:-0}" -gt "$4" ]; then
            echo "$used" >"$work/used"
            kill -USR2 "$1"
            exit 0
        fi
        if [ $((watched - shown)) -ge 60 ]; then
            shown=$watched
            log "still restoring after $((watched / 60)) min; $(human_bytes "${used:-0}") of data"
        fi
        # Many files take long to look at.
        [ "$looked" -eq 0 ] || sleep $((looked * 5))
    done
    kill -USR1 "$1"
}

# In place of backup.sh's own, which tells of a run.
on_signal() {
    case $1 in
        USR1) fail "the drill took longer than its time limit of $POSTGRES_BACKUP_TIME_LIMIT" "it was in the step: $step" \
            "Raise postgres_backup_time_limit (the module's option timeout), or give the pod more processor." ;;
        USR2) too_large "$(cat "$work/used")" ;;
        *)
            ended_by=$1
            fail "the drill was ended from outside (SIG$1)" "it was in the step: $step" \
            "Somebody or something stopped the pod: a deletion, an eviction, a node that shut down." ;;
    esac
}

# folder_bytes FOLDER: the room that it takes.
folder_bytes() { du -sk "$1" 2>/dev/null | awk '{ printf "%.0f", $1 * 1024 }'; }

# too_large BYTES
too_large() {
    fail_for_good "the backup's data need more room than the drill may take" \
        "$(human_bytes "$1") so far, at most $(human_bytes "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT")" \
        "Raise postgres_backup_drill_size_limit (the module's option size_limit), where the node has that room."
}

# end_drill: nothing is left.
end_drill() {
    end_watch
    end_server
    [ -z "${hash_group:-}" ] || end_group "$hash_group"
    hash_group=
    [ -z "${data:-}" ] || rm -rf "$data"
}

end_server() {
    [ -n "${server_group:-}" ] || return 0
    # Immediate shutdown: the data are thrown away. (QUIT to the group reaches its children too.)
    kill -QUIT "$server_group" 2>/dev/null || :
    end_group "$server_group"
    server_group=
}

# drill_ends STATE: the result, where it is wanted.
drill_ends() {
    result=$(drill_result "$1")
    printf '%s\n' "$result"
    if [ -n "$POSTGRES_BACKUP_DRILL_RESULT" ]; then printf '%s\n' "$result" >"$POSTGRES_BACKUP_DRILL_RESULT"; fi
    if [ -e "$POSTGRES_BACKUP_TERMINATION_LOG" ]; then
        printf '%s' "$result" | head -c "$TERMINATION_MESSAGE_BYTES" 2>/dev/null >"$POSTGRES_BACKUP_TERMINATION_LOG" || :
    fi
}

# drill_result STATE: one JSON object.
drill_result() {
    printf '{"state":"%s","operation":"drill","job":%s,"pod":%s,"started":"%s","finished":%s,"reason":%s' "$1" \
        "$(json_or_null "$POSTGRES_BACKUP_JOB")" "$(json "$POSTGRES_BACKUP_POD")" "$started" \
        "$(if [ "$1" = running ]; then printf null; else json "$(now_iso)"; fi)" "$reason"
    printf ',"signal":%s' "$(json_or_null "$ended_by")"
    printf ',"backup":%s,"bytes":%s,"sha256":%s,"seconds":{%s},"server_version":%s' "$(json_or_null "$backup")" \
        "${bytes:-null}" "$(json_or_null "$sha256")" "$step_seconds" "$(json_or_null "$server_version")"
    printf ',"databases":%s,"tables":%s,"rows":%s,"copied_rows":%s,"can_heal":%s,"warnings":[%s],"script_version":"%s"}' \
        "$databases" "$tables" "$rows" "$copied_rows" "$can_heal" "$warnings" "$VERSION"
}

# fail_for_good WHAT FOUND ADVICE: with this backup, image and settings another drill would end in the same way.
fail_for_good() { fail_with 2 "$@"; }

# drill_failed: what fail_with() does for a drill.
drill_failed() {
    can_heal=true
    [ "$exit_status" -ne 2 ] || can_heal=false
    reason=$(json "$(printf '%s: %s' "$what" "$found" | head -c 1500)")
    end_drill
    drill_ends failed
    # Then the container that records it says so.
    if [ -n "$POSTGRES_BACKUP_DRILL_RESULT" ]; then exit_status=0; fi
}

# drill_prepare: what the drill's container needs: a passwd file with this user id, which initdb insists on; for a
# scheduled one the word that it is at work.
drill_prepare() {
    step_seconds='' warnings='' started=$(now_iso) reason=null backup='' bytes='' sha256='' server_version=''
    databases=0 tables=0 rows=0 copied_rows=0 can_heal=null ended_by=''
    read_configuration
    passwd=${TMPDIR:-/tmp}/passwd
    if ! message=$( { cat /etc/passwd 2>/dev/null || :; } >"$passwd" && chmod 0644 "$passwd" 2>&1); then
        fail "no passwd file could be written" "$message" "Look at the room in ${TMPDIR:-/tmp}."
    fi
    grep -q "^[^:]*:[^:]*:$(id -u):" "$passwd" ||
        printf 'postgres-drill:x:%s:%s:PostgreSQL:/:/bin/false\n' "$(id -u)" "$(id -g)" >>"$passwd"
    [ -n "${POSTGRES_BACKUP_DRILL_RESULT:-}" ] || return 0
    write_last_drill "$(drill_result running)"
}

# drill_record: the scheduled drill's result onto the volume; ends with its status.
drill_record() {
    read_configuration
    text=$(utf8 "$(head -c 65536 "$POSTGRES_BACKUP_DRILL_RESULT" 2>/dev/null | tr -d '\000' | head -n 1)")
    case $text in
        '{"state":"succeeded","operation":"drill",'*'}' | '{"state":"failed","operation":"drill",'*'}') ;;
        *) fail "the drill left no result" "$POSTGRES_BACKUP_DRILL_RESULT holds none" "Look at the log of the container drill." ;;
    esac
    write_last_drill "$text"
    printf '%s\n' "$text"
    case $text in
        '{"state":"succeeded",'*) ;;
        *'"can_heal":false'*) exit_status=2; exit 2 ;; # within a string, quotation marks have a backslash before them
        *) exit 1 ;;
    esac
}

write_last_drill() {
    check_volume
    replace_text "$POSTGRES_BACKUP_DIR/last-drill.json" "$1" || fail "last-drill.json cannot be written" "$message" "$ADVICE_PERMISSION"
}
""",
    "restore.sh": r"""# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh _restore`: one database out of a backup on the volume into the live server. The module restore_database
# starts it in a Job; restore_plan.py says what the RESTORE_* variables hold. The database is restored under a
# temporary name that nobody but superusers can connect to, and gets its own in one transaction at the end.
# shellcheck shell=sh
# shellcheck disable=SC2154 # backup.sh's variables
# shellcheck disable=SC2034 # and those that it reads
# shellcheck disable=SC2329 # stage() calls functions by name

# How long the swap may take once nobody is connected, and the last tries to reach the server when all is over.
SWAP_SECONDS=20
DROP_TRIES=8

restore() {
    step=prepare step_began=$(now_epoch) step_seconds='' step_group='' warnings=''
    reason=null ended_by='' replaced='' created_roles='[]' rows=null databases=null pending_signal='' made=no answered=no exists=no
    maintenance=postgres
    keep_streams
    catch_signals TERM INT HUP
    # It connects as a run does.
    command=run
    read_configuration
    command=_restore
    require_tools psql awk cp cut dd grep gzip head mktemp sed sha256sum stat tr
    check_volume
    make_work_folder
    # One cannot rename the database that one is connected to.
    maintenance=$POSTGRES_BACKUP_DATABASE
    [ "$maintenance" != "$RESTORE_TARGET" ] || maintenance=template1
    [ "$maintenance" != "$RESTORE_TARGET" ] || maintenance=postgres
    file=$POSTGRES_BACKUP_DIR/$RESTORE_BACKUP
    session="postgres-backup restore $RESTORE_TOKEN"
    PGAPPNAME=$session
    # The settings of PostgreSQL 14 and newer, and a superuser's, follow when both are known (question_server).
    given_options=${PGOPTIONS:-}
    PGOPTIONS="$given_options $(session_options 0 no)"
    quiet_options='-c search_path=pg_catalog'
    export maintenance file PGAPPNAME PGOPTIONS quiet_options

    compare_hash
    question_server
    end_step prepare
    [ "$exists" = no ] || look_at_bonds
    if [ "$RESTORE_CHECK" = yes ]; then
        [ "$RESTORE_CREATE_ROLES" = no ] || created_roles=$missing_roles
        [ "$exists" = no ] || replaced=$RESTORE_OLD
        log "check: $RESTORE_DATABASE of $RESTORE_BACKUP can be restored as $RESTORE_TARGET"
        finish
        return
    fi
    drop_leftovers
    [ "$missing_roles" = '[]' ] || make_roles
    make_database
    feed
    step=swap
    swap
    end_step swap
    [ "$exists" = no ] || replaced=$RESTORE_OLD
    tell_of_bonds
    log "OK: $RESTORE_DATABASE of $RESTORE_BACKUP is restored as $RESTORE_TARGET, $rows rows"
    finish
}

finish() {
    trap '' TERM INT HUP
    restored=$(restore_result succeeded)
    restore_last_words "$restored"
    printf '%s\n' "$restored"
    clean_up
}

# restore_result STATE: the outcome as one line of JSON.
restore_result() {
    printf '{"state":"%s","operation":"restore","reason":%s,"signal":%s,"backup":%s,"database":%s,"target":%s,"replaced":%s' "$1" "$reason" \
        "$(json_or_null "$ended_by")" "$(json "$RESTORE_BACKUP")" "$(json "$RESTORE_DATABASE")" "$(json "$RESTORE_TARGET")" "$(json_or_null "$replaced")"
    printf ',"created_roles":%s,"rows":%s,"seconds":{%s},"databases":%s,"warnings":[%s]}' "$created_roles" "$rows" "$step_seconds" \
        "$databases" "$warnings"
}

restore_last_words() {
    [ ${#1} -gt "$TERMINATION_MESSAGE_BYTES" ] || [ ! -e "$POSTGRES_BACKUP_TERMINATION_LOG" ] ||
        printf '%s' "$1" 2>/dev/null >"$POSTGRES_BACKUP_TERMINATION_LOG" || :
}

# In place of backup.sh's own, which tell of a run: fail_with STATUS WHAT FOUND ADVICE.
fail_with() {
    trap '' TERM INT HUP
    use_kept_streams
    exit_status=$1 what=$2 found=$3 advice=$4
    end_group "${step_group:-}"
    [ "$step" != roles ] || created_roles=$(roles_there)
    if [ "$made" = maybe ] && ! drop_temporary; then
        left="The temporary database '$RESTORE_TEMPORARY' could not be dropped: $(psql_error "$work/drop.err"). The next restore of this database drops it."
        warn "$left"
    fi
    [ "$created_roles" = '[]' ] || warn "these roles were created, and stay: $(listed "$created_roles")"
    reason=$(json "$(printf '%s: %s' "$what" "$found. $advice" | head -c 1500)")
    restored=$(restore_result failed)
    restore_last_words "$restored"
    log "FAILED: $what"
    printf '%s\n' "$found" | while IFS= read -r line; do log "  found: $line"; done
    log "  what to do: $advice"
    [ "$answered" = no ] || log "  The databases that were there are as they were."
    printf '%s\n' "$restored"
    clean_up
    exit "$exit_status"
}

on_signal() {
    ended_by=$1
    fail "the restore was ended from outside (SIG$1)" "it was in the step: $step" \
        "Somebody or something stopped the pod: a deletion, its time limit, an eviction, a node that shut down. Start it again"
}

# listed JSON: the elements of an array of strings, for people.
listed() { printf '%s' "$1" | sed -e 's/^\[//' -e 's/\]$//'; }

# quiet_psql DATABASE [ARGUMENT ...]: SQL from standard input, values on standard output.
quiet_psql() {
    quiet_database=$1
    shift
    PGOPTIONS="$PGOPTIONS $quiet_options" PGCLIENTENCODING=UTF8 psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 \
        --set=VERBOSITY=verbose "$@" --dbname="$(connection "$quiet_database" keepalives_idle=30 keepalives_interval=10 keepalives_count=3)"
}

# restore_advice MESSAGE [LOST]: what a person can do about an error of psql's: by its SQLSTATE, which is the same in every
# language of the server (PostgreSQL documentation, appendix A), and by the kind of object that it begins with. LOST is
# psql_failure's.
restore_advice() {
    if [ "${2:-no}" = yes ]; then restore_advice_gone; return; fi
    error_state=$(sqlstate "$1")
    error_text=${1#*: "$error_state": }
    case $error_state:$step in
        22023:create | 22P05:create | 22021:create | 42809:create)
            echo "The server cannot make a database of that encoding or locale: use an image that has them."; return ;;
        55006:create) echo "Somebody is connected to the database template0: end those sessions, and start the restore again."; return ;;
    esac
    case $1 in
        *'unsupported startup parameter'*)
            echo "That is a connection pooler, such as PgBouncer: restores need the server itself. Set postgres_backup_host to it."; return ;;
    esac
    case $error_state in
        42704) case $error_text in
            'role "'*'" does not exist'*) echo "Create that role, or set create_roles." ;;
            'unrecognized configuration parameter '*)
                echo "Something in the database reads a setting that only a session has: give it to the database in the live server (ALTER DATABASE ... SET), and make a new backup; or to the role that restores (ALTER ROLE ... SET), which helps with this backup too." ;;
            *'not a valid encoding'*) echo "The server cannot make a database of that encoding: use an image that can." ;;
            'tablespace "'*) echo "Create that tablespace (CREATE TABLESPACE)." ;;
            *) restore_advice_missing ;;
        esac ;;
        42883 | 42P01 | 3F000 | 42703) restore_advice_missing ;;
        58P01 | 0A000) case $error_text in
            *'row-level security'*) restore_advice_rights ;;
            *extension* | *'could not access file'* | *'could not load library'*)
                echo "Install that extension on the server, in the version that the backed-up server had: the package that has its files." ;;
            *) echo "The server lacks what the message names: another version, or built without it. Use the image of the server that was backed up." ;;
        esac ;;
        42710 | 42P07 | 42P06 | 42723 | 42P04 | 42712)
            echo "The object was there before the backup's text made it, most often by an extension of another version than the backed-up server's: install the same version, and start the restore again." ;;
        23505) echo "Two rows of the backup have the same key, or an extension made the row before. Look for duplicates in the table that was backed up (a damaged index hides them: REINDEX tells), mend it, and make a new backup; or use an older one." ;;
        23503) echo "Rows of the backup refer to rows that are not in it: the constraint did not hold in the database that was backed up either (disabled triggers, session_replication_role). Mend the rows there, and make a new backup; or use an older one." ;;
        23*) echo "Rows of the backup do not fulfil the constraint that the message names: it calls a function that gives another answer now, or was broken in the database that was backed up. Mend it there, and make a new backup; or use an older one." ;;
        53100 | 58030) echo "Free disk space on the server's volume: a restore needs as much as the database once more." ;;
        53200) case $error_text in
            *'shared memory'*) echo "Raise max_locks_per_transaction on the server, and restart it." ;;
            *) echo "The server ran out of memory: raise its memory limit, or lower maintenance_work_mem." ;;
        esac ;;
        53300) echo "The server has no connection left: raise max_connections, or end some." ;;
        53400) echo "The server's setting that the message names is too low for this restore: raise it (temp_file_limit, for instance)." ;;
        57014) echo "Somebody or a setting cancelled the statement: look at the server's log for who did, and start the restore again." ;;
        25006) echo "The server takes no changes: it is a standby. Set postgres_backup_host to the primary." ;;
        25P03 | 25P04 | 57P05) echo "A time limit of the server ended the session: look at its timeouts (pg_settings), and start the restore again." ;;
        42501) restore_advice_rights ;;
        0L*) echo "Roles of this server do not have the memberships or rights that the backup's grants need: compare the roles of both servers, and grant what is missing." ;;
        42602) echo "A library of the server reserves that setting's prefix and does not know the setting: use the version of the library that the backed-up server had." ;;
        22*) echo "The server does not take a value of the backup: an extension's type or a function is another version's, the encoding is another one, or the backup was changed. Use the image of the server that was backed up; fetch the backup with verify to see that it is complete." ;;
        55006 | 55P03) echo "Another session uses the object: end it (pg_stat_activity, pg_locks), and start the restore again." ;;
        55P02 | 55000) restore_advice_setup ;;
        3D000) echo "The database that the message names is gone: did somebody drop it? Start the restore again." ;;
        P0*) echo "A function of the database or of an extension refused: see its text for what it demands. Dumps are restored with an empty search_path, and tables are filled one after another." ;;
        XX001 | XX002) echo "The server found damaged data of its own: look at its log and its storage." ;;
        XX*) case $error_text in
            *shared_preload_libraries* | *'must be preloaded'*) restore_advice_setup ;;
            *'could not load library'*) echo "A library of that extension does not work on the server: install the extension's package there, in the version that the backed-up server had, with what it needs." ;;
            *) echo "PostgreSQL or an extension met an error of its own: look at the server's log, and for a newer minor version of both." ;;
        esac ;;
        57P01 | 57P02 | 08*) restore_advice_gone ;;
        57P03) printf '%s\n' "$ADVICE_NOT_READY" ;;
        42*) echo "The server does not understand the statement: it is another version, or an extension's. Use the image of the server that was backed up." ;;
        *) case $1 in
            *'closed the connection'* | *'terminating connection'* | *'connection to server was lost'*) restore_advice_gone ;;
            *'could not access file'*) echo "The database's session_preload_libraries or local_preload_libraries name a library that the server does not have: install it, in the version that the backed-up server had." ;;
            # A connection; psql_error left out its first word, and a space.
            *) postgres_advice "psql: $(printf '%s\n' "$1" | sed -e 's/FATAL: /FATAL:  /')" ;;
        esac ;;
    esac
}

restore_advice_setup() { echo "The server is not set up for what the message names (a library in shared_preload_libraries, wal_level): set it as on the server that was backed up, and restart it."; }

restore_advice_missing() {
    echo "What the message names is not found. Either an extension of the server is older than the backed-up server's: install the same version. Or a function, a view or an index names it without its schema: dumps are restored with an empty search_path. Then write the schema there, or give the function SET search_path, in the live database, and make a new backup; this one restores by hand with psql, which goes on behind an error without ON_ERROR_STOP: then make what is missing."
}

# restore_advice_rights: a superuser's statement lacks a right only where it runs with an owner's.
restore_advice_rights() {
    if [ "${is_superuser:-no}" = yes ]; then
        echo "The statement runs with the rights of an object's owner (a materialized view is filled with them, for instance), who lacks the right here: grant it to that role, or BYPASSRLS where it is row-level security (ALTER ROLE ... BYPASSRLS), start the restore again, and take it back."
        return
    fi
    echo "Restore as a superuser: set postgres_backup_user. Where the provider has none: a role with BYPASSRLS that is a member of the database's roles; what only superusers may do must then be left out by hand."
}

restore_advice_gone() { echo "PostgreSQL went away in the middle: look at its log (restart, out of memory, crash), and start the restore again."; }

# run_step NAME WHAT: a step in a group of its own; where its psql fails, the restore ends with what it said.
run_step() {
    clear_stages
    run_group _restore_step "$1"
    [ "$step_status" -ne 0 ] || return 0
    psql_failure psql
    fail "$2" "$message" "$(restore_advice "$message" "$is_lost")"
}

restore_step() {
    case $1 in
        hash) stage read dd if="$file" bs=1048576 | stage hash sha256sum >"$work/hash" ;;
        ask) stage psql ask >"$work/answers" ;;
        roles) stage psql run_roles >"$work/answers" ;;
        create) stage psql create >"$work/answers" ;;
        feed) feed_all ;;
        settle) stage psql settle >"$work/answers" ;;
        swap) stage psql swap_names ;;
        *) exit 2 ;;
    esac
}

# -------------------------------------------------------------------------------------------------------- before it

# compare_hash: not a byte is fed of anything but the file that the caller looked at.
compare_hash() {
    case $RESTORE_BACKUP in
        .* | */*) fail "no backup's name" "'$RESTORE_BACKUP'" "Give the name of a file on the volume." ;;
    esac
    [ -f "$file" ] || fail "the backup is not on the volume" "$RESTORE_BACKUP is not in $POSTGRES_BACKUP_DIR" \
        "Look at what is there (backup_info); retention may have deleted it."
    [ -r "$file" ] || fail "the backup cannot be read" "$(ls -l "$file"), this runs as $(id)" "$ADVICE_PERMISSION"
    file_before=$(stat -c '%i %s %Y' "$file")
    clear_stages
    run_group _restore_step hash
    [ "$(stage_status_of read)$(stage_status_of hash)" = 00 ] || fail "the backup cannot be read" "$(stage_message_of read)" \
        "Look at the storage behind the volume."
    found_hash=$(cut -c 1-64 "$work/hash")
    [ "$found_hash" = "$RESTORE_SHA256" ] || fail "the backup on the volume is not the one that was verified" \
        "expected sha256 $RESTORE_SHA256, found $found_hash in $RESTORE_BACKUP" \
        "It was changed or damaged since, or the contents are another backup's: fetch it with verify again."
}

ask() {
    quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=roles="$RESTORE_ROLES" --set=tablespace="$RESTORE_TABLESPACE" \
        --set=old="$RESTORE_OLD" <<'SQL'
SELECT current_setting('server_version_num')::int / 10000;
SELECT current_setting('server_version');
SELECT CASE WHEN rolsuper THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_roles WHERE rolname = current_user;
SELECT CASE WHEN rolsuper THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_roles WHERE rolname = session_user;
SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_database WHERE datname = :'target';
SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_database WHERE datname = :'old';
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
SELECT CASE WHEN count(*) > 0 OR :'tablespace' = '' THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_tablespace WHERE spcname = :'tablespace';
SELECT json_agg(datname::text ORDER BY datname) FROM pg_catalog.pg_database;
SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = :'target' AND pid <> pg_backend_pid();
SQL
}

# question_server: questions that change nothing; sets `exists` and `missing_roles`.
question_server() {
    run_step ask "the server does not answer"
    {
        IFS= read -r server_major
        IFS= read -r server_version
        IFS= read -r is_superuser
        IFS= read -r connects_as_superuser
        IFS= read -r exists
        IFS= read -r old_exists
        IFS= read -r missing_roles
        IFS= read -r has_tablespace
        IFS= read -r databases
        IFS= read -r sessions
    } <"$work/answers"
    answered=yes
    # PGOPTIONS are taken with the rights of the user that connects, whose settings may make it another role.
    PGOPTIONS="$given_options $(session_options "$server_major" "$connects_as_superuser")"
    # What a login trigger of the restored database does is not for us.
    [ "$connects_as_superuser" = no ] || [ "$server_major" -lt 17 ] || quiet_options="$quiet_options -c event_triggers=off"
    # Names in an SQL_ASCII database may be in any encoding.
    databases=$(utf8 "$databases")
    if [ -n "$RESTORE_MAJOR" ] && [ "$server_major" -lt "$RESTORE_MAJOR" ]; then
        fail "the server is older than the backup" "the server is PostgreSQL $server_version, the backup is of $RESTORE_MAJOR" \
            "Restore into a server of PostgreSQL $RESTORE_MAJOR or newer."
    fi
    if [ "$exists" = yes ] && [ "$RESTORE_REPLACE" = no ]; then
        fail "the database exists" "'$RESTORE_TARGET' is on the server" "Set new_name, or replace to have the old one renamed."
    fi
    [ "$exists$old_exists" != yesyes ] || fail "the name for the old database is taken" "'$RESTORE_OLD'" "Start it again: the name has the time in it."
    [ "$missing_roles" = '[]' ] || [ "$RESTORE_CREATE_ROLES" = yes ] ||
        fail "roles are missing on the server" "the backup's $RESTORE_DATABASE uses $(listed "$missing_roles")" "Create them, or set create_roles."
    [ "$has_tablespace" = yes ] || fail "the tablespace is missing on the server" "the backup's $RESTORE_DATABASE is in '$RESTORE_TABLESPACE'" \
        "Create that tablespace (CREATE TABLESPACE)."
    [ "$is_superuser" = yes ] || warn "$POSTGRES_BACKUP_USER is no superuser: what only superusers may do will fail"
    [ "$exists" = no ] || [ "$sessions" = 0 ] || log "$sessions sessions are in $RESTORE_TARGET now; they must be gone, or are ended where asked, when it is renamed"
    log "server $PGHOST:$PGPORT, PostgreSQL $server_version; the backup's sha256 is the expected one"
}

# drop_leftovers: what a restore of the same database left that could not clean up. Nobody is connected to those.
drop_leftovers() {
    quiet_psql "$maintenance" --set=mark="$RESTORE_MARK" >"$work/leftovers" 2>"$work/psql.err" <<'SQL' || warn "what an earlier restore left could not be looked for: $(psql_error "$work/psql.err")"
SELECT datname FROM pg_catalog.pg_database d JOIN pg_catalog.pg_db_role_setting s ON setdatabase = d.oid AND setrole = 0
    WHERE :'mark' = ANY (setconfig) AND datname !~ E'[\n\r]'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND backend_type = 'client backend');
SQL
    while IFS= read -r leftover <&3; do
        if drop_database "$leftover" 2>"$work/drop.err"; then
            warn "dropped what an earlier restore left: $(utf8 "$leftover")"
        else
            warn "what an earlier restore left, '$(utf8 "$leftover")', could not be dropped: $(psql_error "$work/drop.err")"
        fi
    done 3<"$work/leftovers"
}

# drop_database NAME: one that a restore made. First goes what would hold it: subscriptions (whose slots at the publisher
# may be another database's, and stay), slots, prepared transactions, and the mark of a template.
drop_database() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$1" >/dev/null 2>&1 <<'SQL' || :
SET client_min_messages = error;
SELECT format('ALTER SUBSCRIPTION %I DISABLE', subname), format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', subname),
        format('DROP SUBSCRIPTION %I', subname)
    FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE datname = current_database()
\gexec
SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_catalog.pg_prepared_xacts WHERE database = current_database()
\gexec
SELECT pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE database = current_database() AND NOT active;
SQL
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=name="$1" >/dev/null <<'SQL'
SET client_min_messages = error;
SELECT format('ALTER DATABASE %I IS_TEMPLATE false', datname) FROM pg_catalog.pg_database WHERE datname = :'name' AND datistemplate
\gexec
SELECT format('DROP DATABASE IF EXISTS %I%s', :'name', CASE WHEN current_setting('server_version_num')::int >= 130000 THEN ' WITH (FORCE)' END)
\gexec
SQL
}

# ----------------------------------------------------------------------------------------------------------- bonds

# look_at_bonds: what belongs to the database that is to be replaced and does not go over to the restored one.
look_at_bonds() {
    quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=old="$RESTORE_OLD" >"$work/bonds" 2>"$work/psql.err" <<'SQL' || warn "what belongs to $RESTORE_TARGET could not be looked for: $(psql_error "$work/psql.err")"
SELECT translate(format('the subscription %I (%s, slot %s) belongs to the database that is to be replaced: as %I it goes on receiving, and the subscription of the restored %I, if the backup has it, is disabled',
        subname, CASE WHEN subenabled THEN 'enabled' ELSE 'disabled' END, coalesce(quote_ident(subslotname), 'NONE'), :'old', :'target'), E'\n\r', '??')
    FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE datname = :'target' ORDER BY subname;
SELECT translate(format('the logical replication slot %I (%s) belongs to the database that is to be replaced: its subscriber gets nothing of the restored %I',
        slot_name, CASE WHEN active THEN 'in use' ELSE 'not in use' END, :'target'), E'\n\r', '??')
    FROM pg_catalog.pg_replication_slots WHERE database = :'target' ORDER BY slot_name;
SQL
    while IFS= read -r bond <&3; do
        if [ "$RESTORE_CHECK" = yes ]; then warn "$(utf8 "$bond")"; else log "warning: $(utf8 "$bond")"; fi
    done 3<"$work/bonds"
}

# tell_of_bonds: what is left to do for subscriptions and slots, with the commands.
tell_of_bonds() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=old="$replaced" >"$work/bonds" 2>"$work/psql.err" <<'SQL' || warn "what belongs to $RESTORE_TARGET could not be looked for: $(psql_error "$work/psql.err")"
SELECT translate(format('%1$I still has the subscription %2$I%3$s. To end that, run in %1$I: ALTER SUBSCRIPTION %2$I DISABLE; ALTER SUBSCRIPTION %2$I SET (slot_name = NONE); DROP SUBSCRIPTION %2$I; (the slot %4$s stays at the publisher)',
        datname, subname, CASE WHEN subenabled THEN ' and goes on receiving' ELSE '' END, coalesce(quote_ident(subslotname), 'NONE')), E'\n\r', '??')
    FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE datname = :'old' ORDER BY subname;
SELECT translate(format('the subscription %2$I is disabled in the restored %1$I, and what was published since the backup is not there. For it to receive again, run in %1$I%3$s: %4$sALTER SUBSCRIPTION %2$I ENABLE; ALTER SUBSCRIPTION %2$I REFRESH PUBLICATION WITH (copy_data = false); or, to drop it without its slot: ALTER SUBSCRIPTION %2$I SET (slot_name = NONE); DROP SUBSCRIPTION %2$I;',
        datname, subname, CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_subscription o
            WHERE o.subslotname = s.subslotname AND o.subdbid <> s.subdbid)
            THEN format(', when no other database''s subscription uses the slot %I any more', subslotname) ELSE '' END,
        CASE WHEN subslotname IS NULL THEN format('ALTER SUBSCRIPTION %1$I SET (slot_name = %1$I); ', subname) ELSE '' END), E'\n\r', '??')
    FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = subdbid
    WHERE datname = :'target' AND NOT subenabled ORDER BY subname;
SELECT translate(format('the logical replication slot %1$I belongs to %2$I now: its subscriber gets nothing of %3$I, and the slot keeps WAL. Run in %2$I: SELECT pg_drop_replication_slot(%1$L); then in %3$I: SELECT pg_create_logical_replication_slot(%1$L, %4$L); and copy the data to the subscriber anew',
        slot_name, database, :'target', plugin), E'\n\r', '??')
    FROM pg_catalog.pg_replication_slots WHERE database = :'old' ORDER BY slot_name;
SQL
    while IFS= read -r bond <&3; do warn "$(utf8 "$bond")"; done 3<"$work/bonds"
}

# ----------------------------------------------------------------------------------------------------------- roles

run_roles() {
    quiet_psql "$maintenance" --set=roles="$missing_roles" >"$work/wanted" <<'SQL' || return 1
SELECT name FROM json_array_elements_text(:'roles') AS name WHERE name !~ E'[\n\r]';
SQL
    quiet_psql "$maintenance" >"$work/existing" <<'SQL' || return 1
SELECT rolname FROM pg_catalog.pg_roles;
SQL
    encoding=$(globals facts | sed -n 's/^encoding //p')
    # In a variable: passwords go into no file, and half of it would leave half a role.
    statements=$(globals roles) || return 1
    printf 'BEGIN;\n%s\nCOMMIT;\n' "$statements" |
        PGCLIENTENCODING=${encoding:-UTF8} feed_psql "$maintenance" >/dev/null || return 1
    quiet_psql "$maintenance" --set=roles="$missing_roles" <<'SQL'
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
SQL
}

globals() { expand_text <"$file" 2>/dev/null | head -c "$RESTORE_GLOBALS_BYTES" | awk -v mode="$1" -v wanted="$work/wanted" -v existing="$work/existing" \
        -v left_out="$work/left_out" -f "${SCRIPT%/*}/globals.awk"; }

# roles_there: which of the missing ones there are now.
roles_there() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=roles="$missing_roles" 2>/dev/null <<'SQL' || printf '[]'
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name JOIN pg_catalog.pg_roles ON rolname = name;
SQL
}

make_roles() {
    step=roles
    export missing_roles
    run_step roles "the missing roles could not be created"
    still_missing=$(cat "$work/answers")
    [ "$still_missing" = '[]' ] || fail "the backup does not make these roles, or they have line breaks in their names" \
        "$(listed "$still_missing")" "Create them by hand."
    created_roles=$missing_roles
    log "created roles: $(listed "$created_roles")"
    [ ! -s "$work/left_out" ] || warn "the server has no roles of these names, so nobody became their member: $(utf8 "$(sort -u "$work/left_out" | tr '\n' ' ')")"
    end_step roles
}

# -------------------------------------------------------------------------------------------------------- the restore

create() {
    if [ "$connects_as_superuser" = yes ]; then limit=0; else limit=-1; fi
    printf '%s CONNECTION LIMIT %s;\n%s\n' "$RESTORE_CREATE_SQL" "$limit" "$RESTORE_MARK_SQL" | quiet_psql "$maintenance" || return 1
    printf '%s\n' "$RESTORE_BEFORE_SQL" | quiet_psql "$RESTORE_TEMPORARY"
}

# tell_left_out: the settings of the database that the server did not take (restore_plan.py).
tell_left_out() {
    [ ! -s "$work/answers" ] || left_out=$(cat "$work/answers")
    [ -z "$left_out" ] || warn "PostgreSQL $server_version does not take these settings of the database, which were left out (a newer version removed them, or their library is missing): $(utf8 "$left_out")"
}

make_database() {
    step=create made=maybe
    export connects_as_superuser
    run_step create "the temporary database could not be made"
    left_out=$(cat "$work/answers")
    log "restoring into the temporary database $RESTORE_TEMPORARY"
    end_step create
}

# feed_all: the section's own pieces of the text to psql, none of the rest.
feed_all() { stage expand expand_text <"$file" | stage text feed_section; }

feed_section() {
    section_offset=${RESTORE_SECTION% *}
    take "$section_offset" >/dev/null || return 1
    take "${RESTORE_SECTION#* }" >"$work/section" || return 1
    position=$((section_offset + ${RESTORE_SECTION#* }))
    begins_section <"$work/section" || { echo foreign >"$work/foreign"; return 1; }
    # What was committed last is flushed by the swap's own commit.
    stage pieces copy_pieces |
        PGOPTIONS="$PGOPTIONS -c synchronous_commit=off" stage psql feed_psql "$RESTORE_TEMPORARY" \
            keepalives_idle=30 keepalives_interval=10 keepalives_count=3 |
        stage count count_rows >"$work/rows"
    head -c 64 >"$work/behind"
}

copy_pieces() {
    while IFS=' ' read -r piece_offset piece_length <&3; do
        take $((piece_offset - position)) >/dev/null && take "$piece_length" || return 1
        position=$((piece_offset + piece_length))
    done 3<<PIECES
$RESTORE_PIECES
PIECES
}

# count_rows: the sum of what COPY and INSERT reported (libpq, PQcmdStatus).
count_rows() { awk '/^COPY [0-9]+$/ { rows += $2 } /^INSERT [0-9]+ [0-9]+$/ { rows += $3 } END { printf "%.0f\n", rows }'; }

settle() { printf '%s\n' "$RESTORE_AFTER_SQL" | quiet_psql "$RESTORE_TEMPORARY"; }

feed() {
    step=restore
    clear_stages
    run_group _restore_step feed
    [ ! -e "$work/foreign" ] || fail "the contents are not this backup's" "at byte ${RESTORE_SECTION% *} of its text begins no database" \
        "Fetch the backup with verify again, and give the contents that this returns."
    if [ "$(stage_status_of psql)" != 0 ]; then
        psql_failure psql
        fail "the restore stopped at an error" "$message" "$(restore_advice "$message" "$is_lost")"
    fi
    case $(head -n 2 "$work/behind" 2>/dev/null | tr '\n' ' ' | tr -d '\r') in
        '-- -- PostgreSQL database cluster dump complete'*) ;;
        *) begins_section <"$work/behind" || fail "the backup could not be read to the end of the database" \
            "its decompressor ended $(status_in_words "$(stage_status_of expand)")" "Look at the storage behind the volume, and fetch the backup with verify again." ;;
    esac
    found=$(stat -c '%i %s %Y' "$file" 2>/dev/null) || fail "the backup can no longer be read" "$RESTORE_BACKUP" \
        "Look at the storage behind the volume; retention or a hand may have deleted it."
    [ "$found" = "$file_before" ] || fail "the backup changed while it was read" "$RESTORE_BACKUP" \
        "Find out what writes to the volume."
    rows=$(cat "$work/rows")
    [ "$rows" = "$RESTORE_ROWS" ] || rows_differ
    run_step settle "the database's own properties could not be set"
    tell_left_out
    log "restored $rows rows"
    end_step restore
}

# rows_differ: COPY and INSERT reported other numbers than the backup's text has rows. Only extensions' triggers and rules
# are there before the rows.
rows_differ() {
    keepers=$(quiet_psql "$RESTORE_TEMPORARY" 2>/dev/null <<'SQL'
SELECT translate(string_agg(text, ', ' ORDER BY text), E'\n\r', '??') FROM (SELECT text FROM (
    SELECT format('the trigger %I on %s (function %s)', tgname, tgrelid::regclass, tgfoid::regproc) AS text FROM pg_catalog.pg_trigger
        WHERE NOT tgisinternal AND tgtype & 7 = 7 AND EXISTS (SELECT FROM pg_catalog.pg_depend
            WHERE deptype = 'e' AND (classid, objid) IN (('pg_class'::regclass, tgrelid), ('pg_proc'::regclass, tgfoid)))
    UNION SELECT format('the rule %I on %s', rulename, ev_class::regclass) FROM pg_catalog.pg_rewrite WHERE ev_type = '3' AND is_instead
        AND EXISTS (SELECT FROM pg_catalog.pg_depend WHERE deptype = 'e' AND classid = 'pg_class'::regclass AND objid = ev_class)
) AS found ORDER BY text LIMIT 5) AS first;
SQL
    ) || keepers=
    if [ "$rows" -lt "$RESTORE_ROWS" ] 2>/dev/null; then
        if [ -n "$keepers" ]; then
            fail "the rows are not those of the backup" "expected $RESTORE_ROWS, PostgreSQL reported $rows; these decide what is written: $(utf8 "$keepers")" \
                "One of them, which was there before the rows, left some out. Restore the database by hand, as the runbook shows and as the extension's own documentation says of restores."
        fi
        fail "the rows are not those of the backup" "expected $RESTORE_ROWS, PostgreSQL reported $rows" \
            "A trigger, a rule or INSERT ... ON CONFLICT left rows out while they were restored. The backup itself has them: a restore drill with contents (restore_drill) names the tables."
    fi
    fail "the rows are not those of the backup" "expected $RESTORE_ROWS, PostgreSQL reported $rows" \
        "The contents are another backup's, or were counted by another version of the collection: fetch the backup with verify again, and give the contents that this returns."
}

# ------------------------------------------------------------------------------------------------------------ the swap

swap_names() {
    if [ "$exists" = yes ]; then away=$RESTORE_AWAY_SQL; else away=; fi
    printf "BEGIN;\nSET LOCAL lock_timeout = '10s';\n%s\n%s\nCOMMIT;\n" "$RESTORE_SWAP_SQL" "$away
$RESTORE_RENAME_SQL" | quiet_psql "$maintenance"
}

# in_the_way: who is connected to the database that is to be replaced, one a line.
in_the_way() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" 2>/dev/null <<'SQL'
SELECT translate(format('pid %s (user %s, application "%s", connected since %s)', pid, coalesce(usename, backend_type), application_name,
        to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), E'\n\r', '??')
    FROM pg_catalog.pg_stat_activity WHERE datname = :'target' AND backend_type IS DISTINCT FROM 'autovacuum worker' ORDER BY backend_start;
SELECT translate(format('prepared transaction %L of %s, since %s', gid, owner,
        to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), E'\n\r', '??')
    FROM pg_catalog.pg_prepared_xacts WHERE database = :'target';
SQL
}

# end_sessions: those in the temporary database, and where asked those in the one to be replaced.
end_sessions() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=temporary="$RESTORE_TEMPORARY" \
        --set=too="$RESTORE_TERMINATE" >/dev/null 2>&1 <<'SQL'
SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
    WHERE datname = :'temporary' OR (datname = :'target' AND :'too' = 'yes');
SQL
}

# swap: both names in one transaction. RENAME holds off new connections and waits 5 s for those that are there
# (src/backend/storage/ipc/procarray.c, CountOtherDBBackends): whom end_sessions ends meanwhile cannot come back.
swap() {
    export exists
    # A signal in the middle waits: what was committed is no failure.
    trap 'pending_signal=TERM' TERM
    trap 'pending_signal=INT' INT
    trap 'pending_signal=HUP' HUP
    swap_deadline=$(($(now_epoch) + RESTORE_WAIT_SECONDS))
    waited=no
    while :; do
        busy=
        if [ "$exists" = yes ] && [ "$RESTORE_TERMINATE" = no ]; then busy=$(in_the_way); fi
        [ -z "$pending_signal" ] || on_signal "$pending_signal"
        if [ -z "$busy" ]; then
            try_swap && break
            message=$(psql_error "$work/psql.err" 2>/dev/null)
            case $message in
                *': 55006: '* | *': 55P03: '*) busy=$(in_the_way) ;;
                *': 42P04: '*) fail "the database exists" "'$RESTORE_TARGET' was made while the restore was at work" "Set new_name, or replace." ;;
                *) if is_swapped; then break; fi
                    psql_failure psql
                    fail "the databases could not be renamed" "$message" "$(restore_advice "$message" "$is_lost")" ;;
            esac
        fi
        if [ "$(now_epoch)" -ge "$swap_deadline" ]; then
            fail "connections do not leave the database that is to be replaced" "${busy:-sessions that come and go} in '$RESTORE_TARGET'" \
                "End them, or set terminate_connections; a prepared transaction ends by COMMIT PREPARED or ROLLBACK PREPARED."
        fi
        [ "$waited" = yes ] || log "waiting at most $RESTORE_WAIT_SECONDS s for the sessions in $RESTORE_TARGET to end"
        waited=yes
        sleep 1
    done
    made=no
}

try_swap() {
    clear_stages
    start_group _restore_step swap
    step_group=$group
    try_until=$(($(now_epoch) + SWAP_SECONDS))
    while [ ! -s "$work/psql.status" ] && kill -0 "$step_group" 2>/dev/null && [ "$(now_epoch)" -lt "$try_until" ]; do
        sleep 0.2 2>/dev/null || sleep 1
        [ -s "$work/psql.status" ] || end_sessions
    done
    end_group "$step_group"
    step_group=
    [ "$(stage_status_of psql)" = 0 ]
}

# is_swapped: whether the transaction was committed although psql did not hear of it.
is_swapped() {
    there=$(PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" 2>/dev/null <<'SQL'
SELECT count(*) FROM pg_catalog.pg_database WHERE datname = :'temporary';
SQL
    ) && [ "$there" = 0 ]
}

# drop_temporary: first whatever still works for this restore is ended, since a CREATE DATABASE that nobody waits for
# any more would still make one.
drop_temporary() {
    tries=0
    while [ "$tries" -lt "$DROP_TRIES" ]; do
        if PGAPPNAME='postgres-backup clean-up' PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" \
            --set=session="$session" >/dev/null 2>"$work/drop.err" <<'SQL' && PGAPPNAME='postgres-backup clean-up' drop_database "$RESTORE_TEMPORARY" 2>"$work/drop.err"; then
SET client_min_messages = error;
SELECT set_config('restore.session', :'session', false);
SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = :'session' OR datname = :'temporary';
DO $$ BEGIN
    FOR i IN 1..50 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = current_setting('restore.session'));
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
SQL
            log "the temporary database is dropped"
            return 0
        fi
        tries=$((tries + 1))
        sleep 2
    done
    return 1
}
""",
}
VERSION = next(line[8:] for line in FILES["backup.sh"].splitlines() if line.startswith("VERSION="))
