# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: encryption to recipients by age (https://age-encryption.org/v1), in the pipe between the compressor and the
# partial file. Nothing in $work may contain rows: a folder of a pod is on the node's disk.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# age encrypts chunks of this size, each with a tag; before the first, there is a nonce (the specification's "Payload").
AGE_CHUNK_BYTES=65536
AGE_TAG_BYTES=16
AGE_NONCE_BYTES=16

# In an encrypted run, each program waits for the one after it. With pipes of this size, the largest that any user may set
# (pipe(7), /proc/sys/fs/pipe-max-size), they wait less: with those of 64 KiB, a run takes a tenth longer.
LARGE_PIPE_BYTES=1048576
large_pipes=no

# read_encryption: sets `encrypts` (yes or no) and `name_ending`, that of the names of new backups.
read_encryption() {
    : "${POSTGRES_BACKUP_RECIPIENTS:=}" "${POSTGRES_BACKUP_AGE:=age}" "${POSTGRES_BACKUP_KEY_REHEARSAL:=90d}"
    key_rehearsal_seconds=0
    if [ "$POSTGRES_BACKUP_KEY_REHEARSAL" != 0 ]; then
        duration POSTGRES_BACKUP_KEY_REHEARSAL
        key_rehearsal_seconds=$seconds
    fi
    encrypts=no name_ending=.sql.gz recipients='[]'
    case $POSTGRES_BACKUP_RECIPIENTS in *[!"$IFS$CARRIAGE_RETURN"]*) encrypts=yes name_ending=.sql.gz.age ;; esac
    export encrypts POSTGRES_BACKUP_AGE
}

# prepare_encryption: writes the recipients to $work/recipients; sets `recipients` (JSON), `recipient_count` and `age_version`.
# Fails if age refuses one of them.
prepare_encryption() {
    [ "$encrypts" = yes ] || return 0
    command -v "$POSTGRES_BACKUP_AGE" >/dev/null 2>&1 || fail_with 2 "the program age is missing" \
        "POSTGRES_BACKUP_RECIPIENTS is set, and there is no program $POSTGRES_BACKUP_AGE" \
        "Set POSTGRES_BACKUP_AGE to its path; the role copies it from the image of postgres_backup_tools_image."
    age_version=$("$POSTGRES_BACKUP_AGE" --version 2>"$work/age.err") || fail_with 2 "the program age cannot be run" \
        "$POSTGRES_BACKUP_AGE: $(head -n 1 "$work/age.err" | cut -c 1-400)" \
        "Set postgres_backup_tools_image to an image whose age runs on the nodes, and let them run programs from an emptyDir."
    age_version=$(printf '%s\n' "$age_version" | head -n 1 | tr -c -d 'A-Za-z0-9.()+-' | cut -c 1-40)
    : >"$work/recipients" || fail_records
    recipient_number=0
    while IFS= read -r recipient; do
        recipient=${recipient%"$CARRIAGE_RETURN"}
        [ -n "$recipient" ] || continue
        recipient_number=$((recipient_number + 1))
        # Of a key of OpenSSH, age takes more than one space.
        recipient=$(printf '%s\n' "$recipient" | sed 's/[[:blank:]]\{1,\}/ /g')
        # Anything else may be a private key, and is not printed.
        case $recipient in
            *AGE-SECRET-KEY-* | *'PRIVATE KEY'*) refuse_recipient "contains a private key" ;;
            age1* | 'ssh-ed25519 '* | 'ssh-rsa '*) ;;
            *) refuse_recipient "does not begin with age1, ssh-ed25519 or ssh-rsa" ;;
        esac
        message=$("$POSTGRES_BACKUP_AGE" -r "$recipient" </dev/null 2>&1 >/dev/null) || fail_with 2 "age refuses a recipient" \
            "recipient $recipient_number, $recipient: $(printf '%s\n' "$message" | head -n 1 | cut -c 1-400)" "Correct postgres_backup_recipients."
        # The comment of a key of OpenSSH does not make another one.
        cut -d ' ' -f 1,2 "$work/recipients" | grep -q -x -F -e "$(printf '%s\n' "$recipient" | cut -d ' ' -f 1,2)" ||
            printf '%s\n' "$recipient" >>"$work/recipients"
    done <<RECIPIENTS
