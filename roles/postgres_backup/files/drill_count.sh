# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Counts the rows of the databases that a drill restored.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# count_rows: prints every table of every database as JSON lines; sets `databases`, `tables`, `rows` and `copied_rows`.
count_rows() {
    query_drill "SELECT oid, datname FROM pg_catalog.pg_database WHERE datallowconn AND datname <> '$INTERMEDIATE_NAME' ORDER BY datname" >"$work/databases" ||
        fail "the restored databases cannot be listed" "$(psql_error "$work/query.err")" "Read the message."
    while IFS=$TAB read -r oid database <&3; do
        export database oid
        if [ ! -e "$data/counted.$oid" ]; then
            run_group drill_count
            [ "$step_status" -eq 0 ] || fail "the rows of the database '$(utf8 "$database")' cannot be counted" \
                "$(psql_error "$work/count.err")" "Read the message: it is from PostgreSQL."
        fi
        report_database
    done 3<"$work/databases"
}

# count_part: counts the rows of the database in the folder's files, as soon as it is restored.
count_part() {
    database=$part_database
    export database
    oid=$(echo 'SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database();' | part_psql 1 none "$folder/connect.sql" - 2>/dev/null | tail -n 1)
    count_path=$part_path
    if [ -e "$folder/needs" ]; then count_path=$(cut -f 1 "$folder/needs"); fi
    step_drill_count "$folder/count.err" && [ -n "$oid" ] || { rm -f "$data/counted.$oid"; return; }
    # The rows of each COPY, if it is known which it was, and the rows of INSERT.
    awk -v tags="$folder/tags" '
        { copy[++count] = $0 }
        END {
            while ((getline line < tags) > 0) if (line ~ /^inserted /) inserted += substr(line, 10); else { rows[++numbers] = line; all += line }
            printf "total %.0f\n", all + inserted
            if (numbers == count && !inserted) for (i = 1; i <= count; i++) print rows[i] " " copy[i]
        }' "$folder/copies" >"$data/copied.$oid"
}

# step_drill_count: "ENCODING x", then for each table "KIND SCHEMA NAME TREE PART ROWS" (table_rows_sql).
step_drill_count() {
    {
        # The expression of an index may need the path that the restore needed.
        printf '\\o /dev/null\n%s\n\\o\n' "$(search_path_statement "pg_catalog${count_path:+, $count_path}")"
        count_sql
    } | feed_psql "$database" >"$data/counted.$oid" 2>"${1:-$work/count.err}"
}

count_sql() {
    printf '%s\n' "\\pset fieldsep ' '" "SELECT 'ENCODING', getdatabaseencoding();"
    table_rows_sql kind "encode(convert_to(nspname::text, getdatabaseencoding()), 'hex')" "encode(convert_to(relname::text, getdatabaseencoding()), 'hex')" tree part
}

