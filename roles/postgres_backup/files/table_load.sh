# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The tables in the live database: created in their schema, filled with the rows of the backup's text, counted, compared, and
# merged. In check mode all of it is one transaction, which is rolled back.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# load_tables: sets `tables`.
load_tables() {
    begin_step load
    [ "$RESTORE_CHECK" = yes ] || has_schema=maybe
    run_table_step load "the tables could not be restored"
    end_step load
    [ "$RESTORE_CHECK" = no ] || return 0
    begin_step compare
    run_table_step compare "the tables could not be compared"
    # What a merge fails for is in the restored tables.
    has_schema=yes
    end_step compare
    [ "$RESTORE_MERGE" != no ] || return 0
    begin_step merge
    run_table_step merge "the rows could not be merged; the live tables are unchanged"
    is_merged=yes
    log "merged into the live tables: $(printf '%s' "$tables" | awk '{ while (match($0, /"(inserted|updated)" : [0-9]+/)) { text = substr($0, RSTART + 1, RLENGTH - 1); sub(/" : /, " ", text); printf "%s%s", (count++ ? ", " : ""), text; $0 = substr($0, RSTART + RLENGTH) } }')"
    end_step merge
}

# run_table_step NAME WHAT: runs the step table_NAME, and reads what it printed.
run_table_step() {
    clear_stages
    run_group "table_$1"
    if [ "$(stage_status_of psql)" != 0 ]; then
        psql_failure psql
        if [ "$is_lost" = no ]; then
            check_file
            check_hash
        elif [ "$1" = merge ]; then
            is_merged=unknown
            fail "it is not known whether the rows were merged" "$message" "The connection was lost, perhaps while the transaction was committed. Start the restore again in check mode, which compares the tables."
        fi
        fail "$2" "$message" "$(restore_advice "$message" "$is_lost")"
    fi
    check_file
    check_hash
    report_lines "$work/answers"
    table_results=$(sed -n "s/^tables$TAB//p" "$work/answers")
    [ -n "$table_results" ] || fail "$2" "the session ended before its last statement" "Start the restore again."
    tables=$table_results
}

step_table_load() {
    { load_sql; [ "$RESTORE_CHECK" = no ] || { difference_sql; [ "$RESTORE_MERGE" = no ] || merge_sql; }; end_sql; } | stage psql table_psql >"$work/answers"
}

step_table_compare() {
    { echo 'BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE;'; tables_sql; difference_sql; echo "COMMENT ON SCHEMA :\"schema\" IS :'finished';"; end_sql; } | stage psql table_psql >"$work/answers"
}

step_table_merge() {
    { echo 'BEGIN;'; tables_sql; merge_sql; end_sql; } | stage psql table_psql >"$work/answers"
}

table_psql() {
    quiet_psql "$RESTORE_TARGET" --set=schema="$RESTORE_SCHEMA" --set=mark="$UNFINISHED_SCHEMA" --set=merge="$RESTORE_MERGE" --set=keys="$RESTORE_KEYS" --set=check="$RESTORE_CHECK" \
        --set=finished="Tables of the database $RESTORE_DATABASE in the backup $backup, restored by homelab.postgres_backup at $(now_iso)"
}

# load_sql: begins the transaction, which creates and fills the tables.
load_sql() {
    echo 'BEGIN;'
    cat "$work/before.sql"
    echo 'SET search_path = pg_catalog;'
    echo "COMMENT ON SCHEMA :\"schema\" IS :'mark';"
    printf "SET client_encoding TO '%s';\n" "$encoding"
    # A decompressor is not waited for after the last table.
    if [ "$has_part" = yes ]; then backup_range "$file" "$part_offset" "$part_bytes" 2>/dev/null | decompress 2>/dev/null; else section_text 2>/dev/null; fi | copy_rows
    echo 'SET client_encoding TO UTF8;'
    cat "$work/after.sql"
    echo 'SET search_path = pg_catalog;'
    tables_sql
    count_sql
    [ "$RESTORE_CHECK" = no ] || return 0
    # Otherwise nothing is committed, and run_table_step fails.
    hash_is_expected || { printf '\\quit\n'; return; }
    echo 'COMMIT;'
}

