# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh _restore_cluster`: restores everything in a backup into a server that may have roles and databases already.
# The roles are restored first, in one transaction. Then each database is restored as by `_restore`, several side by side: a database
# gets its name only when every table has the rows of the backup. Called again after a failure, it continues: databases that
# are restored have a mark (RESTORED_SETTING), which the last step removes.
#
# RESTORE_BACKUP (empty: the newest complete backup), RESTORE_SHA256 (empty: that of the checksum file), RESTORE_TOKEN (ASCII,
# unique), RESTORE_TIME (YYYYmmddHHMMSS), RESTORE_WAIT_SECONDS, and RESTORE_REPLACE, RESTORE_ALTER_ROLES, RESTORE_TERMINATE,
# RESTORE_CHECK, RESTORE_ANALYZE (yes or no).
# shellcheck shell=sh
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # variables are shared with the other files; each restore has its own
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# The setting of a restored database, with the sha256 of the backup, until the complete restore has ended.
RESTORED_SETTING=postgres_backup.restored

restore_cluster() {
    other_databases='[]' created_roles='[]' kept_roles='[]' altered_roles='[]' rows=null tables=null database_count=0
    again="Start the restore again: it continues"
    begin_restore end_failed_cluster od

    # No database: the manifest's and the text's facts about the others are needed.
    RESTORE_DATABASE='' RESTORE_DATABASE_JSON=''
    export RESTORE_DATABASE RESTORE_DATABASE_JSON
    [ -n "$RESTORE_BACKUP" ] || newest_complete
    choose_backup
    export file
    start_hash
    find_cluster
    export has_part globals_part globals_bytes RESTORE_ALTER_ROLES
    query_cluster
    # Marks have the hash; without a checksum file it is not known yet.
    [ -n "$expected_sha256" ] || check_hash
    : "${expected_sha256:=$sha256}"
    plan_databases
    plan_roles
    refuse_cluster
    check_hash
    check_databases
    end_step prepare
    if [ "$RESTORE_CHECK" = yes ]; then
        log "check: $backup can be restored"
    else
        begin_step roles
        restore_roles
        end_step roles
        begin_step databases
        only_check=no
        run_databases
        end_step databases
        restore_template1
        read_database_results
        [ -z "$failed_databases" ] || fail "not every database was restored" "$failed_databases" \
            "Remove the cause and start the restore again: it continues with the databases that are not restored."
        remove_marks
        log "OK: $backup (sha256 $sha256) is restored: $database_count databases, $tables tables, $rows rows, all counted"
    fi
    trap '' TERM INT HUP
    print_result cluster_result succeeded
    clean_up
}

# cluster_result STATE: prints the result as one line of JSON.
cluster_result() {
    printf '{"state":"%s","operation":"restore_cluster","reason":%s,"signal":%s,"backup":%s,"sha256":%s' "$1" "$reason" "$(json_or_null "$ended_by")" \
        "$(json_or_null "$backup")" "$(json_or_null "$sha256")"
    printf ',"databases":[%s],"created_roles":%s,"kept_roles":%s,"altered_roles":%s,"missing_databases":%s,"other_databases":%s' \
        "$(paste_lines "$work/states")" "$created_roles" "$kept_roles" "$altered_roles" "$missing_databases" "$other_databases"
    printf ',"rows":%s,"tables":%s,"left_out":[%s],"needs":[%s],"seconds":{%s},"warnings":[%s]' "$rows" "$tables" "$left_out_objects" "$needs" "$step_seconds" "$warnings"
    print_openers
    printf '}'
}

# paste_lines FILE: prints its lines with commas between them.
paste_lines() { [ ! -s "$1" ] || awk '{ printf "%s%s", (NR > 1 ? "," : ""), $0 }' "$1"; }

end_failed_cluster() {
    end_group "$hash_group"
    [ "$step" != databases ] || read_database_results
    set_reason
    print_result cluster_result failed
}

# newest_complete: sets RESTORE_BACKUP to the newest complete backup.
newest_complete() {
    list_backups
    RESTORE_BACKUP=$(grep -F '"future":false,"verdict":' "$work/listing" | grep -F '"state":"complete"' | head -n 1 | sed 's/.*"name":"\([^"]*\)".*/\1/')
    [ -n "$RESTORE_BACKUP" ] || fail "no backup is complete" "none in $POSTGRES_BACKUP_DIR has a checksum file that names it" \
        "Name the backup. An incomplete or unchecked one can be restored if it is named."
}