$POSTGRES_BACKUP_RECIPIENTS
RECIPIENTS
    recipient_count=$(grep -c '' "$work/recipients")
    recipients=
    while IFS= read -r recipient; do recipients=$recipients${recipients:+,}$(json "$recipient"); done <"$work/recipients"
    recipients="[$recipients]"
    find_kernel_counter
    log "encrypting to $recipient_count recipients with age ${age_version:-of an unknown version}"
    [ "$recipient_count" -gt 1 ] || warn "there is only one recipient: if its identity is lost, so is every backup that is encrypted to it. Add a second one (postgres_backup_recipients)"
}

# refuse_recipient FOUND
refuse_recipient() {
    fail_with 2 "a recipient is not a public key" "recipient $recipient_number $1" \
        "Correct postgres_backup_recipients. If it is a private key, make another pair of keys: this one has been in the cluster."
}

# into_pipe COMMAND...: runs a command whose standard output is a pipe; enlarges the pipe if `large_pipes` is yes.
into_pipe() {
    [ "$large_pipes" = no ] || enlarge_pipe 1
    "$@"
}

# enlarge_pipe DESCRIPTOR: only perl can (1031 is F_SETPIPE_SZ, fcntl.h). In an image without it, pipes keep their size.
enlarge_pipe() { perl -e 'open(PIPE, ">&=" . shift) and fcntl(PIPE, 1031, int(shift))' "$1" "$LARGE_PIPE_BYTES" 2>/dev/null || :; }

# encrypt: standard input to standard output.
encrypt() { "$POSTGRES_BACKUP_AGE" --recipients-file "$work/recipients"; }

# restart_stream PARTIAL: begins again after a part that failed: nothing can be cut off an encrypted file. The parts before it
# are dumped again; those that were given up are not.
restart_stream() {
    echo 1 >"$work/write.status"
    { : >"$1"; } 2>"$work/write.err" || return 1
    sed -i '/^[^ ]* [^ ]* dumped /d' "$work/attempts" 2>"$work/write.err" || return 1
    : >"$work/streams" || return 1
    echo 0 >"$work/write.status"
    read -r attempt part tries <"$work/next"
    printf '%s %s\n' "$part" "$tries" >"$work/again"
    printf '%s globals 1\n' "$attempt" >"$work/next"
    stream_offset=0
}

# was_given_up NUMBER: whether a database failed, or was dropped, before the stream began again.
was_given_up() { [ -e "$work/again" ] && grep -q -e "^[^ ]* $1 failed " -e "^[^ ]* $1 dropped " "$work/attempts"; }

# begin_check PART: starts the check of the part that count_part is going to copy. The file is encrypted, so step_follow
# could not read it.
begin_check() {
    [ "$encrypts" = yes ] || return 0
    for stage_name in fork check end; do printf '%s\n' none >"$work/$stage_name.status"; done
    rm -f "$work/judged" "$work/count"
    # Opened for both, so that no end waits for another that was killed.
    exec 4<>"$work/part.fifo"
    # To start perl takes longer than what it saves with little text.
    if is_small "$1"; then large_pipes=no; else large_pipes=yes; enlarge_pipe 4; fi
    # The redirections of a subshell: a function's are undone, and the shell keeps a copy of what they close.
    (check_part "$1") >/dev/null 3<&- 4<&- 6<&- 7<&- &
    part_checker=$!
}

# count_part: copies a compressed part, and counts its bytes as count_bytes does.
count_part() {
    if [ "$encrypts" = yes ]; then into_pipe count_bytes size | stage fork tee "$work/part.fifo"; else count_bytes size; fi
}

# end_check: waits for the check.
end_check() {
    [ "$encrypts" = yes ] || return 0
    exec 4<&-
    wait "$part_checker"
}

# check_part PART: decompresses the part, and judges its text, of which nothing is kept. Writes the bytes of the text to $work/count.
check_part() {
    # It is faster than the compression. With a lower priority, it would delay the dump on a busy node.
    if [ "$kernel_counts" = yes ]; then
        stage check decompress_and_count
    else
        stage check decompress | count_bytes count
    fi <"$work/part.fifo" | judge_text "$1"
}

# The shell itself must write nothing before it counts.
decompress_and_count() {
    decompress || return
    written_bytes >"$work/count"
    # Without its messages, if it has any.
    read -r written <"$work/count"
    printf '%s\n' "$((written - $(stat -c %s "$work/check.err")))" >"$work/count"
}

