# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh _restore`: restores one database from a backup on the volume into the live server. The module
# restore_database starts it in a Job; restore_plan.py describes the RESTORE_* variables. The database is restored under a
# temporary name, to which only superusers can connect, and renamed in one transaction at the end.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

restore() {
    replaced='' created_roles='[]' rows=null tables=null server_databases=null pending_signal='' temporary_database=no server_answered=no target_exists=no
    again="Start the restore again"
    begin_restore end_failed_restore
    # A session cannot rename the database that it is connected to.
    [ "$maintenance" != "$RESTORE_TARGET" ] || maintenance=template1
    [ "$maintenance" != "$RESTORE_TARGET" ] || maintenance=postgres
    if [ "${RESTORE_CLEAN_UP:-no}" = yes ]; then
        clean_up_restore
        return
    fi

    choose_backup
    export file
    start_hash
    find_section
    export has_part part_offset part_bytes section_offset section_bytes globals_part globals_bytes
    read_facts
    export body_offset encoding standard
    # The caller has read this very file: nothing of another one is executed.
    [ -z "$RESTORE_SHA256" ] || check_hash
    check_target
    end_step prepare
    [ "$target_exists" = no ] || check_replication
    if [ "$RESTORE_CHECK" = yes ]; then
        check_hash
        [ "$RESTORE_CREATE_ROLES" = no ] || created_roles=$missing_roles
        [ "$target_exists" = no ] || replaced=$RESTORE_OLD
        [ "$inserts" != 0 ] || rows=$planned_rows
        check_late_parts
        log "check: $RESTORE_DATABASE of $backup can be restored as $RESTORE_TARGET"
        finish
        return
    fi
    drop_leftovers
    [ "$missing_roles" = '[]' ] || make_roles
    make_database
    restore_section
    finish_database
    check_hash
    begin_step swap
    swap_databases
    end_step swap
    [ "$target_exists" = no ] || replaced=$RESTORE_OLD
    [ -z "$replaced" ] || [ "${RESTORE_DROP_EMPTY:-no}" = no ] || drop_empty_database
    start_extensions
    restore_late_parts
    report_replication
    log "OK: $RESTORE_DATABASE of $backup (sha256 $sha256) is restored as $RESTORE_TARGET, $rows rows"
    finish
}

# begin_restore END_FAILED [TOOL ...]: what each kind of restore begins with: its state, signals, configuration and session.
# END_FAILED is its $on_failure; `again` has what to do after a signal.
begin_restore() {
    step=prepare step_began=$(now_epoch) step_seconds='' step_group='' watch_group='' hash_group='' warnings='' reason=null ended_by=''
    backup=$RESTORE_BACKUP sha256='' missing_databases='[]' left_out_objects='' needs=''
    progress_members=
    [ -z "${RESTORE_DATABASE:-}" ] || progress_members=",\"subject\":$(json "$RESTORE_DATABASE")"
    progress prepare "$progress_members"
    keep_streams
    on_failure=$1
    shift
    catch_signals end_restore_by_signal TERM INT HUP
    read_configuration
    read_server_configuration
    require_tools psql awk cp cut dd find grep gzip head mktemp mv sed sha256sum sort stat tail tr "$@"
    check_volume
    require_work_folder
    choose_decompressor
    maintenance=$POSTGRES_BACKUP_DATABASE
    session="postgres-backup restore $RESTORE_TOKEN"
    PGAPPNAME=$session
    # The settings of PostgreSQL 14 and later, and of superusers, are added when the server is known.
    given_options=${PGOPTIONS:-}
    PGOPTIONS="$given_options $(session_options 0 no)"
    quiet_options='-c search_path=pg_catalog -c standard_conforming_strings=on'
    export maintenance PGAPPNAME PGOPTIONS quiet_options
}

# clean_up_restore: drops what a restore with the same names left behind that was killed.
clean_up_restore() {
    drop_temporary || fail "the temporary database could not be dropped" "$(psql_error "$work/drop.err")" "The next restore of this database drops it."
    finish
}