# find_cluster: sets has_part, globals_part or globals_bytes, dump_major, missing_databases, and writes $work/names: the
# databases of the backup, the largest first, two lines each: "BYTES JSON-NAME", and the name.
find_cluster() {
    has_part=no globals_part='' globals_bytes=0 dump_major=''
    manifest_facts >"$work/manifest"
    if is_manifest_of_file; then
        has_part=yes
        globals_part=$(manifest_fact globals)
        [ -n "$globals_part" ] || fail_with_backup "the manifest names no globals" "$backup.json" "Rename the manifest and start the restore again: the text is read then."
        sizes=$(awk '
            index($0, "{\"kind\":\"database\",\"name\":") == 1 && (at = index($0, ",\"result\":\"dumped\",")) && match($0, /"text_length_bytes":[0-9]+/) {
                printf "%s{\"bytes\":%s,\"name\":%s}", (count++ ? "," : "["), substr($0, RSTART + 20, RLENGTH - 20), substr($0, 27, at - 27)
            }
            END { print count ? "]" : "[]" }' "$file.json")
    else
        read_sections
        RESTORE_SECTIONS=$work/sections
        sizes=$(section_sizes) || fail "the names of the databases cannot be read" "$backup" "Read the messages above."
    fi
    quiet_psql "$maintenance" --set=sizes="$sizes" --field-separator=' ' >"$work/names" 2>"$work/psql.err" <<'SQL' || server_failed "the server does not answer"
SELECT (entry ->> 'bytes') || ' ' || (entry -> 'name') || E'\n' || (entry ->> 'name')
FROM (SELECT entry FROM json_array_elements(:'sizes') AS entry ORDER BY (entry ->> 'bytes')::bigint DESC) AS entries;
SQL
    [ -s "$work/names" ] || fail_with_backup "the backup holds no database" "$backup" "Restore another backup."
}

# section_sizes: prints the databases of a text without a manifest as JSON. (Names are in the encoding of their section.)
section_sizes() {
    printf '['
    separator=
    grep '^section ' "$work/sections" | while IFS=' ' read -r _ _ section_length _ section_encoding section_name; do
        case $section_name in
            *[!\ -~]*)
                case $section_encoding in
                    - | UTF8 | SQL_ASCII) section_json=$(json "$section_name") ;;
                    *)
                        section_hex=$(printf '%s' "$section_name" | od -An -v -tx1 | tr -d ' \n')
                        section_json=$(quiet_psql "$maintenance" --set=hex="$section_hex" --set=encoding="$section_encoding" <<'SQL'
SELECT to_json(convert_from(decode(:'hex', 'hex'), :'encoding'));
SQL
                        ) || exit 1 ;;
                esac ;;
            *) section_json=$(json "$section_name") ;;
        esac
        printf '%s{"bytes":%s,"name":%s}' "$separator" "$section_length" "$section_json"
        separator=,
    done || return 1
    printf ']'
}

# server_failed WHAT: fails with the error of the psql that wrote $work/psql.err.
server_failed() {
    server_message=$(psql_error "$work/psql.err")
    fail "$1" "${server_message:-psql printed no error}" "$(restore_advice "$server_message" no)"
}

# query_cluster: sets server_major, connects_as_superuser, and `names_json`: the databases of the backup.
query_cluster() {
    names_json=$(sed -n 'n;p' "$work/names" | while IFS= read -r database_name; do json "$database_name"; printf ','; done)
    names_json="[${names_json%,}]"
    quiet_psql "$maintenance" --set=names="$names_json" >"$work/answers" 2>"$work/psql.err" <<'SQL' || server_failed "the server cannot be queried"
SELECT current_setting('server_version_num')::int / 10000;
SELECT current_setting('server_version');
SELECT CASE WHEN rolsuper THEN 'yes' ELSE 'no' END FROM pg_catalog.pg_roles WHERE rolname = session_user;
SELECT coalesce(json_agg(datname::text ORDER BY datname), '[]') FROM pg_catalog.pg_database
    WHERE datname::text NOT IN (SELECT json_array_elements_text(:'names')) AND datname NOT IN ('template0', 'template1', 'postgres');
SQL
    {
        IFS= read -r server_major
        IFS= read -r server_version
        IFS= read -r connects_as_superuser
        IFS= read -r other_databases
    } <"$work/answers"
    check_version
    PGOPTIONS="$given_options $(session_options "$server_major" "$connects_as_superuser")"
    [ "$connects_as_superuser" = yes ] || warn "$POSTGRES_BACKUP_USER is not a superuser: roles, and statements that only superusers may run, may fail"
    [ "$other_databases" = '[]' ] || log "not in the backup, and untouched: $(listed "$other_databases")"
    [ "$missing_databases" = '[]' ] || warn "the run could not dump these databases, which are not in the backup: $(listed "$missing_databases")"
    log "server $server_address, PostgreSQL $server_version"
}

