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
    step=prepare step_began=$(now_epoch) step_seconds='' step_group='' warnings=''
    reason=null ended_by='' replaced='' created_roles='[]' rows=null server_databases=null pending_signal='' temporary_database=no server_answered=no target_exists=no
    maintenance=postgres
    keep_streams
    on_failure=end_failed_restore
    catch_signals end_restore_by_signal TERM INT HUP
    read_configuration
    read_server_configuration
    require_tools psql awk cp cut dd grep gzip head mktemp sed sha256sum stat tr
    check_volume
    require_work_folder
    choose_decompressor
    # A session cannot rename the database that it is connected to.
    maintenance=$POSTGRES_BACKUP_DATABASE
    [ "$maintenance" != "$RESTORE_TARGET" ] || maintenance=template1
    [ "$maintenance" != "$RESTORE_TARGET" ] || maintenance=postgres
    file=$POSTGRES_BACKUP_DIR/$RESTORE_BACKUP
    session="postgres-backup restore $RESTORE_TOKEN"
    PGAPPNAME=$session
    # check_target adds settings of PostgreSQL 14 and later, and of superusers.
    given_options=${PGOPTIONS:-}
    PGOPTIONS="$given_options $(session_options 0 no)"
    quiet_options='-c search_path=pg_catalog'
    export maintenance file PGAPPNAME PGOPTIONS quiet_options

    compare_hash
    check_target
    end_step prepare
    [ "$target_exists" = no ] || check_replication
    if [ "$RESTORE_CHECK" = yes ]; then
        [ "$RESTORE_CREATE_ROLES" = no ] || created_roles=$missing_roles
        [ "$target_exists" = no ] || replaced=$RESTORE_OLD
        log "check: $RESTORE_DATABASE of $RESTORE_BACKUP can be restored as $RESTORE_TARGET"
        finish
        return
    fi
    drop_leftovers
    [ "$missing_roles" = '[]' ] || make_roles
    make_database
    restore_section
    step=swap
    swap_databases
    end_step swap
    [ "$target_exists" = no ] || replaced=$RESTORE_OLD
    report_replication
    log "OK: $RESTORE_DATABASE of $RESTORE_BACKUP is restored as $RESTORE_TARGET, $rows rows"
    finish
}

finish() {
    trap '' TERM INT HUP
    restored=$(restore_result succeeded)
    write_termination_message "$restored" restore_result succeeded
    printf '%s\n' "$restored"
    clean_up
}

# restore_result STATE: prints the result as one line of JSON.
restore_result() {
    printf '{"state":"%s","operation":"restore","reason":%s,"signal":%s,"backup":%s,"database":%s,"target":%s,"replaced":%s' "$1" "$reason" \
        "$(json_or_null "$ended_by")" "$(json "$RESTORE_BACKUP")" "$(json "$RESTORE_DATABASE")" "$(json "$RESTORE_TARGET")" "$(json_or_null "$replaced")"
    printf ',"created_roles":%s,"rows":%s,"seconds":{%s},"databases":%s,"warnings":[%s]}' "$created_roles" "$rows" "$step_seconds" \
        "$server_databases" "$warnings"
}

# end_failed_restore: $on_failure of a restore: cleans up on the server, and prints the result.
end_failed_restore() {
    [ "$step" != roles ] || created_roles=$(existing_roles)
    if [ "$temporary_database" = maybe ] && ! drop_temporary; then
        warn "The temporary database '$RESTORE_TEMPORARY' could not be dropped: $(psql_error "$work/drop.err"). The next restore of this database drops it."
    fi
    [ "$created_roles" = '[]' ] || warn "these roles were created, and are kept: $(listed "$created_roles")"
    reason=$(json "$(printf '%s: %s' "$what" "$found. $advice" | head -c 1500)")
    [ "$server_answered" = no ] || log "  The existing databases are unchanged."
    restored=$(restore_result failed)
    write_termination_message "$restored" restore_result failed
    printf '%s\n' "$restored"
}

# end_restore_by_signal NAME
end_restore_by_signal() {
    ended_by=$1
    fail "the restore was terminated by SIG$1" "it was in the step: $step" \
        "Something stopped the pod: its deletion, its time limit, an eviction, or a shutdown of its node. Start the restore again"
}

# listed JSON: prints the elements of an array of strings, for messages.
listed() { printf '%s' "$1" | sed -e 's/^\[//' -e 's/\]$//'; }

