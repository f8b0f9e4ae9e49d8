# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: the manifest of a backup, <backup>.json. It is ASCII, and its first line is the summary that a listing
# reads (docs/architecture.md).
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# write_manifest FILE BACKUP: fails as write_text does.
write_manifest() {
    manifest_text > "$work/manifest.utf8" "$2"
    tr '\011' ' ' <"$work/manifest.utf8" | utf8_lines | ascii_json >"$work/manifest"
    if [ "$(tail -n 1 "$work/manifest")" != ']}' ]; then
        write_fault='' message="the manifest could not be made in $work: is ${TMPDIR:-/tmp} full?"
        return 1
    fi
    write_text "$1" "$(cat "$work/manifest")"
}

# manifest_text BACKUP: prints the manifest.
manifest_text() {
    printf '{"format":1,"backup":"%s","state":"%s","dumped":%s,"missing":%s,"left_out":%s,\n' \
        "$1" "$backup_state" "$(dumped_names)" "$missing_names" "$has_left_out"
    printf '"sha256":"%s",\n"bytes":%s,\n"uncompressed_bytes":%s,\n"started":"%s",\n"finished":"%s",\n' \
        "$sha256" "$bytes" "$uncompressed_bytes" "$started" "$(now_iso)"
    printf '"script_version":"%s",\n"compressor":"%s",\n"read_back":"%s",\n"warnings":[%s],\n' \
        "$VERSION" "$compressor" "$read_mode" "$warnings"
    manifest_of_encryption
    printf '"server":{"host":%s,"version":%s,"version_num":%s,"dump_version":%s,"bootstrap_superuser":%s,"dumped_as":%s,"is_superuser":%s,"role_passwords":%s%s},\n"parts":[\n' \
        "$(json "$server_address")" "$(json "$server_version")" "$server_version_num" "$(json "$client_version")" "$superuser" \
        "$(json "$POSTGRES_BACKUP_USER")" "$(boolean "$is_superuser")" "$(if [ "$no_role_passwords" = no ]; then echo true; else echo false; fi)" \
        "${health_members:+,$health_members}"
    manifest_parts
    printf ']}\n'
}

boolean() { if [ "$1" = t ]; then printf true; else printf false; fi; }

dumped_names() {
    awk -v FS="$TAB" '
        FILENAME ~ /dumped$/ { split($0, field, " "); is_dumped[field[1]] = 1; next }
        $1 in is_dumped { printf "%s%s", (count++ ? "," : "["), $4 }
        END { print count ? "]" : "[]" }' "$work/dumped" "$work/databases"
}

# manifest_parts: prints the entries of $work/parts, one a line.
manifest_parts() {
    for inspected in "$work"/inspect.*[0-9] "$work"/reason.*[0-9]; do
        [ -e "$inspected" ] || continue
        printf '%s\n' "$inspected"
    done >"$work/inspected"
    awk -v FS="$TAB" -v folder="$work" '
        FILENAME ~ /inspected$/ { match($0, /[a-z]*\.[0-9]*$/); has_file[substr($0, RSTART)] = 1; next }
        FILENAME ~ /databases$/ { name[$1] = $4; members[$1] = $7; next }
        function first_line(file, line) {
            if (!(file in has_file)) return ""
            getline line < (folder "/" file)
            close(folder "/" file)
            return line
        }
        {
            split($0, part, " ")
            is_database = part[1] !~ /^[a-z]/
            reason = first_line("reason." part[1])
            inspection = first_line("inspect." part[1])
            printf "%s{\"kind\":\"%s\",\"name\":%s,\"result\":\"%s\",%s", (count++ ? ",\n" : ""), (is_database ? "database" : part[1]), \
                (is_database ? name[part[1]] : "null"), (part[2] == "provider" ? "not_accessible" : part[2]), (reason == "" ? "\"reason\":null,\"advice\":null" : reason)
            printf ",\"offset_bytes\":%s,\"length_bytes\":%s,\"text_offset_bytes\":%s,\"text_length_bytes\":%s,\"seconds\":%s", \
                value(part[3]), value(part[4]), value(part[5]), value(part[6]), value(part[7])
            if (is_database) printf ",%s%s", members[part[1]], (inspection == "" ? "" : "," inspection)
            printf "}"
        }
        END { print "" }
        function value(text) { return text == "-" ? "null" : text }
    ' "$work/inspected" "$work/databases" "$work/parts"
}
