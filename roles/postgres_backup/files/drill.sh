# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh drill`: restores a backup into a temporary server, and counts every row.
# It has no credentials and no network, and reads the backups read-only: a dump's text can run code as superuser.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2153,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

# How often the watch measures the disk space of the data, in seconds.
DRILL_PAUSE_SECONDS=2

read_drill_configuration() {
    : "${POSTGRES_BACKUP_DRILL_BACKUP:=}" "${POSTGRES_BACKUP_DRILL_SUPERUSER:=}" "${POSTGRES_BACKUP_DRILL_SETTINGS:=}"
    : "${POSTGRES_BACKUP_DRILL_DATA:=/drill}" "${POSTGRES_BACKUP_DRILL_RESULT:=}" "${POSTGRES_BACKUP_DRILL_SECTIONS:=}"
    # Lines of a database's name and a text, both in octal numbers for printf %b.
    : "${POSTGRES_BACKUP_DRILL_SEARCH_PATH:=}" "${POSTGRES_BACKUP_DRILL_BEFORE_SQL:=}" "${POSTGRES_BACKUP_DRILL_AFTER_SQL:=}"
    case $POSTGRES_BACKUP_DRILL_BACKUP in
        */*) config_error "POSTGRES_BACKUP_DRILL_BACKUP: expected a backup's file name, found '$POSTGRES_BACKUP_DRILL_BACKUP'" ;;
    esac
    : "${POSTGRES_BACKUP_DRILL_SIZE_LIMIT:=0}"
    case $POSTGRES_BACKUP_DRILL_SIZE_LIMIT in
        *[!0-9]* | ????????????????*) config_error "POSTGRES_BACKUP_DRILL_SIZE_LIMIT: expected a number of bytes, found '$POSTGRES_BACKUP_DRILL_SIZE_LIMIT'" ;;
    esac
    : "${POSTGRES_BACKUP_TIME_LIMIT:=6h}"
    duration POSTGRES_BACKUP_TIME_LIMIT
    time_limit_seconds=$seconds
    bad=$(printf '%s\n' "$POSTGRES_BACKUP_DRILL_SECTIONS" | grep -v -E '^([0-9]{1,15} [0-9]{1,15} [0-9]{1,15})?$' | head -n 1)
    [ -z "$bad" ] || config_error "POSTGRES_BACKUP_DRILL_SECTIONS: expected lines of an offset, a length and the body's offset in bytes, found '$bad'"
    bad=$(printf '%s\n' "$POSTGRES_BACKUP_DRILL_SETTINGS" | grep -v -E '^ *([A-Za-z_][A-Za-z0-9_.]* *=.*)?$' | head -n 1)
    [ -z "$bad" ] || config_error "POSTGRES_BACKUP_DRILL_SETTINGS: expected lines of the form name = value, found '$bad'"
    data=$POSTGRES_BACKUP_DRILL_DATA/postgres-backup-drill.$$
}

drill() {
    step=prepare step_began=$(now_epoch) step_seconds='' step_group='' watch_group='' server_group='' data=''
    progress "$step"
    started=$(now_iso) reason=null warnings='' backup='' bytes='' sha256='' server_version=''
    databases=0 missing_databases='' tables=0 rows=0 copied_rows=0 can_heal=null ended_by='' hash_checked=no
    errors=0 error_list='' needs='' left_out='' extensions='' settings=''
    : "${POSTGRES_BACKUP_DRILL_RESULT:=}"
    keep_streams
    on_failure=end_failed_drill
    catch_signals end_drill_by_signal TERM INT HUP USR1 USR2
    read_configuration
    read_drill_configuration
    require_tools awk cmp cut dd du find grep gzip head initdb mkfifo mktemp postgres psql sed sha256sum sort stat tail tr
    require_work_folder
    choose_decompressor
    check_volume
    choose_backup
    ! shows_progress || report_usual_seconds
    PGHOST=$work PGPORT=5432 PGDATABASE=postgres
    # The server would read the last of these, too (src/backend/utils/misc/guc.c, InitializeGUCOptionsFromEnvironment).
    unset PGPASSWORD PGPASSFILE PGSERVICE PGSSLMODE PGOPTIONS PGCLIENTENCODING
    export PGHOST PGPORT PGDATABASE data file sha256 POSTGRES_BACKUP_DRILL_SECTIONS POSTGRES_BACKUP_DRILL_SEARCH_PATH \
        POSTGRES_BACKUP_DRILL_BEFORE_SQL POSTGRES_BACKUP_DRILL_AFTER_SQL
    start_group drill_watch "$$" "$time_limit_seconds" "$data" "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT"
    watch_group=$group
    mkdir -m 0700 "$data" 2>"$work/mkdir.err" || fail "no folder for the data" "$(cat "$work/mkdir.err")" \
        "Mount a folder at $POSTGRES_BACKUP_DRILL_DATA that this user id ($(id -u)) can write to."
    inspect_dump
    has_plan=no
    ! plan_by_manifest || has_plan=yes
    end_step prepare
    begin_step initdb
    make_server
    check_extensions
    end_step initdb
    begin_step globals
    restore_globals
    end_step globals
    begin_step restore
    restore_databases
    end_step restore
    begin_step count
    report_upgrade_facts
    count_rows
    check_text
    end_step count
    end_drill
    # A pod may only read the volume: another one records it.
    [ -n "$POSTGRES_BACKUP_JOB" ] || [ -z "${opened_by:-}" ] || record_drill_keys "[$opened_by]" "$backup"
    log "OK: $backup restores: $databases databases, $tables tables, $rows rows, all counted"
    # The result is printed last: a program that follows the log stops there.
    report_drill succeeded
    clean_up
}

# choose_backup: sets `backup`, `file`, `sha256` (empty without a checksum file) and `bytes`.
choose_backup() {
    listing >"$work/listing" || fail "the volume cannot be listed" "find or awk failed" "Read the messages above."
    backup=$POSTGRES_BACKUP_DRILL_BACKUP
    if [ -z "$backup" ]; then
        backup=$(newest_complete "$work/listing")
        backup=${backup% *}
        [ -n "$backup" ] || fail "there is no complete backup" "none in $POSTGRES_BACKUP_DIR" "Run a backup first, or name the backup for the drill."
    fi
    file=$POSTGRES_BACKUP_DIR/$backup
    [ -f "$file" ] || fail "the backup is not on the volume" "$backup" "List the backups on the volume: backup.sh list."
    line=$(grep -F "\"name\":\"$backup\"" "$work/listing" | head -n 1)
    case $line in
        *'"state":"damaged"'*) fail_for_good "the backup is damaged" "$backup: $(head -n 1 "$file.damaged" 2>/dev/null)" "Run the drill with another backup." ;;
    esac
    sha256=$(json_field sha256 "$line" | tr -d '"')
    [ "$sha256" != null ] || sha256=''
    # A JSON array of strings, each without quotation marks and backslashes or with these after a backslash.
    missing_databases=$(printf '%s\n' "$line" | sed -n 's/.*"state":"incomplete".*,"missing":\(\[\("[^"\\]*\(\\.[^"\\]*\)*",*\)*\]\).*/\1/p')
    [ -z "$missing_databases" ] || warn "the backup is incomplete: it lacks the databases ${missing_databases}, which the run could not dump"
    require_readable
    bytes=$(stat -c %s "$file")
    log "starting the restore drill of $backup, $(human_bytes "$bytes")"
}

