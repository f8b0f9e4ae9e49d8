# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The text of a backup: compression, decompression, splitting and verification.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# How pg_dumpall ends a complete dump (src/bin/pg_dump/pg_dumpall.c, main()).
DUMP_END="-- PostgreSQL database cluster dump complete${NEWLINE}--${NEWLINE}${NEWLINE}"

compress() {
    case $compressor in
        igzip) igzip -c ;;
        pigz) pigz -1 -c ;;
        *) gzip -1 -c ;;
    esac
}

decompress() { "$decompressor" -d -c; }

# choose_decompressor: sets `decompressor` to the fastest one that the image has, for backups that were verified before.
choose_decompressor() {
    decompressor=$(first_program igzip pigz gzip)
    export decompressor
}

# The damage that follows_gzip_data finds.
GARBAGE="something that is neither gzip data nor zeros follows the end of its gzip data"

# follows_gzip_data FILE: whether something that is not zeros follows the gzip data of a file that was decompressed with the status 0, or
# with 2, by which GNU gzip warns of it. Other programs are silent: they accept the file without its last byte that is not zero, too. If
# only zeros follow, that byte is a part of the gzip data, and no program accepts the file without it. In an encrypted file nothing can follow
# what age has sealed.
follows_gzip_data() {
    [ "${decrypts:-no}" = no ] || return 1
    { echo | "$decompressor" -c; echo x; } 2>/dev/null | decompress >/dev/null 2>&1 || [ "$(stage_status_of check)" != 0 ] || return 1
    needed_bytes=$(bytes_before_zeros "$1") && [ "$needed_bytes" -gt 0 ] || return 1
    head -c $((needed_bytes - 1)) "$1" | decompress >/dev/null 2>&1
    case $? in 0 | 2) ;; *) return 1 ;; esac
}

# bytes_before_zeros FILE: prints the size of the file without the zeros at its end.
bytes_before_zeros() {
    whole_bytes=$(stat -c %s "$1") tail_bytes=4096
    while [ "$(tail -c "$tail_bytes" "$1" | tr -d '\000' | wc -c)" -eq 0 ]; do
        [ "$tail_bytes" -lt "$whole_bytes" ] || return 1
        tail_bytes=$((tail_bytes * 16))
    done
    zero_bytes=$(tail -c "$tail_bytes" "$1" | od -A n -v -t u1 |
        awk '{ for (i = 1; i <= NF; i++) zeros = $i == 0 ? zeros + 1 : 0 } END { if (NR) printf "%.0f", zeros }')
    [ -n "$zero_bytes" ] && printf '%s\n' "$((whole_bytes - zero_bytes))"
}

# copy_bytes BYTES: copies exactly that many bytes of standard input, and reads no more. (head reads more than it copies.)
copy_bytes() {
    blocks=$(($1 / 1048576)) rest=$(($1 % 1048576))
    [ "$blocks" -eq 0 ] || dd bs=1048576 count="$blocks" iflag=fullblock 2>/dev/null || return 1
    [ "$rest" -eq 0 ] || dd bs="$rest" count=1 iflag=fullblock 2>/dev/null
}

# copy_range FILE OFFSET BYTES: prints a part of the file; prints messages only if it fails.
copy_range() {
    { copy_message=$(dd if="$1" bs=1048576 iflag=skip_bytes,count_bytes,fullblock skip="$2" count="$3" 2>&1 >&3 3>&-); } 3>&1
    copy_status=$?
    [ "$copy_status" -eq 0 ] || printf '%s\n' "$copy_message" >&2
    return "$copy_status"
}

# begins_section [-e PATTERN ...]: whether standard input begins with the section of a database: since version 12 a comment
# that names the database, before that \connect, or in version 11 pg_dump's comment; or with a line that matches a PATTERN.
begins_section() {
    head -c 64 | tr -d '\r' | head -n 2 | grep -q -e '^-- Database "' -e '^-- PostgreSQL database dump$' -e '^\\connect ' "$@"
}

