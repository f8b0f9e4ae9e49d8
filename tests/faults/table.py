# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The fault matrix: what each operation does when each fault strikes, and what shows it.

docs/faults.md is made of this table and of what was seen, by page.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OPERATIONS = {
    "run": "a backup run: the CronJob's, or `backup_job`'s",
    "list": "`backup_info`, which reads the volume in a pod of its own",
    "prune": "`backup_prune`",
    "fetch": "`backup_fetch`",
    "verify": "`backup_verify`, which reads a local file and needs no cluster",
    "drill": "`restore_drill`",
    "restore": "`restore_database`",
}


@dataclass(frozen=True)
class Cell:
    """What an operation does: in a word, in a sentence, and what shows it.

    `seen` is a regular expression that what is seen must match, in a run of this table's own; `tests` are others that
    show it; `like` is the operation of the same fault whose cell this one repeats.
    """

    word: str
    expected: str = ""
    seen: str = ""
    tests: tuple[str, ...] = ()
    like: str = ""


@dataclass(frozen=True)
class Fault:
    """`made` is how the fault is brought about here, `advice` what an operator does about it."""

    made: str
    advice: str
    cells: Mapping[str, Cell] = field(default_factory=dict)


def own(word: str, expected: str, seen: str, *tests: str) -> Cell:
    return Cell(word, expected, seen, tests)


def shown(word: str, expected: str, *tests: str) -> Cell:
    return Cell(word, expected, tests=tests)


def as_of(operation: str, word: str) -> Cell:
    return Cell(word, like=operation)


NO_CLUSTER = Cell("no part", "Reads a local file; needs neither cluster, server nor volume.")
RUNS = "tests/script/run/test_run.py::"
SERVER = "tests/script/run/test_server_faults.py::"
VOLUME = "tests/script/run/test_volume_faults.py::"
PRUNES = "tests/script/volume/test_prune.py::"
RESTORES = "tests/script/restore/test_restore.py::"
FETCHES = "tests/cluster/modules/test_fetch.py::"
RUN_FAULTS = "tests/cluster/test_run_faults.py::"

_GOES_ON = "The pod goes on. The module asks again for a minute, finds its Job, and reports as always."
_RESUMED = "The stream breaks; it is taken up again where it broke, and the hash is compared over all of it."
_STALLS = "The stream stands still, and goes on. After `silence_timeout` (60 s) it would be taken up anew."
_WAITS = "The pod starts late; the module waits for it."

_RESTORED = r"^restored, 1000 rows"
_FETCHED = r"^fetched, \d+ bytes"
_NO_API = r"the API server cannot be reached"
_NO_ROOM = r"does not start yet.*Unschedulable: .*untolerated taint"
_NOT_YET = r"^the API server cannot be reached: .*certificate is not yet valid"
_LISTED = r"^healthy$"
_PRUNED = r"^deleted 2$"


def _component(made: str, advice: str, run: str, short: str, fetch: str) -> Fault:
    """One of Kubernetes' own programs: those at work go on; `short` is what list and prune see."""
    unreachable = short == _NO_API
    text = (
        "Ends at once and says that the API server cannot be reached. What it has not begun is not done; run it again."
        if unreachable
        else _WAITS
    )
    word = "fails, nothing done" if unreachable else "waits"
    return Fault(
        made,
        advice,
        {
            "run": own("goes on", run, r"^succeeded$"),
            "list": own(word, text, short if unreachable else _LISTED),
            "prune": own(word, text, short if unreachable else _PRUNED),
            "fetch": own("resumes" if fetch == _RESUMED else "waits", fetch, _FETCHED),
            "verify": NO_CLUSTER,
            "drill": own("goes on", _GOES_ON, _RESTORED),
            "restore": own("goes on", _GOES_ON, _RESTORED),
        },
    )


_KILLED = "SIGKILL while all operations are in their middle; it stays away for 6 s, then it is started again."
_PAUSED = "SIGSTOP for 6 s while all operations are in their middle: its sockets are there, and nobody answers."
_NOTHING = (
    "Nothing. Away for more than a minute, the modules report it; the Jobs go on, and a second call of `backup_job` "
    "attaches to its own."
)