# inspect_dump: starts the hash in the background, and reads the text before the first database.
inspect_dump() {
    clear_stages
    start_group drill_hash "$file"
    hash_group=$group
    run_group drill_facts "$file"
    grep -q '^-- PostgreSQL database cluster dump$' "$work/head" || {
        head_message=$(stage_message_of head)
        check_hash
        [ -n "$head_message" ] || find_damage
        fail_for_good "the backup is not a dump of all databases" "$backup does not begin as the text of pg_dumpall does: ${head_message:-$damage}" \
            "Run the drill with a backup that pg_dumpall made."
    }
    globals_bytes=$(fact bytes)
    [ "$(fact complete)" = 1 ] || {
        check_hash
        fail_for_good "the backup is cut off" "$backup ends among the roles and other globals" "Run the drill with another backup; this one cannot be restored."
    }
    dump_version=$(header_value 'server version')
    [ -n "$dump_version" ] || dump_version=$(sed -n 's/^-- Dumped from database version \([0-9][^ ]*\).*/\1/p' "$work/begin" | head -n 1)
    server_version=$(postgres --version | sed -n 's/^postgres (PostgreSQL) \([^ ]*\).*/\1/p')
    image_major=${server_version%%[!0-9]*} dump_major=${dump_version%%[!0-9]*}
    is_whole_number "$image_major" || fail_for_good "the image has no PostgreSQL server" "postgres --version printed '$(postgres --version 2>&1 | head -n 1)'" \
        "Set postgres_backup_image to an image that has the server's programs."
    if is_whole_number "$dump_major" && [ "$image_major" -lt "$dump_major" ]; then
        fail_for_good "the image's server is older than the dump" "PostgreSQL $server_version in the image, a dump of $dump_version" \
            "Use an image of PostgreSQL $dump_major or newer (postgres_backup_image)."
    fi
    superuser=$POSTGRES_BACKUP_DRILL_SUPERUSER
    [ -n "$superuser" ] || superuser=$(header_value 'bootstrap superuser')
    [ -n "$superuser" ] || superuser=$(fact superuser)
    [ -n "$superuser" ] || superuser=postgres
    PGUSER=$superuser
    export PGUSER globals_bytes
}

