# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: the proof of what the dump has written: each part is decompressed to its end, and the file on the volume
# has the hash of what was written.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

FOLLOW_NICENESS=19

# step_follow PARTIAL: decompresses the partial file while it grows, one attempt after the other (see dump.sh), until the
# dump has ended. For each attempt that succeeded, it writes the bytes of its text to $work/checked.ATTEMPT, and ends with
# a failure if the part is not complete.
step_follow() { stage follow follow_attempts "$1"; }

follow_attempts() {
    attempt=0
    while :; do
        while [ ! -e "$work/start.$attempt" ]; do
            # Attempts start before $work/written is created.
            if [ -e "$work/written" ] && [ ! -e "$work/start.$attempt" ]; then return 0; fi
            pause
        done
        # Its writer may not have ended the line yet.
        read -r position part octal <"$work/start.$attempt" || { pause; continue; }
        follow_attempt "$1" | run_stage check decompress | end_and_size
        end_offset=none
        if [ -e "$work/end.$attempt" ]; then read -r end_offset <"$work/end.$attempt"; fi
        if [ "$end_offset" = none ]; then
            # The status of the shell that was killed is the cause.
            rm -f "$work/check.status" "$work/end.status"
            return 0
        elif [ "$end_offset" != failed ]; then
            read_status check
            [ "$stage_result" = 0 ] || return 1
            read_status end
            [ "$stage_result" = 0 ] || return 1
            text_end=$(tr '\000' '?' <"$work/end"; echo x)
            if ! is_end_of_part "$part"; then
                printf '%s\n' "$part" >"$work/endless"
                return 1
            fi
            if [ -n "$octal" ] && ! begins_with_database "$1"; then
                printf '%s\n' "$part" >"$work/mistaken"
                return 1
            fi
            dd if="$1" bs=4 iflag=skip_bytes,fullblock skip="$((end_offset - 4))" count=1 2>/dev/null | od -A n -t u1 >"$work/trailer"
            write_text_size || return 1
        else
            # Its text is cut off, and so is the part.
            rm -f "$work/follow.status" "$work/check.status" "$work/count.status" "$work/text.status" "$work/end.status"
        fi
        attempt=$((attempt + 1))
    done
}

# end_and_size: writes the last bytes of standard input to $work/end, and how many bytes were read to $work/read_bytes:
# the kernel's count (proc_pid_io(5)), which contains some kilobytes more, or to $work/count, where the kernel does not count.
end_and_size() {
    rm -f "$work/read_bytes"
    if [ -r /proc/self/io ]; then
        stage end tail -c 160 >"$work/end"
        while read -r field number; do
            [ "$field" != rchar: ] || printf '%s\n' "$number" >"$work/read_bytes"
        done </proc/self/io
    else
        end_and_count
    fi
}

# write_text_size: writes the bytes of the text that was decompressed last to $work/checked.ATTEMPT: the end of the gzip data,
# in $work/trailer, has them modulo 2^32 (RFC 1952, ISIZE), and gzip has compared them; the kernel's count, which is a little
# larger, has the rest.
# A pipe through another program that counts would make the run slower by a tenth.
write_text_size() {
    if [ ! -e "$work/read_bytes" ]; then
        mv "$work/count" "$work/checked.$attempt"
        return
    fi
    read -r read_bytes <"$work/read_bytes"
    read -r byte_0 byte_1 byte_2 byte_3 <"$work/trailer"
    text_size=$((byte_0 + 256 * (byte_1 + 256 * (byte_2 + 256 * byte_3))))
    text_size=$((text_size + (read_bytes - text_size + 2147483648) / 4294967296 * 4294967296))
    if [ "$text_size" -gt "$read_bytes" ] || [ $((read_bytes - text_size)) -gt 67108864 ]; then
        echo "gzip's trailer has $text_size bytes of text, of $read_bytes that were read" >"$work/check.err"
        echo 1 >"$work/check.status"
        return 1
    fi
    printf '%s\n' "$text_size" >"$work/checked.$attempt"
}

# follow_attempt FILE: prints what the attempt writes to the file, from $position on; fails if the attempt fails, or does not end.
follow_attempt() {
    while :; do
        # The size is read first: until the attempt ends, all bytes of the file are its own.
        size=$(stat -c %s "$1" 2>/dev/null || echo 0)
        if [ -e "$work/end.$attempt" ] && read -r end_offset <"$work/end.$attempt"; then
            [ "$end_offset" != failed ] || return 1
            while [ "$size" -lt "$end_offset" ]; do
                if [ -e "$work/written" ]; then
                    size=$(stat -c %s "$1")
                    [ "$size" -lt "$end_offset" ] || break
                    echo "the partial file has $size bytes, expected $end_offset" >&2
                    return 1
                fi
                pause
                size=$(stat -c %s "$1")
            done
            copy_range "$1" "$position" $((end_offset - position))
            return
        fi
        # A shell of the dump was killed, and the attempt has no end.
        if [ -e "$work/written" ] && [ ! -e "$work/end.$attempt" ]; then return 1; fi
        grown=$(((size - position) / 1048576 * 1048576))
        if [ "$grown" -gt 0 ]; then
            copy_range "$1" "$position" "$grown" || return
            position=$((position + grown))
        else
            pause
        fi
    done
}

