# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# What a drill with another image reports for an upgrade, in addition to its errors.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # run_group calls the step by name

# report_upgrade_facts: prints JSON lines if the drill is for an upgrade ($POSTGRES_BACKUP_DRILL_UPGRADE), from the manifest (`live_server`, and a `part` for each one that was dumped) and
# from the temporary server (`image_server`, and an `image_database` for each database). Nothing fails because of them.
report_upgrade_facts() {
    [ -n "${POSTGRES_BACKUP_DRILL_UPGRADE:-}" ] || return 0
    live_server={}
    if [ "$(tail -n 1 "$file.json" 2>/dev/null)" = ']}' ]; then
        live_server=$(sed -n 's/^"server":\({.*}\),$/\1/p' "$file.json")
        # Statements contain values of settings.
        sed -n -e 's/^"server":{\(.*\)},$/{"type":"live_server",\1}/p' \
            -e '/^{"kind":".*","result":"dumped",/{
s/,"statements":\[.*\],"extensions":/,"extensions":/
/,"statements":/d
s/,$//
s/^{/{"type":"part",/p
}' "$file.json"
    fi
    export live_server dump_version image_major
    run_group upgrade_facts
    utf8_lines <"$data/upgrade_facts" | ascii_json
}

step_upgrade_facts() {
    PGOPTIONS="$PGOPTIONS -c search_path=pg_catalog -c standard_conforming_strings=on -c statement_timeout=1min" PGCLIENTENCODING=UTF8
    export PGOPTIONS PGCLIENTENCODING
    upgrade_sql_of_server | feed_psql postgres 2>/dev/null >"$data/upgrade_facts"
    echo "SELECT datname FROM pg_database WHERE datallowconn AND datname <> '$INTERMEDIATE_NAME' ORDER BY datname" | feed_psql postgres 2>/dev/null >"$data/upgraded"
    while IFS= read -r database; do
        upgrade_sql_of_database | feed_psql "$database" 2>/dev/null
    done <"$data/upgraded" >>"$data/upgrade_facts"
}

upgrade_sql_of_server() {
    # Backticks of psql; \getenv is of version 14.
    cat <<'SQL'
\set live_server `printf %s "$live_server"`
\set dump_version `printf %s "$dump_version"`
SELECT format('{"type":"image_server","dump_version":%s,"unknown_settings":%s,"missing_libraries":%s}',
    coalesce(to_json(nullif(:'dump_version', ''))::text, 'null'),
    (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'live_server'::json -> 'configured_settings') AS name
        WHERE current_setting(name, true) IS NULL),
    (SELECT coalesce(json_agg(name), '[]')
        FROM unnest(string_to_array(:'live_server'::json ->> 'shared_preload_libraries', ',')) AS entry CROSS JOIN LATERAL btrim(entry, ' "') AS name
        WHERE name ~ '^[A-Za-z0-9_-]+$'
            AND (pg_stat_file((SELECT setting FROM pg_config WHERE pg_config.name = 'PKGLIBDIR') || '/' || name || '.so', true)).size IS NULL));
SQL
}

# upgrade_sql_of_database: PostgreSQL does not read the bodies of functions in a restore (check_function_bodies).
upgrade_sql_of_database() {
    printf '\\set knows_versions %s\n' "$(if [ "$image_major" -ge 15 ]; then printf t; else printf f; fi)"
    collations_sql
    cat <<'SQL'
SELECT format('{"type":"image_database","database":%s,"collations":%s,"public_create":%s,"functions":%s}', to_json(current_database()),
    :'collations', :'public_create',
    (SELECT coalesce(json_agg(json_build_object('name', name, 'calls', calls) ORDER BY name), '[]') FROM (
        SELECT p.oid::regprocedure::text AS name, array_agg(DISTINCT lower(call[1])) AS calls
        FROM pg_proc AS p CROSS JOIN LATERAL regexp_matches(prosrc, '\m(pg_[a-z0-9_]+|currtid)\s*\(', 'gi') AS call
        WHERE pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
            AND NOT EXISTS (SELECT FROM pg_proc AS known WHERE known.proname = lower(call[1]))
        GROUP BY p.oid LIMIT 50) AS functions));
SQL
}