# header_value NAME: prints a value from the header that a run wrote, where it is a JSON string.
header_value() {
    sed -n -e '/^--$/q' -e "s/^-- $1: \"\(.*\)\"\$/\1/p" "$work/head" | sed -e 's/\\"/"/g' -e 's/\\\\/\\/g' | head -n 1
}

# fact NAME: prints a fact of globals.awk.
fact() { sed -n "s/^$1 //p" "$work/facts" | head -n 1; }

# find_damage: reads the complete text; sets `damage` to the reason if it is not one complete dump of all databases.
find_damage() {
    [ -e "$work/sections" ] || {
        run_group drill_text "$file"
        mv "$work/end" "$work/sections" 2>/dev/null || : >"$work/sections"
    }
    damage=$(damage_of "$work/sections" "$(tr -d ' \n' <"$work/count")")
}

# step_drill_text FILE: the facts of sections.awk. (pigz omits the last readable part of a damaged file.)
step_drill_text() {
    [ "$decompressor" != pigz ] || decompressor=gzip
    read_backup_to_end "$1" section_facts
}

# plain_lines: copies standard input without a byte order mark and without carriage returns at the ends of lines.
plain_lines() { sed -e "1s/^$(printf '\357\273\277')//" -e "s/$(printf '\r')\$//"; }

# step_drill_facts FILE: the beginning of the text, and the facts and the copy of the globals of globals.awk.
step_drill_facts() {
    backup_text "$1" 2>"$work/head.err" | head -c 65536 | plain_lines >"$work/head"
    backup_text "$1" 2>/dev/null | awk -v mode=facts -v copy="$data/globals.sql" -f "$work/globals.awk" >"$work/facts"
    backup_text "$1" 2>/dev/null | tail -c "+$(($(fact bytes) + 1))" 2>/dev/null | head -c 65536 | plain_lines >"$work/begin"
}

# step_drill_hash FILE: its hash; without a checksum file, also the end of its text.
step_drill_hash() {
    stage hash sha256sum <"$1" >"$work/hash"
    [ -n "$sha256" ] || backup_text "$1" 2>"$work/check.err" | tail -c 64 | tr -d '\r' >"$work/end"
    echo yes >"$work/hashed"
}