# plan_databases: writes $work/plan.N for each database: its name, its JSON name, its state on the server (new, empty, used,
# present), the names for `_restore`, and the mark of its temporary database, one a line.
plan_databases() {
    : >"$work/states"
    while IFS= read -r size_and_json <&3 && IFS= read -r database_name <&3; do
        database_count=$((database_count + 1))
        database_json=${size_and_json#* }
        database_state=$(state_of "$database_name") || server_failed "the database $database_name cannot be queried"
        if { [ "$database_name" = postgres ] || [ "$database_name" = template1 ]; } && [ "$database_state" != present ] && section_is_empty; then
            database_state=present
        fi
        name_databases "$database_name" "$(database_token "$database_count")" "$RESTORE_TIME"
        printf '%s\n' "$database_name" "$database_json" "$database_state" "$RESTORE_OLD" "$RESTORE_TEMPORARY" "$RESTORE_MARK" >"$work/plan.$database_count"
    done 3<"$work/names"
}

# read_plan N: reads plan.N; sets database_name, database_json, database_state, RESTORE_OLD, RESTORE_TEMPORARY and RESTORE_MARK.
read_plan() {
    {
        IFS= read -r database_name
        IFS= read -r database_json
        IFS= read -r database_state
        IFS= read -r RESTORE_OLD
        IFS= read -r RESTORE_TEMPORARY
        IFS= read -r RESTORE_MARK
    } <"$work/plan.$1"
}

# database_token N: the token of the restore of that database: its session and its temporary database have it.
database_token() { printf '%sd%s' "$RESTORE_TOKEN" "$1"; }

# state_of DATABASE: prints present (restored from this backup already), new, empty, or used. Objects are those that do not
# belong to an extension.
state_of() {
    database_exists=$(quiet_psql "$maintenance" --set=name="$1" --set=restored="$RESTORED_SETTING=$expected_sha256" 2>"$work/psql.err" <<'SQL'
SELECT CASE WHEN :'restored' !~ '=$' AND :'restored' = ANY (SELECT unnest(setconfig) FROM pg_catalog.pg_db_role_setting WHERE setdatabase = d.oid AND setrole = 0)
    THEN 'present' ELSE 'exists' END FROM pg_catalog.pg_database d WHERE datname = :'name';
SQL
    ) || return 1
    case $database_exists in
        '') echo new ;;
        present) echo present ;;
        *)
            object_count=$(objects_in "$1") || return 1
            if [ "$object_count" = 0 ]; then echo empty; else echo used; fi ;;
    esac
}

# section_is_empty: whether the complete text of the database $database_name has no statement but settings of its session.
section_is_empty() {
    (
        # What fails here must not end the command.
        on_failure=:
        clean_up() { :; }
        RESTORE_DATABASE=$database_name RESTORE_DATABASE_JSON=$database_json
        export RESTORE_DATABASE RESTORE_DATABASE_JSON
        find_section
        section_text | head -c 65536 | tr -d '\r' | awk '
            $0 == "-- PostgreSQL database dump complete" { is_complete = 1 }
            !/^(--.*|SET .*;|SELECT pg_catalog\.set_config\(\047search_path\047, \047\047, false\);|\\(connect|restrict|unrestrict) .*)?$/ && !/^UPDATE pg_catalog\.pg_database SET / { has_statement = 1 }
            END { if (is_complete && !has_statement) print "empty" }' | grep -q .
    )
}

# refuse_cluster: fails with everything that prevents the restore, before anything is changed.
refuse_cluster() {
    refusals=$missing_tablespaces
    for database_plan in "$work"/plan.*; do
        read_plan "${database_plan##*.}"
        [ "$database_state" = used ] || continue
        if [ "$database_name" = template1 ]; then
            refusals="$refusals${refusals:+$NEWLINE}the database template1 of the server has objects, and that of the backup too: drop those of the server"
        elif [ "$RESTORE_REPLACE" = no ]; then
            refusals="$refusals${refusals:+$NEWLINE}the database '$database_name' is on the server and has objects: drop it, or set replace to have it renamed"
        fi
    done
    [ -z "$refusals" ] || fail "the server has what the restore would replace, or lacks what it needs" "$refusals" \
        "Nothing was changed. Remove these causes and start the restore again."
}

