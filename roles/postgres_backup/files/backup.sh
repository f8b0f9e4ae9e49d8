#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# PostgreSQL backups that are proven: see usage() below and the collection's README.
#
# POSIX sh with the tools that PostgreSQL images have (Debian's or busybox's), nothing else. The configuration comes
# from the environment; the password is libpq's PGPASSWORD. The script starts its long steps as `sh <itself> _step` in
# process groups of their own, so that a signal or the time limit ends every process of a step.

# stage() calls functions by name:
# shellcheck disable=SC2329
set -u
LC_ALL=C
export LC_ALL
# dash and busybox end with status 2 by themselves where they cannot start a process (no memory, no process ids left) or
# not open a file: another try may succeed. Without a clean-up then, which would start one.
end_of_script() {
    ended=$?
    if [ "$ended" -eq 2 ] && [ "${exit_status:-0}" -ne 2 ]; then exit 1; fi
    [ "${has_made_work:-no}" = no ] || clean_up
}
trap end_of_script EXIT
# Nothing that is written is for others to read until it is given its mode.
umask 077
VERSION=1.1.0
TAB=$(printf '\t')
case $0 in
    /*) SCRIPT=$0 ;;
    *) SCRIPT=$PWD/$0 ;;
esac
NEWLINE='
'
# How pg_dumpall ends a whole dump (src/bin/pg_dump/pg_dumpall.c, main()).
DUMP_END="-- PostgreSQL database cluster dump complete${NEWLINE}--${NEWLINE}${NEWLINE}"
# How far two clocks may differ, and how far ahead a backup may be dated.
CLOCK_TOLERANCE_SECONDS=300
# A live run touches last-run.json each minute; one that did not for so long was interrupted.
HEARTBEAT_MINUTES=5
TERMINATION_MESSAGE_BYTES=4096
in_step=no caught_signal='' # see catch_signal
SIGKILL_STATUS=137
SIGPIPE_STATUS=141
SIGTERM_STATUS=143

usage() {
    cat <<'TEXT'
usage: backup.sh run               make a backup, prove it, then apply retention
       backup.sh list              one JSON object a line: each backup with its verdict, then the volume
       backup.sh prune [--dry-run] apply retention now, or show what it would delete
       backup.sh drill             restore a backup into a PostgreSQL that is thrown away, and count every row
Configuration: POSTGRES_BACKUP_* environment variables, named as the variables of the role homelab.postgres_backup.
Exit status: 0 when it succeeded; 1 when it failed and another try may succeed; 2 when it cannot succeed before somebody
changes something: arguments, configuration, rights, versions, programs.
TEXT
}

command=${1-}
script_files='backup.sh output.sh configuration.sh process.sh volume.sh backup_text.sh postgres.sh dump.sh check_unchecked.sh run.sh volume_commands.sh retention.awk'
case $command in
    run) script_files="$script_files sections.awk" ;;
    drill | _drill_*)
        script_files="$script_files globals.awk sections.awk psql.sh drill.sh drill_server.sh drill_restore.sh drill_count.sh"
        ;;
    _restore | _restore_step)
        script_files="$script_files globals.awk psql.sh restore.sh restore_swap.sh restore_advice.sh"
        ;;
esac
for script_file in $script_files; do
    case $script_file in
        backup.sh | *.awk) ;;
        # shellcheck source=/dev/null
        *) . "${SCRIPT%/*}/$script_file" ;;
    esac
done
case "$*" in
    run) run ;;
    list) list ;;
    prune) prune false ;;
    'prune --dry-run') prune true ;;
    drill) drill ;;
    help | --help | -h) usage ;;
    _ask) step_ask ;;
    '_dump '?*) step_dump "$2" ;;
    '_follow '?*) step_follow "$2" ;;
    '_check '?*) step_check "$2" ;;
    '_watch '?*) step_watch "$2" "$3" "$4" ;;
    _drill_prepare) drill_prepare ;;
    _drill_record) drill_record ;;
    '_drill_facts '?*) step_drill_facts "$2" ;;
    '_drill_text '?*) step_drill_text "$2" ;;
    '_drill_hash '?*) step_drill_hash "$2" ;;
    _drill_initdb) step_drill_initdb ;;
    _drill_server) step_drill_server ;;
    _drill_globals) step_drill_globals ;;
    _drill_restore) step_drill_restore ;;
    _drill_count) step_drill_count ;;
    '_drill_watch '?*) step_drill_watch "$2" "$3" "$4" "$5" ;;
    _restore) restore ;;
    '_restore_step '?*) restore_step "$2" ;;
    *)
        usage >&2
        exit_status=2
        exit 2
        ;;
esac; exit # on one line: a shell reads its script as it goes, and the file may be another one by now