# hash_is_expected: waits for the hash of the file; whether it is the expected one.
hash_is_expected() {
    while [ ! -e "$work/hash.end" ]; do pause; done
    [ -e "$work/sha256" ] || return 1
    [ -z "$expected_sha256" ] || [ "$(cut -c 1-64 "$work/sha256")" = "$expected_sha256" ]
}

# copy_rows: prints a COPY for each table, whose rows it takes from the section's text on standard input.
copy_rows() {
    position=0
    while IFS=$TAB read -r _ copy_offset copy_length copy_statement <&3; do
        copy_bytes $((copy_offset - position)) >/dev/null || return 1
        printf '%b\n' "$copy_statement"
        copy_bytes "$copy_length" || return 1
        position=$((copy_offset + copy_length))
    done 3<"$work/selected.copies"
}

# tables_sql: makes the temporary table `restored_tables`: each table, its live one, and how both are compared.
tables_sql() {
    cat <<'SQL'
\o /dev/null
SET client_min_messages = error;
SET row_security = off;
SET extra_float_digits = 3;
\set selected `cat "$work/selected.json"`
SELECT set_config('restore.selected', :'selected', false), set_config('restore.schema', :'schema', false), set_config('restore.merge', :'merge', false), set_config('restore.keys', :'keys', false), set_config('restore.check', :'check', false);
CREATE TEMP TABLE problems (text text);
CREATE TEMP TABLE restored_tables AS
    SELECT position::int, value->>'schema' AS schema_name, value->>'name' AS table_name, (value->>'rows')::bigint AS rows,
        r.oid::regclass AS restored, l.oid::regclass AS live,
        CASE r.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || r.oid::regclass AS restored_from,
        CASE l.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || l.oid::regclass AS live_from,
        NULL::text[] AS key, NULL::text[] AS equalities, NULL::bigint AS only_in_backup, NULL::bigint AS only_in_live, NULL::bigint AS changed, NULL::bigint AS same,
        0::bigint AS inserted, 0::bigint AS updated, NULL::json AS keys, 0 AS depth
    FROM json_array_elements(current_setting('restore.selected')::json) WITH ORDINALITY AS t(value, position)
        JOIN pg_class r ON r.relname = value->>'name' AND r.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_setting('restore.schema'))
        LEFT JOIN (pg_class l JOIN pg_namespace n ON n.oid = l.relnamespace) ON l.relname = value->>'name' AND n.nspname = value->>'schema' AND l.relkind IN ('r', 'p');
-- A column of both tables, in the order of the restored one; generated ones are not compared.
CREATE TEMP TABLE both_columns AS
    SELECT t.position, r.attnum, r.attname::text AS name, r.atttypid = l.atttypid AS is_same_type, format_type(l.atttypid, l.atttypmod) AS live_type
    FROM restored_tables t JOIN pg_attribute r ON r.attrelid = t.restored AND r.attnum > 0 AND NOT r.attisdropped
        JOIN pg_attribute l ON l.attrelid = t.live AND l.attname = r.attname AND l.attnum > 0 AND NOT l.attisdropped
    WHERE coalesce(to_jsonb(r)->>'attgenerated', '') = '' AND coalesce(to_jsonb(l)->>'attgenerated', '') = '';
