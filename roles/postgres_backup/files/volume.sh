# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The backup volume: checks, the listing, and small files that are written atomically.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# How far two clocks may differ, and how far ahead a backup may be dated.
CLOCK_TOLERANCE_SECONDS=300

# An active run touches the record of the last run each minute; a run that has not done so for this time was interrupted.
HEARTBEAT_MINUTES=5

# How long a writer of a record waits for another one before it writes nevertheless.
RECORD_LOCK_SECONDS=5

# Larger manifests are ignored: 16 MiB in blocks of 512 bytes. The listing reads the first line of each.
MANIFEST_BLOCKS=32768

# Without a valid name (read_configuration), there are no records.
: "${last_run_file:=}" "${last_drill_file:=}" "${history_file:=}"

ADVICE_PERMISSION="Allow this user id to write to the folder (on the NAS: the share's permissions and its squash setting), or set postgres_backup_run_as_user to the folder's owner."

# read_deletion_limits: the variables of the brake on deletions (see retention.awk).
read_deletion_limits() {
    : "${POSTGRES_BACKUP_MAX_DELETIONS:=}" "${POSTGRES_BACKUP_ALLOW_DELETIONS:=}"
    [ -z "$POSTGRES_BACKUP_MAX_DELETIONS" ] || whole_number POSTGRES_BACKUP_MAX_DELETIONS 0
    case $POSTGRES_BACKUP_ALLOW_DELETIONS in
        '' | [0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]) ;;
        *) config_error "POSTGRES_BACKUP_ALLOW_DELETIONS: expected a date such as 2026-11-22, found '$POSTGRES_BACKUP_ALLOW_DELETIONS'" ;;
    esac
}

# check_volume: fails if the directory is missing, not readable, or not the expected mount.
check_volume() {
    [ -d "$POSTGRES_BACKUP_DIR" ] || fail "the backup volume is missing" "$POSTGRES_BACKUP_DIR is not a directory" \
        "Check the volume claim and its mount."
    source=$(mount_source)
    case $POSTGRES_BACKUP_EXPECTED_MOUNT in
        '') ;;
        any) [ -n "$source" ] || fail "the backup volume is not mounted" \
            "$POSTGRES_BACKUP_DIR is an ordinary folder, not a mount point" \
            "Check the volume: a backup written here would be lost with the pod." ;;
        *) is_same_source "$source" "$POSTGRES_BACKUP_EXPECTED_MOUNT" || fail "the backup volume is not the expected one" \
            "expected ${POSTGRES_BACKUP_EXPECTED_MOUNT} at $POSTGRES_BACKUP_DIR, found ${source:-no mount}" \
            "Mount the correct volume, or change postgres_backup_nfs." ;;
    esac
    if [ ! -r "$POSTGRES_BACKUP_DIR" ] || [ ! -x "$POSTGRES_BACKUP_DIR" ]; then
        fail_with 2 "the backup volume cannot be read" "$(ls -ld "$POSTGRES_BACKUP_DIR"), running as $(id)" "$ADVICE_PERMISSION"
    fi
}

# is_same_source SOURCE OTHER: whether both name the same mount. The server of an NFS share may be an IPv6 address, which the
# kernel shows in brackets and in the notation of the mount's command.
is_same_source() {
    [ "${1%/}" != "${2%/}" ] || return 0
    case $1,$2 in *:*:*/*,*:*:*/*) ;; *) return 1 ;; esac
    SOURCE=$1 OTHER=$2 awk '
        function server(source) { return substr(source, 1, index(source, ":/") - 1) }
        function path(source) { sub(/\/$/, "", source); return substr(source, index(source ":/", ":/") + 1) }
        # The eight groups of an address, without leading zeros; empty for a text that is not one (RFC 4291, section 2.2).
        function address(text,   groups, parts, i, n, missing, result) {
            text = tolower(text); gsub(/^\[|\]$/, "", text)
            if (text !~ /^[0-9a-f:.]+$/ || gsub(/::/, ":z:", text) > 1) return ""
            sub(/^:z/, "z", text); sub(/z:$/, "z", text)
            n = split(text, groups, ":")
            for (i = 1; i <= n; i++) parts += groups[i] == "z" ? 0 : groups[i] ~ /[.]/ ? 2 : 1
            for (i = 1; i <= n; i++) {
                if (groups[i] == "z") { for (missing = 8 - parts; missing > 0; missing--) result = result ":0"; continue }
                sub(/^0+/, "", groups[i])
                result = result ":" (groups[i] == "" ? "0" : groups[i])
            }
            return result
        }
        BEGIN {
            a = ENVIRON["SOURCE"]; b = ENVIRON["OTHER"]
            exit path(a) != path(b) || address(server(a)) == "" || address(server(a)) != address(server(b))
        }'
}

