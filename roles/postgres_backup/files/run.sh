# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: its steps in their order, its result, and the results of earlier attempts.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2153,SC2154 # variables are shared with the other files
# shellcheck disable=SC2329 # stage() and hooks call functions by name

run() {
    step=prepare run_began=$(now_epoch) step_began=$(now_epoch) step_seconds='' step_group='' watch_group='' partial=''
    progress "$step"
    started=$(now_iso) attempts='' warnings='' deleted=0 skipped='[]' invalid='[]'
    publishing=no pending_signal='' ended_by='' ended_at_start=no
    final_name='' sha256='' bytes='' uncompressed_bytes='' server_version='' client_version='' read_mode='' can_list=no
    backup_state='' dumped_databases='' failed_list='' failed_databases=0 excluded='[]' inaccessible_databases='' server_warnings='' free=''
    keep_streams
    on_failure=end_failed_run
    catch_signals end_run_by_signal TERM INT HUP USR1
    read_configuration
    read_server_configuration
    read_encryption
    require_tools psql pg_dump pg_dumpall awk cp cut dd find grep gzip head mkfifo mktemp od sed sha256sum sort stat sync tail tee touch tr
    require_work_folder
    time_of_name=$(date -u +%Y-%m-%d-%H%M%S)

    prepare
    begin_step dump
    dump
    begin_step read_back
    read_back
    begin_step publish
    publish
    note_recipients
    copy_kit
    begin_step check_unchecked
    check_unchecked
    begin_step retention
    # Nothing is deleted after a run that failed.
    [ "$failed_databases" -gt 0 ] || retain
    end_step retention

    end_watch
    # A signal after this point does not change the result.
    trap '' TERM INT HUP USR1
    if [ "$failed_databases" -gt 0 ]; then end_incomplete_run; fi
    recovered_from=$reason reason=null last_reason=null
    succeeded=$(run_result succeeded)
    write_last_run "$succeeded" || warn "${last_run_file##*/} could not be written"
    record_in_history succeeded null
    update_metrics || { succeeded=$(run_result succeeded); write_last_run "$succeeded" || :; }
    write_termination_message "$succeeded" run_result succeeded
    log "OK: $final_name, $(human_bytes "$bytes"), verified; $deleted deleted by retention"
    printf '%s\n' "$succeeded"
    clean_up
}

# end_incomplete_run: the backup is published, but databases are missing in it.
end_incomplete_run() {
    case $failed_databases in 1) incomplete_what="1 database" ;; *) incomplete_what="$failed_databases databases" ;; esac
    case $dumped_databases in 1) dumped_what="the other one is" ;; *) dumped_what="the other $dumped_databases are" ;; esac
    fail_with "$failed_status" "$incomplete_what could not be dumped; $dumped_what in $final_name" "$failed_text" "$first_advice"
}