# check_databases: fails if a database cannot be restored, before anything is changed.
check_databases() {
    only_check=yes
    warnings_before=$warnings
    run_databases
    read_database_results
    [ -z "$failed_databases" ] || fail "not every database can be restored" "$failed_databases" "Nothing was changed. Remove the cause and start the restore again."
    [ "$RESTORE_CHECK" = yes ] || warnings=$warnings_before rows=null tables=null
}

# run_databases: restores the databases side by side (checks them if only_check=yes), the largest first. The database that the
# others connect to first follows at the end: sessions in it would prevent its replacement.
run_databases() {
    worker_count=$(nproc 2>/dev/null || echo 1)
    [ "$worker_count" -le 4 ] || worker_count=4
    : >"$work/queue"
    rm -rf "$work"/taken.* "$work"/result.* "$work"/status.* "$work"/seconds.*
    last_database=
    index=0
    while [ "$index" -lt "$database_count" ]; do
        index=$((index + 1))
        read_plan "$index"
        [ "$database_state" != present ] && [ "$database_name" != template1 ] || continue
        if [ "$database_name" = "$maintenance" ]; then last_database=$index; else echo "$index" >>"$work/queue"; fi
    done
    RESTORE_KNOWN_SHA256=$sha256 RESTORE_BACKUP=$backup RESTORE_SECTIONS=''
    [ "$has_part" = yes ] || RESTORE_SECTIONS=$work/sections
    export RESTORE_KNOWN_SHA256 RESTORE_BACKUP RESTORE_SECTIONS RESTORE_WAIT_SECONDS RESTORE_TERMINATE RESTORE_CHECK RESTORE_ANALYZE RESTORE_REPLACE RESTORE_TOKEN database_count maintenance only_check
    run_group cluster_databases "$worker_count" || :
    if [ -n "$last_database" ]; then
        echo "$last_database" >"$work/queue"
        rm -rf "$work"/taken.*
        run_group cluster_databases 1 || :
    fi
}

# step_cluster_databases WORKERS: a signal ends the restores, which drop their temporary databases; the step waits for that.
step_cluster_databases() {
    stopping=no
    trap 'stopping=yes' TERM INT HUP
    workers=
    for _ in 1 2 3 4; do
        [ "$1" -gt 0 ] || break
        set -- $(($1 - 1))
        cluster_worker &
        workers="$workers $!"
    done
    for worker in $workers; do
        while kill -0 "$worker" 2>/dev/null; do wait "$worker"; done
    done
    [ "$stopping" = no ]
}

cluster_worker() {
    trap 'stopping=yes' TERM INT HUP
    while IFS= read -r index <&3; do
        [ "$stopping" = no ] || return 1
        mkdir "$work/taken.$index" 2>/dev/null || continue
        restore_one "$index"
    done 3<"$work/queue"
}

