# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The configuration, which is read from the environment, and the programs and folders that a command needs.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

config_error() { fail_with 2 "invalid configuration" "$1" "Correct the variable and run it again."; }

is_whole_number() {
    case $1 in '' | *[!0-9]* | ??????????*) return 1 ;; esac
}

# whole_number NAME DEFAULT: sets the variable NAME; rejects anything but a whole number of at most nine digits.
whole_number() {
    eval "value=\${$1:-$2}"
    is_whole_number "$value" || config_error "$1: expected a whole number from 0 to 999999999, found '$value'"
    # Without leading zeros: arithmetic would read the number as octal.
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

# duration NAME: rejects a value that is not a duration; sets `seconds`, to 0 for the empty string.
duration() {
    eval "value=\${$1}"
    seconds=0
    [ -n "$value" ] || return 0
    seconds=$(seconds_of "$1" "$value") ||
        config_error "$1: expected a duration such as 90m, 36h or 14d (one number of at most six digits, one unit of s m h d w), found '$value'"
}

# read_configuration: the variables that every command needs.
read_configuration() {
    : "${POSTGRES_BACKUP_NAME:=postgres-backup}"
    : "${POSTGRES_BACKUP_DIR:=/backups}"
    : "${POSTGRES_BACKUP_HOST:=${PGHOST:-}}"
    : "${POSTGRES_BACKUP_PORT:=${PGPORT:-5432}}"
    : "${POSTGRES_BACKUP_USER:=${PGUSER:-postgres}}"
    : "${POSTGRES_BACKUP_DATABASE:=postgres}"
    : "${POSTGRES_BACKUP_SSLMODE:=}" "${POSTGRES_BACKUP_SSLROOTCERT:=}" "${POSTGRES_BACKUP_SSLCERT:=}" "${POSTGRES_BACKUP_SSLKEY:=}"
    : "${POSTGRES_BACKUP_COMPRESSOR:=auto}"
    : "${POSTGRES_BACKUP_FILE_MODE:=0640}"
    file_mode=0600 # until the configured one is checked
    : "${POSTGRES_BACKUP_KEEP_WITHIN:=}"
    : "${POSTGRES_BACKUP_TIME_LIMIT:=6h}"
    : "${POSTGRES_BACKUP_LOCK_TIMEOUT:=15m}"
    : "${POSTGRES_BACKUP_EXTRA_ARGS:=}" "${POSTGRES_BACKUP_DUMP_ARGS:=}"
    : "${POSTGRES_BACKUP_DATABASES:=}" "${POSTGRES_BACKUP_EXCLUDE_DATABASES:=}"
    : "${POSTGRES_BACKUP_EXCLUDE_TABLES:=}" "${POSTGRES_BACKUP_EXCLUDE_TABLE_DATA:=}"
    : "${POSTGRES_BACKUP_EXPECTED_MOUNT:=}"
    : "${POSTGRES_BACKUP_JOB:=}"
    : "${POSTGRES_BACKUP_POD:=$(uname -n)-$$}"
    : "${POSTGRES_BACKUP_TERMINATION_LOG:=/dev/termination-log}"

    case $POSTGRES_BACKUP_NAME in
        [!a-z0-9]* | *[!a-z0-9.-]* | *[!a-z0-9]) config_error "POSTGRES_BACKUP_NAME: expected a Kubernetes name (lower case letters, digits, dashes), found '$POSTGRES_BACKUP_NAME'" ;;
    esac
    digits='[0-9][0-9]'
    # The pattern by which find recognises a backup; that of an encrypted one has .age after it.
    name_pattern="$POSTGRES_BACKUP_NAME-$digits$digits-$digits-$digits-$digits$digits$digits.sql.gz"
    last_run_file=$POSTGRES_BACKUP_DIR/$POSTGRES_BACKUP_NAME.last-run.json
    last_drill_file=$POSTGRES_BACKUP_DIR/$POSTGRES_BACKUP_NAME.last-drill.json
    last_watch_file=$POSTGRES_BACKUP_DIR/$POSTGRES_BACKUP_NAME.watch/last-watch.json
    copies_folder=$POSTGRES_BACKUP_DIR/$POSTGRES_BACKUP_NAME.copies
    keys_file=$POSTGRES_BACKUP_DIR/$POSTGRES_BACKUP_NAME.keys.jsonl
    history_file=$POSTGRES_BACKUP_DIR/$POSTGRES_BACKUP_NAME.history.jsonl
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
    read_deletion_limits
    # A signal that arrived before the configuration was read (see load).
    [ -z "${early_signal:-}" ] || "$on_signal" "$early_signal"
}