finish() {
    trap '' TERM INT HUP
    print_result restore_result succeeded
    clean_up
}

# restore_result STATE: prints the result as one line of JSON.
restore_result() {
    printf '{"state":"%s","operation":"restore","reason":%s,"signal":%s,"backup":%s,"sha256":%s,"database":%s,"target":%s,"replaced":%s' "$1" "$reason" \
        "$(json_or_null "$ended_by")" "$(json_or_null "$backup")" "$(json_or_null "$sha256")" "$(json "$RESTORE_DATABASE")" "$(json "$RESTORE_TARGET")" \
        "$(json_or_null "$replaced")"
    printf ',"created_roles":%s,"missing_databases":%s,"rows":%s,"tables":%s,"left_out":[%s],"needs":[%s],"seconds":{%s},"databases":%s,"warnings":[%s]' "$created_roles" \
        "$missing_databases" "$rows" "$tables" "$left_out_objects" "$needs" "$step_seconds" "$server_databases" "$warnings"
    print_openers
    printf '}'
}

# end_failed_restore: $on_failure of a restore: cleans up on the server, and prints the result.
end_failed_restore() {
    end_group "$hash_group"
    [ "$step" != roles ] || created_roles=$(existing_roles)
    [ "$temporary_database" != maybe ] || drop_temporary || warn_temporary_remains
    [ "$created_roles" = '[]' ] || warn "these roles were created, and are kept: $(listed "$created_roles")"
    set_reason
    [ "$server_answered" = no ] || log "  The existing databases are unchanged."
    print_result restore_result failed
}

# set_reason: sets `reason` to why the restore failed (fail_with).
set_reason() { reason=$(json "$(printf '%s: %s' "$what" "$found. $advice" | head -c 1500)"); }

# end_restore_by_signal NAME
end_restore_by_signal() {
    ended_by=$1
    fail "the restore was terminated by SIG$1" "it was in the step: $step" \
        "Something stopped the pod: its deletion, its time limit, an eviction, or a shutdown of its node. $again"
}

# listed JSON: prints the elements of an array of strings, for messages.
listed() { printf '%s' "$1" | sed -e 's/^\[//' -e 's/\]$//'; }

# quiet_psql DATABASE [ARGUMENT ...]: runs SQL from standard input, in the encoding $sql_encoding; prints values only.
quiet_psql() {
    quiet_database=$1
    shift
    PGOPTIONS="$PGOPTIONS $quiet_options" PGCLIENTENCODING=${sql_encoding:-UTF8} psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 \
        --set=VERBOSITY=verbose "$@" --dbname="$(connection "$quiet_database" keepalives_idle=30 keepalives_interval=10 keepalives_count=3)"
}

# run_step NAME WHAT: runs the step restore_NAME; if its psql fails, the restore fails with its error.
run_step() {
    clear_stages
    run_group "restore_$1"
    [ "$step_status" -ne 0 ] || return 0
    psql_failure psql
    fail "$2" "$message" "$(restore_advice "$message" "$is_lost")"
}

step_restore_query() { stage psql query_target >"$work/answers"; }

step_restore_roles() { stage psql run_roles >"$work/answers"; }

step_restore_create() { stage psql create_database >"$work/answers"; }

step_restore_properties() { stage psql set_properties >"$work/answers"; }

step_restore_extensions() { stage psql finish_extensions >/dev/null; }

step_restore_after() { stage psql run_after_sql >/dev/null; }

step_restore_count() { stage psql count_tables >"$work/counted"; }

step_restore_swap() { stage psql swap_names; }

