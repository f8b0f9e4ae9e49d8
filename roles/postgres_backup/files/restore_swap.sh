# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The last steps of a restore: the databases are renamed, then follows what needs the final name; and the clean-up after a
# failure.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# How long the swap may take once nobody is connected; how often the clean-up tries to drop the temporary database.
SWAP_SECONDS=20

DROP_TRIES=8

swap_names() {
    {
        printf "BEGIN;\nSET LOCAL lock_timeout = '10s';\nALTER DATABASE :\"temporary\" RESET %s;\nALTER DATABASE :\"temporary\" CONNECTION LIMIT -1;\n" "${RESTORE_MARK%%=*}"
        [ -z "${RESTORE_RESTORED:-}" ] || printf "ALTER DATABASE :\"temporary\" SET %s TO '%s';\n" "${RESTORE_RESTORED%%=*}" "${RESTORE_RESTORED#*=}"
        ! is_transformed || printf 'ALTER DATABASE :"temporary" ALLOW_CONNECTIONS true;\n'
        cat "$work/limits.sql"
        [ "$target_exists" = no ] || printf 'ALTER DATABASE :"target" RENAME TO :"old";\n'
        printf 'ALTER DATABASE :"temporary" RENAME TO :"target";\nCOMMIT;\n'
    } | quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" --set=target="$RESTORE_TARGET" --set=old="$RESTORE_OLD"
}

# blocking_sessions: prints the sessions and prepared transactions of the database to be replaced, one a line.
blocking_sessions() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" 2>/dev/null <<'SQL'
SELECT translate(format('pid %s (user %s, application "%s", connected since %s)', pid, coalesce(usename, backend_type), application_name,
        to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), E'\n\r', '??')
    FROM pg_catalog.pg_stat_activity WHERE datname = :'target' AND coalesce(backend_type, '') !~ '^(autovacuum worker$|pg_cron|TimescaleDB)' ORDER BY backend_start;
SELECT translate(format('prepared transaction %L of %s, since %s', gid, owner,
        to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), E'\n\r', '??')
    FROM pg_catalog.pg_prepared_xacts WHERE database = :'target';
SQL
}

# end_sessions: ends the sessions in the temporary database, and if requested those in the database to be replaced; always
# the background workers of extensions, which start again.
end_sessions() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=temporary="$RESTORE_TEMPORARY" \
        --set=too="$RESTORE_TERMINATE" >/dev/null 2>&1 <<'SQL'
SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
    WHERE datname = :'temporary' OR (datname = :'target' AND (:'too' = 'yes' OR backend_type ~ '^(pg_cron|TimescaleDB)'));
SQL
}

# swap_databases: renames both in one transaction. RENAME blocks new connections and waits 5 s for existing ones
# (src/backend/storage/ipc/procarray.c, CountOtherDBBackends): clients that end_sessions ends meanwhile cannot reconnect.
swap_databases() {
    export target_exists
    # A signal is handled between attempts: a committed swap is not a failure.
    trap 'pending_signal=TERM' TERM
    trap 'pending_signal=INT' INT
    trap 'pending_signal=HUP' HUP
    swap_deadline=$(($(now_epoch) + RESTORE_WAIT_SECONDS))
    waited=no
    while :; do
        busy=
        if [ "$target_exists" = yes ] && [ "$RESTORE_TERMINATE" = no ]; then busy=$(blocking_sessions); fi
        [ -z "$pending_signal" ] || end_restore_by_signal "$pending_signal"
        if [ -z "$busy" ]; then
            try_swap && break
            message=$(psql_error "$work/psql.err" 2>/dev/null)
            case $message in
                *': 55006: '* | *': 55P03: '*) busy=$(blocking_sessions) ;;
                *': 42P04: '*) fail "the database already exists" "'$RESTORE_TARGET' was created during the restore" "Set new_name, or replace." ;;
                *) if is_swapped; then break; fi
                    psql_failure psql
                    fail "the databases could not be renamed" "$message" "$(restore_advice "$message" "$is_lost")" ;;
            esac
        fi
        if [ "$(now_epoch)" -ge "$swap_deadline" ]; then
            fail "the database to be replaced is still in use" "${busy:-short-lived sessions} in '$RESTORE_TARGET'" \
                "End them, or set terminate_connections; a prepared transaction ends with COMMIT PREPARED or ROLLBACK PREPARED."
        fi
        [ "$waited" = yes ] || log "waiting at most $RESTORE_WAIT_SECONDS s for the sessions in $RESTORE_TARGET to end"
        waited=yes
        sleep 1
    done
    temporary_database=no
}

