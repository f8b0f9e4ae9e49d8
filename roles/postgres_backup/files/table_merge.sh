# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Merges restored tables into the live ones, within a transaction that also compares them again.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# merge_sql: inserts the rows that are only in the backup, and with merge=changed updates those that differ. Triggers of users
# do not fire, foreign keys are checked. What is not as expected afterwards is a problem, and nothing is committed.
merge_sql() {
    cat <<'SQL'
\o /dev/null
INSERT INTO pg_temp.problems SELECT format('merge: %I.%I is not in the live database, or is not a table there; to put the restored one in its place: ALTER TABLE %s SET SCHEMA %I', schema_name, table_name, restored, schema_name)
    FROM pg_temp.restored_tables WHERE live IS NULL;
INSERT INTO pg_temp.problems SELECT format('merge: %I.%I has no primary key, or another one in the live database', schema_name, table_name) FROM pg_temp.restored_tables WHERE live IS NOT NULL AND key IS NULL;
INSERT INTO pg_temp.problems SELECT format('merge: the live table %I.%I has the column %I, which is NOT NULL without a default, and the backup does not have it', schema_name, table_name, attname)
    FROM pg_temp.restored_tables JOIN pg_attribute a ON a.attrelid = live AND a.attnum > 0 AND NOT a.attisdropped
    WHERE attnotnull AND NOT atthasdef AND attidentity = '' AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = restored AND o.attname = a.attname AND o.attnum > 0 AND NOT o.attisdropped);
SQL
    stop_at_problems_sql
    cat <<'SQL'
\o /dev/null
-- A table is merged after those that its foreign keys name.
WITH RECURSIVE chains AS (
    SELECT position, live, 0 AS depth FROM pg_temp.restored_tables
    UNION SELECT t.position, t.live, c.depth + 1 FROM chains c JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = c.live AND k.conrelid <> k.confrelid JOIN pg_temp.restored_tables t ON t.live = k.conrelid
    WHERE c.depth < (SELECT count(*) FROM pg_temp.restored_tables)
) UPDATE pg_temp.restored_tables t SET depth = (SELECT max(c.depth) FROM chains c WHERE c.position = t.position);
DO $do$
DECLARE one record;
BEGIN
    FOR one IN SELECT live_from FROM pg_temp.restored_tables ORDER BY depth, position LOOP EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', one.live_from); END LOOP;
END $do$;
CREATE TEMP TABLE triggers AS WITH RECURSIVE trees AS (
    SELECT live::oid AS oid FROM pg_temp.restored_tables
    UNION SELECT i.inhrelid FROM trees JOIN pg_inherits i ON i.inhparent = trees.oid JOIN pg_class c ON c.oid = i.inhrelid WHERE c.relispartition
) SELECT tgrelid::regclass AS relation, tgname, tgenabled FROM trees JOIN pg_trigger ON tgrelid = trees.oid WHERE NOT tgisinternal AND tgenabled <> 'D';
DO $do$
DECLARE one record;
BEGIN
    FOR one IN SELECT * FROM pg_temp.triggers LOOP EXECUTE format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', one.relation, one.tgname); END LOOP;
END $do$;
SET CONSTRAINTS ALL DEFERRED;
SELECT pg_temp.compare_tables();
CREATE TEMP TABLE before_merge AS SELECT position, only_in_backup, only_in_live, changed, same FROM pg_temp.restored_tables;
DO $do$
DECLARE one pg_temp.restored_tables; merged bigint; assignments text;
BEGIN
    FOR one IN SELECT * FROM pg_temp.restored_tables ORDER BY depth, position LOOP
        EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s b WHERE NOT EXISTS (SELECT FROM %s l WHERE %s)',
            one.live, pg_temp.expressions(one.position, '%1$I', ', ', NULL), pg_temp.expressions(one.position, 'b.%1$I%3$s', ', ', NULL), one.restored_from, one.live_from, pg_temp.joined(one.position));
        GET DIAGNOSTICS merged = ROW_COUNT;
        UPDATE pg_temp.restored_tables SET inserted = merged WHERE position = one.position;
        SELECT array_to_string(array_agg(format('%I = b.%I%s', name, name, CASE WHEN is_same_type THEN '' ELSE '::text::' || live_type END)), ', ') INTO assignments
            FROM pg_temp.both_columns WHERE position = one.position AND name <> ALL (one.key);
        IF current_setting('restore.merge') = 'changed' AND one.changed > 0 THEN
            EXECUTE format('UPDATE %s l SET %s FROM %s b WHERE %s AND %s', one.live_from, assignments, one.restored_from, pg_temp.joined(one.position), pg_temp.differs(one.position));
            GET DIAGNOSTICS merged = ROW_COUNT;
            UPDATE pg_temp.restored_tables SET updated = merged WHERE position = one.position;
        END IF;
    END LOOP;
END $do$;
SET CONSTRAINTS ALL IMMEDIATE;
DO $do$
DECLARE one record;
BEGIN
    FOR one IN SELECT * FROM pg_temp.triggers LOOP
        EXECUTE format('ALTER TABLE ONLY %s ENABLE %s TRIGGER %I', one.relation, CASE one.tgenabled WHEN 'R' THEN 'REPLICA' WHEN 'A' THEN 'ALWAYS' ELSE '' END, one.tgname);
    END LOOP;
END $do$;
SELECT pg_temp.compare_tables();
INSERT INTO pg_temp.problems SELECT format('merge: %I.%I is not as expected after it, something changes what is written (a rule, a generated key, a column type): %s of %s rows are only in the backup, %s instead of %s differ', schema_name, table_name,
        t.only_in_backup, b.only_in_backup, t.changed, CASE current_setting('restore.merge') WHEN 'changed' THEN 0 ELSE b.changed END)
    FROM pg_temp.restored_tables t JOIN pg_temp.before_merge b USING (position)
    WHERE t.only_in_backup <> 0 OR t.only_in_live <> b.only_in_live OR t.changed <> CASE current_setting('restore.merge') WHEN 'changed' THEN 0 ELSE b.changed END
        OR inserted <> b.only_in_backup OR updated <> CASE current_setting('restore.merge') WHEN 'changed' THEN b.changed ELSE 0 END;
SQL
    stop_at_problems_sql
    # ROLLBACK does not undo setval().
    [ "$RESTORE_CHECK" = yes ] || advance_sql live
    cat <<'SQL'
\o /dev/null
UPDATE pg_temp.restored_tables t SET only_in_backup = b.only_in_backup, only_in_live = b.only_in_live, changed = b.changed, same = b.same FROM pg_temp.before_merge b WHERE b.position = t.position;
SQL
}
