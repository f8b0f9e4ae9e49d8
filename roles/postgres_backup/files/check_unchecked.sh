# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: checks backups that another script made; they become complete or damaged.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# step_check FILE: reads a backup that another script made, for its hash and the facts about its text.
step_check() {
    mkfifo "$work/check.fifo" || exit 1
    read_to_end section_facts <"$work/check.fifo" &
    stage read dd if="$1" bs=1048576 | stage split tee "$work/check.fifo" | stage hash sha256sum >"$work/hash"
    wait
}

# check_unchecked: checks the unchecked backups that have not changed for an hour.
check_unchecked() {
    listing >"$work/listing" || return 0
    sed -n '/"state":"unchecked"/s/.*"name":"\([^"]*\)".*/\1/p' "$work/listing" >"$work/unchecked"
    while IFS= read -r unchecked <&3; do
        file=$POSTGRES_BACKUP_DIR/$unchecked
        [ -n "$(find "$file" -mmin +60 2>/dev/null)" ] || continue
        if is_encrypted "$file"; then
            log "$unchecked has no checksum file and remains unchecked: it is encrypted"
            continue
        fi
        log "checking $unchecked, which has no checksum file"
        before=$(stat -c '%s %Y' "$file" 2>/dev/null) || continue
        clear_stages
        run_group check "$file"
        case $(stage_status_of read) in
            0 | "$SIGPIPE_STATUS") ;; # the decompressor may exit early when it finds damage
            *) warn "$unchecked could not be read: $(stage_message_of read)"; continue ;;
        esac
        if [ "$(stat -c '%s %Y' "$file" 2>/dev/null)" != "$before" ]; then
            warn "$unchecked changed while it was checked; the next run tries again"
            continue
        fi
        damage=
        case $(stage_status_of check) in
            0)
                [ "$(stage_status_of hash)" = 0 ] || { warn "$unchecked could not be hashed: $(stage_message_of hash)"; continue; }
                [ "$(stage_status_of end)" = 0 ] || { warn "$unchecked could not be checked: awk ended $(status_in_words "$(stage_status_of end)")"; continue; }
                damage=$(damage_of "$work/end" "$(tr -d ' \n' <"$work/count")")
                [ -n "$damage" ] || ! follows_gzip_data "$file" || damage=$GARBAGE ;;
            1 | 2) damage=$(describe_other_format "$file")
                [ -n "$damage" ] || [ "$(stage_status_of check)" = 1 ] || ! follows_gzip_data "$file" || damage=$GARBAGE
                [ -n "$damage" ] || damage="gzip cannot read it: $(stage_message_of check | grep -m 1 .)" ;;
            *) warn "$unchecked could not be checked: gzip ended $(status_in_words "$(stage_status_of check)")"; continue ;;
        esac
        if [ -n "$damage" ]; then
            replace_text "$file.damaged" "$damage (checked $(now_iso))" || warn "$unchecked could not be marked as damaged: $message"
            warn "$unchecked is damaged: $damage"
        elif [ "$unchecked" != "${unchecked%.age}" ]; then
            warn "$unchecked is not encrypted, although its name ends in .age, and remains unchecked: encrypt it, or rename it"
        elif [ -e "$file.sha256" ] && [ ! -f "$file.sha256" ]; then
            warn "no checksum file could be written for $unchecked: $unchecked.sha256 is not a regular file"
        elif ! record_missing "$file"; then
            warn "no manifest could be written for $unchecked, which lacks databases: $message"
        else
            [ ! -e "$file.sha256" ] || warn "the checksum file of $unchecked did not name it and is replaced"
            if replace_text "$file.sha256" "$(cut -c 1-64 "$work/hash")  $unchecked"; then
                log "$unchecked is ${unchecked_state}; it has a checksum file now"
            else
                warn "no checksum file could be written for $unchecked: $message"
            fi
        fi
    done 3<"$work/unchecked"
    end_step check_unchecked
}

# record_missing FILE: if the text that was checked last names databases that could not be dumped, writes a manifest with the
# state incomplete, unless the file has one. Sets `unchecked_state`; fails as replace_text does. The checksum file is
# written after it: the backup is at no time complete.
record_missing() {
    unchecked_state=complete
    ! is_incomplete_by_manifest "$1" || unchecked_state=incomplete
    text_missing=$(sed -n 's/^missing //p' "$work/end" | utf8_lines | ascii_json)
    if [ -z "$text_missing" ] || [ "$unchecked_state" = incomplete ]; then return 0; fi
    unchecked_state=incomplete
    replace_text "$1.json" "$(manifest_of_text "${1##*/}")"
}

# is_incomplete_by_manifest FILE: whether it has a manifest with that state.
is_incomplete_by_manifest() {
    [ -f "$1.json" ] && head -n 1 "$1.json" | grep -q "^{\"format\":[1-9][0-9]*,\"backup\":\"${1##*/}\",\"state\":\"incomplete\","
}

# manifest_of_text BACKUP: prints the manifest of a backup whose text is all that is known of it.
manifest_of_text() {
    text_dumped=$(sed -n 's/^section [0-9]* [0-9]* [0-9]* [^ ]* //p' "$work/end" | utf8_lines |
        sed -e 's/[\\"]/\\&/g' -e 's/.*/"&"/' | awk '{ printf "%s%s", (NR > 1 ? "," : ""), $0 }' | ascii_json)
    text_left_out=false
    if decompress <"$file" 2>/dev/null | head -n 20 | grep -q -e '^-- databases excluded: ' -e '^-- left out on request: '; then text_left_out=true; fi
    printf '{"format":1,"backup":"%s","state":"incomplete","dumped":[%s],"missing":%s,"left_out":%s,\n' "$1" "$text_dumped" "$text_missing" "$text_left_out"
    printf '"sha256":"%s",\n"bytes":%s,\n"uncompressed_bytes":%s,\n"parts":[]}\n' \
        "$(cut -c 1-64 "$work/hash")" "${before%% *}" "$(sed -n 's/^bytes //p' "$work/end")"
}
