# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The backup volume: whether it is there, what lies on it, and small files that are written whole or not at all.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# How far two clocks may differ, and how far ahead a backup may be dated.
CLOCK_TOLERANCE_SECONDS=300

# A live run touches last-run.json each minute; one that did not for so long was interrupted.
HEARTBEAT_MINUTES=5

ADVICE_PERMISSION="Allow this user id to write to the folder (on the NAS: the share's permissions and its squash setting), or set postgres_backup_run_as_user to the folder's owner."

# check_volume: refuses a directory that is missing, not the expected mount, not readable or (run, prune) not writable.
check_volume() {
    [ -d "$POSTGRES_BACKUP_DIR" ] || fail "the backup volume is missing" "$POSTGRES_BACKUP_DIR is not a directory" \
        "Check the volume claim and its mount."
    source=$(mount_source)
    case $POSTGRES_BACKUP_EXPECTED_MOUNT in
        '') ;;
        any) [ -n "$source" ] || fail "the backup volume is not mounted" \
            "$POSTGRES_BACKUP_DIR is an ordinary folder, not a mount point" \
            "Check the volume: a backup written here would be lost with the pod." ;;
        *) [ "${source%/}" = "${POSTGRES_BACKUP_EXPECTED_MOUNT%/}" ] || fail "the backup volume is not the expected one" \
            "expected ${POSTGRES_BACKUP_EXPECTED_MOUNT} at $POSTGRES_BACKUP_DIR, found ${source:-no mount}" \
            "Mount the correct volume, or change postgres_backup_nfs." ;;
    esac
    if [ ! -r "$POSTGRES_BACKUP_DIR" ] || [ ! -x "$POSTGRES_BACKUP_DIR" ]; then
        fail_with 2 "the backup volume cannot be read" "$(ls -ld "$POSTGRES_BACKUP_DIR"), this runs as $(id)" "$ADVICE_PERMISSION"
    fi
}

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

free_bytes() { stat -f -c '%a %S' "$POSTGRES_BACKUP_DIR" | awk '{ printf "%.0f", $1 * $2 }'; }

volume_bytes() { stat -f -c '%b %S' "$POSTGRES_BACKUP_DIR" | awk '{ printf "%.0f", $1 * $2 }'; }

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
            -e "/^[^:$TAB]*\.sql\.gz\.sha256:/{s/\.sha256:/${TAB}S${TAB}/p" -e d -e '}' \
            -e "/^[^:$TAB]*\.sql\.gz\.damaged:/{s/\.damaged:/${TAB}D${TAB}/p" -e d -e '}' \
            -e "/^[^:$TAB]*\.sql\.gz\.keep:/{s/\.keep:.*/${TAB}K/p" -e d -e '}' \
            -e "/^[^:$TAB]*\.sql\.gz${TAB}B${TAB}/p" |
        sort -r -u |
        awk -v prefix="$POSTGRES_BACKUP_NAME" -v now="$(now_epoch)" \
            -v keep_last="$POSTGRES_BACKUP_KEEP_LAST" -v keep_daily="$POSTGRES_BACKUP_KEEP_DAILY" \
            -v keep_weekly="$POSTGRES_BACKUP_KEEP_WEEKLY" -v keep_monthly="$POSTGRES_BACKUP_KEEP_MONTHLY" \
            -v keep_yearly="$POSTGRES_BACKUP_KEEP_YEARLY" -v keep_within="$POSTGRES_BACKUP_KEEP_WITHIN" \
            -v within_seconds="$keep_within_seconds" -v plan="$work/plan" -v orphans="$work/orphans" -f "$work/retention.awk"
)

# newest_complete LISTING: the name of the newest complete backup, and its bytes, or nothing.
newest_complete() {
    sed -n -e 's/.*"name":"\([^"]*\)".*"size_bytes":\([0-9]*\).*"state":"complete","future":false,.*/\1 \2/p' "$1" | head -n 1
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