# follows_section: whether standard input begins with what follows a section: another one, the names of the databases that the
# run could not dump, or the end of the dump.
follows_section() { begins_section -e '^-- Databases that could not be dumped: ' -e '^-- PostgreSQL database cluster dump complete$'; }

# find_counter: sets `dd_counts` to yes if dd prints how many bytes it has copied (busybox's may not): it counts at a tenth
# of the cost of a tee and a wc.
find_counter() {
    dd_counts=no
    if dd if=/dev/null of=/dev/null 2>&1 | grep -q '^0 bytes'; then dd_counts=yes; fi
    export dd_counts
}

# count_bytes STAGE [OPERAND ...]: copies standard input, and writes the number of bytes to $work/STAGE; the operands are dd's.
count_bytes() {
    [ -n "${dd_counts:-}" ] || find_counter
    if [ "$dd_counts" = yes ]; then
        count_stage=$1
        shift
        [ $# -gt 0 ] || set -- bs=65536
        stage "$count_stage" dd "$@"
        set -- "$count_stage"
        while read -r number word _; do
            case $word in bytes) printf '%s\n' "$number" ;; esac
        done <"$work/$1.err" >"$work/$1"
    else
        rm -f "$work/$1.fifo"
        mkfifo "$work/$1.fifo" || return 1
        wc -c <"$work/$1.fifo" >"$work/$1" &
        stage "$1" tee "$work/$1.fifo"
        wait "$!"
    fi
}

# read_to_end [COMMAND ...]: decompresses standard input to its end, for end_and_count.
read_to_end() { stage check decompress | end_and_count "$@"; }

# read_backup_to_end FILE [COMMAND ...]: read_to_end for a backup.
read_backup_to_end() {
    read_file=$1
    shift
    stage check backup_text "$read_file" | end_and_count "$@"
}

# is_complete_dump: whether the text that was read last ends with the completion marker.
is_complete_dump() {
    case $(tr '\000' '?' <"$work/end"; echo x) in *"${DUMP_END}x") ;; *) return 1 ;; esac
}

# end_and_count [COMMAND ...]: writes the last bytes of standard input (or the output of the command, which reads it) to
# `end`, and the number of bytes to `count`.
end_and_count() {
    [ $# -gt 0 ] || set -- tail -c 160
    count_bytes count | stage end "$@" >"$work/end"
}

# section_facts: prints the facts of sections.awk about the text on standard input.
section_facts() { { tr -d '\000'; echo; } | awk -f "$work/sql_lexer.awk" -f "$work/sections.awk"; }

# damage_of FACTS BYTES: prints why a text of that many bytes, with these facts of sections.awk, is not one complete dump
# of all databases; prints nothing if it is.
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
            else if (key == "unfinished") print line " of its text begins a statement before the one before it has ended: some text is missing"
            else if (key == "elsewhere") print line " of its text is for another database than the one that is connected: psql would restore objects into the wrong one"
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

# is_encrypted FILE: whether age has encrypted it (https://age-encryption.org/v1), also as text (--armor), whatever its name is.
is_encrypted() {
    case $(head -c 26 "$1" 2>/dev/null | tr '\000' '?') in age-encryption.org/v1* | '-----BEGIN AGE ENCRYPTED '*) return 0 ;; esac
    return 1
}

