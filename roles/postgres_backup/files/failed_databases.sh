# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh run`: the databases that are not in the backup, each with the reason and advice.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# explain_failed_databases: reads $work/parts. For each database that should be in the backup and is not, it writes the
# JSON members "reason" and "advice" to $work/reason.NUMBER. Sets
#   failed_databases        how many
#   failed_list             the JSON array of the result: objects with database, error and advice
#   failed_text             one line for each, for people
#   failed_status           the exit status: 1 if the server was lost, since another attempt may succeed
#   inaccessible_databases  the JSON names of a provider's own databases
explain_failed_databases() {
    failed_databases=0 failed_list='' failed_text='' failed_status=2 first_advice='' first_failed='' inaccessible_databases=''
    while read -r number result _ _ _ _ _ attempt; do
        case $result in failed | not_accessible | provider) ;; *) continue ;; esac
        json_name=$(name_of_database "$number")
        if [ "$result" = provider ]; then
            inaccessible_databases=$inaccessible_databases${inaccessible_databases:+,}$json_name
            write_reason "$number" "$(inspection_lines "$number" F)" ''
            continue
        fi
        # Closed and invalid databases are reported as skipped.
        [ "$result" = failed ] || [ -e "$work/inspect.$number" ] || continue
        explain_failed_database "$number" "$attempt"
        write_reason "$number" "$error" "$fault_advice"
        failed_databases=$((failed_databases + 1))
        : "${first_advice:=$fault_advice}" "${first_failed:=$json_name}"
        log "what to do about $json_name: $fault_advice"
        if [ "$failed_databases" -le 20 ]; then
            failed_list=$failed_list${failed_list:+,}$(printf '{"database":%s,"error":%s,"advice":%s}' "$json_name" "$(json "$error")" "$(json "$fault_advice")")
            failed_text=$failed_text${failed_text:+$NEWLINE}$json_name:\ $(printf '%s\n' "$error" | head -n 2)
        fi
    done <"$work/parts"
    [ ! -e "$work/lost" ] || failed_status=1
    [ "$failed_databases" -lt 2 ] || first_advice="$first_advice (This is about $first_failed; the log and the manifest have the advice for each database.)"
    [ -z "$inaccessible_databases" ] || warn "not in the backup, because only the provider of the server may connect to them: $inaccessible_databases"
}

# explain_failed_database NUMBER ATTEMPT: sets `error` and `fault_advice`.
explain_failed_database() {
    if [ -e "$work/inspect.$1" ] && grep -q "^R$TAB" "$work/inspect.$1"; then
        error=$(inspection_lines "$1" F)
        fault_advice=$(inspection_lines "$1" A)
    elif [ "$2" = - ]; then
        error="not dumped, because the server did not answer any more: $(head -n 2 "$work/lost")"
        fault_advice=$ADVICE_NOT_READY
    else
        explain_attempt "$2"
    fi
}

# inspection_lines NUMBER LETTER: prints the lines of that kind of a database's inspection.
inspection_lines() { sed -n "s/^$2$TAB//p" "$work/inspect.$1"; }

# write_reason NUMBER REASON ADVICE
write_reason() {
    printf '"reason":%s,"advice":%s' "$(json_or_null "$2")" "$(json_or_null "$3")" >"$work/reason.$1"
}

# fail_without_databases: fails because no database could be dumped.
fail_without_databases() {
    if [ "$failed_databases" -eq 0 ]; then
        fail_with 2 "there is no database to dump" "of the server's databases, $(names_in_state dump) would be dumped, $(names_in_state excluded) are excluded" \
            "Check postgres_backup_databases and postgres_backup_exclude_databases."
    fi
    fail_with "$failed_status" "no database could be dumped" "$failed_text" "$first_advice"
}
