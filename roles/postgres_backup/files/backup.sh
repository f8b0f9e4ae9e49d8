#!/bin/sh
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
