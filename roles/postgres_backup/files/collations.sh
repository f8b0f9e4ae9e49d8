# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Facts about a database that an upgrade may change: of the live server (inspect.sh) and of a drill's (upgrade_facts.sh).
# shellcheck shell=sh

# collations_sql: prints a query that sets two variables of psql, to null if it fails: `collations`, a JSON array of name,
# provider and version of each collation in use whose version the operating system's library reports (`default` is that of
# the database), and `public_create`, whether all users may create objects in the schema public. It needs the variable
# `knows_versions`, whether PostgreSQL has versions of databases (15 and later; before, that of the C library is taken).
collations_sql() {
    cat <<'SQL'
\set collations null
\set public_create null
SELECT coalesce(json_agg(json_build_object('name', name, 'provider', provider, 'version', version) ORDER BY name), '[]') AS collations,
    to_json(coalesce(has_schema_privilege('public', to_regnamespace('public')::oid, 'CREATE'), false)) AS public_create
FROM (
\if :knows_versions
    SELECT 'default', datlocprovider, pg_database_collation_actual_version(oid) FROM pg_database WHERE datname = current_database()
\else
    SELECT 'default', 'c', (SELECT max(pg_collation_actual_version(oid)) FROM pg_collation WHERE collprovider = 'c' AND collversion IS NOT NULL)
    FROM pg_database WHERE datname = current_database() AND datcollate !~ '^(C|POSIX)($|\.)'
\endif
    UNION ALL
    SELECT format('%I.%I', nspname, collname), collprovider, pg_collation_actual_version(c.oid)
    FROM pg_collation AS c JOIN pg_namespace AS n ON n.oid = c.collnamespace
    WHERE collversion IS NOT NULL AND EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_collation'::regclass AND refobjid = c.oid)
) AS used (name, code, version)
CROSS JOIN LATERAL (SELECT CASE code WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END AS provider) AS provider
WHERE version IS NOT NULL
\gset
SQL
}