CREATE TEMP TABLE unique_keys AS
    SELECT i.indrelid, i.indisprimary, i.indexrelid, k.names, k.equalities, (SELECT array_agg(name ORDER BY name) FROM unnest(k.names) AS name) AS sorted
    FROM pg_index i, LATERAL (SELECT array_agg(a.attname::text ORDER BY place) AS names, bool_and(a.attnotnull) AS is_not_null,
        -- The operator that the key's index is unique by: that of a type of an extension is not in pg_catalog.
        array_agg(coalesce((SELECT format('OPERATOR(%I.%s)', nspname, oprname) FROM pg_opclass o JOIN pg_am m ON m.oid = opcmethod AND amname = 'btree'
            JOIN pg_amop ON amopfamily = opcfamily AND amopstrategy = 3 AND amoplefttype = opcintype AND amoprighttype = opcintype
            JOIN pg_operator p ON p.oid = amopopr JOIN pg_namespace n ON n.oid = oprnamespace WHERE o.oid = i.indclass[place - 1]), '=') ORDER BY place) AS equalities
        FROM unnest(i.indkey) WITH ORDINALITY AS u(number, place) LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = number
        WHERE place <= coalesce((to_jsonb(i)->>'indnkeyatts')::int, i.indnatts)) AS k
    WHERE i.indrelid IN (SELECT restored FROM restored_tables UNION ALL SELECT live FROM restored_tables) AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL AND k.is_not_null;
UPDATE restored_tables t SET (key, equalities) = (
    SELECT r.names, r.equalities FROM unique_keys r JOIN unique_keys l ON l.indrelid = t.live AND l.sorted = r.sorted
    WHERE r.indrelid = t.restored AND NOT EXISTS (SELECT FROM unnest(r.names) AS name WHERE name NOT IN (SELECT b.name FROM both_columns b WHERE b.position = t.position AND is_same_type))
    ORDER BY r.indisprimary DESC, r.indexrelid LIMIT 1);
CREATE FUNCTION pg_temp.expressions(number int, template text, delimiter text, names text[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format(template, name, CASE WHEN is_same_type THEN '' ELSE '::text' END, CASE WHEN is_same_type THEN '' ELSE '::text::' || live_type END), delimiter ORDER BY attnum)
    FROM pg_temp.both_columns WHERE position = number AND (names IS NULL OR name = ANY (names)) $$;
-- Whether two rows with the same key differ: by their binary images.
CREATE FUNCTION pg_temp.differs(number int) RETURNS text LANGUAGE sql AS $$
    SELECT format('ROW(%s)::record OPERATOR(pg_catalog.*<>) ROW(%s)::record', pg_temp.expressions(number, 'b.%1$I%2$s', ', ', NULL), pg_temp.expressions(number, 'l.%1$I%2$s', ', ', NULL)) $$;
CREATE FUNCTION pg_temp.joined(number int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('b.%1$I %2$s l.%1$I', name, equality), ' AND ') FROM pg_temp.restored_tables, unnest(key, equalities) AS k(name, equality) WHERE position = number $$;
CREATE FUNCTION pg_temp.compare_tables() RETURNS void LANGUAGE plpgsql AS $$
DECLARE one pg_temp.restored_tables; counted bigint[];
BEGIN
    FOR one IN SELECT * FROM pg_temp.restored_tables WHERE live IS NOT NULL ORDER BY position LOOP
        IF one.key IS NOT NULL THEN
            EXECUTE format('SELECT ARRAY[count(*) FILTER (WHERE l.%1$I IS NULL), count(*) FILTER (WHERE b.%1$I IS NULL), count(*) FILTER (WHERE b.%1$I IS NOT NULL AND l.%1$I IS NOT NULL AND %2$s), '
                'count(*) FILTER (WHERE b.%1$I IS NOT NULL AND l.%1$I IS NOT NULL)] FROM %3$s b FULL JOIN %4$s l ON %5$s',
                one.key[1], pg_temp.differs(one.position), one.restored_from, one.live_from, pg_temp.joined(one.position)) INTO counted;
        ELSIF EXISTS (SELECT FROM pg_temp.both_columns WHERE position = one.position) THEN
            -- Without a key: as multisets of rows, and a changed row is one on each side.
            EXECUTE format('SELECT ARRAY[coalesce(sum(greatest(b - l, 0)), 0), coalesce(sum(greatest(l - b, 0)), 0), 0, coalesce(sum(least(b, l)), 0)]::bigint[] FROM (SELECT count(*) FILTER (WHERE side) AS b, count(*) FILTER (WHERE NOT side) AS l FROM '
                '(SELECT true AS side, ROW(%1$s)::text COLLATE "C" AS image FROM %2$s b UNION ALL SELECT false, ROW(%3$s)::text COLLATE "C" FROM %4$s l) AS sides GROUP BY image) AS images',
                pg_temp.expressions(one.position, 'b.%1$I::text', ', ', NULL), one.restored_from, pg_temp.expressions(one.position, 'l.%1$I::text', ', ', NULL), one.live_from) INTO counted;
        ELSE
            CONTINUE;
        END IF;
        UPDATE pg_temp.restored_tables SET only_in_backup = counted[1], only_in_live = counted[2], changed = counted[3], same = counted[4] - counted[3] WHERE position = one.position;
    END LOOP;
END $$;
\o
SQL
}

