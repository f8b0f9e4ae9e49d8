# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Which identities have opened backups, and when: a line of JSON for each recipient, in a file that is replaced atomically. A run
# adds the recipients, and a drill or a restore the time. Nothing fails because of this file: at most, a warning is logged.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154,SC2030,SC2031 # variables are shared with the other files and with subshells

# How many bytes of the file are read at most.
KEYS_BYTES=1048576

# A recipient without the comment of an SSH key, as an extended regular expression.
PUBLIC_KEY='(age1[a-z0-9]+|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+)'

# A line of the record, as an extended regular expression.
KEY_LINE='[{]"recipient":"'$PUBLIC_KEY'","since":"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z","opened":("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"|null),"backup":("[A-Za-z0-9._-]+"|null),"by":("[a-z]+"|null),"is_current":(true|false),"limit_seconds":[0-9]{1,12}[}]'

# What both changes of the record have in common: whose line it is, and the line of a recipient that has none.
# shellcheck disable=SC2016 # a program of awk
KEYS_AWK='
    function recipient_of(line) { match(line, /"recipient":"[^"]*"/); return substr(line, RSTART + 13, RLENGTH - 14) }
    function new_line(recipient) {
        return "{\"recipient\":\"" recipient "\",\"since\":\"" now "\",\"opened\":null,\"backup\":null,\"by\":null,\"is_current\":false,\"limit_seconds\":0}"
    }'

# key_lines: prints the valid lines of the record, whose beginning is in $work/keys.read then; fails with `message` if it cannot be read.
key_lines() {
    : >"$work/keys.read"
    [ -f "$keys_file" ] && [ ! -L "$keys_file" ] || return 0
    message=$(head -c "$KEYS_BYTES" "$keys_file" 2>&1 >"$work/keys.read") || {
        message="it cannot be read: $message"
        return 1
    }
    tr '\000-\011\013-\037\177-\377' '?' <"$work/keys.read" | grep -x -E -e "$KEY_LINE" || :
}

# other_lines: prints the other lines in $work/keys.read, which a later version may understand, as they are. JSON has no NUL.
other_lines() { tr -d '\000' <"$work/keys.read" | grep -v -x -E -e "$KEY_LINE" -e '' || :; }

# list_keys: prints the record of each recipient.
list_keys() {
    key_lines >"$work/keys" || log "WARNING: ${keys_file##*/}: $message"
    sed -e 's/^/{"type":"key","record":/' -e 's/$/}/' "$work/keys"
}

# note_recipients: adds the recipients of a run in $work/recipients to the record. Those of earlier runs remain, as not current, also
# after the encryption was turned off.
note_recipients() {
    : >"$work/keys.current"
    # The comment of a key of OpenSSH does not count.
    [ "$encrypts" = no ] || awk '{ print (/^ssh-/ ? $1 " " $2 : $1) }' "$work/recipients" >"$work/keys.current"
    # Most runs change nothing.
    { key_lines >"$work/keys" && with_recipients >"$work/keys.new" && ! keys_differ; } ||
        change_keys with_recipients || warn "${keys_file##*/} could not be written: $message"
}

# with_recipients: prints the record in $work/keys with the recipients in $work/keys.current.
with_recipients() {
    awk -v now="$(now_iso)" -v limit="$key_rehearsal_seconds" -v known="$work/keys" -v current="$work/keys.current" "$KEYS_AWK"'
        BEGIN {
            while ((getline line < known) > 0) {
                recipient = recipient_of(line)
                if (!(recipient in lines)) order[++count] = recipient
                lines[recipient] = line
            }
            while ((getline recipient < current) > 0) {
                is_current[recipient] = 1
                if (recipient in lines) continue
                order[++count] = recipient
                lines[recipient] = new_line(recipient)
            }
            for (i = 1; i <= count; i++) {
                line = lines[order[i]]
                # The clock was wrong: the key would not be judged until then.
                match(line, /"since":"[^"]*"/)
                if (substr(line, RSTART + 9, 20) > now) sub(/"since":"[^"]*"/, "\"since\":\"" now "\"", line)
                sub(/"is_current":.*/, "\"is_current\":" ((order[i] in is_current) ? "true" : "false") ",\"limit_seconds\":" limit "}", line)
                print line
            }
        }'
}