# report_database: prints $data/counted.OID as JSON lines, and compares it with the rows that COPY reported: those of each table,
# or of each partition tree, if they are known by database ($data/copied.OID), and their sum.
report_database() {
    [ -e "$data/copied.$oid" ] || awk 'BEGIN { name = ENVIRON["database"] } { n = $1; sub(/^[0-9]+ /, "") } $0 == name { print "total " n; exit }' "$work/copied" >"$data/copied.$oid" 2>/dev/null
    awk -v copies="$data/copied.$oid" -v summary="$work/summary" -v difference="$work/difference" '
        function hex_of(text,    i, result) {
            for (i = 1; i <= length(text); i++) result = result hex[substr(text, i, 1)]
            return result
        }
        # next_name: the identifier at the beginning of `rest`, in hexadecimal numbers.
        function next_name(    name) {
            if (!match(rest, /^("([^"]|"")*"|[^ ".(]+)/)) return ""
            name = substr(rest, 1, RLENGTH)
            rest = substr(rest, RLENGTH + 1)
            if (name ~ /^"/) { name = substr(name, 2, length(name) - 2); gsub(/""/, "\"", name) }
            return hex_of(name)
        }
        function compare(shown, expected, counted, is_extension) {
            if (problem == "" && (counted < expected || (counted > expected && !is_extension)))
                problem = sprintf("%s: COPY reported %.0f rows, there are %.0f", shown, expected, counted)
        }
        BEGIN {
            for (i = 1; i < 256; i++) hex[sprintf("%c", i)] = sprintf("%02x", i)
            while ((getline copied_line < copies) > 0) {
                if (copied_line ~ /^total /) { copied = substr(copied_line, 7); continue }
                number = copied_line + 0
                rest = copied_line
                sub(/^[0-9]+ COPY /, "", rest)
                table = rest
                schema_hex = next_name()
                rest = substr(rest, 2)
                key = schema_hex " " next_name()
                copy_rows[key] += number
                shown[key] = "the table " substr(table, 1, length(table) - length(rest))
                knows_tables = 1
            }
            name_hex = hex_of(ENVIRON["database"])
        }
        $1 == "ENCODING" { encoding = $2; next }
        NF == 6 {
            tree = $5 == "none" ? "" : sprintf(",\"tree\":%s,\"part\":\"%s\"", $4, $5)
            line[++count] = sprintf("{\"type\":\"table\",\"schema_hex\":\"%s\",\"name_hex\":\"%s\",\"rows\":%s%s%s}", $2, $3, $6, $1 == "e" ? ",\"extension\":true" : "", tree)
            tables++
            if ($1 == "e") extension += $6
            else rows += $6
            key = $2 " " $3
            of = key in copy_rows ? shown[key] : "a table that the dump does not fill"
            if (tree == "") { alone[++singles] = key; label[key] = of; counted[key] = $6; kind[key] = $1 }
            else {
                tree_copied[$4] += copy_rows[key]
                tree_counted[$4] += $6
                if ($1 == "e") tree_kind[$4] = "e"
                if (!($4 in tree_label) || key in copy_rows && copy_rows[key]) tree_label[$4] = of " and the other tables of its partition tree"
            }
            if (!copy_rows[key]) delete copy_rows[key]
            else is_matched[key] = 1
        }
        END {
            printf "{\"type\":\"database\",\"name_hex\":\"%s\",\"encoding\":\"%s\",\"tables\":%d,\"rows\":%.0f,\"copied_rows\":%.0f,\"extension_rows\":%.0f}\n",
                name_hex, encoding, tables, rows, copied, extension
            for (i = 1; i <= count; i++) print line[i]
            # Names in another encoding than that of the database do not match.
            for (key in copy_rows) if (copy_rows[key] && !(key in is_matched)) knows_tables = 0
            if (knows_tables) {
                for (i = 1; i <= singles; i++) compare(label[alone[i]], copy_rows[alone[i]], counted[alone[i]], kind[alone[i]] == "e")
                for (tree in tree_copied) compare(tree_label[tree], tree_copied[tree], tree_counted[tree], tree in tree_kind)
            }
            printf "%d %.0f %.0f %.0f\n", tables, rows, extension, copied > summary
            printf "%s", problem > difference
        }
    ' "$data/counted.$oid"
    read -r database_tables database_rows extension_rows copied <"$work/summary"
    difference=$(cat "$work/difference")
    # Of the tables of an extension, a dump contains only the rows that users added.
    if [ -n "$difference" ] || [ "$copied" -lt "$database_rows" ] || [ "$copied" -gt $((database_rows + extension_rows)) ]; then
        fail_for_good "the restored rows do not match the dump" \
            "the database '$(utf8 "$database")': COPY reported $copied rows, the database has $database_rows${difference:+; $(utf8 "$difference")}" \
            "Check for rules, triggers or policies that change what is written, and restore the backup by hand to find the cause."
    fi
    databases=$((databases + 1)) tables=$((tables + database_tables)) rows=$((rows + database_rows)) copied_rows=$((copied_rows + copied))
}