# count_sql: compares the rows of each table with those of the text, and sets its sequences.
count_sql() {
    cat <<'SQL'
\o /dev/null
DO $do$
DECLARE one pg_temp.restored_tables; counted bigint;
BEGIN
    FOR one IN SELECT * FROM pg_temp.restored_tables LOOP
        EXECUTE format('SELECT count(*) FROM %s', one.restored_from) INTO counted;
        IF counted <> one.rows THEN
            INSERT INTO pg_temp.problems VALUES (format('%I.%I: %s rows in the backup, the restored table has %s', one.schema_name, one.table_name, one.rows, counted));
        END IF;
    END LOOP;
END $do$;
SQL
    advance_sql restored
    stop_at_problems_sql
}

# stop_at_problems_sql: prints the problems, and ends the session without COMMIT if there are any.
stop_at_problems_sql() {
    cat <<'SQL'
\o
SELECT E'problem\t' || translate(text, E'\n\t', '??') FROM pg_temp.problems ORDER BY text;
SELECT count(*) > 0 AS has_problems FROM pg_temp.problems \gset
\if :has_problems
\quit
\endif
SQL
}

# advance_sql restored|live: moves the sequences of the tables' columns forward to their highest values.
advance_sql() {
    cat <<SQL
\\o /dev/null
DO \$do\$
DECLARE one record; highest bigint;
BEGIN
    FOR one IN SELECT DISTINCT c.relname, s.oid::regclass AS sequence, t.$1_from AS table_from, a.attname
        FROM pg_temp.restored_tables t JOIN pg_class c ON c.oid = t.$1 JOIN pg_attribute a ON a.attrelid = t.$1 AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
            JOIN (SELECT objid AS sequence, refobjid AS relation, refobjsubid AS number FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i')
                UNION SELECT d.refobjid, adrelid, adnum FROM pg_depend d JOIN pg_attrdef ON d.classid = 'pg_attrdef'::regclass AND d.objid = pg_attrdef.oid WHERE d.refclassid = 'pg_class'::regclass AND d.deptype = 'n') AS used
                ON used.relation = t.$1 AND used.number = a.attnum
            JOIN pg_class s ON s.oid = used.sequence AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0
        WHERE '$1' = 'live' OR s.relnamespace = c.relnamespace
    LOOP
        EXECUTE format('SELECT max(%I) FROM %s', one.attname, one.table_from) INTO highest;
        EXECUTE format('SELECT setval(%L, \$1) FROM %s WHERE \$1 > last_value OR (\$1 = last_value AND NOT is_called)', one.sequence, one.sequence) USING highest;
    END LOOP;
END \$do\$;
SQL
}