create_database() {
    if [ "$connects_as_superuser" = yes ]; then limit=0; else limit=-1; fi
    quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" --set=mark="${RESTORE_MARK#*=}" --set=target="$RESTORE_TARGET" <<SQL || return 1
$(cat "$work/create.sql") CONNECTION LIMIT $limit;
ALTER DATABASE :"temporary" SET ${RESTORE_MARK%%=*} TO :'mark';
SELECT format('COMMENT ON DATABASE %I IS %L', :'temporary', format('Unfinished restore of %I by homelab.postgres_backup. The next restore of that database drops it, once nobody is connected (its setting %s)', :'target', '${RESTORE_MARK%%=*}'))
\gexec
SQL
    ! grep -q . "$work/settings.sql" || (sql_encoding=$encoding; quiet_psql "$RESTORE_TEMPORARY") <"$work/settings.sql"
}

# warn_left_out: warns about settings of the database that the server did not accept (database.awk).
warn_left_out() {
    [ ! -s "$work/answers" ] || left_out=$(cat "$work/answers")
    [ -n "$left_out" ] || return 0
    left_out=$(utf8 "$left_out")
    leave_out "settings: $left_out" "PostgreSQL $server_version does not accept them"
    warn "PostgreSQL $server_version does not accept these settings of the database, which were left out (a newer version removed them, or their library is missing): $left_out"
}

# leave_out OBJECT REASON: adds an entry to `left_out` of the result.
leave_out() {
    left_out_objects="$left_out_objects${left_out_objects:+,}{\"database\":$(json "$RESTORE_DATABASE"),\"object\":$(json "$1"),\"reason\":$(json "$2")}"
}

make_database() {
    begin_step create
    temporary_database=maybe
    export connects_as_superuser server_major
    run_step create "the temporary database could not be created"
    left_out=$(cat "$work/answers")
    log "restoring into the temporary database $RESTORE_TEMPORARY"
    end_step create
}

# step_restore_section: sends the body to psql. In a complete text, the bytes after the section show that it was read to its end.
step_restore_section() {
    if [ "$has_part" = yes ]; then
        part_text | stage text feed_body
    else
        stage expand backup_text "$file" | stage text feed_section
    fi
}

feed_section() {
    copy_bytes "$section_offset" >/dev/null || return 1
    copy_bytes "$section_bytes" | feed_body
    head -c 64 >"$work/after_section"
}

# feed_body: restores the database's text on standard input. The commit of the swap also flushes these commits.
feed_body() {
    { begin_session && copy_bytes "$body_offset" >/dev/null && before_body && stage edit edit_text "$work/edits" "$body_offset" && end_session; } |
        PGOPTIONS="$PGOPTIONS -c synchronous_commit=off" stage psql feed_psql "$RESTORE_TEMPORARY" \
            keepalives_idle=30 keepalives_interval=10 keepalives_count=3 |
        stage count reported_rows >"$work/reported"
}

# is_transformed: whether the restore has transform_sql or assert_sql (restore_transform.sh).
is_transformed() { [ -n "${RESTORE_TRANSFORM_SQL:-}${RESTORE_ASSERT_SQL:-}" ]; }

begin_session() { ! is_transformed || close_database; }

end_session() { ! is_transformed || after_body; }

# before_body: prints the user's SQL; its output does not count as that of the backup.
before_body() {
    [ -z "$RESTORE_BEFORE_SQL" ] || printf '\\o /dev/null\nSET client_encoding = UTF8;\n%s\n;\nRESET client_encoding;\n\\o\n' "$RESTORE_BEFORE_SQL"
}

restore_section() {
    begin_step restore
    clear_stages
    ! shows_progress || start_size_watch
    run_group restore_section
    end_watch
    if is_transformed; then
        [ ! -e "$work/counted" ] || [ "$(stage_status_of psql)" = 0 ] || transformation_failed
        [ "$(stage_status_of psql)" != 0 ] || check_closed
    fi
    [ "$(stage_status_of psql)" = 0 ] || section_failed
    if [ "$has_part" = yes ]; then
        is_read=$(stage_status_of read)$(stage_status_of expand)
    else
        is_read=no
        ! follows_section <"$work/after_section" || is_read=00
    fi
    [ "$is_read$(stage_status_of edit)" = 000 ] || fail_with_backup "the backup could not be read to the end of the database" \
        "its decompressor ended $(status_in_words "$(stage_status_of expand)")" "Check the storage behind the volume, and fetch the backup with verify again."
    check_file
    compare_reported_rows
    end_step restore
}

# start_size_watch: reports meanwhile how large the temporary database is, and how large the database was on the server.
start_size_watch() {
    live_bytes=$(manifest_fact section_size)
    start_group restore_size_watch "$$" "$progress_members" "${live_bytes:+,\"total_bytes\":$live_bytes,\"is_estimate\":true}"
    watch_group=$group
}

# step_restore_size_watch PID MEMBERS LIVE_MEMBERS: one session, which ends with the restore PID at the latest. It begins
# after that of the restore, and a server without a free connection for it restores nevertheless.
step_restore_size_watch() {
    sleep 2
    while kill -0 "$1" 2>/dev/null; do
        printf '%s\n' "SELECT pg_catalog.pg_database_size(:'temporary');"
        sleep 2
    done | quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" 2>/dev/null | while read -r restored_bytes; do
        progress restore "$2,\"done_bytes\":$restored_bytes$3"
    done
}

# check_file: fails if the backup was changed or deleted, or cannot be read, since the restore began.
check_file() {
    file_now=$(stat -c '%i %s %Y' "$file" 2>/dev/null) || fail "the backup can no longer be read" "$backup" \
        "Check the storage behind the volume; the backup may have been deleted manually or by retention."
    [ "$file_now" = "$file_before" ] || fail "the backup changed while it was read" "$backup" \
        "Find out what writes to the volume."
}

# section_failed: fails with the error of psql, and with the option that may cure it.
section_failed() {
    psql_failure psql
    section_message=$message
    # What ends early, or is not what it was, leads to errors that hide their cause.
    if [ "$is_lost" = no ]; then
        check_file
        check_hash
    fi
    section_advice=$(restore_advice "$section_message" "$is_lost")
    if is_cured_by_search_path "$section_message"; then
        suggest_search_path
        needs="{\"database\":$(json "$RESTORE_DATABASE"),\"search_path\":$(json "$suggested_path"),\"object\":null,\"cure\":$(json "$SEARCH_PATH_CURE")}"
        section_advice="$section_advice A search_path for this database: $suggested_path."
    fi
    fail "the restore stopped at an error" "$section_message" "$section_advice"
}

SEARCH_PATH_CURE="So that no restore needs it: in the live database, add the schema to the name, or SET search_path to the function, and make a new backup."

# is_cured_by_search_path MESSAGE: whether the error may be due to the empty search_path: something with a name without a
# schema was not found.
is_cured_by_search_path() {
    [ -z "$RESTORE_SEARCH_PATH" ] && grep -q "^search_path$TAB" "$work/facts" || return 1
    unknown_state=$(sqlstate "$1")
    unknown_text=${1#*: "$unknown_state": }
    unknown_text=${unknown_text%% (*}
    case $unknown_state:$unknown_text in
        42704:'role "'* | 42704:'tablespace "'* | 42704:'unrecognized configuration'* | 42704:'access method "'*) return 1 ;;
        42883:'operator '* | 42883:'function '[!.]*'('*) case ${unknown_text%%(*} in 'function '*.*) return 1 ;; esac ;;
        42883:* | 42P01:* | 42704:* | 3F000:*) case $unknown_text in *\"*.*\"*) return 1 ;; esac ;;
        *) return 1 ;;
    esac
}

