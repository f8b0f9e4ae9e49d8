# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Which identities have opened backups, and when: a line of JSON for each recipient, in a file that is replaced atomically. A run
# adds the recipients, and a drill or a restore the time. Nothing fails because of this file: at most, a warning is logged.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154,SC2030,SC2031 # variables are shared with the other files and with subshells

# How many bytes of the file are read at most.
KEYS_BYTES=1048576

# The begin of a private key of OpenSSH without a passphrase, in base64: the magic, the cipher and the key derivation `none`,
# and no options (OpenSSH, PROTOCOL.key).
OPENSSH_PLAIN=b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAA

# key_lines: prints the valid lines of the record.
key_lines() {
    [ -f "$keys_file" ] && [ ! -L "$keys_file" ] || return 0
    head -c "$KEYS_BYTES" "$keys_file" | tr '\000-\011\013-\037\177-\377' '?' |
        grep -E '^[{]"recipient":"(age1[a-z0-9]+|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+)","since":"[0-9TZ:-]+","opened":("[0-9TZ:-]+"|null),"backup":("[A-Za-z0-9._-]+"|null),"by":("[a-z]+"|null),"is_current":(true|false),"limit_seconds":[0-9]{1,12}[}]$'
}

# list_keys: prints the record of each recipient.
list_keys() { key_lines | sed -e 's/^/{"type":"key","record":/' -e 's/$/}/'; }

# note_recipients: adds the recipients of a run in $work/recipients to the record. Those of earlier runs remain, as not current.
note_recipients() {
    [ "$encrypts" = yes ] || return 0
    key_lines >"$work/keys"
    # The comment of a key of OpenSSH does not count.
    sed -e 's/^\(ssh-[a-z0-9]* [^ ]*\) .*/\1/' "$work/recipients" >"$work/keys.current"
    awk -v now="$(now_iso)" -v limit="$key_rehearsal_seconds" -v known="$work/keys" -v current="$work/keys.current" '
        BEGIN {
            while ((getline line < known) > 0) {
                match(line, /"recipient":"[^"]*"/)
                recipient = substr(line, RSTART + 13, RLENGTH - 14)
                if (!(recipient in lines)) order[++count] = recipient
                lines[recipient] = line
            }
            while ((getline recipient < current) > 0) {
                is_current[recipient] = 1
                if (recipient in lines) continue
                order[++count] = recipient
                lines[recipient] = "{\"recipient\":\"" recipient "\",\"since\":\"" now "\",\"opened\":null,\"backup\":null,\"by\":null,\"is_current\":true,\"limit_seconds\":0}"
            }
            for (i = 1; i <= count; i++) {
                line = lines[order[i]]
                sub(/"is_current":.*/, "\"is_current\":" ((order[i] in is_current) ? "true" : "false") ",\"limit_seconds\":" limit "}", line)
                print line
            }
        }' >"$work/keys.new"
    ! cmp -s "$work/keys" "$work/keys.new" || return 0
    write_keys || warn "${keys_file##*/} could not be written: $message"
}

# record_keys OPENED_BY BACKUP BY: notes that identities have opened a backup; OPENED_BY is a JSON array of recipients, BY is
# what has decrypted it: drill, restore or fetch. Fails with `message` if the record cannot be written.
record_keys() {
    key_lines >"$work/keys"
    printf '%s\n' "$1" | tr -d '[]"' | tr ',' '\n' | grep -E '^(age1[a-z0-9]+|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+)$' >"$work/keys.opened" || return 0
    awk -v now="$(now_iso)" -v backup="$2" -v by="$3" -v known="$work/keys" -v opened="$work/keys.opened" '
        function with_time(line) {
            sub(/"opened":.*,"is_current"/, "\"opened\":\"" now "\",\"backup\":\"" backup "\",\"by\":\"" by "\",\"is_current\"", line)
            return line
        }
        BEGIN {
            while ((getline recipient < opened) > 0) is_opened[recipient] = 1
            while ((getline line < known) > 0) {
                match(line, /"recipient":"[^"]*"/)
                recipient = substr(line, RSTART + 13, RLENGTH - 14)
                if (recipient in is_opened) { line = with_time(line); delete is_opened[recipient] }
                print line
            }
            for (recipient in is_opened)
                print with_time("{\"recipient\":\"" recipient "\",\"since\":\"" now "\",\"opened\":null,\"backup\":null,\"by\":null,\"is_current\":true,\"limit_seconds\":0}")
        }' >"$work/keys.new"
    write_keys
}