# mount_source: prints what is mounted at the backup directory, nothing if it is not a mount point (proc_pid_mounts(5)).
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

free_bytes() { stat -f -c '%a %S' "$POSTGRES_BACKUP_DIR" | awk '{ printf "%.0f", $1 * $2 }'; }

volume_bytes() { stat -f -c '%b %S' "$POSTGRES_BACKUP_DIR" | awk '{ printf "%.0f", $1 * $2 }'; }

# summary_lines [CONDITION ...]: prints the first line of each checksum file and of each manifest that meets the conditions.
summary_lines() {
    find . -maxdepth 1 -type f "$@" \( -name "$name_pattern.sha256" -size -2 -o -name "$name_pattern.age.sha256" -size -2 \
        -o -name "$name_pattern.json" -size "-$MANIFEST_BLOCKS" -o -name "$name_pattern.age.json" -size "-$MANIFEST_BLOCKS" \) -exec grep -H -m 1 '' {} +
}

# listing: prints each backup with its verdict, newest first, as retention.awk does. It writes the backups that retention
# would delete to $work/plan, the names of deleted backups that still have a checksum file or a manifest to $work/orphans,
# and the number of deletions that the brake holds back to $work/brake.
listing() (
    age='\(\.age\)\{0,1\}'
    : >"$work/plan" && : >"$work/orphans" && : >"$work/brake" || return 1
    cd "$POSTGRES_BACKUP_DIR" || return 1
    # A file that vanishes meanwhile is not an error: retention of another run may be deleting. A checksum file is one short
    # line. busybox does not run `-exec +` inside parentheses. Checksum file and manifest are created before their backup and
    # deleted after it: reading them before the backups, and new ones again after them, avoids wrong states.
    {
        summary_lines
        find . -maxdepth 1 -type f \( -name "$name_pattern" -o -name "$name_pattern.age" \) -exec stat -c "%n${TAB}B${TAB}%s" {} +
        summary_lines -mmin -15
        find . -maxdepth 1 -type f \( -name "$name_pattern.damaged" -o -name "$name_pattern.age.damaged" \) -size -20 -exec grep -H -m 1 '' {} +
        find . -maxdepth 1 \( -name "$name_pattern.damaged" -o -name "$name_pattern.age.damaged" -o -name "$name_pattern.keep" -o -name "$name_pattern.age.keep" \) -exec printf "%s:${NEWLINE}" {} +
    } 2>/dev/null | tr '\000-\010\013-\037\177-\377' '[?*]' |
        sed -n -e 's/^\.\///' \
            -e "/^[^:$TAB]*\.sql\.gz$age\.sha256:/{s/\.sha256:/${TAB}S${TAB}/p" -e d -e '}' \
            -e "/^[^:$TAB]*\.sql\.gz$age\.json:/{s/\.json:/${TAB}M${TAB}/p" -e d -e '}' \
            -e "/^[^:$TAB]*\.sql\.gz$age\.damaged:/{s/\.damaged:/${TAB}D${TAB}/p" -e d -e '}' \
            -e "/^[^:$TAB]*\.sql\.gz$age\.keep:/{s/\.keep:.*/${TAB}K/p" -e d -e '}' \
            -e "/^[^:$TAB]*\.sql\.gz$age${TAB}B${TAB}/p" |
        sort -r -u |
        awk -v prefix="$POSTGRES_BACKUP_NAME" -v now="$(now_epoch)" -v clock_tolerance="$CLOCK_TOLERANCE_SECONDS" \
            -v keep_last="$POSTGRES_BACKUP_KEEP_LAST" -v keep_daily="$POSTGRES_BACKUP_KEEP_DAILY" \
            -v keep_weekly="$POSTGRES_BACKUP_KEEP_WEEKLY" -v keep_monthly="$POSTGRES_BACKUP_KEEP_MONTHLY" \
            -v keep_yearly="$POSTGRES_BACKUP_KEEP_YEARLY" -v keep_within="$POSTGRES_BACKUP_KEEP_WITHIN" \
            -v within_seconds="$keep_within_seconds" -v max_deletions="$POSTGRES_BACKUP_MAX_DELETIONS" \
            -v plan="$work/plan" -v orphans="$work/orphans" -v brake="$work/brake" -f "$work/calendar.awk" -f "$work/json.awk" -f "$work/retention.awk"
)

