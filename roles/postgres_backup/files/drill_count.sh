# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Counts the rows of the databases that a drill restored.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# count_rows: prints every table of every database as JSON lines; sets `databases`, `tables`, `rows` and `copied_rows`.
count_rows() {
    PGCLIENTENCODING=SQL_ASCII psql --no-psqlrc --no-password --no-align --tuples-only --quiet \
        --command='SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname' >"$work/databases" 2>"$work/list.err" ||
        fail "the restored databases cannot be listed" "$(psql_error "$work/list.err")" "Read the message."
    while IFS= read -r database <&3; do
        export database
        run_group drill_count
        [ "$step_status" -eq 0 ] || fail "the rows of the database '$(utf8 "$database")' cannot be counted" \
            "$(psql_error "$work/count.err")" "Read the message: it is from PostgreSQL."
        report_database
    done 3<"$work/databases"
}

# step_drill_count: "ENCODING x", then for each table "t SCHEMA NAME ROWS TREE PART", with "e" if it belongs to an extension.
# TREE is the same number for all tables of one partition tree, 0 for others; PART is root, branch, leaf, or none.
step_drill_count() {
    PGOPTIONS="$PGOPTIONS -c search_path=pg_catalog" feed_psql "$database" >"$data/counted" 2>"$work/count.err" <<'SQL'
\pset fieldsep ' '
SELECT 'ENCODING', getdatabaseencoding();
WITH RECURSIVE partitions AS (
    SELECT c.oid, c.oid AS root FROM pg_class c WHERE c.relkind = 'p' AND NOT c.relispartition
    UNION ALL SELECT i.inhrelid, p.root FROM partitions p JOIN pg_inherits i ON i.inhparent = p.oid
)
SELECT string_agg(format('SELECT %L, %L, %L, count(*), %L, %L FROM ONLY %I.%I', kind, schema_hex, name_hex, tree, part, nspname, relname), ' UNION ALL ')
FROM (
    SELECT n.nspname, c.relname, row_number() OVER (ORDER BY n.nspname, c.relname) / 100 AS statement,
        coalesce(p.root, 0) AS tree,
        CASE WHEN p.root = c.oid THEN 'root' WHEN p.root IS NULL THEN 'none' WHEN c.relkind = 'p' THEN 'branch' ELSE 'leaf' END AS part,
        encode(convert_to(n.nspname::text, getdatabaseencoding()), 'hex') AS schema_hex,
        encode(convert_to(c.relname::text, getdatabaseencoding()), 'hex') AS name_hex,
        CASE WHEN EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
            THEN 'e' ELSE 't' END AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN partitions p ON p.oid = c.oid
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
) AS found
GROUP BY statement ORDER BY statement
\gexec
SQL
}

# report_database: prints $data/counted as JSON lines, and compares it with the rows that COPY reported.
report_database() {
    copied=$(awk 'BEGIN { name = ENVIRON["database"] } { n = $1; sub(/^[0-9]+ /, "") } $0 == name { print n; exit }' "$work/copied")
    awk -v copied="${copied:-0}" -v summary="$work/summary" '
        BEGIN {
            name = ENVIRON["database"]
            for (i = 1; i < 256; i++) hex[sprintf("%c", i)] = sprintf("%02x", i)
            for (i = 1; i <= length(name); i++) name_hex = name_hex hex[substr(name, i, 1)]
        }
        $1 == "ENCODING" { encoding = $2; next }
        NF == 6 {
            tree = $6 == "none" ? "" : sprintf(",\"tree\":%s,\"part\":\"%s\"", $5, $6)
            line[++count] = sprintf("{\"type\":\"table\",\"schema_hex\":\"%s\",\"name_hex\":\"%s\",\"rows\":%s%s%s}", $2, $3, $4, $1 == "e" ? ",\"extension\":true" : "", tree)
            tables++
            if ($1 == "e") extension += $4
            else rows += $4
        }
        END {
            printf "{\"type\":\"database\",\"name_hex\":\"%s\",\"encoding\":\"%s\",\"tables\":%d,\"rows\":%.0f,\"copied_rows\":%.0f,\"extension_rows\":%.0f}\n",
                name_hex, encoding, tables, rows, copied, extension
            for (i = 1; i <= count; i++) print line[i]
            printf "%d %.0f %.0f\n", tables, rows, extension > summary
        }
    ' "$data/counted"
    read -r database_tables database_rows extension_rows <"$work/summary"
    # Of the tables of an extension, a dump contains only the rows that users added.
    if [ "${copied:-0}" -lt "$database_rows" ] || [ "${copied:-0}" -gt $((database_rows + extension_rows)) ]; then
        fail_for_good "the restored rows do not match the dump" \
            "the database '$(utf8 "$database")': COPY reported ${copied:-0} rows, the database has $database_rows" \
            "Check for rules, triggers or policies that change what is written, and restore the backup by hand to find the cause."
    fi
    databases=$((databases + 1)) tables=$((tables + database_tables)) rows=$((rows + database_rows)) copied_rows=$((copied_rows + ${copied:-0}))
}
