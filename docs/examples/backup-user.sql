-- SPDX-License-Identifier: GPL-3.0-or-later
-- SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
--
-- The rights of a user who makes backups and is not a superuser, for PostgreSQL 13 and later. An administrator runs it in
-- each database of the server, and again after large objects (before PostgreSQL 19) or schemas (13) were created:
--
--   psql --set=ON_ERROR_STOP=1 --set=backup_user=postgres_backup --dbname=shop --file=backup-user.sql
--
-- The administrator is a superuser, or at a provider the user who was created with the server (a member of rds_superuser,
-- cloudsqlsuperuser or azure_pg_admin, for instance). With --set=bypass_rls=true, the user also reads tables with row
-- security. Set the password of the role afterwards (\password postgres_backup). What has been granted is not granted again.

-- Once for the server.
SELECT format('CREATE ROLE %I LOGIN', :'backup_user')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'backup_user') \gexec

-- PostgreSQL 14 and later: SELECT on all tables and sequences, USAGE of all schemas, in all databases, also later ones.
SELECT format('GRANT pg_read_all_data TO %I', :'backup_user')
WHERE current_setting('server_version_num')::int >= 140000 AND NOT (SELECT pg_has_role(:'backup_user', oid, 'MEMBER')
    FROM pg_roles WHERE rolname = 'pg_read_all_data') \gexec

-- So that the backup's manifest lists the libraries that a restore needs.
SELECT format('GRANT pg_read_all_settings TO %I', :'backup_user')
WHERE NOT pg_has_role(:'backup_user', 'pg_read_all_settings', 'MEMBER') \gexec

-- The databases to which not everybody may connect, except those of the provider.
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', datname, :'backup_user')
FROM pg_database
WHERE datallowconn AND NOT has_database_privilege(:'backup_user', oid, 'CONNECT')
    AND datname NOT IN ('rdsadmin', 'cloudsqladmin', 'alloydbadmin', 'alloydbmetadata', 'azure_maintenance', 'azure_sys', '_dodb', '_aiven')
ORDER BY datname \gexec

\if :{?bypass_rls}
SELECT format('ALTER ROLE %I BYPASSRLS', :'backup_user')
WHERE NOT (SELECT rolbypassrls FROM pg_roles WHERE rolname = :'backup_user') \gexec
\endif

-- For this database. PostgreSQL 13 has no pg_read_all_data.
SELECT format(statement, nspname, :'backup_user')
FROM pg_namespace
CROSS JOIN (VALUES ('GRANT USAGE ON SCHEMA %I TO %I'), ('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I'),
    ('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I')) AS statements (statement)
WHERE current_setting('server_version_num')::int < 140000 AND nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
ORDER BY nspname, statement DESC \gexec

SELECT format(statement, owner, :'backup_user')
FROM (SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relkind IN ('r', 'p', 'S') AND oid >= 16384) AS owners
CROSS JOIN (VALUES ('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT SELECT ON TABLES TO %I'), ('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT SELECT ON SEQUENCES TO %I'),
    ('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT USAGE ON SCHEMAS TO %I')) AS statements (statement)
WHERE current_setting('server_version_num')::int < 140000 \gexec

-- Before PostgreSQL 19, pg_read_all_data does not cover large objects.
SELECT format('GRANT SELECT ON LARGE OBJECT %s TO %I', metadata.oid, :'backup_user')
FROM pg_largeobject_metadata AS metadata
WHERE current_setting('server_version_num')::int < 190000 AND NOT EXISTS (
    SELECT FROM aclexplode(lomacl) WHERE privilege_type = 'SELECT' AND grantee IN (0, (SELECT oid FROM pg_roles WHERE rolname = :'backup_user'))) \gexec
