# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: databases that were created or dropped, during the run and since the last backup.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# step_current_name OID: writes the current name of a database to $work/current, as OCTAL and JSON (see
# step_list_databases), if it was not dropped; then a line `end`.
step_current_name() {
    query_psql UTF8 --field-separator="$TAB" --command="SET standard_conforming_strings = on" --command="
        SELECT (SELECT string_agg('\\0' || byte / 64 || byte / 8 % 8 || byte % 8, '' ORDER BY at)
                FROM decode(replace(datname::text, '\\', '\\\\'), 'escape') AS bytes CROSS JOIN LATERAL generate_series(0, octet_length(bytes) - 1) AS at
                CROSS JOIN LATERAL get_byte(bytes, at) AS byte), to_json(datname::text)
        FROM pg_catalog.pg_database WHERE oid = $1" --command="SELECT 'end'" >"$work/current" 2>"$work/current.err" && [ "$(tail -n 1 "$work/current")" = end ]
}

# step_new_databases: writes the JSON names of databases that were created during the run to $work/created.
step_new_databases() {
    query_psql UTF8 --command="
        SELECT to_json(datname::text) FROM pg_catalog.pg_database WHERE datallowconn AND datconnlimit <> -2 AND datname <> 'template0'
            AND oid NOT IN (0$(cut -f 5 "$work/databases" | sed 's/^/,/' | tr -d '\n')) ORDER BY datname" >"$work/created" 2>"$work/created.err"
}

# report_changes: warns about databases that were dropped or created, during the run and since the last backup.
report_changes() {
    while read -r _ number result _; do
        [ "$result" != dropped ] || warn "$(utf8 "$(name_of_database "$number")") was dropped during the run, and is not in the backup"
    done <"$work/attempts"
    run_group new_databases
    while IFS= read -r created_name; do
        warn "$(utf8 "$created_name") was created during the run, and is not in the backup: the next run dumps it"
    done <"$work/created"
    [ -n "$last_backup" ] && [ -f "$POSTGRES_BACKUP_DIR/${last_backup% *}.json" ] || return 0
    cut -f 4 "$work/databases" | utf8_lines | ascii_json >"$work/names_now"
    head -n 1 "$POSTGRES_BACKUP_DIR/${last_backup% *}.json" | names_of_summary >"$work/names_before"
    came=$(lines_without "$work/names_before" "$work/names_now" | head -n 10 | tr '\n' ' ')
    went=$(lines_without "$work/names_now" "$work/names_before" | head -n 10 | tr '\n' ' ')
    [ -z "$came" ] || log "new since the last backup: $came"
    [ -z "$went" ] || warn "databases of the last backup that the server does not have any more: $went(dropped or renamed; older backups have them)"
}

# lines_without FILE OTHER: prints the lines of OTHER that FILE does not have.
lines_without() { awk -v file="$1" 'BEGIN { while ((getline line < file) > 0) is_known[line] = 1 } !($0 in is_known)' "$2"; }

# names_of_summary: prints the JSON names of `dumped` and `missing` in a manifest's first line, one a line.
names_of_summary() {
    awk '
        function strings(text) {
            while (match(text, /"([^"\\]|\\.)*"/)) {
                if (RSTART > 2) return
                print substr(text, RSTART, RLENGTH)
                text = substr(text, RSTART + RLENGTH)
            }
        }
        {
            if ((at = index($0, ",\"dumped\":["))) strings(substr($0, at + 11))
            if ((at = index($0, "],\"missing\":["))) strings(substr($0, at + 13))
        }'
}