try_swap() {
    clear_stages
    start_group restore_swap
    step_group=$group
    try_until=$(($(now_epoch) + SWAP_SECONDS))
    sleep 0.1 2>/dev/null || :
    while [ ! -s "$work/psql.status" ] && kill -0 "$step_group" 2>/dev/null && [ "$(now_epoch)" -lt "$try_until" ]; do
        pause
        [ -s "$work/psql.status" ] || end_sessions
    done
    end_group "$step_group"
    step_group=
    [ "$(stage_status_of psql)" = 0 ]
}

# is_swapped: whether the transaction was committed although psql failed.
is_swapped() {
    temporary_count=$(PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" 2>/dev/null <<'SQL'
SELECT count(*) FROM pg_catalog.pg_database WHERE datname = :'temporary';
SQL
    ) && [ "$temporary_count" = 0 ]
}

# drop_empty_database: drops the database that was replaced, if it still has no objects.
drop_empty_database() {
    object_count=$(objects_in "$RESTORE_OLD" 2>"$work/drop.err") || object_count=unknown
    if [ "$object_count" = 0 ] && drop_database "$RESTORE_OLD" 2>"$work/drop.err"; then
        log "dropped the empty database that had this name"
        replaced=
    else
        warn "the empty database that had the name '$RESTORE_TARGET' is kept as '$RESTORE_OLD' ($object_count objects): $(psql_error "$work/drop.err")"
    fi
}

# objects_in DATABASE: prints the number of its objects that belong neither to PostgreSQL nor to an extension. (16384 is
# FirstNormalObjectId, access/transam.h.)
objects_in() {
    quiet_psql "$1" <<'SQL'
WITH object AS (
    SELECT 'pg_class'::regclass AS class, oid FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
    UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typtype IN ('d', 'e', 'r')
    UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata
)
SELECT count(*) FROM object WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = class AND objid = object.oid AND deptype = 'e');
SQL
}

# has_late_parts: whether the backup has parts of an extension that can only be created in the database with the final name
# (pg_cron, whose background worker connects to the database cron.database_name).
has_late_parts() { grep -q "^extension_part$TAB" "$work/facts"; }

# check_late_parts: warns if they are left out.
check_late_parts() {
    has_late_parts && [ "$cron_database" != "$RESTORE_TARGET" ] || return 0
    late_reason="the server's cron.database_name is ${cron_database:-not set}"
    leave_out "extension pg_cron" "$late_reason"
    warn "the extension pg_cron and its jobs are left out, because it can only be in the database that cron.database_name names: $late_reason"
}

# start_extensions: what extensions need when the database has its final name; a failure is only a warning.
start_extensions() {
    [ -s "$work/at_end.sql" ] || return 0
    quiet_psql "$RESTORE_TARGET" <"$work/at_end.sql" >/dev/null 2>"$work/at_end.err" ||
        warn "the database is restored, but an extension could not be started: $(psql_error "$work/at_end.err"); run in it: $(tr '\n' ' ' <"$work/at_end.sql")"
}

# restore_late_parts: a failure is only a warning: the database has its final name.
restore_late_parts() {
    has_late_parts || return 0
    if is_transformed; then
        leave_out "extension pg_cron" "transform_sql and assert_sql cannot see what is restored after them"
        warn "the extension pg_cron and its jobs are left out: they can only be restored when the database has its final name, after transform_sql and assert_sql"
        return
    fi
    check_late_parts
    [ "$cron_database" = "$RESTORE_TARGET" ] || return 0
    begin_step extensions
    clear_stages
    run_group restore_late_parts
    if [ "$(stage_status_of psql)" = 0 ]; then
        log "restored the extension pg_cron and its jobs"
    else
        psql_failure psql
        leave_out "extension pg_cron" "$message"
        warn "the database is restored, but not its extension pg_cron and its jobs: $message"
    fi
    end_step extensions
}

step_restore_late_parts() {
    section_text | stage text copy_late_parts | stage psql feed_psql "$RESTORE_TARGET" >/dev/null
}

# copy_late_parts: the statements on standard input that restore_section left out, in one transaction.
copy_late_parts() {
    printf 'BEGIN;\nSET LOCAL client_encoding = %s;\nSET LOCAL row_security = off;\n' "$encoding"
    [ "$standard" = on ] || printf 'SET LOCAL standard_conforming_strings = off;\n'
    position=0
    while IFS=$TAB read -r fact_name fact_offset fact_length _ <&3; do
        [ "$fact_name" = extension_part ] || continue
        copy_bytes $((fact_offset - position)) >/dev/null && copy_bytes "$fact_length" || return 1
        position=$((fact_offset + fact_length))
    done 3<"$work/facts"
    cat >/dev/null
    echo 'COMMIT;'
}

# drop_temporary: drops the temporary database.
drop_temporary() { drop_with_retries drop_database "$RESTORE_TEMPORARY" && log "the temporary database was dropped"; }

