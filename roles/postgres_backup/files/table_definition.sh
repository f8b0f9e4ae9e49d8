# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The definitions of the tables to restore: the backup's statements run in a temporary database without rows, the tables are
# moved into the schema with the name that they get in the live database, and pg_dump writes what creates them there.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# define_tables: writes before.sql and after.sql, which create the tables before and after their rows, selected.json (the
# tables) and selected.copies (where their rows are in the text); fails if the live database lacks something.
define_tables() {
    : >"$work/settings.sql"
    replica_option=
    # Event triggers do not fire.
    [ "$connects_as_superuser" = no ] || replica_option='-c session_replication_role=replica'
    export replica_option
    make_database
    clear_stages
    run_group table_schema
    [ "$(stage_status_of psql)" = 0 ] || definition_failed
    clear_stages
    run_group table_choose
    [ "$(stage_status_of psql)" = 0 ] || definition_failed
    report_lines "$work/choice"
    sed -n "s/^tables$TAB//p" "$work/choice" >"$work/chosen.json"
    table_needs=$(sed -n "s/^needs$TAB//p" "$work/choice")
    printf '%s\n' "$table_needs" >"$work/needs.json"
    select_copies
    run_step table_needs "the live database could not be asked for what the tables need"
    missing_objects=$(cat "$work/answers")
    if [ "$missing_objects" != '[]' ]; then
        fail "the live database lacks objects that the tables need" "$(listed "$missing_objects")" \
            "Create them there (the extension, or the statements of the backup), and start the restore again."
    fi
    clear_stages
    run_group table_ddl
    [ "$(stage_status_of before)$(stage_status_of after)" = 00 ] || fail "pg_dump could not read the definitions of the tables" \
        "$(stage_message_of before)$(stage_message_of after)" "Check that the image's pg_dump is not older than the server."
    drop_database "$RESTORE_TEMPORARY" 2>/dev/null || drop_temporary || warn_temporary_remains
    temporary_database=no
    end_step definition
}

definition_failed() {
    psql_failure psql
    fail "the definitions of the tables could not be restored" "$message" "$(restore_advice "$message" "$is_lost")"
}

# report_lines FILE: fails with the lines "problem TEXT" in the file, and warns with its lines "warning TEXT".
report_lines() {
    sed -n "s/^warning$TAB//p" "$1" >"$work/lines"
    while IFS= read -r line <&3; do warn "$(utf8 "$line")"; done 3<"$work/lines"
    sed -n "s/^problem$TAB//p" "$1" >"$work/lines"
    [ ! -s "$work/lines" ] || fail "these tables cannot be restored" "$(utf8 "$(awk '{ printf "%s%s", (NR > 1 ? "; " : ""), $0 }' "$work/lines")")" \
        "Check the names and the option that the message names; restore_database with new_name restores the complete database next to the live one."
}

# step_table_schema: statements that fail are about objects that no table needs, or the table is missed later.
step_table_schema() { stage psql run_schema >/dev/null; }

run_schema() {
    if [ -n "$RESTORE_SEARCH_PATH" ]; then
        PATH_STATEMENT=$(search_path_statement "$RESTORE_SEARCH_PATH") awk '!is_replaced && /^SELECT pg_catalog\.set_config\(.search_path., .., false\);$/ { is_replaced = 1; print ENVIRON["PATH_STATEMENT"]; next } { print }' "$schema_file"
    else
        cat "$schema_file"
    fi | PGOPTIONS="$PGOPTIONS -c synchronous_commit=off $replica_option" psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=VERBOSITY=verbose \
        --dbname="$(connection "$RESTORE_TEMPORARY" keepalives_idle=30 keepalives_interval=10 keepalives_count=3)" >/dev/null 2>"$work/schema.messages" || {
        schema_status=$?
        tail -n 20 "$work/schema.messages" >&2
        return "$schema_status"
    }
}

step_table_choose() { stage psql choose_tables >"$work/choice"; }

