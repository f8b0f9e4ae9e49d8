# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Processes: steps, which have separate process groups, the stages of a step, and signals.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

SIGKILL_STATUS=137
SIGPIPE_STATUS=141
SIGTERM_STATUS=143
in_step=no caught_signal='' # see catch_signal

# keep_streams, use_kept_streams: a signal may arrive while the output of a function is redirected to a file, and the
# output of the trap would go to that file. The final messages must go to the original streams.
keep_streams() { exec 8>&2 9>&1; streams_kept=yes; }

use_kept_streams() { [ "${streams_kept:-no}" = no ] || exec 2>&8 >&9; }

# Work that takes long is a step: a separate process, which calls the function step_STEP, in a process group, so that a
# signal to the group ends every process of the step. The processes of a step's pipeline are its stages: each writes its
# exit status and its messages to files in $work, which the command reads when the step has ended.

# start_group STEP [ARGUMENT ...]: starts a step in the background, in a separate process group if the image has setsid,
# and sets `group` to it.
start_group() {
    if command -v setsid >/dev/null 2>&1; then
        own_group=yes setsid sh "$SCRIPT" _step "$@" 8>&- 9>&- &
    else
        own_group=no sh "$SCRIPT" _step "$@" 8>&- 9>&- &
    fi
    group=$!
}

# collect PID: waits for a child that was sent a signal. bash reaps its children automatically, and `wait` for a reaped
# child waits for any other child instead, for ever. bash would also print a message about a killed child.
# shellcheck disable=SC3044 # bash has it
collect() {
    if [ -n "${BASH_VERSION:-}" ]; then
        disown "$1"
        while kill -0 "$1"; do sleep 0.1; done
    else
        wait "$1"
    fi
}

# pause: waits a moment; the sleep of some images refuses fractions of a second.
pause() { sleep 0.2 2>/dev/null || sleep 1; }

# end_group GROUP: ends every process of the group by SIGTERM, then by SIGKILL.
end_group() {
    [ -n "$1" ] || return 0
    {
        # The group may not exist yet (setsid not reached).
        kill -TERM "-$1" || kill -TERM "$1" || return 0
        collect "$1"
    } 2>/dev/null
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -0 "-$1" 2>/dev/null || return 0
        pause
    done
    kill -KILL "-$1" 2>/dev/null || :
}

# end_watch: ends the watch by SIGKILL: it has nothing to clean up.
end_watch() {
    [ -n "${watch_group:-}" ] || return 0
    {
        kill -KILL "-$watch_group" || kill -KILL "$watch_group" || :
        collect "$watch_group"
    } 2>/dev/null
    watch_group=
}

# run_group STEP [ARGUMENT ...]: runs a step and waits for it; a signal ends the step (see catch_signal).
run_group() {
    start_group "$@"
    step_group=$group
    wait_for_step
    # No process of the step may outlive it.
    kill -KILL "-$step_group" 2>/dev/null
    step_group=
    return "$step_status"
}

# wait_for_step: waits for $step_group; sets `step_status`. A signal that arrives meanwhile is handled afterwards.
wait_for_step() {
    in_step=yes
    wait "$step_group"
    step_status=$?
    in_step=no
    [ -z "$caught_signal" ] || "$on_signal" "$caught_signal"
}

# exit_by_signal NAME: $on_signal of a command that has nothing to clean up.
exit_by_signal() {
    case $1 in
        INT) exit 130 ;;
        HUP) exit 129 ;;
        *) exit "$SIGTERM_STATUS" ;;
    esac
}

# catch_signal NAME: the trap, which calls $on_signal. During wait_for_step it only ends the step: `wait` must not be nested.
catch_signal() {
    if [ "$in_step" = yes ]; then
        caught_signal=$1
        kill -TERM "-$step_group" 2>/dev/null || kill -TERM "$step_group" 2>/dev/null || :
    else
        "$on_signal" "$1"
    fi
}

# catch_signals FUNCTION NAME ...: calls the function with the name of each of these signals.
catch_signals() {
    on_signal=$1
    shift
    for signal_name in "$@"; do
        # shellcheck disable=SC2064 # the name of this signal
        trap "catch_signal $signal_name" "$signal_name"
    done
}

# run_stage NAME COMMAND...: runs one process of a step; writes its exit status and messages to files. A missing status
# file means that it failed.
run_stage() {
    stage_name=$1
    shift
    "$@" 2>"$work/$stage_name.err"
    stage_status=$?
    printf '%s\n' "$stage_status" >"$work/$stage_name.status"
    return "$stage_status"
}

# stage NAME COMMAND...: run_stage, but the first stage to fail ends the others.
stage() {
    run_stage "$@"
    if [ "$stage_status" -ne 0 ] && [ "${own_group:-no}" = yes ]; then
        # The next stages read an end of file, and the previous ones get a broken pipe; those that hang are ended.
        { sleep 2; kill -TERM 0; } >/dev/null 2>&1 &
    fi
    return "$stage_status"
}

# read_status NAME: sets `stage_result` to the exit status of a stage, `none` without one.
read_status() {
    stage_result=none
    [ ! -s "$work/$1.status" ] || read -r stage_result <"$work/$1.status"
}

# stage_status_of NAME: prints it.
stage_status_of() {
    read_status "$1"
    printf '%s\n' "$stage_result"
}

stage_message_of() {
    if [ -s "$work/$1.err" ]; then
        grep -v -e ' records in$' -e ' records out$' -e ' bytes.* copied' "$work/$1.err" | head -n 6 | cut -c 1-400
    fi
}

clear_stages() { rm -f "$work"/*.status "$work"/*.err "$work"/*.fifo; }

status_in_words() {
    case $1 in
        none) echo "without a status (it was killed)" ;;
        "$SIGPIPE_STATUS") echo "by SIGPIPE" ;;
        "$SIGTERM_STATUS") echo "by SIGTERM" ;;
        "$SIGKILL_STATUS") echo "by SIGKILL (status 137; often: out of memory)" ;;
        *) echo "with status $1" ;;
    esac
}