# suggest_search_path: sets `suggested_path` to the database's own setting, or to public and the schemas of its extensions.
suggest_search_path() {
    suggested_path=$(quiet_psql "$RESTORE_TEMPORARY" 2>/dev/null <<'SQL'
SELECT coalesce(
    (SELECT substr(setting, 13) FROM pg_catalog.pg_db_role_setting, unnest(setconfig) AS setting
        WHERE setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) AND setrole = 0 AND setting LIKE 'search\_path=%'),
    (SELECT string_agg(quote_ident(name), ', ' ORDER BY name <> 'public', name) FROM (
        SELECT 'public' AS name UNION SELECT nspname FROM pg_catalog.pg_extension JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace WHERE nspname <> 'pg_catalog') AS schemas));
SQL
    ) || suggested_path=
    suggested_path=$(utf8 "${suggested_path:-public}")
}

# finish_database: counts the rows, and does what follows the body.
finish_database() {
    progress count "$progress_members"
    if is_transformed; then
        compare_counted_rows
        warn_compared_as_text
        check_transformation
        warn_left_out
        end_step count
        return
    fi
    run_step count "the rows of the restored database could not be counted"
    compare_counted_rows
    warn_compared_as_text
    [ ! -s "$work/extensions.sql" ] || run_step extensions "the restore of an extension could not be ended"
    run_step properties "the properties of the database could not be set"
    warn_left_out
    [ -z "$RESTORE_AFTER_SQL" ] || run_step after "after_sql failed"
    log "restored $rows rows in $tables tables, all counted"
    end_step count
}

