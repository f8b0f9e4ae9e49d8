# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh _backup_user`: asks the live server for the state of a role for backups, changes the role if there are
# statements for that, and tries to log in as it. The module backup_user starts it in a Job, as the administrator;
# backup_user_plan.py makes the SQL. Variables (passwords are from Secrets and may be unset):
#   BACKUP_USER_ROLE           the role's name
#   BACKUP_USER_QUERY          the query for the state, which returns one line of JSON
#   BACKUP_USER_STATEMENTS     a text for psql, empty if nothing is to be changed
#   BACKUP_USER_PASSWORD       the password in use
#   BACKUP_USER_NEW_PASSWORD   the next password, during a rotation
#   BACKUP_USER_SETS           which of them a \password in the statements sets: PASSWORD or NEW_PASSWORD
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # hooks call functions by name

backup_user() {
    reason=null server=null logins='' entries=''
    on_failure=end_failed_backup_user
    catch_signals exit_by_signal TERM INT HUP
    : "${BACKUP_USER_STATEMENTS:=}" "${BACKUP_USER_PASSWORD:=}" "${BACKUP_USER_NEW_PASSWORD:=}" "${BACKUP_USER_SETS:=}"
    read_configuration
    read_server_configuration
    require_tools psql awk cut grep head mktemp sed tr
    require_work_folder
    PGAPPNAME="postgres-backup backup user"
    # What the role has depends on no setting of the administrator's.
    PGOPTIONS="${PGOPTIONS:-} -c search_path=pg_catalog -c default_transaction_read_only=off -c statement_timeout=0"
    PGCLIENTENCODING=UTF8
    export PGAPPNAME PGOPTIONS PGCLIENTENCODING

    query_state
    if [ -n "$BACKUP_USER_STATEMENTS" ]; then
        run_statements
        query_state
    fi
    log_in PASSWORD "$BACKUP_USER_PASSWORD"
    log_in NEW_PASSWORD "$BACKUP_USER_NEW_PASSWORD"
    case $logins in *'"ok":true'*) enter_databases ;; esac
    trap '' TERM INT HUP
    printf '{"state":"succeeded","operation":"backup_user","server":%s,"logins":{%s},"not_entered":[%s]}\n' "$server" "$logins" "$entries"
    clean_up
}

# end_failed_backup_user: $on_failure: prints the result.
end_failed_backup_user() {
    reason=$(json "$(printf '%s: %s' "$what" "$found. $advice" | head -c 1500)")
    printf '{"state":"failed","operation":"backup_user","reason":%s}\n' "$reason"
}

# ask DATABASE [ARGUMENT ...]: runs psql, which prints values only; its messages are in $work/psql.err.
ask() {
    ask_database=$1
    shift
    psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@" \
        --dbname="$(connection "$ask_database")" 2>"$work/psql.err"
}

# psql_message: prints the first lines of psql's messages, without its prompts, and without a statement, which may hold the
# verifier of a password.
psql_message() {
    sed -e '/^Enter new password/d' -e '/^Enter it again/d' -e '/^LINE [0-9]/d' -e '/^ *\^$/d' -e '/^CONTEXT: /d' \
        -e 's/^psql:[^ ]*: //' "$work/psql.err" | head -n 4 | cut -c 1-600
}

query_state() {
    printf '%s;\n' "$BACKUP_USER_QUERY" >"$work/query.sql"
    server=$(ask "$POSTGRES_BACKUP_DATABASE" --file="$work/query.sql") ||
        fail_by_postgres "the server cannot be asked for the state of the role" "$(psql_message)" 1
    case $server in
        '{'*) ;;
        *) fail "the server's answer is not the state of the role" "'$(printf '%s' "$server" | head -c 200)'" \
            "Is postgres_backup_host a connection pooler or another product? Set it to PostgreSQL itself." ;;
    esac
}

# run_statements: psql reads a new password from its standard input where it has no terminal, and sends only the verifier
# (src/bin/psql/command.c, exec_command_password; src/common/sprompt.c). setsid: without the terminal of a test.
run_statements() {
    case $BACKUP_USER_SETS in
        PASSWORD) new_password=$BACKUP_USER_PASSWORD ;;
        NEW_PASSWORD) new_password=$BACKUP_USER_NEW_PASSWORD ;;
        *) new_password='' ;;
    esac
    new_password=${new_password%"$NEWLINE"}
    printf '%s' "$BACKUP_USER_STATEMENTS" >"$work/statements.sql"
    printf '%s\n%s\n' "$new_password" "$new_password" | without_terminal ask "$POSTGRES_BACKUP_DATABASE" --file="$work/statements.sql" >/dev/null ||
        fail "the role could not be changed" "$(psql_message)" \
            "The transaction was rolled back, and the backups use the user that they used before. See docs/security.md for the rights that the administrator needs."
}

# without_terminal ask ARGUMENT ...: calls it with a psql that has no terminal to read from.
without_terminal() {
    (
        if command -v setsid >/dev/null 2>&1; then psql() { setsid psql "$@"; }; fi
        "$@"
    )
}

# as_backup_user PASSWORD DATABASE: connects as the role.
as_backup_user() {
    (
        PGUSER=$BACKUP_USER_ROLE PGPASSWORD=${1%"$NEWLINE"}
        export PGUSER PGPASSWORD
        ask "$2" --command='SELECT 1' >/dev/null
    )
}

# log_in NAME PASSWORD: adds the result of a login to `logins`; keeps the password that works in `good_password`.
log_in() {
    [ -n "$2" ] || return 0
    if as_backup_user "$2" "$POSTGRES_BACKUP_DATABASE"; then
        logins="$logins${logins:+,}\"$1\":{\"ok\":true}"
        good_password=$2
        return 0
    fi
    login_message=$(psql_message)
    logins="$logins${logins:+,}\"$1\":{\"ok\":false,\"message\":$(json "$login_message"),\"advice\":$(json "$(postgres_advice "$login_message")")}"
}

# enter_databases: connects as the role to each database that is dumped, and adds to `entries` those that it cannot enter,
# with whether the administrator can.
enter_databases() {
    # The bytes of a name in octal, for printf.
    cat >"$work/databases.sql" <<'SQL'
SELECT (SELECT string_agg('\0' || (v >> 6) || ((v >> 3) & 7) || (v & 7), '' ORDER BY i)
  FROM (SELECT i, get_byte(b, i) AS v FROM generate_series(0, length(b) - 1) AS i) AS bytes)
FROM (SELECT datname, convert_to(datname::text, getdatabaseencoding()) AS b FROM pg_database
  WHERE datallowconn AND datconnlimit <> -2) AS d ORDER BY datname;
SQL
    ask "$POSTGRES_BACKUP_DATABASE" --file="$work/databases.sql" >"$work/databases" ||
        fail_by_postgres "the databases of the server could not be listed" "$(psql_message)" 1
    while IFS= read -r octal; do
        # The x keeps a newline at the end of a name.
        database=$(printf '%bx' "$octal")
        database=${database%x}
        as_backup_user "$good_password" "$database" </dev/null && continue
        entry_message=$(psql_message)
        can_enter=false
        if ask "$database" --command='SELECT 1' </dev/null >/dev/null; then can_enter=true; fi
        entries="$entries${entries:+,}{\"database\":$(json "$database"),\"message\":$(json "$entry_message"),\"administrator\":$can_enter}"
    done <"$work/databases"
}