# record_keys OPENED_BY BACKUP BY: notes that identities have opened a backup; OPENED_BY is a JSON array of recipients, BY is
# what has decrypted it: drill or restore. Fails with `message` if the record cannot be written.
record_keys() {
    printf '%s\n' "$1" | tr -d '[]"' | tr ',' '\n' | grep -E '^'"$PUBLIC_KEY"'$' >"$work/keys.opened" || return 0
    opened_backup=$2 opened_in=$3
    change_keys with_openings
}

# with_openings: prints the record in $work/keys with the time of the recipients in $work/keys.opened.
with_openings() {
    awk -v now="$(now_iso)" -v backup="$opened_backup" -v by="$opened_in" -v known="$work/keys" -v opened="$work/keys.opened" "$KEYS_AWK"'
        function with_time(line) {
            sub(/"opened":.*,"is_current"/, "\"opened\":\"" now "\",\"backup\":\"" backup "\",\"by\":\"" by "\",\"is_current\"", line)
            return line
        }
        BEGIN {
            while ((getline recipient < opened) > 0) is_opened[recipient] = 1
            while ((getline line < known) > 0) {
                recipient = recipient_of(line)
                if (recipient in is_opened) { line = with_time(line); delete is_opened[recipient] }
                print line
            }
            for (recipient in is_opened) print with_time(new_line(recipient))
        }'
}

# change_keys FUNCTION: replaces the record with what the function prints; fails with `message`.
change_keys() {
    lock_record "$keys_file" || return 1
    keys_status=0
    # What cannot be read is not replaced: the record would begin again.
    { key_lines >"$work/keys" && keys_are_complete && "$1" >"$work/keys.new" &&
        { ! keys_differ || replace_text "$keys_file" "$(other_lines && cat "$work/keys.new")" "$(mode_for "$keys_file")"; }; } || keys_status=1
    unlock_record
    return "$keys_status"
}

# keys_are_complete: fails with `message` if the record has more than what is read of it.
keys_are_complete() {
    [ -f "$keys_file" ] && [ ! -L "$keys_file" ] || return 0
    keys_bytes=$(stat -c %s "$keys_file")
    [ "$keys_bytes" -le "$KEYS_BYTES" ] || {
        message="expected at most $KEYS_BYTES bytes, found $keys_bytes: move it away"
        return 1
    }
}

keys_differ() { [ "$(cat "$work/keys")" != "$(cat "$work/keys.new")" ]; }

# keys OPENED_BY BACKUP BY: `backup.sh _keys`, by which the modules note what their Jobs, which cannot write to the volume, found.
keys() {
    warnings=''
    read_configuration
    require_tools awk cut grep head mktemp mv rm sed stat tail tr
    check_volume
    require_work_folder
    case $2 in
        *[!A-Za-z0-9._-]*) bad=yes ;;
        # Whatever its name is, its beginning shows that it is encrypted.
        "$POSTGRES_BACKUP_NAME"-*.sql.gz | "$POSTGRES_BACKUP_NAME"-*.sql.gz.age) bad=no ;;
        *) bad=yes ;;
    esac
    [ "$bad" = no ] || config_error "_keys: expected the name of a backup, found '$2'"
    case $3 in drill | restore) ;; *) config_error "_keys: expected drill or restore, found '$3'" ;; esac
    record_keys "$1" "$2" "$3" || fail "${keys_file##*/} cannot be written" "$message" "$ADVICE_PERMISSION"
    printf '{"type":"keys","backup":"%s","by":"%s"}\n' "$2" "$3"
}
