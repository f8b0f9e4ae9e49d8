# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Output: the log for people, JSON for programs, and failures.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2030,SC2031 # write_termination_message changes them for itself

TERMINATION_MESSAGE_BYTES=4096
NEWLINE='
'
TAB=$(printf '\t')
# The name of the command's function that fail_with calls.
on_failure=:

now_iso() { date -u +%Y-%m-%dT%H:%M:%SZ; }

now_epoch() { date +%s; }

log() { printf '%s %s\n' "$(now_iso)" "$1" >&2; }

# shows_progress: whether a module follows the log, and shows a person what is being done. Other logs have no such lines.
shows_progress() { [ "${POSTGRES_BACKUP_PROGRESS:-no}" = yes ]; }

# progress ACTIVITY [MEMBERS]: prints what is being done; MEMBERS are those of the JSON object, each with a comma before it.
progress() { ! shows_progress || printf '{"type":"progress","activity":"%s"%s}\n' "$1" "${2:-}" >&2; }

# begin_step NAME: sets `step`, and reports it with $progress_members. A watch reads it from $work/step.
begin_step() {
    step=$1
    ! shows_progress || printf '%s\n' "$1" >"$work/step"
    progress "$1" "${progress_members:-}"
}

# is_in_step NAME: whether the command is in this step; for a watch.
is_in_step() { [ -s "$work/step" ] && read -r watched_step <"$work/step" && [ "$watched_step" = "$1" ]; }

# human_bytes BYTES
human_bytes() {
    awk -v n="$1" 'BEGIN {
        split("bytes KiB MiB GiB TiB", unit, " ")
        for (i = 1; n >= 1024 && i < 5; i++) n /= 1024
        printf (i == 1 ? "%.0f %s" : "%.1f %s"), n, unit[i]
    }'
}

# json TEXT: TEXT as a JSON string (RFC 8259). Control characters, and bytes that are not UTF-8, become question marks.
json() {
    case $1 in
        *[!\ -~]*) json_text=$(utf8 "$1") ;;
        *) json_text=$1 ;;
    esac
    case $json_text in
        *[\"\\]* | *"$NEWLINE"*)
            json_text=$(printf '%s\n' "$json_text" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }') ;;
    esac
    printf '"%s"' "$json_text"
}

# utf8 TEXT: TEXT without control characters; in a line that is not UTF-8 (RFC 3629) only ASCII is left.
utf8() { printf '%s\n' "$1" | tr '\011' ' ' | utf8_lines; }

# utf8_lines: copies lines without control characters; in a line that is not UTF-8 only ASCII is left.
utf8_lines() {
    tr '\001-\010\013-\037\177' '[?*]' | awk '
        BEGIN {
            tail = "[\200-\277]"
            valid = "^([\001-\177]|[\302-\337]" tail "|\340[\240-\277]" tail "|[\341-\354\356\357]" tail tail \
                "|\355[\200-\237]" tail "|\360[\220-\277]" tail tail "|[\361-\363]" tail tail tail \
                "|\364[\200-\217]" tail tail ")*$"
        }
        !/[\200-\377]/ { print; next }
        $0 !~ valid { gsub(/[\200-\377]/, "?") }
        { print }'
}

# ascii_json: copies JSON with \u escapes instead of characters that are not ASCII (RFC 8259, section 7). Its input is UTF-8.
ascii_json() {
    awk '
        BEGIN { for (i = 128; i < 256; i++) code[sprintf("%c", i)] = i }
        !/[\200-\377]/ { print; next }
        {
            line = ""
            while (match($0, /[\200-\377]/)) {
                line = line substr($0, 1, RSTART - 1)
                first = code[substr($0, RSTART, 1)]
                bytes = first >= 240 ? 4 : first >= 224 ? 3 : 2
                value = first - (bytes == 4 ? 240 : bytes == 3 ? 224 : 192)
                for (i = 1; i < bytes; i++) value = value * 64 + code[substr($0, RSTART + i, 1)] - 128
                if (value < 65536) line = line sprintf("\\u%04x", value)
                else line = line sprintf("\\u%04x\\u%04x", 55296 + int((value - 65536) / 1024), 56320 + (value - 65536) % 1024)
                $0 = substr($0, RSTART + bytes)
            }
            print line $0
        }'
}

# json_or_null TEXT
json_or_null() { if [ -n "$1" ]; then json "$1"; else printf null; fi; }

# json_field NAME JSON: the raw value of a string, number or null in a flat JSON object that this script wrote.
json_field() {
    printf '%s\n' "$2" | sed -nE "s/^(\{|.*[,{])\"$1\":(\"([^\"\\\\]|\\\\.)*\"|[0-9]+|null).*/\2/p"
}

# write_termination_message RESULT FUNCTION STATE: writes the container's termination message: the result, which the
# function prints for the state. Kubernetes truncates messages of more than 4,096 bytes (Container v1 core,
# terminationMessagePath), and truncated JSON is not valid: then lists are left out, then the reasons of other attempts.
write_termination_message() {
    [ -e "$POSTGRES_BACKUP_TERMINATION_LOG" ] || return 0
    message=$1
    if [ ${#message} -gt "$TERMINATION_MESSAGE_BYTES" ]; then
        message=$(skipped='[]' invalid='[]' server_databases=null warnings='"cut: see the log"' server_warnings='' error_list='' extensions=''; "$2" "$3")
    fi
    if [ ${#message} -gt "$TERMINATION_MESSAGE_BYTES" ]; then
        message=$(
            skipped='[]' invalid='[]' server_databases=null warnings='"cut: see the log"' server_warnings='' failed_list='' last_reason=null recovered_from=null \
                missing_databases='[]' left_out_objects='' error_list='' needs='' left_out='' extensions='' settings=''
            "$2" "$3"
        )
    fi
    printf '%s' "$message" 2>/dev/null >"$POSTGRES_BACKUP_TERMINATION_LOG" || :
}

# print_result FUNCTION STATE: prints the result, which the function prints for the state, also as the termination message.
print_result() {
    printed_result=$("$1" "$2")
    write_termination_message "$printed_result" "$1" "$2"
    printf '%s\n' "$printed_result"
}

warn() {
    log "WARNING: $1"
    warnings="$warnings${warnings:+,}$(json "$1")"
}

# warn_about_server TEXT: a warning about the server's own health: backup_info reports it as a problem.
warn_about_server() {
    warn "$1"
    server_warnings="$server_warnings${server_warnings:+,}$(json "$1")"
}

# end_step NAME [EPOCH]: records the seconds since the last step ended; EPOCH is the end of this step, by default now.
end_step() {
    step_now=${2:-$(now_epoch)}
    step_seconds="$step_seconds${step_seconds:+,}\"$1\":$((step_now - step_began))"
    step_began=$step_now
}

# fail WHAT FOUND ADVICE: ends the command with exit status 1.
fail() { fail_with 1 "$@"; }

# fail_with STATUS WHAT FOUND ADVICE: ends the command with an exit status, which $on_failure may change.
fail_with() {
    trap '' TERM INT HUP USR1 USR2
    use_kept_streams
    exit_status=$1 what=$2 found=$3 advice=$4
    end_group "${step_group:-}"
    end_watch
    # The log is written first: what follows may have to wait for the volume or the server.
    log "FAILED: $what"
    printf '%s\n' "$found" | while IFS= read -r line; do log "  found: $line"; done
    log "  what to do: $advice"
    "$on_failure"
    clean_up
    exit "$exit_status"
}

# fail_for_good WHAT FOUND ADVICE: another attempt would fail in the same way.
fail_for_good() { fail_with 2 "$@"; }