# restore_one N: restores the database of plan.N; writes the result of `_restore` to $work/result.N.
restore_one() {
    read_plan "$1"
    RESTORE_DATABASE=$database_name RESTORE_DATABASE_JSON=$database_json
    began=$(now_epoch)
    [ "$only_check" = yes ] || log "restoring $RESTORE_DATABASE ($1 of $database_count)"
    if [ "$only_check" = yes ]; then activity=check_database; else activity=restore; fi
    progress "$activity" ",\"subject\":$(json "$RESTORE_DATABASE"),\"number\":$1,\"count\":$database_count"
    (
        # A subshell has no traps; these two outlive a signal, as the restore that they wait for does until its clean-up has ended.
        trap : TERM INT HUP
        RESTORE_TARGET=$RESTORE_DATABASE RESTORE_DROP_EMPTY=no RESTORE_CREATE_ROLES=yes RESTORE_TOKEN=$(database_token "$1")
        [ "$database_state" != empty ] || RESTORE_REPLACE=yes RESTORE_DROP_EMPTY=yes
        RESTORE_SHA256='' RESTORE_ROWS='' RESTORE_SEARCH_PATH='' RESTORE_BEFORE_SQL='' RESTORE_AFTER_SQL='' RESTORE_RESTORED="$RESTORED_SETTING=$RESTORE_KNOWN_SHA256"
        [ "$only_check$RESTORE_CHECK" != yesno ] || exec 2>/dev/null
        RESTORE_CHECK=$only_check RESTORE_FACTS=$work/facts.$1
        POSTGRES_BACKUP_TERMINATION_LOG=$work/none POSTGRES_BACKUP_DATABASE=$maintenance POSTGRES_BACKUP_PROGRESS=no
        export RESTORE_TARGET RESTORE_DROP_EMPTY RESTORE_CREATE_ROLES RESTORE_TOKEN RESTORE_REPLACE RESTORE_SHA256 RESTORE_ROWS RESTORE_SEARCH_PATH RESTORE_BEFORE_SQL RESTORE_AFTER_SQL
        export RESTORE_CHECK RESTORE_FACTS RESTORE_RESTORED RESTORE_DATABASE RESTORE_DATABASE_JSON RESTORE_OLD RESTORE_TEMPORARY RESTORE_MARK POSTGRES_BACKUP_TERMINATION_LOG POSTGRES_BACKUP_DATABASE POSTGRES_BACKUP_PROGRESS
        { trap : TERM INT HUP; PGOPTIONS='' sh "$SCRIPT" _restore 2>&1 >"$work/result.$1"; echo "$?" >"$work/status.$1"; } | (
            # It must outlive the restore: a broken pipe would end its clean-up.
            trap '' TERM INT HUP
            LINE_PREFIX="$RESTORE_DATABASE: " awk '{ at = index($0, " "); print substr($0, 1, at) ENVIRON["LINE_PREFIX"] substr($0, at + 1) }' >&2
        )
    )
    echo $(($(now_epoch) - began)) >"$work/seconds.$1"
    if [ "$(cat "$work/status.$1")" = 0 ] && [ "$stopping" = no ] && [ "$only_check$RESTORE_ANALYZE" = noyes ]; then
        if PGAPPNAME='postgres-backup analyze' quiet_psql "$RESTORE_DATABASE" >/dev/null 2>"$work/analyze.$1" <<'SQL' || [ "$stopping" = yes ]
ANALYZE;
SQL
        then rm -f "$work/analyze.$1"; fi
    fi
}

# read_database_results: sets rows, tables, warnings and failed_databases from the results of the databases, and writes
# $work/states: an object for each database.
read_database_results() {
    rows=0 tables=0 failed_databases='' left_out_objects='' needs=''
    : >"$work/states"
    index=0
    while [ "$index" -lt "$database_count" ]; do
        index=$((index + 1))
        read_plan "$index"
        database_result=$(tail -n 1 "$work/result.$index" 2>/dev/null)
        database_rows=null database_tables=null database_replaced=null database_reason=null database_dropped=false
        case $database_state:$database_result in
            present:*) restored_state=present ;;
            *:)
                restored_state=not_restored
                if [ "$only_check" = yes ] && [ "$database_name" = template1 ]; then
                    # It is restored in place, after the others.
                    [ "$RESTORE_CHECK" = no ] || restored_state=would_be_restored
                else
                    [ ! -e "$work/status.$index" ] || database_reason=$(json "the restore ended $(status_in_words "$(cat "$work/status.$index")")")
                    failed_databases="$failed_databases${failed_databases:+$NEWLINE}$database_name: not restored"
                fi ;;
            *:'{"state":"succeeded"'*)
                restored_state=restored
                [ "$only_check" = no ] || restored_state=not_restored
                [ "$RESTORE_CHECK" = no ] || restored_state=would_be_restored
                database_rows=$(json_field rows "$database_result") database_tables=$(json_field tables "$database_result")
                database_replaced=$(json_field replaced "$database_result")
                [ "$database_state" != empty ] || database_replaced=null database_dropped=true
                [ "$database_rows" = null ] || rows=$((rows + database_rows))
                [ "$database_tables" = null ] || tables=$((tables + database_tables)) ;;
            *:'{"state":"failed"'*)
                restored_state=failed
                database_reason=$(json_field reason "$database_result")
                failed_databases="$failed_databases${failed_databases:+$NEWLINE}$database_name: $(printf '%s' "$database_reason" | sed -e 's/^"//' -e 's/"$//' -e 's/\\"/"/g' -e 's/\\\\/\\/g')" ;;
            *)
                restored_state=not_restored database_reason='"the result of the restore cannot be read"'
                failed_databases="$failed_databases${failed_databases:+$NEWLINE}$database_name: the result of the restore cannot be read" ;;
        esac
        case $database_result in
            *'"warnings":["'*)
                database_warnings=${database_result##*\"warnings\":\[}
                warnings="$warnings${warnings:+,}${database_warnings%]\}}" ;;
        esac
        database_list=$(printf '%s' "$database_result" | sed -n 's/.*,"left_out":\[\(.*\)\],"needs":\[.*/\1/p')
        [ -z "$database_list" ] || left_out_objects="$left_out_objects${left_out_objects:+,}$database_list"
        database_list=$(printf '%s' "$database_result" | sed -n 's/.*,"needs":\[\(.*\)\],"seconds":{.*/\1/p')
        [ -z "$database_list" ] || needs="$needs${needs:+,}$database_list"
        [ ! -s "$work/analyze.$index" ] || warn "ANALYZE of $database_name failed: $(psql_error "$work/analyze.$index")"
        printf '{"name":%s,"state":"%s","replaced":%s,"dropped":%s,"rows":%s,"tables":%s,"seconds":%s,"reason":%s}\n' "$(json "$database_name")" "$restored_state" "$database_replaced" \
            "$database_dropped" "$database_rows" "$database_tables" "$(cat "$work/seconds.$index" 2>/dev/null || echo null)" "$database_reason" >>"$work/states"
    done
}