prepare() {
    check_volume
    can_list=yes
    take_over_earlier_attempt
    remove_stale_partials
    write_last_run "$(run_result running)" || fail_write "$message" "$write_fault"
    listing >"$work/listing" || fail "the volume cannot be listed" "find or awk failed" "Read the messages above."
    last_backup=$(newest_complete "$work/listing")
    free=$(free_bytes)
    if [ -n "$last_backup" ] && [ "$(awk -v free="$free" -v need="${last_backup#* }" 'BEGIN { print (free < need) }')" = 1 ]; then
        fail "not enough free space on the backup volume" "$(human_bytes "$free") free; the last backup has $(human_bytes "${last_backup#* }")" \
            "Free disk space or enlarge the volume (postgres_backup_storage_size, the share's quota), or keep fewer backups (postgres_backup_keep_*)."
    fi
    prepare_encryption
    partial=$POSTGRES_BACKUP_DIR/.$POSTGRES_BACKUP_NAME-$time_of_name$name_ending.$POSTGRES_BACKUP_POD.partial
    start_group watch "$$" "$time_limit_seconds" "$partial" "${last_backup#* }"
    watch_group=$group
    query_server
    write_header
    message=$( { (set -C; : >"$partial"); } 2>&1) || fail_write "${message:-the partial file could not be created}"
    log "server $server_address, PostgreSQL $server_version; pg_dumpall $client_version; compressor $compressor; $(human_bytes "$free") free"
    end_step prepare
}

# take_over_earlier_attempt: reads from the record of the last run the result of an earlier attempt of this Job, or of an interrupted
# run. It sets `attempts` last: after a signal, end_failed_run calls it again if `attempts` is empty.
take_over_earlier_attempt() {
    this_attempt=1 reason=null last_reason=null recovered_from=null earlier_last_reason=null
    earlier=$(last_run)
    earlier_state=$(json_field state "$earlier")
    earlier_job=$(json_field job "$earlier")
    earlier_attempts=$(json_field attempts "$earlier")
    if [ -n "$earlier" ] && [ -n "$POSTGRES_BACKUP_JOB" ] && [ "$earlier_job" = "$(json "$POSTGRES_BACKUP_JOB")" ] && [ "$earlier_state" != '"succeeded"' ]; then
        is_whole_number "$earlier_attempts" || earlier_attempts=1
        this_attempt=$((earlier_attempts + 1))
        reason=$(json_field reason "$earlier")
        earlier_last_reason=$(json_field last_reason "$earlier")
        : "${earlier_last_reason:=null}"
        case $reason in
            '"'*) ;;
            *) reason=$(json "attempt $earlier_attempts was interrupted before it could write its result (killed, out of memory, or the node failed)") ;;
        esac
        log "attempt $this_attempt of this Job; the first failed: $reason"
    elif [ "$earlier_state" = '"interrupted"' ]; then
        warn "the previous run (job $earlier_job, started $(json_field started "$earlier")) was interrupted before it could write its result"
    fi
    attempts=$this_attempt
}

# remove_stale_partials: deletes the partial files of earlier attempts of this pod, of earlier pods of this Job (after an
# eviction, such a pod is dead or terminating), and those that are a day old. (The prefix of a pod's name has at most 58
# characters.)
remove_stale_partials() {
    own_pods=$(printf '%.58s' "${POSTGRES_BACKUP_JOB:-/}-")'?????'
    find "$POSTGRES_BACKUP_DIR" -maxdepth 1 -type f \( -name ".$name_pattern.$POSTGRES_BACKUP_POD.partial" -o -name ".$name_pattern.age.$POSTGRES_BACKUP_POD.partial" \
        -o -name ".$name_pattern.$own_pods.partial" -o -name ".$name_pattern.age.$own_pods.partial" \
        -o \( -name ".$name_pattern.*.partial" -mmin +1440 \) \) -exec rm -f {} + 2>/dev/null
    find "$POSTGRES_BACKUP_DIR" -maxdepth 1 -type f \( -name ".$POSTGRES_BACKUP_NAME.last-run.json.*" -o -name '.last-run.json.*' \
        -o -name ".$name_pattern.sha256.*" -o -name ".$name_pattern.age.sha256.*" \
        -o -name ".$POSTGRES_BACKUP_NAME.last-drill.json.*" -o -name '.last-drill.json.*' -o -name ".$POSTGRES_BACKUP_NAME.history.jsonl.*" -o -name ".$POSTGRES_BACKUP_NAME.keys.jsonl.*" \
        -o -name ".$POSTGRES_BACKUP_NAME.prom.*" \
        -o -name ".$name_pattern.json.*" -o -name ".$name_pattern.age.json.*" -o -name ".$name_pattern.damaged.*" -o -name ".$name_pattern.age.damaged.*" \
        -o -name '.restore-kit.sh.*' -o -name '.*RESTORE.md.*' \) -mmin +1440 -exec rm -f {} + 2>/dev/null
}

# step_watch MAIN SECONDS PARTIAL LAST_BYTES: keeps the heartbeat of the run, reports the dump, and ends the run by SIGUSR1 at its
# time limit. The last backup has LAST_BYTES, empty without one.
step_watch() {
    # A separate process: a volume whose server is down blocks every process that accesses it.
    heartbeat "$1" "$3" &
    if shows_progress; then report_dump "$1" "$3" "$4" & fi
    seconds_left=$2
    while [ "$seconds_left" -gt 0 ]; do
        pause=$((seconds_left < 60 ? seconds_left : 60))
        sleep "$pause"
        kill -0 "$1" 2>/dev/null || exit 0
        seconds_left=$((seconds_left - pause))
    done
    kill -USR1 "$1"
}

# heartbeat MAIN PARTIAL: each minute, touches the record of the run and logs the progress.
heartbeat() {
    minutes=0
    while sleep 60 && kill -0 "$1" 2>/dev/null; do
        minutes=$((minutes + 1))
        [ ! -e "$last_run_file" ] || touch "$last_run_file" 2>/dev/null
        bytes=$(stat -c %s "$2" 2>/dev/null) && log "still running after $minutes min; $(human_bytes "$bytes") written"
    done
}

# report_dump MAIN PARTIAL LAST_BYTES: reports every two seconds which database is dumped, and the size of the partial file.
report_dump() {
    watched_attempt=0 watched_part='' dump_members='' last_members=''
    [ -z "$3" ] || last_members=",\"total_bytes\":$3,\"is_estimate\":true"
    while sleep 2 && kill -0 "$1" 2>/dev/null; do
        if [ ! -e "$work/start.0" ] || [ -e "$work/written" ] || ! is_in_step dump; then continue; fi
        while [ -e "$work/start.$((watched_attempt + 1))" ]; do watched_attempt=$((watched_attempt + 1)); done
        read -r _ started_part _ <"$work/start.$watched_attempt"
        if [ "$started_part" != "$watched_part" ]; then
            watched_part=$started_part
            dump_members=$(awk -F "$TAB" -v part="$watched_part" '
                $2 == "dump" { count++; if ($1 == part) { name = $4; number = count } }
                END { if (number) printf ",\"subject\":%s,\"number\":%d,\"count\":%d", name, number, count }' "$work/databases")
        fi
        written_bytes=$(stat -c %s "$2" 2>/dev/null) && progress dump "$dump_members,\"done_bytes\":$written_bytes$last_members"
    done
}

# publish: writes the checksum file and the manifest, then renames the partial file. The checksum file reserves the name: two runs in the
# same second make two backups.
publish() {
    chmod "$file_mode" "$partial" 2>/dev/null || warn "the volume does not allow setting the mode of a file to $file_mode"
    candidate=$POSTGRES_BACKUP_NAME-$time_of_name$name_ending
    tries=0
    publishing=yes
    while :; do
        if [ ! -e "$POSTGRES_BACKUP_DIR/$candidate" ] && [ ! -L "$POSTGRES_BACKUP_DIR/$candidate" ]; then
            checksum_file=$POSTGRES_BACKUP_DIR/$candidate.sha256
            line="$sha256  $candidate"
            if message=$( (set -C; : >"$checksum_file") 2>&1); then break; fi
            [ -e "$checksum_file" ] || [ -L "$checksum_file" ] || fail_write "${message:-the checksum file could not be created}"
        fi
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || fail "no unused name for the backup" "$candidate and the $tries seconds before it are taken" "Check the files on the volume."
        candidate=$POSTGRES_BACKUP_NAME-$(next_second "${candidate#"$POSTGRES_BACKUP_NAME-"}")$name_ending
    done
    if ! write_text "$checksum_file" "$line"; then
        rm -f "$checksum_file" 2>/dev/null
        fail_write "$message" "$write_fault"
    fi
    manifest_file=$POSTGRES_BACKUP_DIR/$candidate.json
    rm -f "$manifest_file" 2>/dev/null
    if ! write_manifest "$manifest_file" "$candidate"; then
        rm -f "$manifest_file" "$checksum_file" 2>/dev/null
        fail_write "$message" "$write_fault"
    fi
    chmod "$file_mode" "$checksum_file" "$manifest_file" 2>/dev/null || :
    if [ -n "$pending_signal" ]; then
        rm -f "$manifest_file" "$checksum_file" 2>/dev/null
        publishing=no
        end_run_by_signal "$pending_signal"
    fi
    # A hard link does not replace an existing file; file systems without hard links get a rename.
    if ln "$partial" "$POSTGRES_BACKUP_DIR/$candidate" 2>/dev/null; then
        rm -f "$partial"
    elif [ -e "$POSTGRES_BACKUP_DIR/$candidate" ] || ! message=$(mv "$partial" "$POSTGRES_BACKUP_DIR/$candidate" 2>&1); then
        rm -f "$manifest_file" "$checksum_file" 2>/dev/null
        fail_write "${message:-$candidate appeared during the run}"
    fi
    partial=
    sync "$POSTGRES_BACKUP_DIR" 2>/dev/null || :
    final_name=$candidate
    publishing=no
    [ -z "$pending_signal" ] || end_run_by_signal "$pending_signal"
    end_step publish
    log "published as $final_name with its checksum file and its manifest"
}

# next_second TIME.sql.gz[.age]: prints the time in the name plus one second.
next_second() {
    stamp=${1%%.*}
    clock=${stamp##*-}
    day=${stamp%-*}
    epoch=$(date -u -d "$day $(printf %s "$clock" | sed 's/\(..\)\(..\)\(..\)/\1:\2:\3/')" +%s)
    date -u -d "@$((epoch + 1))" +%Y-%m-%d-%H%M%S
}

retain() {
    if [ "$clock_difference" -gt "$CLOCK_TOLERANCE_SECONDS" ] || [ "$clock_difference" -lt "-$CLOCK_TOLERANCE_SECONDS" ]; then
        warn "retention was skipped: this machine's clock differs from the server's by $clock_difference seconds; synchronise the clocks"
        return 0
    fi
    listing >"$work/listing" || { warn "retention was skipped: the volume could not be listed"; return 0; }
    delete_planned
    [ -z "$not_deleted" ] || warn "retention could not delete:$not_deleted"
    [ -z "$brake_reason" ] || warn "retention was held back: $brake_reason. $brake_advice"
}

# fail_write MESSAGE [FAULT]: fails because a file could not be written; FAULT is `write_fault` of write_text.
fail_write() {
    case ${2:-}:$1 in
        full:* | *'No space left'* | *'quota exceeded'*)
            [ -z "$partial" ] || rm -f "$partial" 2>/dev/null
            fail "the backup volume is full" "$1 (without this run $(human_bytes "$(free_bytes)") of $(human_bytes "$(volume_bytes)") are free)" \
                "Free disk space or enlarge the volume (postgres_backup_storage_size, the share's quota), or keep fewer backups (postgres_backup_keep_*)." ;;
        *'Permission denied'* | *'Operation not permitted'*)
            fail_with 2 "the backup volume cannot be written" "$1; $(ls -ld "$POSTGRES_BACKUP_DIR" 2>&1), running as $(id)" "$ADVICE_PERMISSION" ;;
        *'Read-only file system'*)
            fail "the backup volume is read-only" "$1" "Mount it read-write; a file system with errors is often switched to read-only by its server." ;;
        *) fail "the backup volume failed" "$1" "Check the storage behind the volume and the connection to it: the file could not be written." ;;
    esac
}

