# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What extensions need in addition to their files when a dump is restored. Sources: the extensions' documentation and scripts.
# Extensions that are not here need nothing, or before_sql and after_sql.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# Extensions that can only be created in the database that a setting names, not in one with a temporary name: each with its
# schema (pg_cron--*.sql: "can only create extension in database").
LATE_EXTENSIONS="pg_cron cron"

# Tables of extensions in which a trigger replaces the row with the same key: COPY reports fewer rows than it was sent.
MERGED_TABLES="_timescaledb_catalog.metadata"

# extension_libraries NAME: prints the libraries that must be in shared_preload_libraries, in their order, or nothing.
extension_libraries() {
    case $1 in
        timescaledb | pg_cron | citus | pg_net | pg_search | pg_squeeze | pg_stat_log | pg_textsearch | pg_tle) echo "$1" ;;
        pgaudit | pgautofailover | pglogical | pgsodium | supabase_vault | vchord | vectors) echo "$1" ;;
        pg_stat_kcache) echo "pg_stat_statements pg_stat_kcache" ;;
        documentdb_core) echo "pg_documentdb_core" ;;
        documentdb) echo "pg_documentdb_core pg_documentdb" ;;
    esac
}

# extension_settings NAME DATABASE: prints settings of a temporary server for an extension of the database, lines of "name =
# value". Scheduled jobs must not run there: they would change the rows, or connect to the live server.
extension_settings() {
    case $1 in
        pg_cron) printf 'cron.launch_active_jobs = off\ncron.database_name = %s\n' "$2" ;;
        timescaledb) printf 'timescaledb.max_background_workers = 0\ntimescaledb.telemetry_level = off\n' ;;
    esac
}

# needs_same_version NAME: whether the dump can only be restored with the version of the extension that was backed up.
needs_same_version() { [ "$1" = timescaledb ]; }

# create_same_version NAME SCHEMA VERSION: prints the SQL that must run before the text's CREATE EXTENSION, which creates the
# default version.
create_same_version() { printf 'CREATE EXTENSION IF NOT EXISTS %s%s VERSION '\''%s'\'';\n' "$1" "${2:+ WITH SCHEMA $2}" "$3"; }

# extension_before NAME SCHEMA: prints the SQL that must run after CREATE EXTENSION, before the rest of the text, or nothing.
extension_before() {
    case $1 in
        timescaledb) printf 'SELECT %s.timescaledb_pre_restore();\n' "${2:-public}" ;;
    esac
}

# extension_after NAME SCHEMA: prints the SQL that must run after the text, in the same transaction, or nothing. The jobs of
# TimescaleDB would start at its end, in the database with the temporary name.
extension_after() {
    case $1 in
        timescaledb) printf 'SELECT %s.timescaledb_post_restore();\nSELECT _timescaledb_functions.stop_background_workers();\n' "${2:-public}" ;;
    esac
}

# extension_at_end NAME: prints the SQL that must run in a live database once it has its final name, or nothing.
extension_at_end() {
    case $1 in
        timescaledb) echo 'SELECT _timescaledb_functions.start_background_workers();' ;;
    esac
}
