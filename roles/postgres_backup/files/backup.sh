#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Verified PostgreSQL backups: see usage() below and the collection's README.
#
# POSIX sh with the tools that PostgreSQL images have (Debian's or busybox's), nothing else. The configuration is
# read from the environment; the password is libpq's PGPASSWORD. This file reads the files of its command, which files.txt
# lists, and calls the command's function. Long steps are started as `sh <itself> _step NAME [ARGUMENT ...]`, which calls
# the function step_NAME, in separate process groups, so that a signal or the time limit ends every process of a step.

set -u
LC_ALL=C
export LC_ALL
# dash and busybox exit with status 2 if they cannot start a process (no memory, no process ids left) or cannot open a
# file: another attempt may succeed. There is no clean-up then, since that would start a process.
# shellcheck disable=SC2329 # the trap calls it
end_of_script() {
    script_status=$?
    if [ "$script_status" -eq 2 ] && [ "${exit_status:-0}" -ne 2 ]; then exit 1; fi
    [ "${has_made_work:-no}" = no ] || clean_up
}
trap end_of_script EXIT
# No other user may read a new file before its mode is set.
umask 077
# shellcheck disable=SC2034 # the other files have it
VERSION=1.1.0
case $0 in
    /*) SCRIPT=$0 ;;
    *) SCRIPT=$PWD/$0 ;;
esac

usage() {
    cat <<'TEXT'
usage: backup.sh run               make a backup, verify it, then apply retention
       backup.sh list [--history]  one JSON object a line: each backup with its verdict, then the volume; with
                                   --history, before the volume, each run, scheduled restore drill and prune, the
                                   oldest first, and the gaps and the growth that follow
       backup.sh prune [--dry-run] apply retention now, or show what it would delete
       backup.sh drill             restore a backup into a temporary server, and count every row
Configuration: POSTGRES_BACKUP_* environment variables, named as the variables of the role homelab.postgres_backup.
Exit status: 0 when it succeeded; 1 when it failed and another try may succeed; 2 when it cannot succeed before somebody
changes something: arguments, configuration, rights, versions, programs.
TEXT
}

# load COMMAND: reads the command's files, from copies in `work`, a temporary folder of this process: Kubernetes replaces
# a mounted ConfigMap during a run, and a new retention.awk must not meet an old run.sh. If no copy can be made, it reads
# the original files, and require_work_folder fails with `work_fault`. A signal that arrives meanwhile is handled when the
# configuration has been read (read_configuration).
load() {
    # shellcheck disable=SC2034 # read_configuration has it
    early_signal=''
    script_files='' work='' work_fault=''
    trap 'early_signal=TERM' TERM
    trap 'early_signal=INT' INT
    trap 'early_signal=HUP' HUP
    while IFS=: read -r listed_command listed_files; do
        [ "$listed_command" != "$1" ] || script_files="backup.sh files.txt$listed_files"
    done <"${SCRIPT%/*}/files.txt"
    if [ -n "${KIT_FOLDER:-}" ]; then
        # restore-kit.sh has put the files into a temporary folder (restore_kit in script_text.py).
        work=${SCRIPT%/*} has_made_work=yes
        unset KIT_FOLDER
    elif work_fault=$(mktemp -d "${TMPDIR:-/tmp}/postgres-backup.XXXXXX" 2>&1); then
        work=$work_fault has_made_work=yes
        # All of one ConfigMap: ..data is a link to the folder that the kubelet made of it (pkg/volume/util/atomic_writer.go).
        # shellcheck disable=SC2086 # the words of a list
        if work_fault=$({ cd -P "${SCRIPT%/*}/..data" 2>/dev/null || cd "${SCRIPT%/*}"; } && cp $script_files "$work" 2>&1); then
            SCRIPT=$work/backup.sh
        fi
    fi
    export work script_files
    read_files
    catch_signals exit_by_signal TERM INT HUP
}

# read_files: sources the shell files among $script_files.
read_files() {
    for script_file in ${script_files:-files.txt}; do
        [ -r "${SCRIPT%/*}/$script_file" ] && [ -n "${script_files:-}" ] || {
            printf '%s\n' "FAILED: the script is not complete: $script_file is not in ${SCRIPT%/*}. Put all of its files there:" \
                "where Kubernetes mounts a ConfigMap, without 'items'." >&2
            exit_status=2
            exit 2
        }
        case $script_file in backup.sh | *.awk | *.txt) continue ;; esac
        # shellcheck source=/dev/null
        . "${SCRIPT%/*}/$script_file"
    done
}

# shellcheck disable=SC2329 # end_of_script calls it, and the other files do
clean_up() {
    [ -z "${work:-}" ] || rm -rf "$work"
    work=
}

command=${1-}
case "$*" in
    run | drill | _drill_prepare | _drill_record | _restore | _restore_table | _restore_cluster | _backup_user)
        load "$command"
        "${command#_}"
        ;;
    '_keys '*)
        load _keys
        shift
        keys "$@"
        ;;
    list | 'list --history')
        load list
        if [ $# -eq 1 ]; then list false; else list true; fi
        ;;
    prune | 'prune --dry-run')
        load prune
        if [ $# -eq 1 ]; then prune false; else prune true; fi
        ;;
    _kit | '_kit '*)
        load _kit
        shift
        kit "$@"
        ;;
    help | --help | -h) usage ;;
    '_step '?*)
        step_name=$2
        shift 2
        read_files
        "step_$step_name" "$@"
        ;;
    *)
        usage >&2
        exit_status=2
        exit 2
        ;;
esac; exit # on one line: a shell reads its script as it goes, and the file may be another one by now