# newest_complete LISTING: prints the name and the size of the newest complete backup, or nothing.
newest_complete() {
    sed -n -e 's/.*"name":"\([^"]*\)".*"size_bytes":\([0-9]*\).*"state":"complete","future":false,.*/\1 \2/p' "$1" | head -n 1
}

# record_file FILE NAME: prints the file to read for a record: FILE, or, as long as it does not exist, NAME, where version 1.0
# wrote the record. In a folder that installations share, that may be the record of another one.
record_file() {
    if [ -e "$1" ] || [ -L "$1" ]; then printf '%s' "$1"
    elif is_own_record "$(record_text "$POSTGRES_BACKUP_DIR/$2")"; then printf '%s' "$POSTGRES_BACKUP_DIR/$2"
    fi
}

# is_own_record JSON: false if the record names a backup of another installation, or a Job that another CronJob started on
# schedule (such names end in the minutes since 1970: getJobName in Kubernetes' pkg/controller/cronjob/utils.go).
is_own_record() {
    record_backup=$(json_field backup "$1" | tr -d '"')
    record_job=$(json_field job "$1" | tr -d '"')
    case $record_backup in
        '' | null) ;;
        "$POSTGRES_BACKUP_NAME"-????-??-??-??????.sql.gz | "$POSTGRES_BACKUP_NAME"-????-??-??-??????.sql.gz.age) return 0 ;;
        *) return 1 ;;
    esac
    case $record_job in
        "$POSTGRES_BACKUP_NAME"-[23]??????? | "$POSTGRES_BACKUP_NAME"-drill-[23]???????) ;;
        *-2[89][0-9][0-9][0-9][0-9][0-9][0-9] | *-3[0-9][0-9][0-9][0-9][0-9][0-9][0-9]) return 1 ;;
    esac
}

# record_text FILE: prints the record in a file, without what is not text.
record_text() {
    [ -f "$1" ] && [ ! -L "$1" ] || return 0
    utf8 "$(head -c 1048576 "$1" 2>/dev/null | tr -d '\000')"
}

# last_run: prints the record of the last run if a run wrote it; the state `running` without a recent heartbeat becomes
# `interrupted`.
last_run() {
    [ -n "$last_run_file" ] || return 0
    run_record=$(record_file "$last_run_file" last-run.json)
    last_run_text=$(record_text "$run_record")
    case $last_run_text in
        *"$NEWLINE"*) ;;
        '{"state":"running",'*'}')
            if [ -n "$(find "$run_record" -mmin +$HEARTBEAT_MINUTES 2>/dev/null)" ]; then
                last_run_text="{\"state\":\"interrupted\",${last_run_text#'{"state":"running",'}"
            fi
            printf '%s' "$last_run_text"
            ;;
        '{"state":'*'}') printf '%s' "$last_run_text" ;;
    esac
}

