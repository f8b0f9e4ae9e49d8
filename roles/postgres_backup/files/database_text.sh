# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The text of one database in a backup: facts about it, and the text with changes.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# database_facts [OPTION ...]: prints the facts of database.awk about the text on standard input; the options are awk's, such
# as -v folder=FOLDER.
database_facts() { tr -d '\000' | awk "$@" -f "$work/sql_lexer.awk" -f "$work/database.awk"; }

# fact_of NAME FACTS: prints the fields of the first fact of that name in the file FACTS.
fact_of() { sed -n "s/^$1$TAB//p" "$2" | head -n 1; }

# edit_text EDITS POSITION: copies standard input, which begins at that byte of the text, with the changes in the file
# EDITS: lines of "OFFSET BYTES FILE" in the order of their offsets. At OFFSET, that many bytes are left out, and the
# content of FILE (- for nothing) is inserted. Changes before POSITION are ignored.
edit_text() {
    edit_position=$2
    while read -r edit_offset edit_bytes edit_file <&4; do
        [ "$edit_offset" -ge "$edit_position" ] || continue
        copy_bytes $((edit_offset - edit_position)) 4<&- || return 1
        [ "$edit_bytes" -eq 0 ] || copy_bytes "$edit_bytes" >/dev/null 4<&- || return 1
        [ "$edit_file" = - ] || cat "$edit_file" 4<&- || return 1
        edit_position=$((edit_offset + edit_bytes))
    done 4<"$1"
    cat
}

# search_path_statement PATH: prints the statement that replaces pg_dump's, which makes the search_path empty.
search_path_statement() { printf "SELECT pg_catalog.set_config('search_path', '%s', false);" "$(printf '%s' "$1" | sed "s/'/''/g")"; }
