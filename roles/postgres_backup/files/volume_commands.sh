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

list() {
    read_configuration
    open_volume
    last_run_json=$(last_run)
    last_drill_json=$(last_drill)
    printf '{"type":"volume","path":%s,"source":%s,"size_bytes":%s,"free_bytes":%s,"script_version":"%s",' \
        "$(json "$POSTGRES_BACKUP_DIR")" "$(json_or_null "$(mount_source)")" "$(volume_bytes)" "$(free_bytes)" "$VERSION"
    printf '"policy":{"keep_last":%s,"keep_daily":%s,"keep_weekly":%s,"keep_monthly":%s,"keep_yearly":%s,"keep_within":%s},"last_drill":%s,"last_run":%s}\n' \
        "$POSTGRES_BACKUP_KEEP_LAST" "$POSTGRES_BACKUP_KEEP_DAILY" "$POSTGRES_BACKUP_KEEP_WEEKLY" "$POSTGRES_BACKUP_KEEP_MONTHLY" \
        "$POSTGRES_BACKUP_KEEP_YEARLY" "$(json "$POSTGRES_BACKUP_KEEP_WITHIN")" "${last_drill_json:-null}" "${last_run_json:-null}"
}

# prune DRY_RUN: true or false.
prune() {
    dry_run=$1
    read_configuration
    open_volume
    not_deleted=
    if [ "$dry_run" = true ]; then planned=$work/plan; else planned=$work/deleted; delete_planned; fi
    awk -v dry_run="$dry_run" -v not_deleted="$not_deleted" '
        BEGIN { printf "{\"type\":\"prune\",\"dry_run\":%s,\"deleted\":[", dry_run }
        { printf "%s\"%s\"", (NR > 1 ? "," : ""), $1; freed += $2 }
        END {
            count = split(not_deleted, name, " ")
            printf "],\"failed\":["
            for (i = 1; i <= count; i++) printf "%s\"%s\"", (i > 1 ? "," : ""), name[i]
            printf "],\"freed_bytes\":%.0f}\n", freed
        }
    ' "$planned"
    if [ -n "$not_deleted" ]; then
        fail "some backups could not be deleted" "not deleted:$not_deleted" "$ADVICE_PERMISSION"
    fi
}

# delete_planned: deletes the backups in $work/plan, each before its checksum file, and the checksum files of deleted
# backups. Writes a line of name and bytes for each to $work/deleted; sets `deleted` (a number) and `not_deleted` (names).
delete_planned() {
    deleted=0 not_deleted=
    : >"$work/deleted"
    while IFS=' ' read -r name bytes_freed <&3; do
        file=$POSTGRES_BACKUP_DIR/$name
        # A .keep file may have been created since the volume was listed.
        [ ! -e "$file.keep" ] || continue
        rm -f "$file" 2>/dev/null
        # If retention of another run deleted the backup first, that is not a failure.
        if [ ! -e "$file" ] && [ ! -L "$file" ]; then
            rm -f "$file.sha256" "$file.damaged" 2>/dev/null
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
            find "$POSTGRES_BACKUP_DIR" -maxdepth 1 -type f \( -name "$name.sha256" -o -name "$name.damaged" \) -mmin +60 -exec rm -f {} + 2>/dev/null
        fi
    done 3<"$work/orphans"
}
