# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What extensions need besides their files when a dump is restored. Sources: the extensions' documentation and scripts.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# extension_library NAME: prints the library that must be in shared_preload_libraries, or nothing.
extension_library() {
    case $1 in
        timescaledb | pg_cron | citus | pg_net | pg_squeeze | pglogical | pgaudit | pgsodium | pg_stat_kcache | pg_tle | supabase_vault | vchord)
            printf '%s\n' "$1" ;;
        documentdb) printf '%s\n' pg_documentdb ;;
        vectors) printf '%s\n' vectors.so ;;
    esac
}

# extension_settings NAME DATABASE: prints settings of a temporary server for the extension, lines of "name = value".
extension_settings() {
    case $1 in
        # Its jobs must not run there.
        pg_cron) printf 'cron.database_name = %s\ncron.launch_active_jobs = off\n' "$2" ;;
        timescaledb) printf 'timescaledb.telemetry_level = off\n' ;;
    esac
}

# extension_before NAME SCHEMA: prints the SQL that must run after CREATE EXTENSION, before the rest of the text, or nothing.
extension_before() {
    case $1 in
        timescaledb) printf 'SELECT %s.timescaledb_pre_restore();\n' "$2" ;;
    esac
}

# extension_after NAME SCHEMA: prints the SQL that must run after the text, or nothing.
extension_after() {
    case $1 in
        timescaledb) printf 'SELECT %s.timescaledb_post_restore();\n' "$2" ;;
    esac
}

# Extensions that can only be created in the database that a setting names, not in one with a temporary name: each with its
# schema.
LATE_EXTENSIONS="pg_cron cron"