# warn_compared_as_text: warns about expressions that compared values of citext without regard to upper and lower case in the
# database that was backed up, and that compare them as text now. A dump cannot name the operators of IS DISTINCT FROM and NULLIF
# with a schema: with an empty search_path, PostgreSQL takes those of text, to which citext is converted.
warn_compared_as_text() {
    grep -q "^extension${TAB}[0-9]*${TAB}citext${TAB}" "$work/facts" || return 0
    compared_as_text=$(compared_as_text_sql | quiet_psql "$RESTORE_TEMPORARY" 2>/dev/null) || return 0
    [ -n "$compared_as_text" ] || return 0
    suggest_search_path
    warn "IS DISTINCT FROM or NULLIF compares values of citext as text, with regard to upper and lower case, in $(utf8 "$compared_as_text"), because a dump is restored with an empty search_path. To have them compared as before, restore with search_path = $suggested_path"
}

# compared_as_text_sql: 98 is the operator of text, 25 is text, and the format 2 is a conversion that is not written
# (pg_operator.dat, pg_type.dat, primnodes.h).
compared_as_text_sql() {
    cat <<'SQL'
SELECT string_agg(object, ', ' ORDER BY object) FROM (
    SELECT DISTINCT translate(pg_describe_object(class, trees.oid, 0), E'\n\r', '??') AS object FROM (
        SELECT 'pg_trigger'::regclass AS class, oid, tgqual::text AS tree FROM pg_trigger
        UNION ALL SELECT 'pg_rewrite'::regclass, oid, concat(ev_qual, ev_action) FROM pg_rewrite WHERE oid >= 16384
        UNION ALL SELECT 'pg_policy'::regclass, oid, concat(polqual, polwithcheck) FROM pg_policy
        UNION ALL SELECT 'pg_attrdef'::regclass, oid, adbin::text FROM pg_attrdef
        UNION ALL SELECT 'pg_constraint'::regclass, oid, conbin::text FROM pg_constraint
        UNION ALL SELECT 'pg_class'::regclass, indexrelid, concat(indexprs, indpred) FROM pg_index
    ) AS trees JOIN pg_type ON typname = 'citext'
    WHERE tree ~ format('\{(DISTINCTEXPR|NULLIFEXPR) :opno 98 [^{}]*:args \(\{RELABELTYPE :arg \{[^{}]*:(vartype|consttype|funcresulttype|resulttype) %s '
        '[^}]*(\{.*?\}[^{}]*)?\} :resulttype 25 [^{}]*:relabelformat 2', pg_type.oid)
    LIMIT 10) AS found;
SQL
}

set_properties() {
    { printf 'COMMENT ON DATABASE "%s" IS NULL;\n' "$RESTORE_TEMPORARY"; cat "$work/properties.sql"; } | (sql_encoding=$encoding; quiet_psql "$RESTORE_TEMPORARY")
}

finish_extensions() { quiet_psql "$RESTORE_TEMPORARY" --single-transaction <"$work/extensions.sql"; }

run_after_sql() { printf '%s\n' "$RESTORE_AFTER_SQL" | PGCLIENTENCODING=UTF8 feed_psql "$RESTORE_TEMPORARY"; }
