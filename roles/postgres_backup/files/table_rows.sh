# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# How many rows each table of a database has.
# shellcheck shell=sh

# table_rows_sql EXPRESSION ...: prints a query for psql that returns, for each table, the expressions and the number of its
# rows without those of its partitions, a hundred tables in each statement. The expressions may have nspname, relname, kind (e
# for a table of an extension, else t), tree (the same number for all tables of one partition tree, 0 for others) and part
# (root, branch, leaf, or none).
table_rows_sql() {
    row_format='' row_values=''
    for expression; do row_format="$row_format%L, " row_values="$row_values$expression, "; done
    cat <<SQL
WITH RECURSIVE partitions AS (
    SELECT c.oid, c.oid AS root FROM pg_class c WHERE c.relkind = 'p' AND NOT c.relispartition
    UNION ALL SELECT i.inhrelid, p.root FROM partitions p JOIN pg_inherits i ON i.inhparent = p.oid
)
SELECT string_agg(format('SELECT ${row_format}count(*) FROM ONLY %I.%I', ${row_values}nspname, relname), ' UNION ALL ')
FROM (
    SELECT n.nspname, c.relname, row_number() OVER (ORDER BY n.nspname, c.relname) / 100 AS statement, coalesce(p.root, 0) AS tree,
        CASE WHEN p.root = c.oid THEN 'root' WHEN p.root IS NULL THEN 'none' WHEN c.relkind = 'p' THEN 'branch' ELSE 'leaf' END AS part,
        CASE WHEN EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
            THEN 'e' ELSE 't' END AS kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN partitions p ON p.oid = c.oid
    WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
) AS found
GROUP BY statement ORDER BY statement
\\gexec
SQL
}