# begins_with_database FILE: whether the part at $position begins with the section of the database $octal.
begins_with_database() {
    part_begin=$(copy_range "$1" "$position" 65536 2>/dev/null | decompress 2>/dev/null | head -c 512; echo x)
    begins_with_title
}

# begins_with_title: whether $part_begin is the beginning of the section of the database $octal.
begins_with_title() {
    database_named "$octal"
    title_of_database
    case $part_begin in "--$NEWLINE-- Database \"$title\" dump$NEWLINE"*) ;; *) return 1 ;; esac
}

# is_end_of_part PART: whether $text_end, the end of the text that was decompressed last and an x, is as that of the part must be; PART is globals, end, or the
# number of a database, whose text ends as pg_dump ends a complete dump (pg_dump.c, main; pg_backup_archiver.c).
is_end_of_part() {
    case $1 in
        globals) part_end="--$NEWLINE-- Databases$NEWLINE--$NEWLINE${NEWLINE}x" ;;
        end) part_end="$NEWLINE${DUMP_END}x" ;;
        *)
            case $text_end in
                *"$NEWLINE$NEWLINE\\unrestrict "*"$NEWLINE${NEWLINE}x")
                    restrict_key=${text_end##*\\unrestrict }
                    restrict_key=${restrict_key%"$NEWLINE${NEWLINE}x"}
                    case $restrict_key in '' | *[!A-Za-z0-9]*) return 1 ;; esac
                    text_end="${text_end%\\unrestrict *}x" ;;
            esac
            part_end="$NEWLINE-- PostgreSQL database dump complete$NEWLINE--$NEWLINE${NEWLINE}x" ;;
    esac
    case $text_end in *"$part_end") ;; *) return 1 ;; esac
}

# read_from_server FILE: hashes the file, bypassing this machine's page cache if the file system allows it; if it was
# written in several streams (see dump.sh), also each of them.
read_from_server() {
    if dd if="$1" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null; then read_flags=iflag=direct read_mode=direct; else read_flags='' read_mode=cached; fi
    printf '%s\n' "$read_mode" >"$work/read_mode"
    stage read dd if="$1" bs=1048576 ${read_flags:+"$read_flags"} | stage read_hash sha256sum >"$work/volume_hash"
    [ "$(grep -c . "$work/streams")" -gt 1 ] || return 0
    dd if="$1" bs=1048576 ${read_flags:+"$read_flags"} 2>/dev/null | while read -r stream_offset stream_end _ <&3; do
        printf '%s %s %s\n' "$stream_offset" "$stream_end" "$(copy_bytes $((stream_end - stream_offset)) | sha256sum | cut -c 1-64)"
    done 3<"$work/streams" >"$work/volume_streams"
}

# read_back: sets `sha256`; fails if the file on the volume does not have the hash of what was written.
read_back() {
    read_mode=$(cat "$work/read_mode" 2>/dev/null)
    for name in read read_hash; do
        [ "$(stage_status_of "$name")" = 0 ] || fail "the backup cannot be read back from the volume" \
            "$(stage_message_of "$name"; status_in_words "$(stage_status_of "$name")")" "Check the storage behind the volume."
    done
    volume_hash=$(cut -c 1-64 "$work/volume_hash")
    written_hash=$(cut -d ' ' -f 3 "$work/streams")
    if [ -e "$work/volume_streams" ]; then
        [ "$(cat "$work/streams")" = "$(cat "$work/volume_streams")" ] || fail_changed "the parts of the file that were written at a stretch have other hashes when they are read back"
    else
        [ "$volume_hash" = "$written_hash" ] || fail_changed "sha256 $written_hash was written, $volume_hash was read back"
    fi
    sha256=$volume_hash
    check_encrypted "$partial"
    end_step read_back
    case $read_mode in
        direct) log "read back from the server, bypassing this machine's cache: the hash matches" ;;
        *) log "read back (this file system does not allow bypassing the cache): the hash matches" ;;
    esac
    [ "$encrypts" = no ] ||
        log "the text was complete before age encrypted it, and the file has the length and the recipients that it must have; only an identity shows that it can be decrypted"
}

# fail_changed FOUND
fail_changed() {
    fail "the volume does not hold what was written" "$1" \
        "The storage is not reliable, or the file was changed: check the disks, memory and network of the NAS."
}
