# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The text of one database in a backup: facts about it, and the text with changes.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# quoted_name: the name of a table in a fact, with quotes, whether the text has them or not; nothing without a schema.
AWK_QUOTED_NAME='
function quoted_name(text,    part) {
    if (!match(text, /^("([^"]|"")*"|[^".]+)[.]/)) return ""
    part = substr(text, 1, RLENGTH - 1)
    text = substr(text, RLENGTH + 1)
    return quoted(part) "." quoted(text)
}
function quoted(text) { return substr(text, 1, 1) == "\"" ? text : "\"" text "\"" }
'

# fact_name_sql SCHEMA TABLE: prints an SQL expression for the name as quoted_name has it.
fact_name_sql() { escaped_sql "format('\"%s\".\"%s\"', replace($1, '\"', '\"\"'), replace($2, '\"', '\"\"'))"; }

# escaped_sql EXPRESSION: prints an SQL expression for its value as facts have names: in one line and without tabs.
escaped_sql() { printf '%s' "replace(replace(replace($1, '\\', '\\\\'), E'\\n', '\\n'), E'\\t', '\\t')"; }

# database_facts [OPTION ...]: prints the facts of database.awk about the text on standard input; the options are awk's, such
# as -v folder=FOLDER.
database_facts() { tr -d '\000' | awk "$@" -f "$work/sql_lexer.awk" -f "$work/database.awk"; }

# fact_of NAME FACTS: prints the fields of the last fact of that name in the file FACTS: names in the text precede those that
# there is one of.
fact_of() { sed -n "s/^$1$TAB//p" "$2" | tail -n 1; }

# for_extensions FACTS COMMAND: runs COMMAND NAME SCHEMA for each extension in the file FACTS.
for_extensions() {
    sed -n "s/^extension${TAB}[0-9]*$TAB//p" "$1" | while IFS=$TAB read -r extension_name extension_schema; do
        "$2" "$extension_name" "$extension_schema"
    done
}

# schema_of NAME FACTS: prints the schema of an extension in the file FACTS, as the text quotes it.
schema_of() { sed -n "s/^extension${TAB}[0-9]*${TAB}$1$TAB//p" "$2" | head -n 1; }

# body_edits FACTS FOLDER SEARCH_PATH: prints the changes of a body that its search_path (empty for none) and its extensions
# need, for edit_text; their texts are files in FOLDER. The caller's version_of prints the version that an extension must have.
# shellcheck disable=SC2094 # both only read it
body_edits() {
    while IFS=$TAB read -r fact_name fact_offset fact_first fact_second <&3; do
        edit_sql=$2/edit.$fact_name.$fact_offset edit_bytes=0
        case $fact_name in
            search_path)
                [ -n "$3" ] || continue
                edit_bytes=$fact_first
                search_path_statement "$3" ;;
            create_extension)
                needs_same_version "$fact_first" || continue
                extension_version=$(version_of "$fact_first")
                [ -z "$extension_version" ] || create_same_version "$fact_first" "$(schema_of "$fact_first" "$1")" "$extension_version" ;;
            extension) extension_before "$fact_first" "$fact_second" ;;
            *) continue ;;
        esac >"$edit_sql"
        [ ! -s "$edit_sql" ] || printf '%s %s %s\n' "$fact_offset" "$edit_bytes" "$edit_sql"
    done 3<"$1" | sort -s -n -k 1,1
}

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