# choose_tables: moves the tables into their new schema, without what only the live ones have: triggers, rules, policies,
# foreign keys, indexes other than keys, and other parents. Prints lines of "problem TEXT" or "warning TEXT", "tables JSON",
# "needs JSON", and for each table and partition "table ROOT QUOTED-NAME NAME-IN-THE-NEW-SCHEMA".
choose_tables() {
    PGOPTIONS="$PGOPTIONS -c synchronous_commit=off $replica_option"
    {
        cat <<'SQL'
\o /dev/null
SET client_min_messages = error;
SELECT set_config('restore.tables', :'tables', false), set_config('restore.schema', :'schema', false);
CREATE FUNCTION pg_temp.identifiers(text) RETURNS text[] LANGUAGE plpgsql AS $$ BEGIN RETURN parse_ident($1); EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
CREATE TEMP TABLE problems (text text);
BEGIN;
CREATE TEMP TABLE chosen AS SELECT DISTINCT ON (option, oid) option, oid, relkind, rank, rank() OVER (PARTITION BY option ORDER BY rank) AS place FROM (
    SELECT option, c.oid, c.relkind, CASE WHEN option IN (relname, nspname || '.' || relname) THEN 1 ELSE 2 END AS rank
    FROM json_array_elements_text(current_setting('restore.tables')::json) AS option
    LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) ON c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND nspname !~ '^pg_(toast_)?temp_'
        AND (option IN (relname, nspname || '.' || relname) OR pg_temp.identifiers(option) IN (ARRAY[relname::text], ARRAY[nspname::text, relname::text]))
) AS candidates ORDER BY option, oid, rank;
DELETE FROM pg_temp.chosen WHERE place > 1;
INSERT INTO pg_temp.problems SELECT format('the backup''s database has no table %s', option) FROM pg_temp.chosen WHERE oid IS NULL;
INSERT INTO pg_temp.problems SELECT format('%s is the name of more than one: %s', option, string_agg(oid::regclass::text, ', ' ORDER BY oid::regclass::text))
    FROM pg_temp.chosen WHERE oid IS NOT NULL GROUP BY option HAVING count(*) > 1;
INSERT INTO pg_temp.problems SELECT format('%s is %s, not a table', oid::regclass, CASE relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' ELSE 'a foreign table' END)
    FROM pg_temp.chosen WHERE relkind NOT IN ('r', 'p');
INSERT INTO pg_temp.problems SELECT format('%s belongs to the extension %I, whose rows a backup has only in part', c.oid::regclass, extname)
    FROM pg_temp.chosen c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid;
INSERT INTO pg_temp.problems SELECT DISTINCT format('the rows of %s are in tables of the extension %I (restore the database under a new name, and copy them)', c.oid::regclass, extname)
    FROM pg_temp.chosen c JOIN pg_inherits i ON i.inhparent = c.oid JOIN pg_class k ON k.oid = i.inhrelid
    JOIN pg_depend d ON d.classid = 'pg_namespace'::regclass AND d.objid = k.relnamespace AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid;
CREATE TEMP TABLE selected AS WITH RECURSIVE tree AS (
    SELECT oid, oid AS root FROM pg_temp.chosen WHERE oid IS NOT NULL
    UNION SELECT i.inhrelid, root FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relispartition
) SELECT DISTINCT oid, root FROM tree t WHERE NOT EXISTS (SELECT FROM tree r WHERE r.oid = t.root AND r.root <> t.root);
ALTER TABLE pg_temp.selected ADD schema_name name, ADD table_name name;
UPDATE pg_temp.selected s SET schema_name = nspname, table_name = relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = s.oid;
SQL
        stop_at_problems_sql
        cat <<'SQL'
SELECT E'warning\t' || translate(format('%s has children that inherit from it, which are not restored with it: %s', inhparent::regclass, string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid::regclass::text)), E'\n\t', '??')
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE inhparent IN (SELECT oid FROM pg_temp.selected) AND inhrelid NOT IN (SELECT oid FROM pg_temp.selected) AND c.relkind IN ('r', 'p', 'f') GROUP BY inhparent;
\o /dev/null
DO $do$
DECLARE one record; sql text;
BEGIN
    FOR one IN SELECT inhrelid::regclass AS child, inhparent::regclass AS parent, c.relispartition FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE c.relkind IN ('r', 'p', 'f') AND (inhrelid IN (SELECT oid FROM pg_temp.selected)) <> (inhparent IN (SELECT oid FROM pg_temp.selected))
    LOOP
        EXECUTE format(CASE WHEN one.relispartition THEN 'ALTER TABLE %2$s DETACH PARTITION %1$s' ELSE 'ALTER TABLE %1$s NO INHERIT %2$s' END, one.child, one.parent);
    END LOOP;
    FOR one IN SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname) AS statement FROM pg_constraint k
        WHERE conrelid IN (SELECT oid FROM pg_temp.selected) AND coalesce(to_jsonb(k)->>'conparentid', '0') = '0' AND (contype IN ('f', 'x', 't') OR (contype IN ('c', 'n') AND NOT convalidated))
        UNION ALL SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger t
            WHERE tgrelid IN (SELECT oid FROM pg_temp.selected) AND NOT tgisinternal AND tgconstraint = 0 AND coalesce(to_jsonb(t)->>'tgparentid', '0') = '0'
        UNION ALL SELECT format('DROP RULE %I ON %s CASCADE', rulename, ev_class::regclass) FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM pg_temp.selected)
        UNION ALL SELECT format('DROP POLICY %I ON %s', polname, polrelid::regclass) FROM pg_policy WHERE polrelid IN (SELECT oid FROM pg_temp.selected)
        UNION ALL SELECT format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', oid::regclass) FROM pg_temp.selected
        UNION ALL SELECT format('DROP INDEX %s CASCADE', indexrelid::regclass) FROM pg_index i WHERE indrelid IN (SELECT oid FROM pg_temp.selected)
            AND NOT (indisunique AND indpred IS NULL AND indexprs IS NULL) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
            AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)
    LOOP EXECUTE one.statement; END LOOP;
    INSERT INTO pg_temp.problems SELECT format('more than one table, key or sequence of them has the name %I; restore them one after another', relname) FROM pg_class c
        WHERE oid IN (SELECT oid FROM pg_temp.selected) OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_temp.selected))
            OR oid IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') AND refobjid IN (SELECT oid FROM pg_temp.selected)
                AND objid IN (SELECT oid FROM pg_class WHERE relkind = 'S'))
        GROUP BY relname HAVING count(*) > 1;
    IF EXISTS (SELECT FROM pg_temp.problems) THEN RETURN; END IF;
    EXECUTE format('CREATE SCHEMA %I', current_setting('restore.schema'));
    FOR one IN SELECT oid::regclass AS name FROM pg_temp.selected LOOP EXECUTE format('ALTER TABLE %s SET SCHEMA %I', one.name, current_setting('restore.schema')); END LOOP;