# difference_sql: counts what differs, and lists keys on request; names what can only be compared in part.
difference_sql() {
    cat <<'SQL'
\o /dev/null
SELECT pg_temp.compare_tables();
DO $do$
DECLARE one pg_temp.restored_tables; listed json[]; condition text; listed_keys json; object text;
BEGIN
    FOR one IN SELECT * FROM pg_temp.restored_tables WHERE key IS NOT NULL AND current_setting('restore.keys')::int > 0 LOOP
        listed := '{}';
        SELECT string_agg(format('%L, coalesce(b.%I, l.%I)', name, name, name), ', ' ORDER BY place) INTO object FROM unnest(one.key) WITH ORDINALITY AS k(name, place);
        FOREACH condition IN ARRAY ARRAY[format('l.%I IS NULL', one.key[1]), format('b.%I IS NULL', one.key[1]), format('b.%1$I IS NOT NULL AND l.%1$I IS NOT NULL AND %2$s', one.key[1], pg_temp.differs(one.position))] LOOP
            EXECUTE format('SELECT coalesce(json_agg(key), ''[]'') FROM (SELECT json_build_object(%s) AS key FROM %s b FULL JOIN %s l ON %s WHERE %s ORDER BY %s LIMIT %s) AS listed',
                object, one.restored_from, one.live_from, pg_temp.joined(one.position), condition,
                (SELECT string_agg(format('coalesce(b.%1$I, l.%1$I)', name), ', ' ORDER BY place) FROM unnest(one.key) WITH ORDINALITY AS k(name, place)), current_setting('restore.keys')) INTO listed_keys;
            listed := listed || listed_keys;
        END LOOP;
        UPDATE pg_temp.restored_tables SET keys = json_build_object('only_in_backup', listed[1], 'only_in_live', listed[2], 'changed', listed[3]) WHERE position = one.position;
    END LOOP;
END $do$;
\o
SELECT E'warning\t' || translate(format('%I.%I is not in the live database, or is not a table there: nothing to compare with', schema_name, table_name), E'\n\t', '??')
    FROM pg_temp.restored_tables WHERE live IS NULL ORDER BY position;
SELECT E'warning\t' || translate(format('%I.%I has no primary key, or another one in the live database: compared as a multiset of rows', schema_name, table_name), E'\n\t', '??')
    FROM pg_temp.restored_tables WHERE live IS NOT NULL AND key IS NULL ORDER BY position;
SELECT E'warning\t' || translate(format('%I.%I has columns %s, which are not compared: %s', schema_name, table_name, side, string_agg(quote_ident(attname), ', ' ORDER BY attname)), E'\n\t', '??') FROM (
    SELECT position, schema_name, table_name, 'only in the backup' AS side, attname FROM pg_temp.restored_tables JOIN pg_attribute a ON a.attrelid = restored AND a.attnum > 0 AND NOT a.attisdropped
        WHERE live IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = live AND o.attname = a.attname AND o.attnum > 0 AND NOT o.attisdropped)
    UNION ALL SELECT position, schema_name, table_name, 'only in the live table', attname FROM pg_temp.restored_tables JOIN pg_attribute a ON a.attrelid = live AND a.attnum > 0 AND NOT a.attisdropped
        WHERE NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = restored AND o.attname = a.attname AND o.attnum > 0 AND NOT o.attisdropped)
) AS single GROUP BY position, schema_name, table_name, side ORDER BY position, side;
SQL
}

# end_sql: prints the result of each table, and ends the transaction.
end_sql() {
    cat <<'SQL'
\o
SELECT E'tables\t' || json_agg(json_build_object('schema', schema_name, 'name', table_name, 'rows', rows, 'key', key, 'only_in_backup', only_in_backup, 'only_in_live', only_in_live,
    'changed', changed, 'same', same, 'inserted', inserted, 'updated', updated, 'keys', keys) ORDER BY position)::text FROM pg_temp.restored_tables;
SQL
    # Temporary tables of a transaction that was committed end with the session.
    if [ "$RESTORE_CHECK" = yes ]; then echo 'ROLLBACK;'; else echo 'COMMIT;'; fi
}