write_keys() {
    # Only a run reads the configured mode.
    keys_mode=$file_mode
    [ "$file_mode" != 0600 ] || keys_mode=$(stat -c %a "$keys_file" 2>/dev/null) || keys_mode=$file_mode
    replace_text "$keys_file" "$(cat "$work/keys.new")" "$keys_mode"
}

# find_openers FILE: sets `opened_by` to the public keys of the identities in POSTGRES_BACKUP_IDENTITY_FILE that decrypt the begin
# of the file, as JSON strings with commas. Each is tried alone: a file may have several.
find_openers() {
    opened_by=
    openers=$(
        grep '^AGE-SECRET-KEY-' "$POSTGRES_BACKUP_IDENTITY_FILE" 2>/dev/null | tr -d '\r' | while IFS= read -r identity; do
            ! opens "$1" "$identity" || printf '%s\n' "$identity" | "$POSTGRES_BACKUP_AGE-keygen" -y 2>/dev/null
        done
        openssh_body=$(sed -n '/^-----BEGIN OPENSSH PRIVATE KEY-----/,/^-----END /{/^-----/!p;}' "$POSTGRES_BACKUP_IDENTITY_FILE" 2>/dev/null | tr -d '\r\n')
        case $openssh_body in
            "$OPENSSH_PLAIN"*) ! opens "$1" "$(cat "$POSTGRES_BACKUP_IDENTITY_FILE")" || openssh_public_key ;;
        esac
    )
    while IFS= read -r opener; do
        case $opener in age1* | 'ssh-ed25519 '* | 'ssh-rsa '*) opened_by=$opened_by${opened_by:+,}\"$opener\" ;; esac
    done <<OPENERS
$openers
OPENERS
}

# opens FILE IDENTITY
opens() { [ "$(printf '%s\n' "$2" | "$POSTGRES_BACKUP_AGE" --decrypt --identity - "$1" 2>/dev/null | head -c 1 | tr '\037' x)" = x ]; }

# openssh_public_key: prints the public key in $openssh_body: after the number of keys, its length and the key itself.
openssh_public_key() {
    # shellcheck disable=SC2046 # the numbers are words
    set -- $(printf %s "$openssh_body" | base64 -d 2>/dev/null | tail -c +40 | head -c 4 | od -A n -t u1)
    [ $# -eq 4 ] || return 0
    openssh_key=$(printf %s "$openssh_body" | base64 -d | tail -c +44 | head -c $((($1 * 256 + $2) * 65536 + $3 * 256 + $4)) | base64 | tr -d '\n')
    case $openssh_key in
        AAAAC3NzaC1lZDI1NTE5*) printf 'ssh-ed25519 %s\n' "$openssh_key" ;;
        AAAAB3NzaC1yc2E*) printf 'ssh-rsa %s\n' "$openssh_key" ;;
    esac
}

# print_openers: prints the member `opened_by` of a result; nothing if the backup was not decrypted.
print_openers() { [ -z "${opened_by:-}" ] || printf ',"opened_by":[%s]' "$opened_by"; }

# keys OPENED_BY BACKUP BY: `backup.sh _keys`, by which the modules note what their Jobs, which cannot write to the volume, found.
keys() {
    warnings=''
    read_configuration
    require_tools awk cut grep head mktemp mv rm sed stat tail tr
    check_volume
    require_work_folder
    case $2 in
        "$POSTGRES_BACKUP_NAME"-*[!A-Za-z0-9._-]* | *[!A-Za-z0-9._-]*) fail_with 2 "this is not the name of a backup" "$2" "Give the name of a backup on the volume." ;;
    esac
    case $3 in drill | restore | fetch) ;; *) fail_with 2 "this does not decrypt" "$3" "Give drill, restore or fetch." ;; esac
    record_keys "$1" "$2" "$3" || fail "${keys_file##*/} cannot be written" "$message" "$ADVICE_PERMISSION"
    printf '{"type":"keys","backup":"%s","by":"%s"}\n' "$2" "$3"
}
