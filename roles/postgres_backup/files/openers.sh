# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Which of the identities that were given opens a backup.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154,SC2030,SC2031 # variables are shared with the other files and with subshells
# shellcheck disable=SC2089,SC2090 # the quotation marks are those of JSON

# The begin of a private key of OpenSSH without a passphrase, in base64: the magic, the cipher and the key derivation `none`,
# and no options (OpenSSH, PROTOCOL.key).
OPENSSH_PLAIN=b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAA

# find_openers FILE: sets `opened_by` to the public keys of the identities in POSTGRES_BACKUP_IDENTITY_FILE that decrypt the begin
# of the file, as JSON strings with commas. Each is tried alone: a file may have several.
find_openers() {
    # A restore of everything has found them before it starts that of each database.
    [ -z "${opened_by:-}" ] || return 0
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
    export opened_by
    [ -n "$opened_by" ] || [ -z "${POSTGRES_BACKUP_JOB:-}" ] || warn "it is not known which identity has opened the backup: a key in the format PEM, or age-keygen is missing next to $POSTGRES_BACKUP_AGE"
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
