# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The public keys of the identities that were given: which of them opens a backup, and the message if none does.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154,SC2030,SC2031 # variables are shared with the other files and with subshells
# shellcheck disable=SC2089,SC2090 # the quotation marks are those of JSON

# find_openers FILE: sets `opened_by` to the public keys of the identities in POSTGRES_BACKUP_IDENTITY_FILE that decrypt the begin
# of the file, as JSON strings with commas. Each is tried alone: a file may have several.
find_openers() {
    # A restore of everything has found them before it starts that of each database. Nobody asks the kit for them.
    [ -z "${opened_by:-}" ] && [ "${keeps_key_record:-yes}" = yes ] || return 0
    opened_by=
    while IFS= read -r opener; do
        [ -z "$opener" ] || opened_by=$opened_by${opened_by:+,}\"$opener\"
    done <<OPENERS
$(public_keys opens "$1")
OPENERS
    export opened_by
    [ -n "$opened_by" ] ||
        warn "it is not known which identity has opened the backup: its private key does not contain the public key, or age-keygen is missing next to $POSTGRES_BACKUP_AGE"
}

# opens FILE IDENTITY
opens() { [ "$(printf '%s\n' "$2" | "$POSTGRES_BACKUP_AGE" --decrypt --identity - "$1" 2>/dev/null | head -c 1 | tr '\037' x)" = x ]; }

# public_keys COMMAND [ARGUMENT ...]: prints the public key of each identity in POSTGRES_BACKUP_IDENTITY_FILE for which the command
# succeeds; the identity is its last argument. An identity whose public key cannot be known is left out.
public_keys() {
    grep '^AGE-SECRET-KEY-' "$POSTGRES_BACKUP_IDENTITY_FILE" 2>/dev/null | tr -d '\r' | while IFS= read -r identity; do
        ! "$@" "$identity" || printf '%s\n' "$identity" | "$POSTGRES_BACKUP_AGE-keygen" -y 2>/dev/null
    done | grep '^age1[a-z0-9]*$'
    # age reads such a file as one private key.
    case $(head -c 11 "$POSTGRES_BACKUP_IDENTITY_FILE" 2>/dev/null) in
        '-----BEGIN ') ! "$@" "$(cat "$POSTGRES_BACKUP_IDENTITY_FILE")" || ssh_public_key ;;
    esac
}

# ssh_public_key: prints the public key of the private key in POSTGRES_BACKUP_IDENTITY_FILE, in a format of OpenSSH (PROTOCOL.key), or
# of RSA (RFC 8017, "RSAPrivateKey") alone or within PKCS #8 (RFC 5208). Nothing for others, and for RSA with a passphrase.
ssh_public_key() {
    ssh_bytes=$(
        tr -d '\r' <"$POSTGRES_BACKUP_IDENTITY_FILE" | awk '/^-----END /{ exit } is_inside { print } /^-----BEGIN /{ is_inside = 1 }' |
            base64 -d 2>/dev/null | od -A n -v -t x1 | tr -d ' \n' | awk '
            function take(bytes,    taken) { taken = substr(text, at, 2 * bytes); at += 2 * bytes; return taken }
            function number(bytes,    i, digits, sum) {
                digits = take(bytes)
                for (i = 1; i <= length(digits); i++) sum = sum * 16 + index("123456789abcdef", substr(digits, i, 1))
                return sum + 0
            }
            function with_length(hex) { return sprintf("%08x", length(hex) / 2) hex }
            function is_next(tag) { return substr(text, at, 2) == tag }
            # The bytes of the object of DER that begins here.
            function object(    bytes) {
                take(1)
                bytes = number(1)
                return bytes < 128 ? bytes : number(bytes - 128)
            }
            function of_openssh(    i) {
                at = 31 # after the magic
                for (i = 1; i <= 3; i++) take(number(4)) # the cipher, and how its key is made
                number(4)
                return take(number(4))
            }
            function of_rsa(    modulus) {
                at = 1
                object()
                take(object()) # the version
                if (is_next("30")) {
                    take(object())
                    object()
                    object()
                    take(object())
                }
                if (!is_next("02")) return ""
                modulus = take(object())
                return with_length("7373682d727361") with_length(take(object())) with_length(modulus)
            }
            {
                text = $0
                public = substr(text, 1, 30) == "6f70656e7373682d6b65792d763100" ? of_openssh() : substr(text, 1, 2) == "30" ? of_rsa() : ""
                text = public
                at = 1
                while (at < length(text)) printf "\\0%03o", number(1)
            }'
    )
    ssh_key=$(printf '%b' "$ssh_bytes" | base64 | tr -d '\n')
    case $ssh_key in
        AAAAC3NzaC1lZDI1NTE5*) printf 'ssh-ed25519 %s\n' "$ssh_key" ;;
        AAAAB3NzaC1yc2E*) printf 'ssh-rsa %s\n' "$ssh_key" ;;
    esac
}

# print_openers: prints the member `opened_by` of a result; nothing if the backup was not decrypted.
print_openers() { [ -z "${opened_by:-}" ] || printf ',"opened_by":[%s]' "$opened_by"; }

# identity_fault FILE: prints of whom an identity is expected, and whose was given; nothing if it is one of them, or if the message
# of age is about another fault. Private keys are not printed.
identity_fault() {
    grep -q 'no identity matched' "$work/decrypt.err" || return 0
    named_keys=$(recipients_in_manifest "$1.json") given_keys=$(public_keys true)
    [ -z "$named_keys" ] || ! printf '%s\n' "$given_keys" | grep -q -x -F -e "$named_keys" || return 0
    printf 'expected the identity of one of its recipients%s, found %s. ' \
        "$(shown_keys ', ' "$named_keys")" "$(if [ -n "$given_keys" ]; then shown_keys 'that of ' "$given_keys"; else echo another; fi)"
}

# recipients_in_manifest FILE: prints the public keys, one a line, without comments.
recipients_in_manifest() {
    [ -f "$1" ] || return 0
    sed -n 's/^"encryption":{.*"recipients":\[\(.*\)\],"gzip_bytes":.*/\1/p' "$1" | head -n 1 |
        grep -o -E '"(age1[a-z0-9]+|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+)' | tr -d '"'
}

# shown_keys PREFIX KEYS: prints the prefix and public keys, long ones shortened and at most five; nothing without keys.
shown_keys() {
    [ -z "$2" ] || printf '%s\n' "$2" | awk -v prefix="$1" '
        { bytes = length($NF) }
        bytes > 72 { $NF = substr($NF, 1, 24) "..." substr($NF, bytes - 23) }
        NR <= 5 { printf "%s%s", (NR == 1 ? prefix : ", "), $0 }
        END { if (NR > 5) printf " and %d more", NR - 5 }'
}