# check_hash: fails if the file does not match its checksum file, or has none and is not complete.
check_hash() {
    [ "$hash_checked" = no ] || return 0
    if [ -n "$hash_group" ]; then
        step_group=$hash_group
        wait_for_step
        step_group='' hash_group=''
    fi
    [ -e "$work/hashed" ] && [ "$(stage_status_of hash)" = 0 ] || fail "the backup cannot be read from the volume" \
        "$backup: $(stage_message_of hash)" "Check the storage behind the volume."
    volume_hash=$(cut -c 1-64 "$work/hash")
    if [ -z "$sha256" ]; then
        sha256=$volume_hash
        is_complete_dump || {
            find_damage
            fail_for_good "the backup is not complete" \
                "$backup, which has no checksum file, does not end with the completion marker of pg_dumpall${damage:+: $damage}" \
                "Run the drill with another backup; this one cannot be restored."
        }
    elif [ "$volume_hash" != "$sha256" ]; then
        fail "the backup does not match its checksum file" "$backup: sha256 $volume_hash, its checksum file has $sha256" \
            "It was damaged or changed after it was made: check the storage, and run the drill with another backup."
    fi
    hash_checked=yes
}

# check_text: fails if the text is not one complete dump: psql also restores two dumps in one file if they create
# different databases. Backups of a run were verified by it, and backups with contents by the module that read them.
check_text() {
    [ "$has_plan" = no ] && [ -z "$POSTGRES_BACKUP_DRILL_SECTIONS" ] && ! head -n 1 "$work/head" | grep -q '^-- Backup made by homelab.postgres_backup ' || return 0
    find_damage
    [ -z "$damage" ] || fail_for_good "the backup is not one complete dump" "$backup: $damage" \
        "Run the drill with another backup. Do not rely on a copy of this one, even if its checksum file matches."
}

# step_drill_watch MAIN SECONDS FOLDER LIMIT_BYTES: ends the drill at its time limit by SIGUSR1, and at its size limit by
# SIGUSR2.
step_drill_watch() {
    elapsed=0 logged=0
    while [ "$elapsed" -lt "$2" ]; do
        sleep "$DRILL_PAUSE_SECONDS"
        kill -0 "$1" 2>/dev/null || exit 0
        measuring=$(now_epoch)
        used=$(folder_bytes "$3")
        measuring=$(($(now_epoch) - measuring))
        elapsed=$((elapsed + DRILL_PAUSE_SECONDS + measuring))
        if [ "$4" -gt 0 ] && [ "${used:-0}" -gt "$4" ]; then
            echo "$used" >"$work/used"
            kill -USR2 "$1"
            exit 0
        fi
        if shows_progress && is_in_step restore; then report_restored "${used:-0}"; fi
        if [ $((elapsed - logged)) -ge 60 ]; then
            logged=$elapsed
            log "still restoring after $((elapsed / 60)) min; $(human_bytes "${used:-0}") of data"
        fi
        # Measuring many files takes long.
        [ "$measuring" -eq 0 ] || sleep $((measuring * 5))
    done
    kill -USR1 "$1"
}

# report_usual_seconds: reports how long the last scheduled drill took, if there was one.
report_usual_seconds() {
    usual=$(usual_seconds drill)
    [ -z "$usual" ] || progress "$step" ",\"usual_seconds\":$usual"
}

