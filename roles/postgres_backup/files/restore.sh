# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh _restore`: one database out of a backup on the volume into the live server. The module restore_database
# starts it in a Job; restore_plan.py says what the RESTORE_* variables hold. The database is restored under a
# temporary name that nobody but superusers can connect to, and gets its own in one transaction at the end.
# shellcheck shell=sh
# shellcheck disable=SC2154 # backup.sh's variables
# shellcheck disable=SC2034 # and those that it reads
# shellcheck disable=SC2329 # stage() calls functions by name

# How long the swap may take once nobody is connected, and the last tries to reach the server when all is over.
SWAP_SECONDS=20
DROP_TRIES=8

restore() {
    step=prepare step_began=$(now_epoch) step_seconds='' step_group='' warnings=''
    reason=null replaced='' created_roles='[]' rows=null databases=null pending_signal='' made=no answered=no exists=no
    maintenance=postgres
    catch_signals TERM INT HUP
    # It connects as a run does.
    command=run
    read_configuration
    command=_restore
    require_tools psql awk cp cut dd grep gzip head mktemp sed sha256sum stat tr
    check_volume
    make_work_folder
    # One cannot rename the database that one is connected to.
    maintenance=$POSTGRES_BACKUP_DATABASE
    [ "$maintenance" != "$RESTORE_TARGET" ] || maintenance=template1
    [ "$maintenance" != "$RESTORE_TARGET" ] || maintenance=postgres
    file=$POSTGRES_BACKUP_DIR/$RESTORE_BACKUP
    session="postgres-backup restore $RESTORE_TOKEN"
    PGAPPNAME=$session
    export maintenance file PGAPPNAME

    compare_hash
    question_server
    end_step prepare
    if [ "$RESTORE_CHECK" = yes ]; then
        [ "$RESTORE_CREATE_ROLES" = no ] || created_roles=$missing_roles
        [ "$exists" = no ] || replaced=$RESTORE_OLD
        log "check: $RESTORE_DATABASE of $RESTORE_BACKUP can be restored as $RESTORE_TARGET"
        finish
        return
    fi
    drop_leftovers
    [ "$missing_roles" = '[]' ] || make_roles
    make_database
    feed
    step=swap
    swap
    end_step swap
    [ "$exists" = no ] || replaced=$RESTORE_OLD
    log "OK: $RESTORE_DATABASE of $RESTORE_BACKUP is restored as $RESTORE_TARGET, $rows rows"
    finish
}

finish() {
    trap '' TERM INT HUP
    restored=$(restore_result succeeded)
    restore_last_words "$restored"
    printf '%s\n' "$restored"
    clean_up
}

# restore_result STATE: the outcome as one line of JSON.
restore_result() {
    printf '{"state":"%s","operation":"restore","reason":%s,"backup":%s,"database":%s,"target":%s,"replaced":%s' "$1" "$reason" \
        "$(json "$RESTORE_BACKUP")" "$(json "$RESTORE_DATABASE")" "$(json "$RESTORE_TARGET")" "$(json_or_null "$replaced")"
    printf ',"created_roles":%s,"rows":%s,"seconds":{%s},"databases":%s,"warnings":[%s]}' "$created_roles" "$rows" "$step_seconds" \
        "$databases" "$warnings"
}

