# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The history of an installation: one line of JSON for each run, scheduled restore drill and prune, in a file that is
# replaced atomically. It is for people and for backup_info; no decision about a deletion depends on it.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# How many entries are kept, and how many bytes of the file are read at most.
HISTORY_LINES=10000
HISTORY_BYTES=16777216

# history_lines: prints the entries, the oldest first.
history_lines() {
    read_history || return
    valid_entries <"$work/history.read"
}

# list_history: prints the entries, the oldest first, and the trend, as `backup.sh list --history` does.
list_history() {
    history_lines >"$work/history.valid"
    sed -e 's/^{/{"type":"history",/' "$work/history.valid"
    awk -v now="$(now_epoch)" -v free_bytes="$(free_bytes)" -f "$work/calendar.awk" -f "$work/json.awk" -f "$work/trend.awk" "$work/history.valid"
}

# usual_seconds OPERATION: prints how long the last successful one took; nothing if none is recorded.
usual_seconds() {
    history_lines | awk -v operation="$1" '
        index($0, "{\"operation\":\"" operation "\",") == 1 && /,"state":"succeeded",/ && match($0, /,"seconds":[0-9]+/) {
            seconds = substr($0, RSTART + 11, RLENGTH - 11)
        }
        END { if (seconds != "") print seconds }'
}

# read_history: copies the end of the file to $work/history.read.
read_history() {
    : >"$work/history.read"
    [ -f "$history_file" ] && [ ! -L "$history_file" ] || return 0
    tail -c "$HISTORY_BYTES" "$history_file" >"$work/history.read"
}

# valid_entries: copies entries from standard input. Anything else is left out: a line that is not one flat JSON object
# (RFC 8259) which begins as an entry does, control characters, and everything that is not ASCII in a line that is not UTF-8.
valid_entries() {
    tr '\000-\011\013-\037\177' '?' | awk '
        !/^[{]"operation":"[a-z]+"(,"[a-z0-9_]+":("([^"\\]|\\["\\\/bfnrt]|\\u[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f])*"|-?(0|[1-9][0-9]*)([.][0-9]+)?|null|true|false))*[}]$/ { next }
        /,"type":/ { next }
        { print }' | utf8_lines
}

# append_history ENTRY: adds an entry, one flat JSON object (see history_entry). A writer that is killed leaves the file as it
# was before or after. Nothing fails because of the history: at most, a warning is logged.
append_history() {
    [ -n "$history_file" ] || return 0
    history_fault=''
    history_partial=$POSTGRES_BACKUP_DIR/.${history_file##*/}.$POSTGRES_BACKUP_POD
    if [ -z "$1" ] || [ "$(printf '%s\n' "$1" | valid_entries)" != "$1" ]; then
        history_fault="an entry is not a flat JSON object: $1"
    elif lock_record "$history_file"; then
        write_history "$1" || { rm -f "$history_partial" 2>/dev/null; }
        unlock_record
    else
        history_fault=$message
    fi
    [ -z "$history_fault" ] || log "WARNING: ${history_file##*/} could not be written: $history_fault"
}

# write_history ENTRY: replaces the file; sets `history_fault` if it fails.
write_history() {
    if [ -d "$history_file" ] && [ ! -L "$history_file" ]; then history_fault="it is a directory"; return 1; fi
    history_mode=$(mode_for "$history_file")
    history_fault=$( { history_lines >"$work/history.valid" &&
        { tail -n "$((HISTORY_LINES - 1))" "$work/history.valid" && printf '%s\n' "$1"; } >"$work/history"; } 2>&1) || return 1
    # Do not write through a link that someone else created.
    rm -f "$history_partial" 2>/dev/null
    if history_fault=$( { (set -C; : >"$history_partial") && dd if="$work/history" of="$history_partial" bs=65536 conv=fsync; } 2>&1); then
        history_fault=''
        # On a full volume, some file systems report no error.
        [ "$(stat -c %s "$history_partial" 2>/dev/null)" = "$(stat -c %s "$work/history")" ] ||
            { history_fault="it was cut off: there is no more space"; return 1; }
    else
        history_fault=$(printf '%s\n' "$history_fault" | grep -v -e ' records in$' -e ' records out$' -e ' bytes.* copied')
        return 1
    fi
    chmod "$history_mode" "$history_partial" 2>/dev/null
    # A link to a folder would move the file into that folder.
    [ ! -L "$history_file" ] || rm -f "$history_file" 2>/dev/null
    history_fault=$(mv -f "$history_partial" "$history_file" 2>&1)
}

# history_entry OPERATION STATE STARTED SECONDS BACKUP BACKUP_STATE BYTES UNCOMPRESSED_BYTES DELETED REASON [TABLES ROWS]:
# prints an entry that ends now. STARTED is a time as now_iso prints it; REASON is JSON; an empty BACKUP, BACKUP_STATE, BYTES
# or UNCOMPRESSED_BYTES is unknown. TABLES and ROWS are what a drill counted.
history_entry() {
    printf '{"operation":"%s","started":"%s","finished":"%s","state":"%s","backup":%s,"backup_state":%s,"bytes":%s' \
        "$1" "$3" "$(now_iso)" "$2" "$(json_or_null "$5")" "$(json_or_null "$6")" "${7:-null}"
    printf ',"uncompressed_bytes":%s,"seconds":%s,"free_bytes":%s,"volume_bytes":%s,"deleted":%s,"tables":%s,"rows":%s,"job":%s,"reason":%s}' \
        "${8:-null}" "$4" "$(free_bytes)" "$(volume_bytes)" "$9" "${11:-null}" "${12:-null}" "$(json_or_null "$POSTGRES_BACKUP_JOB")" "${10}"
}