# require_readable: fails if the backup $file is encrypted, and POSTGRES_BACKUP_IDENTITY_FILE has no identity of a recipient;
# sets `decrypts` (yes or no).
require_readable() {
    : "${POSTGRES_BACKUP_AGE:=age}" "${POSTGRES_BACKUP_IDENTITY_FILE:=}"
    decrypts=no
    export decrypts POSTGRES_BACKUP_AGE POSTGRES_BACKUP_IDENTITY_FILE
    is_encrypted "$file" || return 0
    [ -n "$POSTGRES_BACKUP_IDENTITY_FILE" ] ||
        fail_for_good "the backup is encrypted" "$backup: only an identity, the private key of one of its recipients, shows what is in it" \
            "Give an identity: the option identity_file of the module, -e postgres_backup_identity_file=PATH of the playbook, for scheduled drills postgres_backup_drill_identity_secret, and outside of Kubernetes POSTGRES_BACKUP_IDENTITY_FILE."
    command -v "$POSTGRES_BACKUP_AGE" >/dev/null 2>&1 ||
        fail_for_good "the program age is missing" "the backup is encrypted, and there is no program $POSTGRES_BACKUP_AGE" \
            "In Kubernetes, set postgres_backup_recipients and postgres_backup_tools_image, and run the role again: its pods have age then. Elsewhere, install age, or set POSTGRES_BACKUP_AGE to its path."
    # Each program of the pipelines opens it again: another one than a file could be read only once.
    [ -f "$POSTGRES_BACKUP_IDENTITY_FILE" ] && [ -r "$POSTGRES_BACKUP_IDENTITY_FILE" ] ||
        fail_for_good "the identity cannot be read" "POSTGRES_BACKUP_IDENTITY_FILE: expected a file that this user may read, found $(ls -dl -- "$POSTGRES_BACKUP_IDENTITY_FILE" 2>&1)" \
            "Set it to the path of a file, not of a pipe: it is read several times. In Kubernetes, the Secret must have the key identity."
    # Without a terminal: there, age would ask for a passphrase, which the steps that run apart from it cannot.
    apart=$(command -v setsid) || apart=
    decrypted=$({ decrypt "$file" 2>"$work/decrypt.err" || note_status "$?" "$work/decrypt.err"; } | head -c 1 | tr '\037\000\012x' 'x???')
    apart=
    advice="Give an identity of one of the recipients that ${backup}.json names. If it is one, the file is damaged: use another copy."
    ! grep -q 'reading "' "$work/decrypt.err" ||
        advice="Correct the file of the identity: expected lines that begin with AGE-SECRET-KEY-1, or one private key of OpenSSH without a passphrase, in UTF-8 without a byte order mark."
    ! grep -q -e 'obtain passphrase' -e 'read passphrase' "$work/decrypt.err" ||
        advice="Give an identity without a passphrase: decrypt a copy of it (age --decrypt IDENTITY), or of a key of OpenSSH remove it (ssh-keygen -p -f COPY)."
    case $decrypted:$(head -c 1 "$work/decrypt.err") in
        x:*) ;;
        :?) fail_for_good "the backup cannot be decrypted" "$backup: $(identity_fault "$file")$(grep -v 'report unexpected or unhelpful errors' "$work/decrypt.err" | head -n 2 | cut -c 1-400)" "$advice" ;;
        *) fail_for_good "the backup is damaged" "$backup: decrypted, $(decrypt "$file" 2>/dev/null | describe_other_format -)" "Take another backup, or another copy of this one." ;;
    esac
    decrypts=yes
    find_openers "$file"
}

# note_status STATUS FILE: what has failed without a message in the file, such as by its memory limit, gets one.
note_status() { [ -s "$2" ] || echo "age ended with status $1" >"$2"; }

# decrypt FILE
decrypt() { ${apart:-} "$POSTGRES_BACKUP_AGE" --decrypt --identity "$POSTGRES_BACKUP_IDENTITY_FILE" "$1"; }

# backup_text FILE: prints the text of a backup.
backup_text() {
    if [ "${decrypts:-no}" = yes ]; then decrypt "$1" | decompress; else decompress <"$1"; fi
}

# backup_range FILE OFFSET BYTES: prints a part of the gzip data of a backup. An encrypted one is decrypted from its beginning on.
backup_range() {
    if [ "${decrypts:-no}" = no ]; then
        copy_range "$@"
        return
    fi
    # Nothing more is needed after the part: age gets a broken pipe.
    decrypt "$1" 2>/dev/null | { copy_bytes "$2" >/dev/null && copy_bytes "$3"; }
}

# describe_other_format FILE: prints why a file is damaged that does not begin with gzip data, with its type if known.
describe_other_format() {
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