# run_result STATE: prints the result, one JSON object.
run_result() {
    printf '{"state":"%s","job":%s,"pod":%s,"attempts":%s,"started":"%s","finished":%s' "$1" \
        "$(json_or_null "$POSTGRES_BACKUP_JOB")" "$(json "$POSTGRES_BACKUP_POD")" "$attempts" "$started" \
        "$(if [ "$1" = running ]; then printf null; else json "$(now_iso)"; fi)"
    printf ',"reason":%s,"last_reason":%s,"signal":%s,"recovered_from":%s' "$reason" "$last_reason" "$(json_or_null "$ended_by")" "$recovered_from"
    printf ',"backup":%s,"bytes":%s,"sha256":%s,"uncompressed_bytes":%s' "$(json_or_null "$final_name")" \
        "${bytes:-null}" "$(json_or_null "$sha256")" "${uncompressed_bytes:-null}"
    printf ',"seconds":{%s},"server_version":%s,"client_version":%s,"compressor":%s,"read_back":%s' "$step_seconds" \
        "$(json_or_null "$server_version")" "$(json_or_null "$client_version")" "$(json_or_null "${compressor:-}")" \
        "$(json_or_null "$read_mode")"
    printf ',"backup_state":%s,"databases":%s,"failed_databases":[%s],"excluded_databases":%s,"inaccessible_databases":[%s]' \
        "$(json_or_null "$backup_state")" "${dumped_databases:-null}" "$failed_list" "$excluded" "$inaccessible_databases"
    printf ',"skipped_databases":%s,"invalid_databases":%s,"deleted":%s,"warnings":[%s],"server_warnings":[%s],"script_version":"%s"}' \
        "$skipped" "$invalid" "$deleted" "$warnings" "$server_warnings" "$VERSION"
}

