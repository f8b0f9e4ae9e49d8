# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# The metrics of an installation, in a file next to the backups: for node_exporter's textfile collector on the NAS, and for
# whatever else reads Prometheus' text format.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# node_exporter runs as another user. The file contains names of databases and numbers.
METRICS_MODE=0644

# update_metrics: replaces the file if metrics are enabled. If that fails, it warns and fails.
update_metrics() {
    [ "${POSTGRES_BACKUP_METRICS:-}" = 1 ] || return 0
    metrics_file=$POSTGRES_BACKUP_DIR/$POSTGRES_BACKUP_NAME.prom
    if ! print_metrics >"$work/metrics" 2>"$work/metrics.err" || [ "$(tail -n 1 "$work/metrics")" != '# EOF' ]; then
        warn "${metrics_file##*/} could not be written: $(head -c 500 "$work/metrics.err")"
        return 1
    fi
    replace_text "$metrics_file" "$(cat "$work/metrics")" "$METRICS_MODE" && return 0
    warn "${metrics_file##*/} could not be written: $message"
    return 1
}

# print_metrics: prints the metrics, as metrics.awk makes them from what `backup.sh list --history` prints.
print_metrics() {
    { listing && list_places && list_history; } >"$work/metrics.input" || return 1
    awk -v labels="$(metrics_labels)" -v now="$(now_epoch)" -v interval="$(metrics_interval)" -v size_bytes="$(volume_bytes)" \
        -v free_bytes="$(free_bytes)" -f "$work/calendar.awk" -f "$work/json.awk" -f "$work/metrics.awk" "$work/metrics.input"
}

# metrics_labels: prints the labels of each series. (A label `namespace` is that of the scraped pod in most clusters.)
metrics_labels() {
    printf 'name="%s"' "$POSTGRES_BACKUP_NAME"
    case ${POSTGRES_BACKUP_NAMESPACE:-} in
        '' | *[!a-z0-9-]*) ;;
        *) printf ',backup_namespace="%s"' "$POSTGRES_BACKUP_NAMESPACE" ;;
    esac
}

# metrics_interval: prints the longest time between two runs by the schedule, in seconds, if it is known.
metrics_interval() { ! is_whole_number "${POSTGRES_BACKUP_SCHEDULE_SECONDS:-}" || printf '%s' "$POSTGRES_BACKUP_SCHEDULE_SECONDS"; }