# written_bytes: prints how many bytes this shell and its children that have ended have written (proc_pid_io(5)).
written_bytes() {
    while read -r field number; do
        [ "$field" != wchar: ] || printf '%s\n' "$number"
    done </proc/self/io
}

# find_kernel_counter: sets `kernel_counts` to yes if written_bytes is exact: another program that counts makes the run slower.
find_kernel_counter() {
    kernel_counts=no
    if [ -r /proc/self/io ] && [ "$(head -c 5000 /dev/zero >/dev/null; written_bytes)" = 5000 ]; then kernel_counts=yes; fi
    export kernel_counts
}

# judge_text PART: writes to $work/judged whether the text on standard input is that of the part: `complete`, `endless` or `mistaken`.
judge_text() {
    part_begin=$(dd bs=512 count=1 iflag=fullblock 2>/dev/null | tr '\000' '?'; echo x)
    # A short text ends in what was read first.
    text_end=${part_begin%x}$(run_stage end tail -c 160 | tr '\000' '?'; echo x)
    judgement=complete
    if ! is_end_of_part "$1"; then judgement=endless
    elif [ -n "$octal" ] && ! begins_with_title; then judgement=mistaken
    fi
    printf '%s\n' "$judgement" >"$work/judged"
}

# judge_checked_part PART: fails, as step_follow does, if the check of the part found something; else it writes the bytes of its
# text to $work/checked.ATTEMPT.
judge_checked_part() {
    echo 1 >"$work/follow.status"
    for stage_name in fork check end; do
        read_status "$stage_name"
        [ "$stage_result" = 0 ] || return 1
    done
    judgement=
    [ ! -e "$work/judged" ] || read -r judgement <"$work/judged"
    case $judgement in
        complete) ;;
        endless | mistaken) printf '%s\n' "$1" >"$work/$judgement"; return 1 ;;
        *) return 1 ;;
    esac
    write_text_size || return 1
    echo 0 >"$work/follow.status"
}

# check_encrypted FILE: what can be found out about an encrypted file without an identity: it has a recipient stanza for
# each recipient, and the length that age gives this many bytes. Fails if not. Sets `gzip_bytes`.
check_encrypted() {
    [ "$encrypts" = yes ] || return 0
    gzip_bytes=$(cat "$work/stream_end")
    read_age_header "$1" || encryption_failed "the file does not begin with the header of age"
    [ "$age_stanzas" -ge "$recipient_count" ] || encryption_failed "its header has $age_stanzas recipient stanzas, expected $recipient_count"
    chunks=$(((gzip_bytes + AGE_CHUNK_BYTES - 1) / AGE_CHUNK_BYTES))
    expected_bytes=$((age_header_bytes + AGE_NONCE_BYTES + gzip_bytes + chunks * AGE_TAG_BYTES))
    bytes=$(stat -c %s "$1")
    [ "$bytes" -eq "$expected_bytes" ] || encryption_failed "the file has $bytes bytes, expected $expected_bytes for $gzip_bytes bytes of gzip data"
}

# read_age_header FILE: sets `age_header_bytes` and `age_stanzas`; fails if it is not a header of age.
read_age_header() {
    age_header_bytes=0 age_stanzas=0
    while IFS= read -r header_line; do
        [ "$age_header_bytes" -gt 0 ] || [ "$header_line" = age-encryption.org/v1 ] || return 1
        age_header_bytes=$((age_header_bytes + ${#header_line} + 1))
        case $header_line in
            '-> '*) age_stanzas=$((age_stanzas + 1)) ;;
            '--- '*) return 0 ;;
        esac
        [ "$age_header_bytes" -lt 1048576 ] || return 1
    done <"$1"
    return 1
}

# encryption_failed FOUND
encryption_failed() {
    fail "the encryption failed" "$1" \
        "Read the message; its memory limit may be too small (postgres_backup_resources), or the program age is broken: set postgres_backup_tools_image to another image."
}

# manifest_of_encryption: prints the member `encryption` of the manifest; nothing for a plain backup.
manifest_of_encryption() {
    [ "$encrypts" = yes ] || return 0
    printf '"encryption":{"format":"age-encryption.org/v1","age_version":%s,"recipients":%s,"gzip_bytes":%s,"decrypted":false},\n' \
        "$(json_or_null "$age_version")" "$recipients" "$gzip_bytes"
}