# last_drill: prints the record of the last scheduled drill if a drill wrote it; an old state `running` becomes `interrupted`.
last_drill() {
    drill_record=$(record_file "$last_drill_file" last-drill.json)
    drill_text=$(record_text "$drill_record")
    case $drill_text in
        *"$NEWLINE"*) ;;
        '{"state":"running","operation":"drill",'*'}')
            duration POSTGRES_BACKUP_TIME_LIMIT
            if [ -n "$(find "$drill_record" -mmin "+$((seconds / 60 + 10))" 2>/dev/null)" ]; then
                drill_text="{\"state\":\"interrupted\",${drill_text#'{"state":"running",'}"
            fi
            printf '%s' "$drill_text" ;;
        '{"state":"'*'","operation":"drill",'*'}') printf '%s' "$drill_text" ;;
    esac
}

# last_watch: prints the record of the watch's last look if there is one.
last_watch() {
    watch_text=$(record_text "$last_watch_file")
    case $watch_text in
        *"$NEWLINE"*) ;;
        '{"format":1,'*'}') printf '%s' "$watch_text" ;;
    esac
}

# list_places: prints the record of each place to which the backups are copied.
list_places() {
    for place_file in "$copies_folder"/*.json; do
        place_text=$(record_text "$place_file")
        case $place_text in
            *"$NEWLINE"*) ;;
            '{"format":1,"place":'*'}') printf '{"type":"copies","record":%s}\n' "$place_text" ;;
        esac
    done
}

# write_text FILE TEXT: writes one line, flushes it and reads it back. On failure it sets `message`, and `write_fault` to
# `full` if only a part was written. It uses dd: printf of some shells and busybox's tee may report a full volume as an
# "I/O error".
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

# replace_text FILE TEXT [MODE]: write_text, but the file is replaced atomically. Its mode is MODE, or that of the backups.
replace_text() {
    write_fault=''
    text_partial=${1%/*}/.${1##*/}.$POSTGRES_BACKUP_POD
    # Do not write through a link that someone else created, and do not move the file into a folder.
    rm -f "$text_partial" 2>/dev/null
    if [ -d "$1" ]; then
        if [ ! -L "$1" ]; then message="$1 is a directory"; return 1; fi
        rm -f "$1" 2>/dev/null
    fi
    if message=$( (set -C; : >"$text_partial") 2>&1) && write_text "$text_partial" "$2" && { chmod "${3:-$file_mode}" "$text_partial" 2>/dev/null || :; } &&
        message=$(mv -f "$text_partial" "$1" 2>&1); then
        return 0
    fi
    rm -f "$text_partial" 2>/dev/null
    return 1
}

# lock_record FILE: makes sure that two writers at once do not lose each other's lines, until unlock_record; fails with `message` if
# the volume cannot be written. The lock of a writer that was killed is removed when it is some minutes old.
lock_record() {
    record_lock=${1%/*}/.${1##*/}.lock record_locked=no
    lock_deadline=$(($(now_epoch) + RECORD_LOCK_SECONDS))
    while ! message=$(mkdir "$record_lock" 2>&1); do
        case $message in *'File exists'*) ;; *) return 1 ;; esac
        if [ -n "$(find "$record_lock" -maxdepth 0 -mmin +1 2>/dev/null)" ]; then
            rmdir "$record_lock" 2>/dev/null && continue
        fi
        [ "$(now_epoch)" -lt "$lock_deadline" ] || return 0
        sleep 0.1 2>/dev/null || sleep 1
    done
    record_locked=yes
}

unlock_record() { [ "$record_locked" = no ] || rmdir "$record_lock" 2>/dev/null; }

# mode_for FILE: prints the mode for a record that is replaced: the configured one, which only a run reads, else that of the file.
mode_for() {
    if [ "$file_mode" != 0600 ] || ! stat -c %a "$1" 2>/dev/null; then printf '%s\n' "$file_mode"; fi
}

# write_last_run JSON
write_last_run() {
    [ -n "$last_run_file" ] || { message="the installation has no valid name"; return 1; }
    replace_text "$last_run_file" "$1"
}
