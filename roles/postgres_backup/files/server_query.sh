# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: what it asks the server before the dump, and the header of the backup.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# step_query_server: queries what the header and the result contain about the server. (pg_dumpall omits databases that do
# not allow connections, and databases with a connection limit of -2, which an interrupted DROP DATABASE leaves: nothing
# can connect to them.) It is a step, so that the time limit also ends a run whose server does not respond.
step_query_server() {
    query_psql UTF8 --command="SELECT current_setting('server_version')" \
        --command="SELECT current_setting('server_version_num')" \
        --command="SELECT floor(extract(epoch FROM clock_timestamp()))" \
        --command="SELECT to_json(rolname::text) FROM pg_catalog.pg_roles WHERE oid = 10" \
        --command="SELECT bool_or(rolsuper) FROM pg_catalog.pg_roles WHERE rolname IN (current_user, session_user)" \
        --command="SELECT coalesce(json_agg(datname::text ORDER BY datname), '[]') FROM pg_catalog.pg_database
            WHERE datconnlimit = -2 OR NOT datallowconn AND datname <> 'template0'" \
        --command="SELECT coalesce(json_agg(datname::text ORDER BY datname), '[]') FROM pg_catalog.pg_database WHERE datconnlimit = -2" \
        --command="SELECT string_agg('DROP DATABASE \"' || regexp_replace(replace(datname, '\"', '\"\"'), '[[:cntrl:]]', '?', 'g') || '\";', ' ')
            FROM (SELECT datname::text FROM pg_catalog.pg_database WHERE datconnlimit = -2 ORDER BY datname LIMIT 5) AS first_ones" \
        --command="SELECT pg_catalog.pg_encoding_to_char(encoding) FROM pg_catalog.pg_database WHERE datname = current_database()" \
        --command="SELECT concat_ws(' ', CASE WHEN current_setting('lc_messages') !~ '^(C|POSIX|en)([._]|$)' THEN '-c lc_messages=C' END,
                CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS setting WHERE setting LIKE 'role=%') THEN '-c role=none' END)
            FROM pg_catalog.pg_roles WHERE rolname = session_user AND rolsuper" \
        >"$work/answers" 2>"$work/psql.err" || return
    # A member of pg_read_all_data may read the passwords of roles, too, but a provider's server may refuse it all the same.
    if query_psql '' --command="SELECT count(rolpassword) FROM pg_catalog.pg_authid" >/dev/null 2>&1; then echo t; else echo f; fi >"$work/may_read_passwords"
}

# query_server: sets the variables about the server for the header and the result.
query_server() {
    run_group query_server
    answer_epoch=$(now_epoch)
    [ "$step_status" -eq 0 ] || fail_query "the server does not answer"
    { IFS= read -r server_version; IFS= read -r server_version_num; IFS= read -r server_epoch; IFS= read -r superuser; IFS= read -r is_superuser
        IFS= read -r skipped; IFS= read -r invalid; IFS= read -r drop_invalid; IFS= read -r first_encoding; IFS= read -r superuser_options; } <"$work/answers"
    # The messages that the run knows are English (postgres_fault); only superusers may set their language. A superuser may read
    # everything, unless a setting of a database makes the session that of another role.
    if [ -n "$superuser_options" ]; then
        PGOPTIONS="${PGOPTIONS:-} $superuser_options"
        export PGOPTIONS
    fi
    # Names in an SQL_ASCII database may be in any encoding.
    superuser=$(utf8 "$superuser") skipped=$(utf8 "$skipped") invalid=$(utf8 "$invalid") drop_invalid=$(utf8 "$drop_invalid")
    if [ "$invalid" != '[]' ]; then
        warn "not in the backup, because an interrupted DROP DATABASE left them invalid and nothing can connect to them any more: $invalid. Drop them: $drop_invalid"
    fi
    version_output=$(pg_dumpall --version 2>/dev/null)
    client_status=$?
    [ "$client_status" -lt 128 ] || fail "pg_dumpall failed" "pg_dumpall --version ended $(status_in_words "$client_status")" \
        "It was killed. If the pod ran out of memory, raise the limit in postgres_backup_resources."
    client_version=$(printf '%s\n' "$version_output" | sed -n 's/^pg_dumpall (PostgreSQL) \([^ ]*\).*/\1/p')
    client_major=${client_version%%[!0-9]*}
    if ! is_whole_number "$client_major" || ! is_whole_number "$server_version_num"; then
        fail_with 2 "the versions cannot be compared" "pg_dumpall reports '$client_version', the server '$server_version'" \
            "Use an image with PostgreSQL's own pg_dumpall."
    fi
    if [ "$client_major" -lt $((server_version_num / 10000)) ]; then
        fail_with 2 "pg_dumpall is older than the server" "pg_dumpall $client_version, server $server_version" \
            "Use an image of the server's major version: unset postgres_backup_image, or set it to one of PostgreSQL $((server_version_num / 10000))."
    fi
    clock_difference=$((answer_epoch - server_epoch))
    export is_superuser server_version_num first_encoding
    list_databases
    check_health
}