# remove_marks: removes the marks of the restored databases.
remove_marks() {
    quiet_psql "$maintenance" --set=restored="$RESTORED_SETTING=$sha256" >/dev/null 2>"$work/psql.err" <<SQL || warn "the marks of the restored databases could not be removed ($RESTORED_SETTING): $(psql_error "$work/psql.err")"
SELECT format('ALTER DATABASE %I RESET $RESTORED_SETTING', datname) FROM pg_catalog.pg_database d JOIN pg_catalog.pg_db_role_setting ON setdatabase = d.oid AND setrole = 0
    WHERE :'restored' = ANY (setconfig)
\gexec
SQL
}

# restore_template1: restores the database template1, which cannot be replaced, in place and in one transaction.
restore_template1() {
    for database_plan in "$work"/plan.*; do
        read_plan "${database_plan##*.}"
        [ "$database_name" != template1 ] || [ "$database_state" = present ] || break
        database_name=
    done
    [ -n "$database_name" ] || return 0
    index=${database_plan##*.} began=$(now_epoch)
    log "restoring template1 in place"
    RESTORE_DATABASE=template1 RESTORE_DATABASE_JSON=$database_json RESTORE_TEMPORARY=template1 RESTORE_TARGET=template1 RESTORE_SEARCH_PATH='' RESTORE_ROWS=''
    export RESTORE_DATABASE RESTORE_DATABASE_JSON RESTORE_TEMPORARY
    find_section
    export has_part part_offset part_bytes section_offset section_bytes
    read_facts
    export body_offset encoding standard
    clear_stages
    run_group cluster_template1
    if [ "$(stage_status_of psql)$(stage_status_of edit)" = 00 ]; then
        template_rows=$(awk '{ rows += $2 } END { printf "%.0f", rows }' "$work/reported")
        if [ "$template_rows" = "$planned_rows" ] || [ "$inserts" != 0 ]; then
            printf '{"state":"succeeded","rows":%s,"tables":%s}\n' "$template_rows" "$(grep -c . "$work/copies")" >"$work/result.$index"
        else
            printf '{"state":"failed","reason":%s}\n' "$(json "expected $planned_rows rows, PostgreSQL reported $template_rows")" >"$work/result.$index"
        fi
    else
        psql_failure psql
        printf '{"state":"failed","reason":%s}\n' "$(json "$message. $(restore_advice "$message" "$is_lost")")" >"$work/result.$index"
    fi
    echo $(($(now_epoch) - began)) >"$work/seconds.$index"
}

step_cluster_template1() {
    section_text | {
        printf 'BEGIN;\n'
        copy_bytes "$body_offset" >/dev/null && stage edit edit_text "$work/edits" "$body_offset" || return 1
        cat "$work/settings.sql" "$work/properties.sql"
        printf "ALTER DATABASE template1 SET %s TO '%s';\nCOMMIT;\n" "$RESTORED_SETTING" "$RESTORE_KNOWN_SHA256"
    } | stage psql feed_psql template1 | stage count reported_rows >"$work/reported"
}