# read_server_configuration: the variables of commands that connect to the server (runs and restores); called after
# read_configuration.
read_server_configuration() {
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
    # How long a run waits for a server that restarts.
    whole_number POSTGRES_BACKUP_RESTART_SECONDS 60
    export POSTGRES_BACKUP_RESTART_SECONDS
    choose_compressor

    # libpq expects an IPv6 address without brackets.
    case $POSTGRES_BACKUP_HOST in '['*:*']') POSTGRES_BACKUP_HOST=${POSTGRES_BACKUP_HOST#?} POSTGRES_BACKUP_HOST=${POSTGRES_BACKUP_HOST%?} ;; esac
    case $POSTGRES_BACKUP_HOST in
        *:*) server_address="[$POSTGRES_BACKUP_HOST]:$POSTGRES_BACKUP_PORT" ;;
        *) server_address=$POSTGRES_BACKUP_HOST:$POSTGRES_BACKUP_PORT ;;
    esac
    PGHOST=$POSTGRES_BACKUP_HOST PGPORT=$POSTGRES_BACKUP_PORT PGUSER=$POSTGRES_BACKUP_USER
    # kubectl create secret --from-file keeps the file's last newline; libpq would send it.
    PGPASSWORD=${PGPASSWORD:-}
    PGPASSWORD=${PGPASSWORD%"$NEWLINE"}
    : "${PGCONNECT_TIMEOUT:=30}"
    export PGHOST PGPORT PGUSER PGPASSWORD PGCONNECT_TIMEOUT last_run_file
    if [ -n "$POSTGRES_BACKUP_SSLMODE" ]; then PGSSLMODE=$POSTGRES_BACKUP_SSLMODE; export PGSSLMODE; fi
    if [ -n "$POSTGRES_BACKUP_SSLROOTCERT" ]; then PGSSLROOTCERT=$POSTGRES_BACKUP_SSLROOTCERT; export PGSSLROOTCERT; fi
    if [ -n "$POSTGRES_BACKUP_SSLCERT" ]; then PGSSLCERT=$POSTGRES_BACKUP_SSLCERT PGSSLKEY=$POSTGRES_BACKUP_SSLKEY; export PGSSLCERT PGSSLKEY; fi
    export POSTGRES_BACKUP_DIR POSTGRES_BACKUP_DATABASE POSTGRES_BACKUP_DATABASES POSTGRES_BACKUP_EXCLUDE_DATABASES lock_timeout_ms
    export POSTGRES_BACKUP_EXCLUDE_TABLES POSTGRES_BACKUP_EXCLUDE_TABLE_DATA POSTGRES_BACKUP_DUMP_ARGS
}

# first_program PROGRAM ...: prints the first of the programs that the image has.
first_program() {
    for program; do
        if command -v "$program" >/dev/null 2>&1; then printf '%s' "$program"; return; fi
    done
}

# choose_compressor: sets `compressor`, and `decompressor`, which verifies its output.
choose_compressor() {
    case $POSTGRES_BACKUP_COMPRESSOR in
        auto) set -- igzip pigz gzip ;;
        *) set -- "$POSTGRES_BACKUP_COMPRESSOR" ;;
    esac
    compressor=$(first_program "$@")
    [ -n "$compressor" ] || config_error "POSTGRES_BACKUP_COMPRESSOR: the image has none of: $*; use an image that has it, or auto"
    decompressor=gzip
    [ "$compressor" != igzip ] || decompressor=igzip
    export compressor decompressor
}

require_tools() {
    missing=
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
    done
    [ -z "$missing" ] || fail_with 2 "the image lacks programs" "missing:$missing" "Set postgres_backup_image to an image that has them."
}

# status_of_folder MESSAGE: prints the exit status of a run whose temporary folder is not writable. Another attempt may
# succeed if the disk is full or fails: it may run on another node.
status_of_folder() {
    case $1 in *'No space left'* | *'quota exceeded'* | *'/output error'*) echo 1 ;; *) echo 2 ;; esac
}

# require_work_folder: fails if load could not create the temporary folder with copies of the script's files.
require_work_folder() {
    [ -n "$work_fault" ] || return 0
    if [ -z "$work" ]; then
        fail_with "$(status_of_folder "$work_fault")" "no temporary folder" "$work_fault" "Mount a folder at ${TMPDIR:-/tmp} that this user id ($(id -u)) can write to."
    fi
    fail_with "$(status_of_folder "$work_fault")" "the script could not be copied to $work" "$work_fault" "Keep $script_files in one folder, and make sure that ${TMPDIR:-/tmp} has free space."
}
