# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# `backup.sh list` and `backup.sh prune`, and the deletions of a run.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# open_volume: the checks and the listing that list and prune begin with.
open_volume() {
    require_tools awk cp cut find grep head mktemp sed sort stat tail tr
    check_volume
    require_work_folder
    listing >"$work/listing" || fail "the volume cannot be listed" "find or awk failed" "Read the messages above."
    cat "$work/listing"
}

# list WITH_HISTORY: true or false.
list() {
    read_configuration
    open_volume
    [ "$1" = false ] || list_history
    last_watch_json=$(last_watch)
    [ -z "$last_watch_json" ] || printf '{"type":"watch","record":%s}\n' "$last_watch_json"
    list_places
    list_keys
    last_run_json=$(last_run)
    last_drill_json=$(last_drill)
    printf '{"type":"volume","path":%s,"source":%s,"size_bytes":%s,"free_bytes":%s,"script_version":"%s",' \
        "$(json "$POSTGRES_BACKUP_DIR")" "$(json_or_null "$(mount_source)")" "$(volume_bytes)" "$(free_bytes)" "$VERSION"
    printf '"policy":{"keep_last":%s,"keep_daily":%s,"keep_weekly":%s,"keep_monthly":%s,"keep_yearly":%s,"keep_within":%s,"max_deletions":%s}' \
        "$POSTGRES_BACKUP_KEEP_LAST" "$POSTGRES_BACKUP_KEEP_DAILY" "$POSTGRES_BACKUP_KEEP_WEEKLY" "$POSTGRES_BACKUP_KEEP_MONTHLY" \
        "$POSTGRES_BACKUP_KEEP_YEARLY" "$(json "$POSTGRES_BACKUP_KEEP_WITHIN")" "${POSTGRES_BACKUP_MAX_DELETIONS:-null}"
    printf ',"last_drill":%s,"last_run":%s}\n' "${last_drill_json:-null}" "${last_run_json:-null}"
}

# prune DRY_RUN: true or false.
prune() {
    dry_run=$1 started=$(now_iso) prune_began=$(now_epoch)
    read_configuration
    open_volume
    not_deleted=
    if [ "$dry_run" = true ]; then planned=$work/plan; check_brake; else planned=$work/deleted; delete_planned; fi
    awk -v dry_run="$dry_run" -v not_deleted="$not_deleted" -v held_back="$held_back" '
        BEGIN { printf "{\"type\":\"prune\",\"dry_run\":%s,\"deleted\":[", dry_run }
        { printf "%s\"%s\"", (NR > 1 ? "," : ""), $1; freed += $2 }
        END {
            count = split(not_deleted, name, " ")
            printf "],\"failed\":["
            for (i = 1; i <= count; i++) printf "%s\"%s\"", (i > 1 ? "," : ""), name[i]
            printf "],\"freed_bytes\":%.0f,\"held_back\":%.0f}\n", freed, held_back
        }
    ' "$planned"
    [ "$dry_run" = false ] || return 0
    [ "$held_back" -eq 0 ] || fail_with 2 "retention was held back" "$brake_reason" "$brake_advice"
    prune_state=succeeded prune_reason=null
    [ -z "$not_deleted" ] || prune_state=failed prune_reason=$(json "not deleted:$not_deleted")
    if [ "$deleted" -gt 0 ]; then
        append_history "$(history_entry prune "$prune_state" "$started" "$(($(now_epoch) - prune_began))" '' '' '' '' "$deleted" "$prune_reason")"
    fi
    if [ -n "$not_deleted" ]; then
        fail "some backups could not be deleted" "not deleted:$not_deleted" "$ADVICE_PERMISSION"
    fi
}

# check_brake: sets `held_back`, the number of deletions that the brake holds back after a listing, and `brake_reason` and
# `brake_advice`. They are allowed on the date of POSTGRES_BACKUP_ALLOW_DELETIONS: today, or when the run started.
check_brake() {
    held_back=$(cat "$work/brake") brake_reason='' brake_advice=''
    : "${held_back:=0}"
    [ "$held_back" -ne 0 ] || return 0
    case $POSTGRES_BACKUP_ALLOW_DELETIONS in
        '') ;;
        "$(date -u +%Y-%m-%d)" | "${started%%T*}") log "$held_back deletions are allowed today"; held_back=0; return ;;
    esac
    brake_limit="the newest backup alone does not explain that"
    [ -z "$POSTGRES_BACKUP_MAX_DELETIONS" ] || brake_limit="postgres_backup_max_deletions is $POSTGRES_BACKUP_MAX_DELETIONS"
    brake_reason="nothing was deleted: the policy would delete $held_back backups at once, and $brake_limit"
    brake_advice="Check postgres_backup_keep_* and the list of backups. To allow it once, set postgres_backup_allow_deletions to the date of the run in UTC, today \"$(date -u +%Y-%m-%d)\"."
}

# delete_planned: deletes the backups in $work/plan, each before its checksum file and its manifest, and those files of
# deleted backups, unless the brake holds it back. Writes a line of name and bytes for each to $work/deleted; sets `deleted`
# (a number), `not_deleted` (names), and `held_back` and `brake_reason` (see check_brake).
delete_planned() {
    deleted=0 not_deleted=
    : >"$work/deleted"
    check_brake
    [ "$held_back" -eq 0 ] || return 0
    while IFS=' ' read -r name bytes_freed <&3; do
        file=$POSTGRES_BACKUP_DIR/$name
        # A .keep file may have been created since the volume was listed.
        [ ! -e "$file.keep" ] || continue
        rm -f "$file" 2>/dev/null
        # If retention of another run deleted the backup first, that is not a failure.
        if [ ! -e "$file" ] && [ ! -L "$file" ]; then
            rm -f "$file.sha256" "$file.damaged" "$file.json" 2>/dev/null
            deleted=$((deleted + 1))
            printf '%s %s\n' "$name" "$bytes_freed" >>"$work/deleted"
            log "deleted $name"
        else
            not_deleted="$not_deleted $name"
        fi
    done 3<"$work/plan"
    [ -s "$work/orphans" ] || return 0
    while IFS= read -r name <&3; do
        file=$POSTGRES_BACKUP_DIR/$name
        if [ ! -e "$file" ] && [ ! -L "$file" ]; then
            # A new checksum file may belong to a run that is about to publish.
            find "$POSTGRES_BACKUP_DIR" -maxdepth 1 -type f \( -name "$name.sha256" -o -name "$name.damaged" -o -name "$name.json" \) -mmin +60 -exec rm -f {} + 2>/dev/null
        fi
    done 3<"$work/orphans"
}