# quiet_psql DATABASE [ARGUMENT ...]: runs SQL from standard input; prints values only.
quiet_psql() {
    quiet_database=$1
    shift
    PGOPTIONS="$PGOPTIONS $quiet_options" PGCLIENTENCODING=UTF8 psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 \
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

step_restore_hash() { stage read dd if="$file" bs=1048576 | stage hash sha256sum >"$work/hash"; }

step_restore_query() { stage psql query_target >"$work/answers"; }

step_restore_roles() { stage psql run_roles >"$work/answers"; }

step_restore_create() { stage psql create_database >"$work/answers"; }

# step_restore_section: sends only the section's pieces of the text to psql.
step_restore_section() { stage expand decompress <"$file" | stage text feed_section; }

step_restore_properties() { stage psql set_properties >"$work/answers"; }

step_restore_swap() { stage psql swap_names; }

# compare_hash: fails if the file is not the one that the caller verified.
compare_hash() {
    case $RESTORE_BACKUP in
        .* | */*) fail "invalid name of a backup" "'$RESTORE_BACKUP'" "Set the name of a file on the volume." ;;
    esac
    [ -f "$file" ] || fail "the backup is not on the volume" "$RESTORE_BACKUP is not in $POSTGRES_BACKUP_DIR" \
        "List the backups on the volume (backup_info); retention may have deleted it."
    [ -r "$file" ] || fail "the backup cannot be read" "$(ls -l "$file"), running as $(id)" "$ADVICE_PERMISSION"
    file_before=$(stat -c '%i %s %Y' "$file")
    clear_stages
    run_group restore_hash
    [ "$(stage_status_of read)$(stage_status_of hash)" = 00 ] || fail "the backup cannot be read" "$(stage_message_of read)" \
        "Check the storage behind the volume."
    volume_hash=$(cut -c 1-64 "$work/hash")
    [ "$volume_hash" = "$RESTORE_SHA256" ] || fail "the backup on the volume is not the one that was verified" \
        "expected sha256 $RESTORE_SHA256, found $volume_hash in $RESTORE_BACKUP" \
        "It was changed or damaged since then, or the contents are those of another backup: fetch it with verify again."
}

query_target() {
    quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=roles="$RESTORE_ROLES" --set=tablespace="$RESTORE_TABLESPACE" \
        --set=old="$RESTORE_OLD" <<'SQL'
SELECT current_setting('server_version_num')::int / 10000;
SELECT current_setting('server_version');
SELECT CASE WHEN rolsuper THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_roles WHERE rolname = current_user;
SELECT CASE WHEN rolsuper THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_roles WHERE rolname = session_user;
SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_database WHERE datname = :'target';
SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_database WHERE datname = :'old';
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
SELECT CASE WHEN count(*) > 0 OR :'tablespace' = '' THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_tablespace WHERE spcname = :'tablespace';
SELECT json_agg(datname::text ORDER BY datname) FROM pg_catalog.pg_database;
SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = :'target' AND pid <> pg_backend_pid();
SQL
}

# check_target: queries the server without changing it; sets `target_exists` and `missing_roles`.
check_target() {
    run_step query "the server does not answer"
    {
        IFS= read -r server_major
        IFS= read -r server_version
        IFS= read -r is_superuser
        IFS= read -r connects_as_superuser
        IFS= read -r target_exists
        IFS= read -r old_exists
        IFS= read -r missing_roles
        IFS= read -r has_tablespace
        IFS= read -r server_databases
        IFS= read -r sessions
    } <"$work/answers"
    server_answered=yes
    # PGOPTIONS are applied with the rights of the user that connects, whose settings may switch to another role.
    PGOPTIONS="$given_options $(session_options "$server_major" "$connects_as_superuser")"
    # A login trigger of the restored database must not run.
    [ "$connects_as_superuser" = no ] || [ "$server_major" -lt 17 ] || quiet_options="$quiet_options -c event_triggers=off"
    # Names in an SQL_ASCII database may be in any encoding.
    server_databases=$(utf8 "$server_databases")
    if [ -n "$RESTORE_MAJOR" ] && [ "$server_major" -lt "$RESTORE_MAJOR" ]; then
        fail "the server is older than the backup" "the server is PostgreSQL $server_version, the backup is of $RESTORE_MAJOR" \
            "Restore into a server of PostgreSQL $RESTORE_MAJOR or newer."
    fi
    if [ "$target_exists" = yes ] && [ "$RESTORE_REPLACE" = no ]; then
        fail "the database already exists" "'$RESTORE_TARGET' is on the server" "Set new_name, or replace to have the old one renamed."
    fi
    [ "$target_exists$old_exists" != yesyes ] || fail "the name for the old database is taken" "'$RESTORE_OLD'" "Start the restore again: the name contains the time."
    [ "$missing_roles" = '[]' ] || [ "$RESTORE_CREATE_ROLES" = yes ] ||
        fail "roles are missing on the server" "the backup's $RESTORE_DATABASE uses $(listed "$missing_roles")" "Create them, or set create_roles."
    [ "$has_tablespace" = yes ] || fail "the tablespace is missing on the server" "the backup's $RESTORE_DATABASE is in '$RESTORE_TABLESPACE'" \
        "Create that tablespace (CREATE TABLESPACE)."
    [ "$is_superuser" = yes ] || warn "$POSTGRES_BACKUP_USER is not a superuser: statements that only superusers may run will fail"
    [ "$target_exists" = no ] || [ "$sessions" = 0 ] || log "$sessions sessions are connected to $RESTORE_TARGET; they must have ended before it is renamed, or are terminated then if requested"
    log "server $PGHOST:$PGPORT, PostgreSQL $server_version; the backup's sha256 is the expected one"
}

# check_replication: warns about subscriptions and slots of the database to be replaced, which the restored one does not get.
check_replication() {
    quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=old="$RESTORE_OLD" >"$work/replication" 2>"$work/psql.err" <<'SQL' || warn "subscriptions and replication slots of $RESTORE_TARGET could not be listed: $(psql_error "$work/psql.err")"
SELECT translate(format('the subscription %I (%s, slot %s) belongs to the database to be replaced: in %I it continues to receive changes, and the subscription of the restored %I, if the backup has it, is disabled',
        subname, CASE WHEN subenabled THEN 'enabled' ELSE 'disabled' END, coalesce(quote_ident(subslotname), 'NONE'), :'old', :'target'), E'\n\r', '??')
    FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE datname = :'target' ORDER BY subname;
SELECT translate(format('the logical replication slot %I (%s) belongs to the database to be replaced: its subscriber receives nothing from the restored %I',
        slot_name, CASE WHEN active THEN 'in use' ELSE 'not in use' END, :'target'), E'\n\r', '??')
    FROM pg_catalog.pg_replication_slots WHERE database = :'target' ORDER BY slot_name;
SQL
    while IFS= read -r replication_warning <&3; do
        if [ "$RESTORE_CHECK" = yes ]; then warn "$(utf8 "$replication_warning")"; else log "warning: $(utf8 "$replication_warning")"; fi
    done 3<"$work/replication"
}

# report_replication: warns about subscriptions and slots after the restore, with the commands to repair them.
report_replication() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=old="$replaced" >"$work/replication" 2>"$work/psql.err" <<'SQL' || warn "subscriptions and replication slots of $RESTORE_TARGET could not be listed: $(psql_error "$work/psql.err")"
SELECT translate(format('%1$I still has the subscription %2$I%3$s. To end that, run in %1$I: ALTER SUBSCRIPTION %2$I DISABLE; ALTER SUBSCRIPTION %2$I SET (slot_name = NONE); DROP SUBSCRIPTION %2$I; (the slot %4$s is kept on the publisher)',
        datname, subname, CASE WHEN subenabled THEN ', which continues to receive changes' ELSE '' END, coalesce(quote_ident(subslotname), 'NONE')), E'\n\r', '??')
    FROM pg_catalog.pg_subscription JOIN pg_catalog.pg_database d ON d.oid = subdbid WHERE datname = :'old' ORDER BY subname;
SELECT translate(format('the subscription %2$I is disabled in the restored %1$I, which lacks the changes published since the backup. To receive changes again, run in %1$I%3$s: %4$sALTER SUBSCRIPTION %2$I ENABLE; ALTER SUBSCRIPTION %2$I REFRESH PUBLICATION WITH (copy_data = false); or, to drop it without its slot: ALTER SUBSCRIPTION %2$I SET (slot_name = NONE); DROP SUBSCRIPTION %2$I;',
        datname, subname, CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_subscription o
            WHERE o.subslotname = s.subslotname AND o.subdbid <> s.subdbid)
            THEN format(', when no other database''s subscription uses the slot %I any more', subslotname) ELSE '' END,
        CASE WHEN subslotname IS NULL THEN format('ALTER SUBSCRIPTION %1$I SET (slot_name = %1$I); ', subname) ELSE '' END), E'\n\r', '??')
    FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = subdbid
    WHERE datname = :'target' AND NOT subenabled ORDER BY subname;
SELECT translate(format('the logical replication slot %1$I belongs to %2$I now: its subscriber receives nothing from %3$I, and the slot retains WAL. Run in %2$I: SELECT pg_drop_replication_slot(%1$L); then in %3$I: SELECT pg_create_logical_replication_slot(%1$L, %4$L); and copy the data to the subscriber again',
        slot_name, database, :'target', plugin), E'\n\r', '??')
    FROM pg_catalog.pg_replication_slots WHERE database = :'old' ORDER BY slot_name;
SQL
    while IFS= read -r replication_warning <&3; do warn "$(utf8 "$replication_warning")"; done 3<"$work/replication"
}

run_roles() {
    quiet_psql "$maintenance" --set=roles="$missing_roles" >"$work/wanted" <<'SQL' || return 1
SELECT name FROM json_array_elements_text(:'roles') AS name WHERE name !~ E'[\n\r]';
SQL
    quiet_psql "$maintenance" >"$work/existing" <<'SQL' || return 1
SELECT rolname FROM pg_catalog.pg_roles;
SQL
    encoding=$(filter_globals facts | sed -n 's/^encoding //p')
    # In a variable: passwords must not be in a file, and truncated text would create incomplete roles.
    statements=$(filter_globals roles) || return 1
    printf 'BEGIN;\n%s\nCOMMIT;\n' "$statements" |
        PGCLIENTENCODING=${encoding:-UTF8} feed_psql "$maintenance" >/dev/null || return 1
    quiet_psql "$maintenance" --set=roles="$missing_roles" <<'SQL'
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
SQL
}

# filter_globals MODE: prints the output of globals.awk for the globals of the backup.
filter_globals() {
    decompress <"$file" 2>/dev/null | head -c "$RESTORE_GLOBALS_BYTES" |
        awk -v mode="$1" -v wanted="$work/wanted" -v existing="$work/existing" -v left_out="$work/left_out" -f "$work/globals.awk"
}

# existing_roles: prints which of the missing roles exist now.
existing_roles() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=roles="$missing_roles" 2>/dev/null <<'SQL' || printf '[]'
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name JOIN pg_catalog.pg_roles ON rolname = name;
SQL
}

make_roles() {
    step=roles
    export missing_roles
    run_step roles "the missing roles could not be created"
    still_missing=$(cat "$work/answers")
    [ "$still_missing" = '[]' ] || fail "the backup does not create these roles, or their names contain line breaks" \
        "$(listed "$still_missing")" "Create them by hand."
    created_roles=$missing_roles
    log "created roles: $(listed "$created_roles")"
    [ ! -s "$work/left_out" ] || warn "the server has no roles with these names, so memberships in them were not granted: $(utf8 "$(sort -u "$work/left_out" | tr '\n' ' ')")"
    end_step roles
}

create_database() {
    if [ "$connects_as_superuser" = yes ]; then limit=0; else limit=-1; fi
    printf '%s CONNECTION LIMIT %s;\n%s\n' "$RESTORE_CREATE_SQL" "$limit" "$RESTORE_MARK_SQL" | quiet_psql "$maintenance" || return 1
    printf '%s\n' "$RESTORE_BEFORE_SQL" | quiet_psql "$RESTORE_TEMPORARY"
}

# warn_left_out: warns about settings of the database that the server did not accept (restore_plan.py).
warn_left_out() {
    [ ! -s "$work/answers" ] || left_out=$(cat "$work/answers")
    [ -z "$left_out" ] || warn "PostgreSQL $server_version does not accept these settings of the database, which were left out (a newer version removed them, or their library is missing): $(utf8 "$left_out")"
}

make_database() {
    step=create temporary_database=maybe
    export connects_as_superuser
    run_step create "the temporary database could not be created"
    left_out=$(cat "$work/answers")
    log "restoring into the temporary database $RESTORE_TEMPORARY"
    end_step create
}

feed_section() {
    section_offset=${RESTORE_SECTION% *}
    copy_bytes "$section_offset" >/dev/null || return 1
    copy_bytes "${RESTORE_SECTION#* }" >"$work/section" || return 1
    position=$((section_offset + ${RESTORE_SECTION#* }))
    begins_section <"$work/section" || { echo foreign >"$work/foreign"; return 1; }
    # The commit of the swap also flushes these commits.
    stage pieces copy_pieces |
        PGOPTIONS="$PGOPTIONS -c synchronous_commit=off" stage psql feed_psql "$RESTORE_TEMPORARY" \
            keepalives_idle=30 keepalives_interval=10 keepalives_count=3 |
        stage count sum_rows >"$work/rows"
    head -c 64 >"$work/after_section"
}

copy_pieces() {
    while IFS=' ' read -r piece_offset piece_length <&3; do
        copy_bytes $((piece_offset - position)) >/dev/null && copy_bytes "$piece_length" || return 1
        position=$((piece_offset + piece_length))
    done 3<<PIECES
$RESTORE_PIECES
PIECES
}

# sum_rows: prints the sum of the rows that COPY and INSERT reported (libpq, PQcmdStatus).
sum_rows() { awk '/^COPY [0-9]+$/ { rows += $2 } /^INSERT [0-9]+ [0-9]+$/ { rows += $3 } END { printf "%.0f\n", rows }'; }

set_properties() { printf '%s\n' "$RESTORE_AFTER_SQL" | quiet_psql "$RESTORE_TEMPORARY"; }

restore_section() {
    step=restore
    clear_stages
    run_group restore_section
    [ ! -e "$work/foreign" ] || fail "the contents are not those of this backup" "no database begins at byte ${RESTORE_SECTION% *} of its text" \
        "Fetch the backup with verify again, and pass the contents that this returns."
    if [ "$(stage_status_of psql)" != 0 ]; then
        psql_failure psql
        fail "the restore stopped at an error" "$message" "$(restore_advice "$message" "$is_lost")"
    fi
    case $(head -n 2 "$work/after_section" 2>/dev/null | tr '\n' ' ' | tr -d '\r') in
        '-- -- PostgreSQL database cluster dump complete'*) ;;
        *) begins_section <"$work/after_section" || fail "the backup could not be read to the end of the database" \
            "its decompressor ended $(status_in_words "$(stage_status_of expand)")" "Check the storage behind the volume, and fetch the backup with verify again." ;;
    esac
    file_now=$(stat -c '%i %s %Y' "$file" 2>/dev/null) || fail "the backup can no longer be read" "$RESTORE_BACKUP" \
        "Check the storage behind the volume; the backup may have been deleted manually or by retention."
    [ "$file_now" = "$file_before" ] || fail "the backup changed while it was read" "$RESTORE_BACKUP" \
        "Find out what writes to the volume."
    rows=$(cat "$work/rows")
    [ "$rows" = "$RESTORE_ROWS" ] || rows_differ
    run_step properties "the properties of the database could not be set"
    warn_left_out
    log "restored $rows rows"
    end_step restore
}

# rows_differ: fails because COPY and INSERT reported another number of rows than the backup's text has. Only triggers and
# rules of extensions exist before the rows are restored.
rows_differ() {
    triggers_and_rules=$(quiet_psql "$RESTORE_TEMPORARY" 2>/dev/null <<'SQL'
SELECT translate(string_agg(text, ', ' ORDER BY text), E'\n\r', '??') FROM (SELECT text FROM (
    SELECT format('the trigger %I on %s (function %s)', tgname, tgrelid::regclass, tgfoid::regproc) AS text FROM pg_catalog.pg_trigger
        WHERE NOT tgisinternal AND tgtype & 7 = 7 AND EXISTS (SELECT FROM pg_catalog.pg_depend
            WHERE deptype = 'e' AND (classid, objid) IN (('pg_class'::regclass, tgrelid), ('pg_proc'::regclass, tgfoid)))
    UNION SELECT format('the rule %I on %s', rulename, ev_class::regclass) FROM pg_catalog.pg_rewrite WHERE ev_type = '3' AND is_instead
        AND EXISTS (SELECT FROM pg_catalog.pg_depend WHERE deptype = 'e' AND classid = 'pg_class'::regclass AND objid = ev_class)
) AS found ORDER BY text LIMIT 5) AS first;
SQL
    ) || triggers_and_rules=
    if [ "$rows" -lt "$RESTORE_ROWS" ] 2>/dev/null; then
        if [ -n "$triggers_and_rules" ]; then
            fail "the number of rows does not match the backup" "expected $RESTORE_ROWS, PostgreSQL reported $rows; these can change what is written: $(utf8 "$triggers_and_rules")" \
                "One of them, which exists before the rows are restored, left some out. Restore the database by hand, as in the runbook and in the extension's documentation of restores."
        fi
        fail "the number of rows does not match the backup" "expected $RESTORE_ROWS, PostgreSQL reported $rows" \
            "A trigger, a rule or INSERT ... ON CONFLICT left rows out while they were restored. The backup itself has them: a restore drill with contents (restore_drill) names the tables."
    fi
    fail "the number of rows does not match the backup" "expected $RESTORE_ROWS, PostgreSQL reported $rows" \
        "The contents are those of another backup, or were counted by another version of the collection: fetch the backup with verify again, and pass the contents that this returns."
}
