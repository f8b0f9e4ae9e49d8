# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The rows of a restored database: those in the backup's text, those that COPY reported, and those that are in the tables.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# reported_rows: prints the rows that each COPY and each INSERT reported (libpq, PQcmdStatus).
reported_rows() { awk '/^COPY [0-9]+$/ || /^INSERT [0-9]+ [0-9]+$/ { print $1, $NF }'; }

# compare_reported_rows: sets `rows`; fails if COPY reported other rows than the text has.
compare_reported_rows() {
    rows=$(awk '{ rows += $2 } END { printf "%.0f", rows }' "$work/reported")
    rows_message=$(awk -F "$TAB" -v reported="$work/reported" -v merged=" $MERGED_TABLES " '
        BEGIN { while ((getline line < reported) > 0) if (line ~ /^COPY /) report[++count] = substr(line, 6) }
        { copies++; if (report[copies] != $2 && !index(merged, " " $3 " ") && listed++ < 5) list = list (list == "" ? "" : ", ") $3 ": " $2 " rows, COPY reported " (copies in report ? report[copies] : "nothing") }
        END { if (copies + 0 != count + 0) printf "%d COPY statements, psql reported %d%s", copies, count, (list == "" ? "" : "; "); print list }' "$work/copies")
    expected_rows=$planned_rows
    [ -z "$rows_message" ] || rows_differ " ($(utf8 "$rows_message"))"
    [ "$inserts" != 0 ] || rows=$planned_rows
    [ -n "$RESTORE_ROWS" ] && [ $((rows + late_rows)) != "$RESTORE_ROWS" ] || return 0
    expected_rows=$RESTORE_ROWS
    # A dump with INSERT statements can have several rows in each.
    [ "$inserts" = 0 ] || rows_differ ''
    fail "the number of rows does not match the contents" "expected $expected_rows, the backup has $((rows + late_rows))" \
        "The contents are those of another backup, or were counted by another version of the collection: fetch the backup with verify again, and pass the contents that this returns."
}

# count_tables: "TREE KIND NAME ROWS" of each table, separated by tabs (table_rows_sql); the name is quoted, as facts have it.
count_tables() {
    # The expression of an index may need the path that the restore needed.
    [ -z "$RESTORE_SEARCH_PATH" ] || quiet_options="$quiet_options -c search_path=$(printf '%s' "pg_catalog, $RESTORE_SEARCH_PATH" | sed -e 's/[\\ ]/\\&/g')"
    count_tables_sql | (sql_encoding=$encoding; quiet_psql "$RESTORE_TEMPORARY" --field-separator="$TAB")
}

count_tables_sql() {
    table_rows_sql tree kind "$(fact_name_sql nspname relname)"
}

# compare_counted_rows: sets `tables`; fails if a table has other rows than the text. Tables of extensions may have more:
# a dump has only those that users added. Rows of INSERT statements, and of tables that the text names without a schema,
# are compared as a sum.
compare_counted_rows() {
    tables=$(grep -c . "$work/counted")
    counted_message=$(awk -F "$TAB" -v counted="$work/counted" -v reported="$rows" -v inserts="$inserts" "$AWK_QUOTED_NAME"'
        BEGIN {
            while ((getline line < counted) > 0) {
                split(line, field, "\t")
                name = field[3]
                tree[name] = field[1] == "0" ? name : field[1]
                found[tree[name]] += field[4]
                if (field[2] == "e") { is_extension[tree[name]] = 1; of_extensions += field[4] } else of_users += field[4]
                if (!(tree[name] in first)) { first[tree[name]] = name; order[++count] = tree[name] }
            }
        }
        {
            name = quoted_name($3)
            if (!(name in tree)) is_sum = 1
            else expected[tree[name]] += $2
        }
        END {
            if (is_sum || inserts + 0) {
                if (reported + 0 < of_users || reported + 0 > of_users + of_extensions)
                    printf "%.0f rows were reported, the tables have %.0f\n", reported, of_users
                exit
            }
            for (i = 1; i <= count; i++) {
                one = order[i]
                if (found[one] == expected[one] + 0 || ((one in is_extension) && found[one] > expected[one] + 0)) continue
                if (listed++ < 5) list = list (list == "" ? "" : ", ") sprintf("%s: %.0f rows in the backup, the table has %.0f", first[one], expected[one], found[one])
            }
            if (list != "") print list
        }' "$work/copies")
    [ -z "$counted_message" ] || fail "the number of rows does not match the backup" "$(utf8 "$counted_message")" \
        "Something in the database changed rows while it was restored: a trigger or a rule of an extension, or a function that before_sql or an index calls. Restore the database by hand, as in the runbook."
}

# rows_differ DETAIL: fails because COPY and INSERT reported other rows than the backup's text has. Only triggers and rules of
# extensions exist before the rows are restored.
rows_differ() {
    triggers_and_rules=$(quiet_psql "$RESTORE_TEMPORARY" 2>/dev/null <<'SQL'
SELECT translate(string_agg(text, ', ' ORDER BY text), E'\n\r', '??') FROM (SELECT text FROM (
    SELECT format('the trigger %I on %s (function %s)', tgname, tgrelid::regclass, tgfoid::regproc) AS text FROM pg_catalog.pg_trigger
        WHERE NOT tgisinternal AND tgtype & 7 = 7 AND EXISTS (SELECT FROM pg_catalog.pg_depend
            WHERE deptype = 'e' AND (classid, objid) IN (('pg_class'::regclass, tgrelid), ('pg_proc'::regclass, tgfoid)))
    UNION SELECT format('the rule %I on %s', rulename, ev_class::regclass) FROM pg_catalog.pg_rewrite WHERE ev_type = '3' AND is_instead
        AND EXISTS (SELECT FROM pg_catalog.pg_depend WHERE deptype = 'e' AND classid = 'pg_class'::regclass AND objid = ev_class)
) AS found ORDER BY text LIMIT 5) AS first;
SQL
    ) || triggers_and_rules=
    rows_found="expected $expected_rows, PostgreSQL reported $rows$1"
    if [ "$rows" -lt "$expected_rows" ] 2>/dev/null; then
        if [ -n "$triggers_and_rules" ]; then
            fail "the number of rows does not match the backup" "$rows_found; these can change what is written: $(utf8 "$triggers_and_rules")" \
                "One of them, which exists before the rows are restored, left some out. Restore the database by hand, as in the runbook and in the extension's documentation of restores."
        fi
        fail "the number of rows does not match the backup" "$rows_found" \
            "A trigger, a rule or INSERT ... ON CONFLICT left rows out while they were restored. The backup itself has them: a restore drill with contents (restore_drill) names the tables."
    fi
    fail "the number of rows does not match the backup" "$rows_found" \
        "The contents are those of another backup, or were counted by another version of the collection: fetch the backup with verify again, and pass the contents that this returns."
}