END $do$;
SQL
        stop_at_problems_sql
        cat <<'SQL'
SELECT E'tables\t' || json_agg(json_build_object('schema', schema_name, 'name', table_name, 'tree', root::bigint) ORDER BY schema_name, table_name)::text FROM pg_temp.selected WHERE oid = root;
WITH own AS (
    SELECT 'pg_class'::regclass AS classid, oid FROM pg_class WHERE relnamespace = current_setting('restore.schema')::regnamespace
    UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = current_setting('restore.schema')::regnamespace
    UNION ALL SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef WHERE adrelid IN (SELECT oid FROM pg_temp.selected)
    UNION ALL SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid IN (SELECT oid FROM pg_temp.selected)
), needed AS (
    SELECT DISTINCT refclassid, refobjid FROM own JOIN pg_depend d ON (d.classid, d.objid) = (own.classid, own.oid)
    WHERE deptype IN ('n', 'a') AND refobjid >= 16384 AND (refclassid, refobjid) NOT IN (SELECT classid, oid FROM own)
        AND refclassid IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass, 'pg_collation'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_am'::regclass, 'pg_ts_config'::regclass)
)
SELECT E'needs\t' || coalesce(json_agg(json_build_object('type', a.type, 'identity', i.identity, 'extension', extname, 'names', to_json(a.object_names), 'arguments', to_json(a.object_args),
        'labels', (SELECT json_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = needed.refobjid AND needed.refclassid = 'pg_type'::regclass)) ORDER BY a.type, i.identity), '[]')::text
    FROM needed JOIN LATERAL pg_identify_object(needed.refclassid, needed.refobjid, 0) AS i ON true JOIN LATERAL pg_identify_object_as_address(needed.refclassid, needed.refobjid, 0) AS a ON true
    LEFT JOIN pg_depend e ON e.classid = needed.refclassid AND e.objid = needed.refobjid AND e.deptype = 'e' LEFT JOIN pg_extension x ON x.oid = e.refobjid;
COMMIT;
SQL
        cat <<SQL
SET client_encoding TO '$encoding';
SELECT concat_ws(E'\\t', 'table', root::bigint, (SELECT relkind FROM pg_class c WHERE c.oid = s.oid), $(fact_name_sql schema_name table_name), $(escaped_sql "format('%I.%I', :'schema', table_name)"))
    FROM pg_temp.selected s;
SQL
    } | quiet_psql "$RESTORE_TEMPORARY" --set=tables="$RESTORE_TABLES" --set=schema="$RESTORE_SCHEMA"
}

