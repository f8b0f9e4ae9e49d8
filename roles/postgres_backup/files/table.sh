# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh _restore_table`: restores tables of one database from a backup on the volume into a schema next to the live ones,
# compares them with the live tables by their keys, and merges them on request. The module restore_table starts it in a Job;
# table_plan.py describes the RESTORE_* variables. The tables' definitions come from a temporary database, in which the
# backup's statements have run without rows; their rows go from the backup's text into the live database.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files
# shellcheck disable=SC2030,SC2031 # report_tables changes them for one message
# shellcheck disable=SC2329 # stage() and hooks call functions by name

UNFINISHED_SCHEMA="Unfinished restore of tables by homelab.postgres_backup. The next restore of tables into this database drops the schema."

restore_table() {
    temporary_database=no has_schema=no server_answered=no target_exists=no left_out=''
    tables=null table_needs='[]' missing_objects='[]' is_merged=no
    again="Start the restore again"
    begin_restore end_failed_tables pg_dump

    choose_backup
    export file
    start_group table_hash
    hash_group=$group hash_checked=no
    find_section
    export has_part part_offset part_bytes section_offset section_bytes globals_part globals_bytes
    schema_file=$work/schema.sql
    : >"$schema_file"
    export schema_file
    read_facts
    export encoding
    [ "$inserts" = 0 ] || fail "the backup has the rows as INSERT statements" "$inserts of them in '$RESTORE_DATABASE' of $backup" \
        "Restore the database under a new name (restore_database), and copy the tables from there."
    # The caller has read this very file: nothing of another one is executed.
    [ -z "$RESTORE_SHA256" ] || check_hash
    export expected_sha256 backup
    check_live_database
    end_step prepare
    [ "$RESTORE_CHECK" = yes ] || { drop_leftovers; drop_leftover_schemas; }
    define_tables
    load_tables
    if [ "$RESTORE_CHECK" = yes ]; then
        log "check: $table_summary of $backup can be restored into $RESTORE_TARGET; nothing was changed"
    else
        log "OK: $table_summary of $backup (sha256 $sha256) are restored into the schema $RESTORE_SCHEMA of $RESTORE_TARGET"
    fi
    finish_tables
}

# step_table_hash: step_restore_hash, for a step that waits for its end (hash_is_expected).
step_table_hash() {
    step_restore_hash
    : >"$work/hash.end"
}

finish_tables() {
    trap '' TERM INT HUP
    report_tables succeeded
    clean_up
}

# report_tables STATE: prints the result; the termination message has it without the tables if it is too long.
report_tables() {
    restored=$(table_result "$1")
    if [ ${#restored} -le "$TERMINATION_MESSAGE_BYTES" ]; then
        write_termination_message "$restored" table_result "$1"
    else
        write_termination_message "$(tables=null table_needs='[]'; table_result "$1")" table_result "$1"
    fi
    printf '%s\n' "$restored"
}

# table_result STATE: prints the result as one line of JSON.
table_result() {
    schema_json=null
    [ "$has_schema" = no ] || schema_json="\"$RESTORE_SCHEMA\""
    printf '{"state":"%s","operation":"restore_table","reason":%s,"signal":%s,"backup":%s,"sha256":%s,"database":%s,"target":%s,"schema":%s' "$1" "$reason" \
        "$(json_or_null "$ended_by")" "$(json_or_null "$backup")" "$(json_or_null "$sha256")" "$(json "$RESTORE_DATABASE")" "$(json "$RESTORE_TARGET")" "$schema_json"
    printf ',"missing_databases":%s,"tables":%s,"merged":%s,"needs":%s,"missing":%s,"seconds":{%s},"warnings":[%s]' "$missing_databases" \
        "$tables" "$(case $is_merged in yes) echo true ;; no) echo false ;; *) echo null ;; esac)" "$table_needs" "$missing_objects" "$step_seconds" "$warnings"
    print_openers
    printf '}'
}

# end_failed_tables: $on_failure of a restore of tables: cleans up on the server, and prints the result.
end_failed_tables() {
    end_group "$hash_group"
    [ "$temporary_database" != maybe ] || drop_temporary || warn_temporary_remains
    case $has_schema in
        maybe)
            if drop_with_retries drop_restored_schema; then
                has_schema=no
            else
                warn "The schema '$RESTORE_SCHEMA' could not be dropped: $(psql_error "$work/drop.err"). The next restore of tables into this database drops it."
            fi ;;
        yes) warn "The schema '$RESTORE_SCHEMA' with the restored tables is kept." ;;
    esac
    set_reason
    [ "$server_answered" = no ] || [ "$is_merged" = unknown ] || log "  The live tables are unchanged."
    report_tables failed
}

# check_live_database: queries the server without changing it.
check_live_database() {
    # The temporary database has no rows: it needs no tablespace.
    sed -E 's/ TABLESPACE ("([^"]|"")*"|[^ ]+)//' "$work/create.sql" >"$work/create.new" && mv "$work/create.new" "$work/create.sql"
    check_target
    [ "$target_exists" = yes ] || fail "the database is not on the server" "'$RESTORE_TARGET'" \
        "Restore the complete database (restore_database), or set target to the database that gets the tables."
}

# drop_restored_schema: drops the schema of this restore.
drop_restored_schema() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$RESTORE_TARGET" --set=schema="$RESTORE_SCHEMA" >/dev/null <<'SQL'
SET client_min_messages = error;
SET lock_timeout = '10s';
DROP SCHEMA IF EXISTS :"schema" CASCADE;
SQL
}

# drop_leftover_schemas: drops the schemas of earlier restores of tables that did not finish.
drop_leftover_schemas() {
    PGAPPNAME='postgres-backup clean-up' quiet_psql "$RESTORE_TARGET" --set=mark="$UNFINISHED_SCHEMA" >"$work/leftovers" 2>"$work/psql.err" <<'SQL' || warn "a schema of an earlier restore could not be dropped: $(psql_error "$work/psql.err")"
SET client_min_messages = error;
SET lock_timeout = '10s';
SELECT format('DROP SCHEMA %I CASCADE', nspname), format('SELECT %L', nspname) FROM pg_catalog.pg_namespace n
    WHERE nspname ~ '^restored_[0-9]{14}$' AND obj_description(oid, 'pg_namespace') = :'mark'
\gexec
SQL
    while IFS= read -r leftover <&3; do warn "dropped the schema of an earlier restore: $leftover"; done 3<"$work/leftovers"
}