# report_restored BYTES: reports how large the data are, and how large the databases were on the server.
report_restored() {
    if [ -z "${live_bytes:-}" ]; then
        live_bytes=$(awk '
            /"result":"dumped"/ && match($0, /"size_bytes":[0-9]+/) { bytes += substr($0, RSTART + 13, RLENGTH - 13) }
            END { printf "%.0f", bytes }' "$work/manifest" 2>/dev/null) || live_bytes=0
    fi
    progress restore ",\"done_bytes\":$1,\"total_bytes\":${live_bytes:-0},\"is_estimate\":true"
}

# end_drill_by_signal NAME
end_drill_by_signal() {
    case $1 in
        USR1) fail "the drill took longer than its time limit of $POSTGRES_BACKUP_TIME_LIMIT" "it was in the step: $step" \
            "Raise postgres_backup_time_limit (the module's option timeout), or give the pod more CPU." ;;
        USR2) too_large "$(cat "$work/used")" ;;
        *)
            ended_by=$1
            fail "the drill was terminated by SIG$1" "it was in the step: $step" \
            "Something stopped the pod: its deletion, an eviction, or a shutdown of its node." ;;
    esac
}

# folder_bytes FOLDER: prints the disk space that it uses.
folder_bytes() { du -sk "$1" 2>/dev/null | awk '{ printf "%.0f", $1 * 1024 }'; }

# too_large BYTES
too_large() {
    fail_for_good "the restored data exceed the size limit of the drill" \
        "$(human_bytes "$1") so far; the limit is $(human_bytes "$POSTGRES_BACKUP_DRILL_SIZE_LIMIT")" \
        "Raise postgres_backup_drill_size_limit (the module's option size_limit), if the node has enough free space."
}

# end_drill: ends all processes of the drill, and deletes its data.
end_drill() {
    end_watch
    end_server
    [ -z "${hash_group:-}" ] || end_group "$hash_group"
    hash_group=
    [ -z "${data:-}" ] || rm -rf "$data"
}

# report_drill STATE: prints the result, and writes it to the result file and the termination message.
report_drill() {
    result=$(drill_result "$1")
    printf '%s\n' "$result"
    if [ -n "$POSTGRES_BACKUP_DRILL_RESULT" ]; then printf '%s\n' "$result" >"$POSTGRES_BACKUP_DRILL_RESULT"; fi
    write_termination_message "$result" drill_result "$1"
}

# drill_result STATE: prints the result, one JSON object.
drill_result() {
    printf '{"state":"%s","operation":"drill","job":%s,"pod":%s,"started":"%s","finished":%s,"reason":%s' "$1" \
        "$(json_or_null "$POSTGRES_BACKUP_JOB")" "$(json "$POSTGRES_BACKUP_POD")" "$started" \
        "$(if [ "$1" = running ]; then printf null; else json "$(now_iso)"; fi)" "$reason"
    printf ',"signal":%s' "$(json_or_null "$ended_by")"
    printf ',"backup":%s,"bytes":%s,"sha256":%s,"seconds":{%s},"server_version":%s' "$(json_or_null "$backup")" \
        "${bytes:-null}" "$(json_or_null "$sha256")" "$step_seconds" "$(json_or_null "$server_version")"
    printf ',"errors":%s,"error_list":[%s],"needs":[%s],"left_out":[%s],"extensions":[%s],"settings":[%s]' \
        "$errors" "$error_list" "$needs" "$left_out" "$extensions" "$settings"
    printf ',"databases":%s,"missing_databases":%s,"tables":%s,"rows":%s,"copied_rows":%s,"can_heal":%s,"warnings":[%s],"script_version":"%s"' \
        "$databases" "${missing_databases:-[]}" "$tables" "$rows" "$copied_rows" "$can_heal" "$warnings" "$VERSION"
    print_openers
    printf '}'
}

# end_failed_drill: $on_failure of a drill.
end_failed_drill() {
    can_heal=true
    [ "$exit_status" -ne 2 ] || can_heal=false
    reason=$(json "$(printf '%s: %s' "$what" "$found" | head -c 1500)")
    end_drill
    report_drill failed
    # The container that records the result fails instead.
    if [ -n "$POSTGRES_BACKUP_DRILL_RESULT" ]; then exit_status=0; fi
}