warn_temporary_remains() {
    warn "The temporary database '$RESTORE_TEMPORARY' could not be dropped: $(psql_error "$work/drop.err"). The next restore of this database drops it."
}

# drop_with_retries FUNCTION [ARGUMENT ...]: calls the function, which drops what this restore created, when the sessions of this
# restore have ended: a CREATE DATABASE whose client has gone would still create one.
drop_with_retries() {
    tries=0
    while [ "$tries" -lt "$DROP_TRIES" ]; do
        if { end_own_sessions && PGAPPNAME='postgres-backup clean-up' "$@"; } 2>"$work/drop.err"; then return 0; fi
        tries=$((tries + 1))
        sleep 2
    done
    return 1
}

# end_own_sessions: ends the sessions of this restore and those in its temporary database, and waits for their end.
end_own_sessions() {
    PGAPPNAME='postgres-backup clean-up' PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" --set=session="$session" >/dev/null <<'SQL'
SET client_min_messages = error;
SELECT set_config('restore.session', :'session', false);
SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = :'session' OR datname = :'temporary';
DO $$ BEGIN
    FOR i IN 1..50 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = current_setting('restore.session'));
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
SQL
}

# drop_leftovers: drops temporary databases of earlier restores of the same database, to which nobody is connected.
drop_leftovers() {
    quiet_psql "$maintenance" --set=mark="$RESTORE_MARK" >"$work/leftovers" 2>"$work/psql.err" <<'SQL' || warn "databases of earlier restores could not be listed: $(psql_error "$work/psql.err")"
SELECT datname FROM pg_catalog.pg_database d JOIN pg_catalog.pg_db_role_setting s ON setdatabase = d.oid AND setrole = 0
    WHERE :'mark' = ANY (setconfig) AND datname !~ E'[\n\r]'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND backend_type = 'client backend');
SQL
    unmarked_leftovers >>"$work/leftovers"
    while IFS= read -r leftover <&3; do
        if drop_database "$leftover" 2>"$work/drop.err"; then
            warn "dropped the temporary database of an earlier restore: $(utf8 "$leftover")"
        else
            warn "the temporary database of an earlier restore, '$(utf8 "$leftover")', could not be dropped: $(psql_error "$work/drop.err")"
        fi
    done 3<"$work/leftovers"
}

# unmarked_leftovers: prints the temporary databases of this target that have no mark, because the restore was killed while
# the server created them, which continues without its client.
unmarked_leftovers() {
    quiet_psql "$maintenance" --set=begin="${RESTORE_TEMPORARY%_*}_" 2>/dev/null <<'SQL' || :
SELECT datname FROM pg_catalog.pg_database d
    WHERE left(datname, length(:'begin')) = :'begin' AND substr(datname, length(:'begin') + 1) ~ '^[0-9a-z]+$'
        AND datconnlimit = 0 AND shobj_description(oid, 'pg_database') IS NULL
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting WHERE setdatabase = d.oid)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid);
SQL
}

# drop_database NAME: drops a database that a restore created, after what would prevent that: subscriptions (their slots on
# the publisher are kept: they may belong to another database), slots, prepared transactions, and the template flag.
drop_database() {
    # One that was being transformed is closed. Only what can be dropped from no other database is worth opening it to superusers.
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=name="$1" >/dev/null 2>&1 <<'SQL' || :
SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', datname) FROM pg_catalog.pg_database d WHERE datname = :'name' AND NOT datallowconn
    AND (EXISTS (SELECT FROM pg_catalog.pg_subscription WHERE subdbid = d.oid) OR EXISTS (SELECT FROM pg_catalog.pg_prepared_xacts WHERE database = datname)
        OR EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE database = datname))
\gexec
SQL
    PGCONNECT_TIMEOUT=5 quiet_psql "$1" >/dev/null 2>&1 <<'SQL' || :
SET client_min_messages = error;
SELECT format('ALTER SUBSCRIPTION %I DISABLE', subname), format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', subname),
        format('DROP SUBSCRIPTION %I', subname)
    FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE datname = current_database()
\gexec
SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_catalog.pg_prepared_xacts WHERE database = current_database()
\gexec
SELECT pg_drop_replication_slot(slot_name) FROM pg_catalog.pg_replication_slots WHERE database = current_database() AND NOT active;
SQL
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=name="$1" >/dev/null <<'SQL'
SET client_min_messages = error;
SELECT format('ALTER DATABASE %I IS_TEMPLATE false', datname) FROM pg_catalog.pg_database WHERE datname = :'name' AND datistemplate
\gexec
SELECT format('DROP DATABASE IF EXISTS %I%s', :'name', CASE WHEN current_setting('server_version_num')::int >= 130000 THEN ' WITH (FORCE)' END)
\gexec
SQL
}
