# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The roles and tablespaces of a backup, restored into a server that may have some of them. A role that exists keeps its
# password in any case, and its attributes and settings unless they are to be altered.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# plan_roles: sets created_roles, kept_roles and altered_roles, as they will be, and `missing_tablespaces`.
plan_roles() {
    globals_encoding=$(globals_text | awk -v mode=facts -f "$work/globals.awk" | sed -n 's/^encoding //p')
    sql_encoding=${globals_encoding:=UTF8}
    quiet_psql "$maintenance" >"$work/existing" 2>"$work/psql.err" <<'SQL' || server_failed "the roles of the server cannot be listed"
SELECT replace(replace(rolname, '\', '\\'), E'\n', '\n') FROM pg_catalog.pg_roles;
SQL
    # Neither the role of this session nor the owner of the server is ever altered.
    quiet_psql "$maintenance" >"$work/protected" 2>"$work/psql.err" <<'SQL' || server_failed "the roles of the server cannot be listed"
SELECT replace(replace(rolname, '\', '\\'), E'\n', '\n') FROM pg_catalog.pg_roles WHERE rolname IN (session_user, current_user) OR oid = 10;
SQL
    quiet_psql "$maintenance" >"$work/tablespaces" 2>"$work/psql.err" <<'SQL' || server_failed "the tablespaces of the server cannot be listed"
SELECT spcname FROM pg_catalog.pg_tablespace WHERE spcname !~ E'[\n\r]';
SQL
    sql_encoding=
    cluster_globals names >"$work/global_names" || fail_with_backup "the roles of the backup cannot be read" "$backup" "Restore another backup."
    export globals_encoding
    created_roles=$(global_names created) kept_roles=$(global_names kept) altered_roles=$(global_names altered)
    missing_tablespaces=$(sed -n 's/^tablespace //p' "$work/global_names" | while IFS= read -r tablespace; do
        printf "the tablespace '%s' is missing: create it (CREATE TABLESPACE), in a folder of the server\n" "$(utf8 "$tablespace")"
    done)
}

# cluster_globals OUTPUT: the output of globals.awk for the globals of the backup: names, or statements.
cluster_globals() {
    globals_text | awk -v mode=cluster -v output="$1" -v alter="$RESTORE_ALTER_ROLES" -v existing="$work/existing" -v protected="$work/protected" -v tablespaces_file="$work/tablespaces" \
        -f "$work/globals.awk"
}

# global_names WORD: prints the names of that word as JSON.
global_names() {
    global_list=$(sed -n "s/^$1 //p" "$work/global_names" | while IFS= read -r global_name; do json "$(printf '%b' "$global_name")"; printf ','; done)
    printf '[%s]' "${global_list%,}"
}

# restore_roles: in one transaction. The statements have passwords: they are never in a file.
restore_roles() {
    clear_stages
    run_group cluster_roles
    [ "$(stage_status_of psql)" = 0 ] || {
        psql_failure psql
        fail "the roles could not be restored" "$message" "Nothing was changed. $(restore_advice "$message" "$is_lost")"
    }
    rejected_setting=$(psql_error "$work/psql.err")
    [ -z "$rejected_setting" ] || warn "PostgreSQL $server_version does not accept every setting of the roles (ALTER ROLE ... SET); those were left out: $rejected_setting"
    [ "$created_roles" = '[]' ] || log "created roles: $(listed "$created_roles")"
    [ "$altered_roles" = '[]' ] || log "altered roles: $(listed "$altered_roles")"
    [ "$kept_roles" = '[]' ] || log "kept as they are, with their passwords: $(listed "$kept_roles")"
}

step_cluster_roles() {
    # In a variable: a text that is cut off must not be executed.
    statements=$(cluster_globals statements) || return 1
    printf 'BEGIN;\n%s\nCOMMIT;\n' "$statements" | PGCLIENTENCODING=${globals_encoding:-UTF8} stage psql feed_psql "$maintenance" >/dev/null
}