restore_last_words() {
    [ ${#1} -gt "$TERMINATION_MESSAGE_BYTES" ] || [ ! -e "$POSTGRES_BACKUP_TERMINATION_LOG" ] ||
        printf '%s' "$1" 2>/dev/null >"$POSTGRES_BACKUP_TERMINATION_LOG" || :
}

# In place of backup.sh's own, which tell of a run: fail_with STATUS WHAT FOUND ADVICE.
fail_with() {
    trap '' TERM INT HUP
    exit_status=$1 what=$2 found=$3 advice=$4
    end_group "${step_group:-}"
    [ "$step" != roles ] || created_roles=$(roles_there)
    if [ "$made" = maybe ] && ! drop_temporary; then
        left="The temporary database '$RESTORE_TEMPORARY' could not be dropped: $(psql_error "$work/drop.err"). The next restore of this database drops it."
        warn "$left"
    fi
    [ "$created_roles" = '[]' ] || warn "these roles were created, and stay: $(listed "$created_roles")"
    reason=$(json "$(printf '%s: %s' "$what" "$found. $advice" | head -c 1500)")
    restored=$(restore_result failed)
    restore_last_words "$restored"
    log "FAILED: $what"
    printf '%s\n' "$found" | while IFS= read -r line; do log "  found: $line"; done
    log "  what to do: $advice"
    [ "$answered" = no ] || log "  The databases that were there are as they were."
    printf '%s\n' "$restored"
    clean_up
    exit "$exit_status"
}

on_signal() {
    fail "the restore was ended from outside (SIG$1)" "it was in the step: $step" \
        "Somebody or something stopped the pod: a deletion, its time limit, an eviction, a node that shut down. Start it again"
}

# listed JSON: the elements of an array of strings, for people.
listed() { printf '%s' "$1" | sed -e 's/^\[//' -e 's/\]$//'; }

# quiet_psql DATABASE [ARGUMENT ...]: SQL from standard input, values on standard output.
quiet_psql() {
    quiet_database=$1
    shift
    PGCLIENTENCODING=UTF8 psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 \
        --set=VERBOSITY=verbose "$@" --dbname="$(connection "$quiet_database" keepalives_idle=30 keepalives_interval=10 keepalives_count=3)"
}

restore_advice() {
    case $1 in
        *': 42704: '*role*) echo "Create that role, or set create_roles." ;;
        *'extension "'*'is not available'* | *'extension control file'*) echo "Install that extension on the server." ;;
        *': 53100: '* | *'No space left'*) echo "Make room on the server's volume: a restore needs that of the database again." ;;
        *': 42501: '*) echo "Restore as a superuser: set postgres_backup_user." ;;
        *': 22023: '* | *': 22P05: '* | *': 22021: '*) echo "The server cannot make or fill a database of that encoding or locale: use an image that has them." ;;
        *'closed the connection'* | *'terminating connection'* | *'connection to server was lost'*)
            echo "PostgreSQL went away in the middle: look at its log (restart, out of memory, crash), and start the restore again." ;;
        *) postgres_advice "$1" ;;
    esac
}

# run_step NAME WHAT: a step in a group of its own; where its psql fails, the restore ends with what it said.
run_step() {
    clear_stages
    run_group _restore_step "$1"
    [ "$step_status" -ne 0 ] || return 0
    message=$(psql_error "$work/psql.err" 2>/dev/null)
    message=$(psql_end "$message" psql)
    fail "$2" "$message" "$(restore_advice "$message")"
}

restore_step() {
    case $1 in
        hash) stage read dd if="$file" bs=1048576 | stage hash sha256sum >"$work/hash" ;;
        ask) stage psql ask >"$work/answers" ;;
        roles) stage psql run_roles >"$work/answers" ;;
        create) stage psql create ;;
        feed) feed_all ;;
        settle) stage psql settle ;;
        swap) stage psql swap_names ;;
        *) exit 2 ;;
    esac
}

# -------------------------------------------------------------------------------------------------------- before it