# drill_prepare: prepares the drill's container: writes a passwd file with this user id, which initdb requires, and for a
# scheduled drill the state `running`.
drill_prepare() {
    step_seconds='' warnings='' started=$(now_iso) reason=null backup='' bytes='' sha256='' server_version=''
    databases=0 missing_databases='' tables=0 rows=0 copied_rows=0 can_heal=null ended_by=''
    errors=0 error_list='' needs='' left_out='' extensions='' settings=''
    read_configuration
    passwd=${TMPDIR:-/tmp}/passwd
    if ! message=$( { cat /etc/passwd 2>/dev/null || :; } >"$passwd" && chmod 0644 "$passwd" 2>&1); then
        fail "no passwd file could be written" "$message" "Check the free space in ${TMPDIR:-/tmp}."
    fi
    grep -q "^[^:]*:[^:]*:$(id -u):" "$passwd" ||
        printf 'postgres-drill:x:%s:%s:PostgreSQL:/:/bin/false\n' "$(id -u)" "$(id -g)" >>"$passwd"
    [ -n "${POSTGRES_BACKUP_DRILL_RESULT:-}" ] || return 0
    write_last_drill "$(drill_result running)"
}

# drill_record: writes the result of a scheduled drill to the volume; exits with the status of the drill.
drill_record() {
    warnings=''
    read_configuration
    text=$(utf8 "$(head -c 65536 "$POSTGRES_BACKUP_DRILL_RESULT" 2>/dev/null | tr -d '\000' | head -n 1)")
    case $text in
        '{"state":"succeeded","operation":"drill",'*'}' | '{"state":"failed","operation":"drill",'*'}') ;;
        *) fail "the drill wrote no result" "$POSTGRES_BACKUP_DRILL_RESULT does not contain one" "Read the log of the container drill." ;;
    esac
    write_last_drill "$text"
    record_in_history "$text"
    case $text in
        '{"state":"succeeded",'*',"opened_by":['*)
            record_drill_keys "$(printf '%s\n' "$text" | sed -n 's/.*,"opened_by":\(\[[^]]*\]\).*/\1/p')" "$(json_field backup "$text" | tr -d '"')" ;;
    esac
    update_metrics || :
    printf '%s\n' "$text"
    case $text in
        '{"state":"succeeded",'*) ;;
        *'"can_heal":false'*) exit_status=2; exit 2 ;; # within a string, quotation marks have a backslash before them
        *) exit 1 ;;
    esac
}

# record_drill_keys OPENED_BY BACKUP: notes the identity of a drill that has succeeded.
record_drill_keys() {
    case $2 in *[!A-Za-z0-9._-]*) return 0 ;; esac
    record_keys "$1" "$2" drill || warn "${keys_file##*/} could not be written: $message"
}

write_last_drill() {
    check_volume
    replace_text "$last_drill_file" "$1" || fail "${last_drill_file##*/} cannot be written" "$message" "$ADVICE_PERMISSION"
}

# record_in_history RESULT: adds the entry of a scheduled drill to the history.
record_in_history() {
    # The seconds of each step are the only numbers in a nested object.
    drill_seconds=$(printf '%s\n' "$1" | sed -n 's/.*"seconds":{\([^}]*\)}.*/\1/p' | tr ',' '\n' | awk -F : '{ sum += $2 } END { printf "%.0f", sum }')
    drill_state=$(json_field state "$1" | tr -d '"') drill_reason=$(json_field reason "$1") drill_bytes=$(json_field bytes "$1")
    drill_started=$(json_field started "$1" | tr -d '"') drill_backup=$(json_field backup "$1" | tr -d '"')
    [ "$drill_backup" != null ] || drill_backup=
    # A drill that failed did not count all rows.
    drill_tables='' drill_rows=''
    [ "$drill_state" != succeeded ] || { drill_tables=$(json_field tables "$1") drill_rows=$(json_field rows "$1"); }
    append_history "$(history_entry drill "$drill_state" "$drill_started" "$drill_seconds" "$drill_backup" '' "$drill_bytes" '' 0 "${drill_reason:-null}" "$drill_tables" "$drill_rows")"
}