# record_in_history STATE REASON: adds this run to the history; REASON is JSON.
record_in_history() {
    append_history "$(history_entry run "$1" "$started" "$(($(now_epoch) - run_began))" "$final_name" "$backup_state" \
        "$bytes" "$uncompressed_bytes" "$deleted" "$2")"
}

# end_failed_run: $on_failure of a run: writes the result, and reports the older backups.
end_failed_run() {
    [ -n "$attempts" ] || take_over_earlier_attempt
    [ -z "$partial" ] || rm -f "$partial" 2>/dev/null
    this_reason=$(json "$(printf '%s: %s' "$what" "$found" | head -c 1500)")
    if [ "$reason" = null ]; then reason=$this_reason
    elif [ "$ended_at_start" = no ]; then last_reason=$this_reason
    else last_reason=$earlier_last_reason
    fi
    if [ -z "$final_name" ]; then sha256='' bytes='' uncompressed_bytes='' backup_state=''; fi
    failed_result=$(run_result failed)
    write_last_run "$failed_result" || log "${last_run_file##*/} could not be written: the volume does not allow it"
    record_in_history failed "$this_reason"
    if [ "$can_list" = yes ] && ! update_metrics; then
        failed_result=$(run_result failed)
        write_last_run "$failed_result" || :
    fi
    printf '%s\n' "$failed_result"
    write_termination_message "$failed_result" run_result failed
    report_older_backups
    [ "$reason" = "$this_reason" ] || log "  The first attempt of this Job failed: $reason"
}