# compare_hash: not a byte is fed of anything but the file that the caller looked at.
compare_hash() {
    case $RESTORE_BACKUP in
        .* | */*) fail "no backup's name" "'$RESTORE_BACKUP'" "Give the name of a file on the volume." ;;
    esac
    [ -f "$file" ] || fail "the backup is not on the volume" "$RESTORE_BACKUP is not in $POSTGRES_BACKUP_DIR" \
        "Look at what is there (backup_info); retention may have deleted it."
    [ -r "$file" ] || fail "the backup cannot be read" "$(ls -l "$file"), this runs as $(id)" "$ADVICE_PERMISSION"
    file_before=$(stat -c '%i %s %Y' "$file")
    clear_stages
    run_group _restore_step hash
    [ "$(stage_status_of read)$(stage_status_of hash)" = 00 ] || fail "the backup cannot be read" "$(stage_message_of read)" \
        "Look at the storage behind the volume."
    found_hash=$(cut -c 1-64 "$work/hash")
    [ "$found_hash" = "$RESTORE_SHA256" ] || fail "the backup on the volume is not the one that was verified" \
        "expected sha256 $RESTORE_SHA256, found $found_hash in $RESTORE_BACKUP" \
        "It was changed or damaged since, or the contents are another backup's: fetch it with verify again."
}

ask() {
    quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=roles="$RESTORE_ROLES" --set=tablespace="$RESTORE_TABLESPACE" \
        --set=old="$RESTORE_OLD" <<'SQL'
SELECT current_setting('server_version_num')::int / 10000;
SELECT current_setting('server_version');
SELECT CASE WHEN rolsuper THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_roles WHERE rolname = current_user;
SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_database WHERE datname = :'target';
SELECT CASE WHEN count(*) > 0 THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_database WHERE datname = :'old';
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
SELECT CASE WHEN count(*) > 0 OR :'tablespace' = '' THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_tablespace WHERE spcname = :'tablespace';
SELECT json_agg(datname::text ORDER BY datname) FROM pg_catalog.pg_database;
SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = :'target' AND pid <> pg_backend_pid();
SQL
}

# question_server: questions that change nothing; sets `exists` and `missing_roles`.
question_server() {
    run_step ask "the server does not answer"
    {
        IFS= read -r server_major
        IFS= read -r server_version
        IFS= read -r is_superuser
        IFS= read -r exists
        IFS= read -r old_exists
        IFS= read -r missing_roles
        IFS= read -r has_tablespace
        IFS= read -r databases
        IFS= read -r sessions
    } <"$work/answers"
    answered=yes
    # Names in an SQL_ASCII database may be in any encoding.
    databases=$(utf8 "$databases")
    if [ -n "$RESTORE_MAJOR" ] && [ "$server_major" -lt "$RESTORE_MAJOR" ]; then
        fail "the server is older than the backup" "the server is PostgreSQL $server_version, the backup is of $RESTORE_MAJOR" \
            "Restore into a server of PostgreSQL $RESTORE_MAJOR or newer."
    fi
    if [ "$exists" = yes ] && [ "$RESTORE_REPLACE" = no ]; then
        fail "the database exists" "'$RESTORE_TARGET' is on the server" "Set new_name, or replace to have the old one renamed."
    fi
    [ "$exists$old_exists" != yesyes ] || fail "the name for the old database is taken" "'$RESTORE_OLD'" "Start it again: the name has the time in it."
    [ "$missing_roles" = '[]' ] || [ "$RESTORE_CREATE_ROLES" = yes ] ||
        fail "roles are missing on the server" "the backup's $RESTORE_DATABASE uses $(listed "$missing_roles")" "Create them, or set create_roles."
    [ "$has_tablespace" = yes ] || fail "the tablespace is missing on the server" "the backup's $RESTORE_DATABASE is in '$RESTORE_TABLESPACE'" \
        "Create that tablespace (CREATE TABLESPACE)."
    [ "$is_superuser" = yes ] || warn "$POSTGRES_BACKUP_USER is no superuser: what only superusers may do will fail"
    [ "$exists" = no ] || [ "$sessions" = 0 ] || log "$sessions sessions are in $RESTORE_TARGET now; they must be gone, or are ended where asked, when it is renamed"
    log "server $PGHOST:$PGPORT, PostgreSQL $server_version; the backup's sha256 is the expected one"
}

# drop_leftovers: what a restore of the same database left that could not clean up. Nobody is connected to those.
drop_leftovers() {
    quiet_psql "$maintenance" --set=mark="$RESTORE_MARK" >"$work/leftovers" 2>"$work/psql.err" <<'SQL' || warn "what an earlier restore left could not be dropped: $(psql_error "$work/psql.err")"
CREATE TEMPORARY TABLE leftovers AS SELECT datname FROM pg_catalog.pg_database d
    JOIN pg_catalog.pg_db_role_setting s ON setdatabase = d.oid AND setrole = 0
    WHERE :'mark' = ANY (setconfig)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid);
SELECT format('DROP DATABASE %I', datname) FROM leftovers
\gexec
SELECT json_agg(datname::text) FROM leftovers HAVING count(*) > 0;
SQL
    [ ! -s "$work/leftovers" ] || warn "dropped what an earlier restore left: $(listed "$(utf8 "$(cat "$work/leftovers")")")"
}

# ----------------------------------------------------------------------------------------------------------- roles

run_roles() {
    quiet_psql "$maintenance" --set=roles="$missing_roles" >"$work/wanted" <<'SQL' || return 1
SELECT name FROM json_array_elements_text(:'roles') AS name WHERE name !~ E'[\n\r]';
SQL
    quiet_psql "$maintenance" >"$work/existing" <<'SQL' || return 1
SELECT rolname FROM pg_catalog.pg_roles;
SQL
    encoding=$(globals facts | sed -n 's/^encoding //p')
    # In a variable: passwords go into no file, and half of it would leave half a role.
    statements=$(globals roles) || return 1
    printf 'BEGIN;\n%s\nCOMMIT;\n' "$statements" |
        PGCLIENTENCODING=${encoding:-UTF8} feed_psql "$maintenance" >/dev/null || return 1
    quiet_psql "$maintenance" --set=roles="$missing_roles" <<'SQL'
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name);
SQL
}

globals() { expand_text <"$file" 2>/dev/null | head -c "$RESTORE_GLOBALS_BYTES" | awk -v mode="$1" -v wanted="$work/wanted" -v existing="$work/existing" \
        -v left_out="$work/left_out" -f "${SCRIPT%/*}/globals.awk"; }

# roles_there: which of the missing ones there are now.
roles_there() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=roles="$missing_roles" 2>/dev/null <<'SQL' || printf '[]'
SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM json_array_elements_text(:'roles') AS name JOIN pg_catalog.pg_roles ON rolname = name;
SQL
}

make_roles() {
    step=roles
    export missing_roles
    run_step roles "the missing roles could not be created"
    still_missing=$(cat "$work/answers")
    [ "$still_missing" = '[]' ] || fail "the backup does not make these roles, or they have line breaks in their names" \
        "$(listed "$still_missing")" "Create them by hand."
    created_roles=$missing_roles
    log "created roles: $(listed "$created_roles")"
    [ ! -s "$work/left_out" ] || warn "the server has no roles of these names, so nobody became their member: $(utf8 "$(sort -u "$work/left_out" | tr '\n' ' ')")"
    end_step roles
}

# -------------------------------------------------------------------------------------------------------- the restore

create() {
    if [ "$is_superuser" = yes ]; then limit=0; else limit=-1; fi
    printf '%s CONNECTION LIMIT %s;\n%s\n' "$RESTORE_CREATE_SQL" "$limit" "$RESTORE_MARK_SQL" | quiet_psql "$maintenance" || return 1
    printf '%s\n' "$RESTORE_BEFORE_SQL" | quiet_psql "$RESTORE_TEMPORARY"
}

make_database() {
    step=create made=maybe
    export is_superuser
    run_step create "the temporary database could not be made"
    log "restoring into the temporary database $RESTORE_TEMPORARY"
    end_step create
}

# feed_all: the section's own pieces of the text to psql, none of the rest.
feed_all() { stage expand expand_text <"$file" | stage text feed_section; }

feed_section() {
    section_offset=${RESTORE_SECTION% *}
    take "$section_offset" >/dev/null || return 1
    take "${RESTORE_SECTION#* }" >"$work/section" || return 1
    position=$((section_offset + ${RESTORE_SECTION#* }))
    begins_section <"$work/section" || { echo foreign >"$work/foreign"; return 1; }
    # What was committed last is flushed by the swap's own commit.
    stage pieces copy_pieces |
        PGOPTIONS="${PGOPTIONS:-} -c synchronous_commit=off -c default_transaction_read_only=off" stage psql feed_psql "$RESTORE_TEMPORARY" \
            keepalives_idle=30 keepalives_interval=10 keepalives_count=3 |
        stage count count_rows >"$work/rows"
    head -c 64 >"$work/behind"
}

copy_pieces() {
    while IFS=' ' read -r piece_offset piece_length <&3; do
        take $((piece_offset - position)) >/dev/null && take "$piece_length" || return 1
        position=$((piece_offset + piece_length))
    done 3<<PIECES
$RESTORE_PIECES
PIECES
}

# count_rows: the sum of what COPY and INSERT reported (libpq, PQcmdStatus).
count_rows() { awk '/^COPY [0-9]+$/ { rows += $2 } /^INSERT [0-9]+ [0-9]+$/ { rows += $3 } END { printf "%.0f\n", rows }'; }

settle() { printf '%s\n' "$RESTORE_AFTER_SQL" | quiet_psql "$RESTORE_TEMPORARY"; }

feed() {
    step=restore
    clear_stages
    run_group _restore_step feed
    [ ! -e "$work/foreign" ] || fail "the contents are not this backup's" "at byte ${RESTORE_SECTION% *} of its text begins no database" \
        "Fetch the backup with verify again, and give the contents that this returns."
    if [ "$(stage_status_of psql)" != 0 ]; then
        message=$(psql_error "$work/psql.err" 2>/dev/null)
        message=$(psql_end "$message" psql)
        fail "the restore stopped at an error" "$message" "$(restore_advice "$message")"
    fi
    case $(head -n 2 "$work/behind" 2>/dev/null | tr '\n' ' ' | tr -d '\r') in
        '-- -- PostgreSQL database cluster dump complete'*) ;;
        *) begins_section <"$work/behind" || fail "the backup could not be read to the end of the database" \
            "its decompressor ended $(status_in_words "$(stage_status_of expand)")" "Look at the storage behind the volume, and fetch the backup with verify again." ;;
    esac
    found=$(stat -c '%i %s %Y' "$file" 2>/dev/null) || fail "the backup can no longer be read" "$RESTORE_BACKUP" \
        "Look at the storage behind the volume; retention or a hand may have deleted it."
    [ "$found" = "$file_before" ] || fail "the backup changed while it was read" "$RESTORE_BACKUP" \
        "Find out what writes to the volume."
    rows=$(cat "$work/rows")
    [ "$rows" = "$RESTORE_ROWS" ] || fail "the rows are not those of the backup" "expected $RESTORE_ROWS, PostgreSQL reported $rows" \
        "Fetch the backup with verify again."
    run_step settle "the database's own properties could not be set"
    log "restored $rows rows"
    end_step restore
}

# ------------------------------------------------------------------------------------------------------------ the swap

swap_names() {
    if [ "$exists" = yes ]; then away=$RESTORE_AWAY_SQL; else away=; fi
    printf "BEGIN;\nSET LOCAL lock_timeout = '10s';\n%s\n%s\nCOMMIT;\n" "$RESTORE_SWAP_SQL" "$away
$RESTORE_RENAME_SQL" | quiet_psql "$maintenance"
}

# in_the_way: who is connected to the database that is to be replaced, one a line.
in_the_way() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" 2>/dev/null <<'SQL'
SELECT translate(format('pid %s (user %s, application "%s", connected since %s)', pid, coalesce(usename, backend_type), application_name,
        to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), E'\n\r', '??')
    FROM pg_catalog.pg_stat_activity WHERE datname = :'target' AND backend_type IS DISTINCT FROM 'autovacuum worker' ORDER BY backend_start;
SELECT translate(format('prepared transaction %L of %s, since %s', gid, owner,
        to_char(prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')), E'\n\r', '??')
    FROM pg_catalog.pg_prepared_xacts WHERE database = :'target';
SQL
}

# end_sessions: those in the temporary database, and where asked those in the one to be replaced.
end_sessions() {
    PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=target="$RESTORE_TARGET" --set=temporary="$RESTORE_TEMPORARY" \
        --set=too="$RESTORE_TERMINATE" >/dev/null 2>&1 <<'SQL'
SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
    WHERE datname = :'temporary' OR (datname = :'target' AND :'too' = 'yes');
SQL
}

# swap: both names in one transaction. RENAME holds off new connections and waits 5 s for those that are there
# (src/backend/storage/ipc/procarray.c, CountOtherDBBackends): whom end_sessions ends meanwhile cannot come back.
swap() {
    export exists
    # A signal in the middle waits: what was committed is no failure.
    trap 'pending_signal=TERM' TERM
    trap 'pending_signal=INT' INT
    trap 'pending_signal=HUP' HUP
    swap_deadline=$(($(now_epoch) + RESTORE_WAIT_SECONDS))
    waited=no
    while :; do
        busy=
        if [ "$exists" = yes ] && [ "$RESTORE_TERMINATE" = no ]; then busy=$(in_the_way); fi
        [ -z "$pending_signal" ] || on_signal "$pending_signal"
        if [ -z "$busy" ]; then
            try_swap && break
            message=$(psql_error "$work/psql.err" 2>/dev/null)
            case $message in
                *': 55006: '* | *': 55P03: '*) busy=$(in_the_way) ;;
                *': 42P04: '*) fail "the database exists" "'$RESTORE_TARGET' was made while the restore was at work" "Set new_name, or replace." ;;
                *) if is_swapped; then break; fi
                    message=$(psql_end "$message" psql)
                    fail "the databases could not be renamed" "$message" "$(restore_advice "$message")" ;;
            esac
        fi
        if [ "$(now_epoch)" -ge "$swap_deadline" ]; then
            fail "connections do not leave the database that is to be replaced" "${busy:-sessions that come and go} in '$RESTORE_TARGET'" \
                "End them, or set terminate_connections; a prepared transaction ends by COMMIT PREPARED or ROLLBACK PREPARED."
        fi
        [ "$waited" = yes ] || log "waiting at most $RESTORE_WAIT_SECONDS s for the sessions in $RESTORE_TARGET to end"
        waited=yes
        sleep 1
    done
    made=no
}

try_swap() {
    clear_stages
    start_group _restore_step swap
    step_group=$group
    try_until=$(($(now_epoch) + SWAP_SECONDS))
    while [ ! -s "$work/psql.status" ] && kill -0 "$step_group" 2>/dev/null && [ "$(now_epoch)" -lt "$try_until" ]; do
        sleep 0.2 2>/dev/null || sleep 1
        [ -s "$work/psql.status" ] || end_sessions
    done
    end_group "$step_group"
    step_group=
    [ "$(stage_status_of psql)" = 0 ]
}

# is_swapped: whether the transaction was committed although psql did not hear of it.
is_swapped() {
    there=$(PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" 2>/dev/null <<'SQL'
SELECT count(*) FROM pg_catalog.pg_database WHERE datname = :'temporary';
SQL
    ) && [ "$there" = 0 ]
}

# drop_temporary: first whatever still works for this restore is ended, since a CREATE DATABASE that nobody waits for
# any more would still make one.
drop_temporary() {
    tries=0
    while [ "$tries" -lt "$DROP_TRIES" ]; do
        if PGAPPNAME='postgres-backup clean-up' PGCONNECT_TIMEOUT=5 quiet_psql "$maintenance" --set=temporary="$RESTORE_TEMPORARY" \
            --set=session="$session" >/dev/null 2>"$work/drop.err" <<'SQL'; then
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
DROP DATABASE IF EXISTS :"temporary";
SQL
            log "the temporary database is dropped"
            return 0
        fi
        tries=$((tries + 1))
        sleep 2
    done
    return 1
}