# select_copies: writes selected.copies, lines of "ROWS OFFSET LENGTH COPY-STATEMENT" in the order of the text, and selected.json,
# the tables with their rows. Fails if the text has no COPY of a table. (FREEZE: the rows need no hint bits, which would be
# written when they are compared.)
select_copies() {
    sed -n "s/^table$TAB//p" "$work/choice" >"$work/selected"
    awk -F "$TAB" -v selected="$work/selected" -v totals="$work/totals" "$AWK_QUOTED_NAME"'
        BEGIN {
            while ((getline line < selected) > 0) {
                split(line, field, "\t")
                tree[field[3]] = field[1]
                kind[field[3]] = field[2]
                copied_as[field[3]] = field[4]
            }
        }
        {
            name = quoted_name($3)
            if (!(name in tree)) next
            is_copied[name] = 1
            if (kind[name] == "p") has_rows_in_root[tree[name]] = 1
            rows[tree[name]] += $2
            printf "%s\t%s\t%s\tCOPY %s%s FROM %s%s;\n", $2, $4, $5, copied_as[name], ($6 == "" ? "" : " " $6), "stdin", (kind[name] == "p" ? "" : " WITH (FREEZE)")
        }
        END {
            for (name in tree) {
                if (kind[name] == "r" && !is_copied[name] && !has_rows_in_root[tree[name]]) printf "problem\tthe backup has no rows of %s: they were left out, or a partition was written with the rows of its parent\n", name > totals
                if (!(tree[name] in is_printed)) { is_printed[tree[name]] = 1; printf "%s\t%.0f\n", tree[name], rows[tree[name]] > totals }
            }
        }' "$work/copies" >"$work/selected.copies"
    report_lines "$work/totals"
    # The rows follow each `tree`, a number.
    awk -F "$TAB" -v totals="$work/totals" '
        BEGIN { while ((getline line < totals) > 0) { split(line, field, "\t"); rows[field[1]] = field[2] } }
        {
            while (match($0, /"tree" : [0-9]+}/)) {
                number = substr($0, RSTART + 9, RLENGTH - 10)
                printf "%s\"rows\" : %s}", substr($0, 1, RSTART - 1), rows[number]
                $0 = substr($0, RSTART + RLENGTH)
            }
            print
        }' "$work/chosen.json" >"$work/selected.json"
    table_summary=$(cut -f 1 "$work/selected" | sort -u | grep -c .)
    if [ "$table_summary" = 1 ]; then table_summary="1 table"; else table_summary="$table_summary tables"; fi
}

step_restore_table_needs() { stage psql query_needs >"$work/answers"; }

# query_needs: prints what the live database lacks of the needs, as a list in JSON.
query_needs() {
    quiet_psql "$RESTORE_TARGET" <<'SQL'
\o /dev/null
SET client_min_messages = error;
\set needs `cat "$work/needs.json"`
SELECT set_config('restore.needs', :'needs', false);
CREATE FUNCTION pg_temp.address(text, text[], text[]) RETURNS oid LANGUAGE plpgsql AS $$ BEGIN RETURN (pg_get_object_address($1, $2, $3)).objid; EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;
\o
SELECT coalesce(json_agg(lack ORDER BY lack), '[]') FROM (
    SELECT CASE WHEN address IS NULL THEN format('%s %s%s', need->>'type', need->>'identity', ' of the extension ' || quote_ident(need->>'extension'))
        ELSE (SELECT format('the value %L of %s %s', label, need->>'type', need->>'identity') FROM json_array_elements_text(CASE WHEN json_typeof(need->'labels') = 'array' THEN need->'labels' ELSE '[]' END) AS label
            WHERE NOT EXISTS (SELECT FROM pg_enum WHERE enumtypid = address AND enumlabel = label) LIMIT 1) END AS lack
    FROM json_array_elements(current_setting('restore.needs')::json) AS need,
        pg_temp.address(need->>'type', ARRAY(SELECT json_array_elements_text(need->'names')), ARRAY(SELECT json_array_elements_text(need->'arguments'))) AS address
) AS lacks WHERE lack IS NOT NULL;
SQL
}

step_table_ddl() {
    stage before table_ddl pre-data >"$work/before.sql" &
    stage after table_ddl post-data >"$work/after.sql"
    wait "$!"
}

# table_ddl SECTION: prints that section of the definitions, without settings that an older server does not know.
table_ddl() {
    pg_dump --dbname="$(connection "$RESTORE_TEMPORARY")" --schema-only --section="$1" --schema="$RESTORE_SCHEMA" --no-owner --no-privileges --no-tablespaces \
        --no-publications --no-subscriptions --no-security-labels --encoding=UTF8 --no-password >"$work/ddl.$1" || return 1
    sed -e '1,40{/^SET transaction_timeout = /d;}' "$work/ddl.$1"
}