report_older_backups() {
    if [ "$can_list" = no ] || ! listing >"$work/listing" 2>/dev/null; then
        log "  Nothing was deleted."
        return 0
    fi
    older=$(newest_complete "$work/listing")
    if [ -n "$older" ]; then
        log "  Older backups are untouched; the newest complete one is ${older% *} ($(human_bytes "${older#* }"))."
    else
        log "  Nothing was deleted. No complete backup was found on the volume."
    fi
}

# end_run_by_signal NAME
end_run_by_signal() {
    # Without a configuration, nothing has been started yet.
    [ -n "${POSTGRES_BACKUP_TERMINATION_LOG:-}" ] || exit "$SIGTERM_STATUS"
    # A half-published backup must be neither kept nor failed: publish() handles the signal.
    if [ "$publishing" = yes ]; then
        pending_signal=$1
        return 0
    fi
    if [ "$step" = dump ] && [ -e "$work/written" ]; then step=read_back; fi
    case $1 in
        USR1) fail "the run took longer than its time limit of $POSTGRES_BACKUP_TIME_LIMIT" "it was in the step: $step" \
            "Find out what it waited for (a lock, a slow volume), or raise postgres_backup_time_limit." ;;
        *)
            ended_by=$1
            if is_surplus_attempt; then
                ended_at_start=yes
                fail "this attempt was terminated as it started (SIG$1)" "attempt $attempts; Kubernetes does so when the Job has reached its backoff limit" \
                    "Fix the cause of the first failure: the last line contains the reason."
            fi
            fail "the run was terminated by SIG$1" "it was in the step: $step" \
            "Something stopped the pod: its deletion, an eviction, or a shutdown of its node. Kubernetes tries again if the Job allows it." ;;
    esac
}

# is_surplus_attempt: whether this is another attempt that a signal ends within its first seconds: a Job with
# restartPolicy OnFailure (of an earlier version of the role) ends its last attempt in this way.
is_surplus_attempt() {
    [ "$step" = prepare ] && [ $(($(now_epoch) - step_began)) -le 5 ] || return 1
    [ -n "$attempts" ] || take_over_earlier_attempt
    [ "$attempts" -gt 1 ]
}
