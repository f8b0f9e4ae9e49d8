#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Exports the state of a backup volume for node_exporter's textfile collector. Run it every few minutes, with cron or a
# timer, on a machine that can read the folder: the NAS, or one that mounts the share.
#
#   postgres-backup-metrics.sh NAME FOLDER FILE
#   */5 * * * * root postgres-backup-metrics.sh postgres-backup /volume1/k8s-data/postgres-backup /var/lib/node_exporter/postgres-backup.prom
#
# NAME is the name of the CronJob, which is the prefix of the backup files. FILE is replaced atomically. node_exporter needs
# --collector.textfile.directory=/var/lib/node_exporter. POSIX sh, with the tools of Debian or busybox.
set -eu
[ $# -eq 3 ] || {
    echo "usage: ${0##*/} NAME FOLDER FILE" >&2
    exit 2
}
name=$1 folder=$2 file=$3

metric() { # NAME TYPE HELP
    printf '# HELP %s %s\n# TYPE %s %s\n' "$1" "$3" "$1" "$2"
}

metrics() {
    # Without the folder (if the share is not mounted) no other metric is written, and an alert fires.
    metric postgres_backup_folder_readable gauge "Whether the folder with the backups can be read."
    record=$folder/$name.last-run.json
    # Version 1.0 wrote another file.
    [ -e "$record" ] || record=$folder/last-run.json
    if [ ! -r "$record" ]; then
        echo "postgres_backup_folder_readable{name=\"$name\"} 0"
        return
    fi
    echo "postgres_backup_folder_readable{name=\"$name\"} 1"

    # A run touches its record every minute and writes it when it ends. The state is the first field.
    state=$(sed -n '1s/^{"state":"\([a-z]*\)".*/\1/p' "$record")
    metric postgres_backup_last_run_timestamp_seconds gauge "When the last run ended, or last updated its state."
    echo "postgres_backup_last_run_timestamp_seconds{name=\"$name\"} $(stat -c %Y "$record")"
    metric postgres_backup_last_run_state gauge "1 for the state of the last run."
    echo "postgres_backup_last_run_state{name=\"$name\",state=\"${state:-unknown}\"} 1"

    # The newest complete backup is the last name that has a checksum file, since the names contain the times; unless its
    # manifest records that a database is missing.
    newest=
    for backup in "$folder/$name"-[0-9]*.sql.gz*; do
        case $backup in
            *.sql.gz | *.sql.gz.age) ;; # plain, or encrypted
            *) continue ;;
        esac
        [ -f "$backup" ] && [ -f "$backup.sha256" ] || continue
        ! head -n 1 "$backup.json" 2>/dev/null | grep -q '"state":"incomplete"' || continue
        newest=$backup
    done
    [ -n "$newest" ] || return 0
    metric postgres_backup_newest_timestamp_seconds gauge "When the newest complete backup was written."
    echo "postgres_backup_newest_timestamp_seconds{name=\"$name\"} $(stat -c %Y "$newest")"
    metric postgres_backup_newest_size_bytes gauge "Size of the newest complete backup."
    echo "postgres_backup_newest_size_bytes{name=\"$name\"} $(stat -c %s "$newest")"
}

partial=$file.$$
trap 'rm -f "$partial"' EXIT
metrics >"$partial"
# node_exporter runs as another user.
chmod 0644 "$partial"
mv "$partial" "$file"