# fail_query WHAT: fails because of a query in the step that has ended last.
fail_query() {
    message=$(head -n 6 "$work/psql.err")
    fail_by_postgres "$1" "${message:-psql ended $(status_in_words "$step_status")}" "$step_status"
}

write_header() {
    print_header >"$work/header" && [ "$(tail -n 2 "$work/header")" = "--" ] && return
    fail "the header of the backup could not be written" "it is cut off in $work" "Make sure that ${TMPDIR:-/tmp} has free space."
}

print_header() {
    cat <<HEADER
-- Backup made by homelab.postgres_backup $VERSION
-- started: $started
-- server: $(json "$server_address")
-- server version: $(json "$server_version")
-- pg_dumpall version: $(json "$client_version")
-- bootstrap superuser: $superuser
-- databases skipped: $skipped
HEADER
    [ "$excluded" = '[]' ] || printf -- '-- databases excluded: %s\n' "$excluded"
    [ -z "$left_out" ] || printf -- '-- left out on request: {%s}\n' "$left_out"
    printf -- '--\n\n'
}

# list_databases: sets `excluded`, the JSON names of the databases that are left out on request, `left_out`, members with
# what is left out of the others, and `has_left_out`.
list_databases() {
    split_extra_args
    run_group list_databases
    [ "$step_status" -eq 0 ] || fail_query "the databases cannot be listed"
    excluded=$(utf8 "$(names_in_state excluded)")
    left_out=$(utf8 "$(awk -F "$TAB" '
        $2 == "dump" && match($7, /"left_out":.*,"statements":/) {
            entry = substr($7, RSTART + 11, RLENGTH - 25)
            if (entry != "{\"tables\":[],\"table_data\":[],\"arguments\":[]}") printf "%s%s:%s", (count++ ? "," : ""), $4, entry
        }' "$work/databases")")
    has_left_out=true
    if [ "$excluded" = '[]' ] && [ -z "$left_out" ] && [ -z "$POSTGRES_BACKUP_EXTRA_ARGS" ]; then has_left_out=false; fi
    warn_about_unmatched
    IFS= read -r may_read_passwords <"$work/may_read_passwords"
    case $globals_args in *"$NEWLINE--role"*) may_read_passwords=t ;; esac # that role may
    if [ "$may_read_passwords$is_superuser" = ff ] && [ "$no_role_passwords" = no ]; then
        no_role_passwords=yes
        warn "the backup has no passwords of roles, because $(json "$POSTGRES_BACKUP_USER") may not read them (pg_authid)"
    fi
    if [ "$output_clean" = yes ]; then run_group drop_statements || fail_query "the databases cannot be listed"; fi
    export no_role_passwords
}

# step_drop_statements: writes the statements that --clean has before the globals to $work/drops (pg_dumpall.c, dropDBs),
# for the databases that are dumped.
step_drop_statements() {
    clause=
    [ "$if_exists" = no ] || clause='IF EXISTS '
    {
        printf -- '--\n-- Drop databases (except postgres and template1)\n--\n\n'
        query_psql '' --command="
            SELECT 'DROP DATABASE $clause' || quote_ident(datname) || ';' FROM pg_catalog.pg_database
            WHERE datname NOT IN ('template1', 'postgres') AND oid IN (0$(awk -F "$TAB" '$2 == "dump" { printf ",%s", $5 }' "$work/databases"))
            ORDER BY datname" || return 1
        printf '\n\n'
    } >"$work/drops" 2>"$work/psql.err"
}

# warn_about_unmatched: warns about names (not patterns) in the configuration that no database has: a typo would leave out
# nothing, or everything.
warn_about_unmatched() {
    {
        printf '%s\n' "$POSTGRES_BACKUP_DATABASES" | sed 's/^/postgres_backup_databases:/'
        printf '%s\n' "$POSTGRES_BACKUP_EXCLUDE_DATABASES" | sed 's/^/postgres_backup_exclude_databases:/'
        printf '%s\n' "$POSTGRES_BACKUP_EXCLUDE_TABLES" | sed "s/$TAB.*//; s/^/postgres_backup_exclude_tables:/"
        printf '%s\n' "$POSTGRES_BACKUP_EXCLUDE_TABLE_DATA" | sed "s/$TAB.*//; s/^/postgres_backup_exclude_table_data:/"
    } | grep -v -e ':$' -e '[*?"\\]' | sort -u >"$work/configured_names"
    while IFS= read -r configured; do
        cut -f 4 "$work/databases" | grep -F -x -q "\"${configured#*:}\"" ||
            warn "${configured%%:*} names the database $(json "${configured#*:}"), which the server does not have"
    done <"$work/configured_names"
}

# check_health: warns about the server's own health, and sets `health_members` of the manifest (server_health.sh).
check_health() {
    health_members=
    run_group server_health
    [ -s "$work/server_health" ] || return 0
    health_members=$(sed -n '1p' "$work/server_health")
    warn_about_server_by "$work/server_health"
}

# warn_about_server_by FILE: warns about the server by the lines `W<tab>TEXT` of a file.
warn_about_server_by() {
    sed -n "s/^W$TAB//p" "$1" >"$work/found_warnings"
    while IFS= read -r found_warning; do warn_about_server "$found_warning"; done <"$work/found_warnings"
}