FAULTS: dict[str, Fault] = {
    "kube-apiserver killed": _component(
        f"{_KILLED} List and prune begin while it is away.", _NOTHING, _GOES_ON, _NO_API, _RESUMED
    ),
    "kube-apiserver paused": _component(
        f"{_PAUSED} List and prune begin meanwhile, and it is paused until they have given up.",
        _NOTHING,
        _GOES_ON,
        _NO_API,
        _STALLS,
    ),
    "etcd killed": _component(_KILLED, _NOTHING, _GOES_ON, _LISTED, _STALLS),
    "etcd paused": _component(_PAUSED, _NOTHING, _GOES_ON, _LISTED, _STALLS),
    "kubelet killed": _component(
        _KILLED,
        "Nothing. A kubelet that stays away: the pods it has go on, new ones do not start.",
        "The containers go on without the kubelet; the Job's end is seen when it is back.",
        _LISTED,
        _RESUMED,
    ),
    "kubelet paused": _component(
        _PAUSED,
        "Nothing. A kubelet that stays away: the pods it has go on, new ones do not start.",
        "The containers go on without the kubelet; the Job's end is seen when it is back.",
        _LISTED,
        _STALLS,
    ),
    "containerd killed": _component(
        _KILLED,
        "Nothing: containers have a parent of their own (the shim) and go on.",
        "The container goes on below its shim.",
        _LISTED,
        _RESUMED,
    ),
    "containerd paused": _component(
        _PAUSED,
        "Nothing: containers have a parent of their own (the shim) and go on.",
        "The container goes on below its shim.",
        _LISTED,
        _STALLS,
    ),
    "PostgreSQL killed": Fault(
        "SIGKILL to every process of the live server while pg_dumpall waits for a lock, and a restore is at work.",
        "Look at the server's log (memory, disk). A run is tried again by its Job, a restore by you.",
        {
            "run": own(
                "fails, tried again",
                "The attempt fails and says that PostgreSQL went away; the Job's next attempt makes the backup.",
                r"^succeeded; attempt [234]; recovered from: pg_dumpall failed: ",
                f"{SERVER}test_server_dies_in_the_middle",
                f"{SERVER}test_a_session_is_ended_in_the_middle",
            ),
            "list": own(
                "no part",
                "Reads the volume only, and tells of the attempt that failed.",
                r"^healthy$|^problems: the last run, started <time>, failed: pg_dumpall failed",
            ),
            "prune": Cell("no part", "Reads the volume only."),
            "fetch": own("no part", "Reads the volume only.", _FETCHED),
            "verify": NO_CLUSTER,
            "drill": own("no part", "Has a server of its own.", _RESTORED),
            "restore": own(
                "fails, live as before",
                "Fails with the server's words; waits for the server and drops the unfinished database.",
                r"^the restore failed: .*the restore stopped at an error",
                f"{RESTORES}test_the_server_stops_in_the_middle",
                f"{RESTORES}test_the_server_stays_away",
            ),
        },
    ),
    "PostgreSQL paused": Fault(
        "SIGSTOP to every process of the live server for 6 s, in the middle of a dump and of a restore.",
        "Find out what the server waits for (its disk, usually). A run ends at `postgres_backup_time_limit`.",
        {
            "run": own(
                "waits",
                "Waits, and goes on with the server; without end, until its time limit, and leaves no partial.",
                r"^succeeded$",
                f"{SERVER}test_a_server_that_accepts_and_then_says_nothing",
                f"{SERVER}test_a_lock_that_is_never_released",
            ),
            "list": own("no part", "Reads the volume only.", _LISTED),
            "prune": Cell("no part", "Reads the volume only."),
            "fetch": own("no part", "Reads the volume only.", _FETCHED),
            "verify": NO_CLUSTER,
            "drill": own("no part", "Has a server of its own.", _RESTORED),
            "restore": own(
                "waits",
                "Waits, and goes on with the server; `timeout` ends it.",
                _RESTORED,
                "tests/cluster/modules/test_restore.py::test_timeout_ends_the_restore",
            ),
        },
    ),
    "node out of disk": Fault(
        "A drill restores 300 MB where the kubelet's disk has no room for it: the kubelet evicts it, and taints the "
        "node. List, prune and fetch begin then.",
        "Make room on the node. Give the drill less than the node has (`size_limit`), or a node with more.",
        {
            "run": own(
                "goes on",
                "One at work goes on: its dump goes to the volume. A new one waits until the node takes pods again.",
                r"^succeeded$",
            ),
            "list": own(
                "fails, nothing done",
                "Its pod is not scheduled; after ten times `stuck_timeout` the module says why, and removes its Job. "
                "`kubectl describe node` names the taint: disk-pressure.",
                _NO_ROOM,
            ),
            "prune": own("fails, nothing done", "As list.", _NO_ROOM),
            "fetch": own("fails, nothing done", "As list.", _NO_ROOM),
            "verify": NO_CLUSTER,
            "drill": own(
                "fails",
                "The kubelet ends the pod; the drill says that it was ended from outside. `kubectl get events` has the "
                "kubelet's reason.",
                r"^the restore.* failed: (the drill was ended from outside|Kubernetes ended its pod: Evicted)",
                "tests/cluster/modules/test_drill.py::test_data_larger_than_the_size_limit_fails",
            ),
            "restore": own(
                "goes on", "One at work goes on: its data are the live server's. A new one is as list.", _RESTORED
            ),
        },
    ),
    "controller's disk full or read-only": Fault(
        "A small tmpfs where the fetched file goes; something else fills it meanwhile.",
        "Make room where `dest` is.",
        {
            "run": Cell("no part", "Writes nothing there."),
            "list": as_of("run", "no part"),
            "prune": as_of("run", "no part"),
            "fetch": shown(
                "fails, nothing left",
                "Says at the start that the room is short; filled up later, it fails and removes its part.",
                f"{FETCHES}test_local_disk_that_is_not_writable_or_full",
                f"{FETCHES}test_local_disk_that_fills_up",
            ),
            "verify": shown(
                "fails",
                "Only reads; `contents_dest` that cannot be written is an error.",
                "tests/unit/plugins/modules/test_backup_verify.py::test_invalid_calls_are_refused",
            ),
            "drill": as_of("run", "no part"),
            "restore": as_of("run", "no part"),
        },
    ),
    "volume full": Fault(
        "Something else fills the share after the operations have begun; list and prune begin on the full share.",
        "Make room, enlarge the volume, or keep fewer backups and run `backup_prune`.",
        {
            "run": own(
                "fails, nothing left",
                "Fails, says that the volume is full, and removes its partial; so does the Job's next attempt.",
                r"Reason: the backup volume is full: .*No space left on device",
                f"{VOLUME}test_full_while_the_dump_is_written",
                f"{VOLUME}test_full_from_the_start",
                f"{VOLUME}test_full_at_a_later_step",
                f"{VOLUME}test_refused_when_the_last_backup_would_not_fit",
                f"{RUN_FAULTS}test_full_volume_fails_the_run",
            ),
            "list": own(
                "tells", "Lists, and reports the failed run and the short space.", r"^problems: .*the last run"
            ),
            "prune": own("works", "Deletes what the policy does not keep: it needs no room.", _PRUNED),
            "fetch": own("works", "Only reads.", _FETCHED),
            "verify": NO_CLUSTER,
            "drill": own("works", "Only reads.", _RESTORED),
            "restore": own("works", "Only reads.", _RESTORED),
        },
    ),
    "volume read-only": Fault(
        "The share becomes read-only after the dump is written, as when its server finds errors on its disk.",
        "Look at the NAS's disk. The partial that could not be removed goes with the next run that can write.",
        {
            "run": own(
                "fails",
                "Fails and says so in its log. The volume takes no word, so a second attempt calls the first "
                "interrupted. The partial that it could not remove goes after a day.",
                r"^the backup failed: .*Reason: (attempt 1 was interrupted|the backup volume is read-only)",
                f"{VOLUME}test_read_only",
                f"{VOLUME}test_not_writable",
            ),
            "list": own("tells", "Lists; the failed run could not leave its word.", r"^(healthy|problems: )"),
            "prune": own(
                "fails",
                "Says which backups are still there.",
                r"not everything could be deleted|read-only",
                f"{PRUNES}test_a_volume_that_refuses_deletion_fails_the_run",
            ),
            "fetch": own("works", "Only reads.", _FETCHED),
            "verify": NO_CLUSTER,
            "drill": own("works", "Only reads.", _RESTORED),
            "restore": own("works", "Only reads.", _RESTORED),
        },
    ),
    "volume slow": Fault(
        "The share's server works 10 ms of each 100 ms.",
        "Look at the NAS and the network. A run ends at `postgres_backup_time_limit`, the others at their `timeout`.",
        {
            "run": own(
                "works, late",
                "Takes longer; ends at its time limit, and leaves no partial.",
                r"^succeeded$",
                "tests/script/run/test_interruption.py::test_the_time_limit_ends_every_process",
            ),
            "list": own("works, late", "Takes longer.", _LISTED),
            "prune": own("works, late", "Takes longer.", _PRUNED),
            "fetch": own("works, late", "Takes longer: only silence counts as lost, not slowness.", _FETCHED),
            "verify": NO_CLUSTER,
            "drill": own("works, late", "Takes longer.", _RESTORED),
            "restore": own("works, late", "Takes longer.", _RESTORED),
        },
    ),
    "volume silent": Fault(
        "The share's server is stopped for 12 s in the middle of all operations: every call waits, as on a hard NFS "
        "mount.",
        "Bring the NAS back: everything goes on. A pod that waits for it cannot even be killed before.",
        {
            "run": own("waits", "Waits, and goes on.", r"^succeeded$"),
            "list": own("waits", "The pod starts when the share answers.", _LISTED),
            "prune": own("waits", "As list.", _PRUNED),
            "fetch": own("waits", _STALLS, _FETCHED),
            "verify": NO_CLUSTER,
            "drill": own("waits", "Waits, and goes on.", _RESTORED),
            "restore": own("waits", "Waits, and goes on.", _RESTORED),
        },
    ),
    "volume vanished": Fault(
        "The share's server is killed in the middle of all operations: the mount stays, and every call on it fails. "
        "Afterwards it is mounted anew.",
        "Mount it again. A pod that had it keeps the dead mount until it ends; the next ones have the new one.",
        {
            "run": own(
                "fails",
                "Fails; the next try's pod does not start on the dead mount, which the module says after "
                "`stuck_timeout`, and removes its Job. The partial that it could not remove goes after a day.",
                r"waiting will not help.*transport endpoint is not connected|Reason: the backup volume",
                f"{VOLUME}test_the_share_is_unmounted_in_the_middle",
                f"{VOLUME}test_the_folder_is_removed_in_the_middle",
                f"{VOLUME}test_the_partial_is_removed_in_the_middle",
            ),
            "list": own(
                "fails, nothing done",
                "Its pod does not start; after `stuck_timeout` the module says why, and removes its Job.",
                r"does not start, and waiting will not help.*transport endpoint is not connected",
                "tests/script/volume/test_list.py::test_a_volume_that_is_not_there",
            ),
            "prune": own(
                "fails, nothing done",
                "As list.",
                r"does not start, and waiting will not help.*transport endpoint is not connected",
            ),
            "fetch": own(
                "fails",
                "Fails, and says that the backup cannot be read, or why the next pod does not start.",
                r"cannot be read on the volume|transport endpoint is not connected",
            ),
            "verify": NO_CLUSTER,
            "drill": own("fails", "Fails where it next looks at the volume.", r"^the restore.* failed: "),
            "restore": own(
                "fails, live as before",
                "Fails where it next looks at the volume; drops what it made.",
                r"^the restore failed: ",
            ),
        },
    ),
    "cluster's clock wrong": Fault(
        "The script's clock differs from the server's `now()`: its `date` is wrong, since Linux gives containers no "
        "clock of their own.",
        "Set the clocks right. Backups dated ahead are kept and reported until then.",
        {
            "run": shown(
                "no retention",
                "Makes its backup, deletes nothing, and warns.",
                f"{RUNS}test_no_retention_with_a_wrong_clock",
                f"{RUNS}test_retention_with_a_clock_that_is_nearly_right",
            ),
            "list": shown(
                "tells",
                "Reports backups dated more than five minutes ahead; such a one is never the newest.",
                f"{PRUNES}test_five_minutes_ahead_is_the_border_of_the_future",
                "tests/unit/plugins/module_utils/_volume/test_health.py::test_the_volume",
            ),
            "prune": shown(
                "keeps them",
                "A backup dated ahead is kept, and takes no slot of another.",
                f"{PRUNES}test_five_minutes_ahead_is_the_border_of_the_future",
            ),
            "fetch": shown(
                "not the newest",
                "A backup dated ahead is not the newest; it can be named.",
                "tests/unit/plugins/module_utils/_volume/test_catalog.py::test_the_newest",
            ),
            "verify": NO_CLUSTER,
            "drill": as_of("fetch", "not the newest"),
            "restore": Cell("no part", "Is given the backup's name and its hash."),
        },
    ),
    "controller's clock forward": Fault(
        "The modules run three days ahead.",
        "Set the controller's clock right.",
        {
            "run": own(
                "one more", "With `max_age`, the newest seems too old: one more backup is made.", r"^succeeded$"
            ),
            "list": own(
                "a false alarm",
                "Says that the newest is older than `max_age`.",
                r"^problems: .*expected a complete backup younger than",
            ),
            "prune": own("works", "Retention goes by the pod's clock.", _PRUNED),
            "fetch": own("works", "Goes by names and hashes.", _FETCHED),
            "verify": shown(
                "a false alarm",
                "With `max_age`, the file seems too old.",
                "tests/unit/plugins/module_utils/_verify/test_verification.py::test_everything_that_is_wrong_at_once",
            ),
            "drill": own("works", "Goes by names and hashes.", _RESTORED),
            "restore": own("works", "Goes by names and hashes.", _RESTORED),
        },
    ),
    "controller's clock back": Fault(
        "The modules run three days behind, before the API server's certificate became valid.",
        "Set the controller's clock right. Where the certificate is older than the clock says, only ages are wrong.",
        {
            "run": own(
                "fails, nothing done",
                "The API server's certificate is not yet valid, and the message says so.",
                _NOT_YET,
            ),
            "list": own("fails, nothing done", "As run.", _NOT_YET),
            "prune": own("fails, nothing done", "As run.", _NOT_YET),
            "fetch": own("fails, nothing done", "As run.", _NOT_YET),
            "verify": Cell("works", "Needs no cluster; with `max_age`, the file seems younger than it is."),
            "drill": own("fails, nothing done", "As run.", _NOT_YET),
            "restore": own("fails, nothing done", "As run.", _NOT_YET),
        },
    ),
    "two controllers": Fault(
        "Each operation twice at the same moment; and a run while a restore ends.",
        "Nothing.",
        {
            "run": own(
                "works",
                "The second attaches to the first's Job, or makes a backup of its own. A run that meets the end of a "
                "restore, whose unfinished database gets another name, fails once and is tried again.",
                r"^succeeded(; attached)?|attempt 2; recovered from: .*does not exist",
                f"{RUNS}test_two_runs_at_once_give_two_backups",
                f"{RUNS}test_two_runs_in_one_second_give_two_backups",
                "tests/cluster/modules/test_backup_job.py::test_run_in_progress_is_attached_to",
            ),
            "list": own("works", "Each has a pod of its own.", r"^healthy$"),
            "prune": own(
                "works",
                "Together they delete what the policy does not keep, and nothing else.",
                r"^deleted [012]$",
                f"{PRUNES}test_two_at_once_agree",
                f"{RUNS}test_a_run_and_prunes_at_once",
            ),
            "fetch": shown(
                "the second refuses",
                "To one file, the second says that another fetch is at work.",
                f"{FETCHES}test_two_fetches_at_once",
                "tests/unit/plugins/module_utils/_fetch/test_transfer.py::test_many_processes_at_once",
            ),
            "verify": Cell("works", "Only reads."),
            "drill": own("works", "Each has a server of its own.", _RESTORED),
            "restore": own(
                "the second refuses",
                "To one name, the second says which Job is at work.",
                _RESTORED,
                "tests/cluster/modules/test_restore.py::test_second_restore_to_the_same_name_is_refused",
            ),
        },
    ),
    "seven bad nights": Fault(
        "Seven runs in a row fail, each in another way: no server, an error of pg_dumpall, a dump that is cut, killed "
        "processes, a file that cannot be read back.",
        "Read `last-run.json` or `backup_info`; alert on its age.",
        {
            "run": own(
                "works again",
                "Each fails with its reason, and none deletes anything. The next good one does.",
                r"^succeeded$",
            ),
            "list": own("tells", "Names the last failure; every older backup is there.", r"^problems: .*the last run"),
            "prune": own("works", "Applies the policy to what there is; the newest complete one stays.", _PRUNED),
            "fetch": own("works", "The newest complete one, of before the bad nights.", _FETCHED),
            "verify": NO_CLUSTER,
            "drill": own("works", "Of a backup of before.", _RESTORED),
            "restore": own("works", "Of a backup of before.", _RESTORED),
        },
    ),
}
