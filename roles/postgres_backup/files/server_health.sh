# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: the server's own health, and settings that a restore needs.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # start_group calls the step by name

# step_server_health: writes $work/server_health. The first line has members of `server` in the manifest (JSON): in_recovery
# and data_checksums (true or false), settings (numbers, texts, or null if this user may not read them), reserved_roles (roles
# that pg_dumpall leaves out because of their names) and configured_settings (names of settings that are not at their
# defaults). The other lines are warnings, W<tab>TEXT. It never fails.
step_server_health() {
    knows_versions=f
    [ "$server_version_num" -lt 150000 ] || knows_versions=t
    if query_psql UTF8 --set=knows_versions="$knows_versions" >"$work/server_health.new" 2>"$work/server_health.err" <<'SQL'; then
SET search_path = '' \; SET statement_timeout = '1min' \;
WITH setting (name, value) AS (
    SELECT name, setting FROM pg_settings
    WHERE name IN ('autovacuum_freeze_max_age', 'autovacuum_multixact_freeze_max_age', 'data_checksums', 'ignore_checksum_failure', 'zero_damaged_pages')
), near_limit (kind, name, age, normal) AS (
    SELECT 'transaction ids', datname, age(datfrozenxid), 'autovacuum_freeze_max_age' FROM pg_database
    UNION ALL
    SELECT 'multixact ids', datname, mxid_age(datminmxid), 'autovacuum_multixact_freeze_max_age' FROM pg_database
), warnings (place, text) AS (
    SELECT 1, format('checksum failures in %s: %s, the last one at %s. Data are damaged on the server''s disk: read its log, keep older backups, and check its storage. (Afterwards, pg_stat_reset() in that database clears the counter.)',
        coalesce('database ' || quote_ident(datname), 'the shared catalogs'), checksum_failures, to_char(checksum_last_failure AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
    FROM pg_stat_database WHERE checksum_failures > 0
    UNION ALL
    SELECT 2, format('%s is on: the server reads damaged pages without an error, and a backup may lack their rows. Set it to off.', name)
    FROM setting WHERE name IN ('ignore_checksum_failure', 'zero_damaged_pages') AND value = 'on'
    UNION ALL
    SELECT 3, format('the oldest %s of database %I are %s old; at 2,100,000,000 the server stops accepting writes. VACUUM that database, and find out what holds autovacuum back (old transactions, prepared transactions, replication slots).',
        kind, near_limit.name, to_char(age, 'FM9,999,999,999'))
    FROM near_limit JOIN setting ON setting.name = normal
    WHERE age > least(greatest(1200000000, value::bigint * 1.1), 2000000000)
\if :knows_versions
    UNION ALL
    SELECT 4, format('the order of text in these databases has changed since their indexes were built (another version of the operating system''s library): %s. In each of them: REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.',
        string_agg(quote_ident(datname), ', ' ORDER BY datname))
    FROM pg_database
    WHERE datallowconn AND datcollversion IS NOT NULL AND datcollversion <> pg_database_collation_actual_version(oid)
    HAVING count(*) > 0
\endif
    UNION ALL
    SELECT 5, 'data checksums are off: the server cannot notice damaged pages. Turn them on with pg_checksums --enable (the server must be stopped).'
    FROM setting WHERE name = 'data_checksums' AND value = 'off'
)
SELECT format('"in_recovery":%s,"data_checksums":%s', to_json(pg_is_in_recovery()), (SELECT to_json(value = 'on') FROM setting WHERE name = 'data_checksums'))
    || (SELECT string_agg(format(',"%s":%s', name, CASE WHEN vartype = 'integer' THEN setting WHEN setting IS NULL THEN 'null' ELSE to_json(setting)::text END), '' ORDER BY name)
        FROM (VALUES ('block_size'), ('max_connections'), ('max_locks_per_transaction'), ('max_prepared_transactions'), ('session_preload_libraries'),
            ('shared_preload_libraries'), ('wal_level')) AS needed (name) LEFT JOIN pg_settings USING (name))
    || format(',"reserved_roles":%s,"configured_settings":%s',
        (SELECT coalesce(json_agg(rolname ORDER BY rolname), '[]') FROM pg_roles WHERE rolname ~ '^pg_' AND oid >= 16384),
        (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings
            WHERE source IN ('configuration file', 'command line', 'environment variable') AND name !~ '[.]'))
UNION ALL
(SELECT E'W\t' || regexp_replace(text, '[[:cntrl:]]', '?', 'g') FROM warnings ORDER BY place, text);
SQL
        with_ascii_members <"$work/server_health.new" >"$work/server_health"
    else
        printf '%s\nW\t%s\n' '"in_recovery":null,"data_checksums":null' \
            "the server's health could not be read: $(one_line "$(head -n 3 "$work/server_health.err")")" >"$work/server_health"
    fi
}
