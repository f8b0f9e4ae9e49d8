# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The fault matrix: what each operation does when each fault occurs, and which tests show it.

page.py generates docs/faults.md from this table and from the recorded results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

OPERATIONS = {
    "run": "a run of the CronJob, scheduled or started by `backup_job`",
    "list": "`backup_info`, which reads the volume through a reader Job",
    "prune": "`backup_prune`",
    "fetch": "`backup_fetch`",
    "upload": "`backup_upload`",
    "verify": "`backup_verify`, which reads a local file and needs no cluster",
    "drill": "`restore_drill`",
    "restore": "`restore_database`",
    "table": "`restore_table`",
    "cluster": "`restore_cluster`, into a new server",
    "watch": "`postgres_backup_watch`, which looks twice after the fault and after the next success",
}


@dataclass(frozen=True)
class Cell:
    """What an operation does: in a word, in a sentence, and the tests that show it.

    `seen` is a regular expression that the result in a run of the matrix must match; `tests` are other tests that
    show it; `like` is the operation of the same fault whose cell this one repeats.
    """

    word: str
    expected: str = ""
    seen: str = ""
    tests: tuple[str, ...] = ()
    like: str = ""


@dataclass(frozen=True)
class Fault:
    """`made` describes how the test causes the fault, `advice` what an operator can do about it."""

    made: str
    advice: str
    cells: Mapping[str, Cell] = field(default_factory=dict)


def own(word: str, expected: str, seen: str, *tests: str) -> Cell:
    return Cell(word, expected, seen, tests)


def shown(word: str, expected: str, *tests: str) -> Cell:
    return Cell(word, expected, tests=tests)


def as_of(operation: str, word: str) -> Cell:
    return Cell(word, like=operation)


NO_CLUSTER = Cell("not affected", "Reads a local file; needs no cluster, server or volume.")
RUNS = "tests/script/run/test_run.py::"
SERVER = "tests/script/run/test_server_faults.py::"
VOLUME = "tests/script/run/test_volume_faults.py::"
PRUNES = "tests/script/volume/test_prune.py::"
DUMP_FAULTS = "tests/script/run/test_dump_faults.py::"
RESTRICTED = "tests/script/run/test_restricted_users.py::"
RESTORES = "tests/script/restore/test_restore.py::"
UPLOADS = "tests/cluster/modules/test_upload.py::"
FETCHES = "tests/cluster/modules/test_fetch.py::"
RUN_FAULTS = "tests/cluster/test_run_faults.py::"

_GOES_ON = (
    "The pod continues. The module retries its requests for a minute, finds its Job, and returns the usual result."
)
_RESUMED = "The stream is interrupted and resumed; the hash of the complete file is compared at the end."
_STALLS = (
    "The stream stalls, and then continues. After `silence_timeout` (60 s) it would be resumed with a new connection."
)
_WAITS = "The pod starts late; the module waits for it."

_RESTORED = r"^restored, 1000 rows"
_FETCHED = r"^fetched, \d+ bytes"
_UPLOADED = r"^uploaded, \d+ bytes"
_NO_API = r"the API server cannot be reached"
_NO_ROOM = r"does not start yet.*Unschedulable: .*untolerated taint"
_NOT_YET = r"^the API server cannot be reached: .*certificate is not yet valid"
_LISTED = r"^healthy$"
_PRUNED = r"^deleted 2$"


def _component(made: str, advice: str, run: str, short: str, fetch: str) -> Fault:
    """One of Kubernetes' own programs: running operations continue; `short` is the result of list and prune."""
    unreachable = short == _NO_API
    text = (
        "Fails immediately and reports that the API server cannot be reached. Nothing has been changed; run it again."
        if unreachable
        else _WAITS
    )
    word = "fails, nothing done" if unreachable else "waits"
    return Fault(
        made,
        advice,
        {
            "run": own("continues", run, r"^succeeded$"),
            "list": own(word, text, short if unreachable else _LISTED),
            "prune": own(word, text, short if unreachable else _PRUNED),
            "fetch": own("resumes" if fetch == _RESUMED else "waits", fetch, _FETCHED),
            "upload": own("resumes" if fetch == _RESUMED else "waits", fetch, _UPLOADED),
            "verify": NO_CLUSTER,
            "drill": own("continues", _GOES_ON, _RESTORED),
            "restore": own("continues", _GOES_ON, _RESTORED),
            "table": own("continues", _GOES_ON, _RESTORED),
            "cluster": own("continues", _GOES_ON, _RESTORED),
        },
    )


_KILLED = "SIGKILL while all operations are running; it is started again after 6 s."
_PAUSED = "SIGSTOP for 6 s while all operations are running: its sockets accept connections, but nothing answers."
_NOTHING = (
    "Nothing. After more than a minute the modules fail and report it. The Jobs continue, and a second call of "
    "`backup_job` attaches to its Job."
)

_OPERATED: dict[str, Fault] = {
    "kube-apiserver killed": _component(
        f"{_KILLED} List and prune start while it is down.", _NOTHING, _GOES_ON, _NO_API, _RESUMED
    ),
    "kube-apiserver paused": _component(
        f"{_PAUSED} List and prune start meanwhile, and it is paused until they have failed.",
        _NOTHING,
        _GOES_ON,
        _NO_API,
        _STALLS,
    ),
    "etcd killed": _component(_KILLED, _NOTHING, _GOES_ON, _LISTED, _STALLS),
    "etcd paused": _component(_PAUSED, _NOTHING, _GOES_ON, _LISTED, _STALLS),
    "kubelet killed": _component(
        _KILLED,
        "Nothing. While a kubelet is down, its running pods continue, but new ones do not start.",
        "The containers continue without the kubelet; the end of the Job is detected when the kubelet is back.",
        _LISTED,
        _RESUMED,
    ),
    "kubelet paused": _component(
        _PAUSED,
        "Nothing. While a kubelet is down, its running pods continue, but new ones do not start.",
        "The containers continue without the kubelet; the end of the Job is detected when the kubelet is back.",
        _LISTED,
        _STALLS,
    ),
    "containerd killed": _component(
        _KILLED,
        "Nothing. Each container has a separate parent process (the shim) and continues.",
        "The container continues under its shim.",
        _LISTED,
        _RESUMED,
    ),
    "containerd paused": _component(
        _PAUSED,
        "Nothing. Each container has a separate parent process (the shim) and continues.",
        "The container continues under its shim.",
        _LISTED,
        _STALLS,
    ),
    "PostgreSQL killed": Fault(
        "SIGKILL to every process of the live server while pg_dump waits for a lock, and a restore is running.",
        "Check the log of the server (memory, disk). Start a restore again yourself.",
        {
            "run": own(
                "waits, dumps again",
                "Waits for the server, and dumps the database again. If the server does not answer within a minute, "
                "this database and those that follow are missing, and the run fails.",
                r"^succeeded$",
                f"{SERVER}test_server_dies_in_the_middle",
                f"{SERVER}test_a_session_is_ended_in_the_middle",
            ),
            "list": own("not affected", "Only reads the volume.", _LISTED),
            "prune": Cell("not affected", "Only reads the volume."),
            "fetch": own("not affected", "Only reads the volume.", _FETCHED),
            "upload": own("not affected", "Only needs the volume.", _UPLOADED),
            "verify": NO_CLUSTER,
            "drill": own("not affected", "Uses a separate, temporary server.", _RESTORED),
            "restore": own(
                "fails, live unchanged",
                "Fails with the message of the server; waits for the server and drops the temporary database.",
                r"^the restore.* failed: .*the restore stopped at an error",
                f"{RESTORES}test_the_server_stops_in_the_middle",
                f"{RESTORES}test_the_server_stays_away",
            ),
            "table": own(
                "fails, live unchanged",
                "Fails with the message of the server. The live table is unchanged. The next restore of a table "
                "of this database drops what is left.",
                r"failed: .*connection",
            ),
            "cluster": own(
                "fails, is continued",
                "Fails with the message of the server; waits for the server and drops the temporary databases. Started "
                "again, it skips the databases that are restored.",
                r"failed: ",
            ),
        },
    ),
    "PostgreSQL paused": Fault(
        "SIGSTOP to every process of the live server for 6 s, during a dump and a restore.",
        "Find out what the server waits for (usually its disk). A run ends at `postgres_backup_time_limit`.",
        {
            "run": own(
                "waits",
                "Waits for the server, and continues. If the server does not continue, the run ends at its time limit "
                "and leaves no partial file.",
                r"^succeeded$",
                f"{SERVER}test_a_server_that_accepts_and_then_says_nothing",
                f"{SERVER}test_a_lock_that_is_never_released",
            ),
            "list": own("not affected", "Only reads the volume.", _LISTED),
            "prune": Cell("not affected", "Only reads the volume."),
            "fetch": own("not affected", "Only reads the volume.", _FETCHED),
            "upload": own("not affected", "Only needs the volume.", _UPLOADED),
            "verify": NO_CLUSTER,
            "drill": own("not affected", "Uses a separate, temporary server.", _RESTORED),
            "restore": own(
                "waits",
                "Waits for the server, and continues; fails after `timeout`.",
                _RESTORED,
                "tests/cluster/modules/test_restore.py::test_timeout_ends_the_restore",
            ),
            "table": own("waits", "Waits for the server, and continues; fails after `timeout`.", _RESTORED),
            "cluster": own("waits", "Like table.", _RESTORED),
        },
    ),
    "node out of disk": Fault(
        "A drill restores 300 MB on a node without enough free disk space: the kubelet evicts it, and taints the node. "
        "List, prune and fetch start after that.",
        "Free some disk space on the node. Limit the drill to less than the node has (`size_limit`), or use another "
        "node.",
        {
            "run": own(
                "continues",
                "A running one continues, since its dump is on the volume. A new one waits until the node accepts "
                "pods again.",
                r"^succeeded$",
            ),
            "list": own(
                "fails, nothing done",
                "Its pod is not scheduled. After ten times `startup_timeout` the module reports the reason and deletes "
                "its Job. "
                "`kubectl describe node` shows the taint: disk-pressure.",
                _NO_ROOM,
            ),
            "prune": own("fails, nothing done", "Like list.", _NO_ROOM),
            "fetch": own("fails, nothing done", "Like list.", _NO_ROOM),
            "upload": own("fails, nothing done", "Like list.", _NO_ROOM),
            "verify": NO_CLUSTER,
            "drill": own(
                "fails",
                "The kubelet evicts the pod, and the drill fails. `kubectl get events` shows the reason.",
                r"^the restore drill.* failed: .*Reason: "
                r"(the drill was terminated by SIG|Kubernetes terminated its pod: Evicted)",
                "tests/cluster/modules/test_drill.py::test_data_larger_than_the_size_limit_fails",
            ),
            "restore": own(
                "continues",
                "A running one continues, since its data is on the live server. A new one fails like list.",
                _RESTORED,
            ),
            "table": own("continues", "Like restore.", _RESTORED),
            "cluster": own("continues", "Like restore.", _RESTORED),
        },
    ),
    "sick database": Fault(
        "The file of a table is missing on the live server, in one of its databases.",
        "Follow the advice in the message. Restore the database from the newest backup with it, which is kept.",
        {
            "run": own(
                "incomplete",
                "Dumps the other databases, publishes the backup as incomplete, and fails. The message names the "
                "database, its error and what to do. Retention deletes nothing.",
                r"1 database could not be dumped.*sick",
                f"{DUMP_FAULTS}test_a_fault_of_the_server",
                f"{RESTRICTED}test_a_damaged_page",
            ),
            "list": own(
                "reports it",
                "Reports the database, its error, and the newest backup that contains it.",
                r"^problems: .*without sick",
                "tests/cluster/modules/test_incomplete.py::test_incomplete_backup",
            ),
            "prune": own(
                "works",
                "An incomplete backup takes no slot of the policy. The newest backup that contains the database is "
                "kept.",
                _PRUNED,
                "tests/script/volume/test_retention_model.py::test_an_incomplete_backup_takes_no_slot",
                "tests/script/volume/test_retention_model.py::test_a_missing_database_keeps_its_newest_backup",
            ),
            "fetch": own("works", "Fetches the newest complete backup; an incomplete one if it is named.", _FETCHED),
            "upload": Cell("works", "Uploads a backup that has the database, if there is one elsewhere."),
            "verify": shown(
                "fails",
                "Fails for the incomplete backup and names the database, unless `allow_incomplete` is set.",
                "tests/unit/plugins/module_utils/_verify/test_expectations.py::test_incomplete_backup_is_refused_unless_it_is_allowed",
            ),
            "drill": own(
                "works",
                "Takes the newest complete backup. If the incomplete one is named, restores its databases.",
                r"^restored, \d+ rows",
                "tests/script/drill/test_incomplete.py::test_other_databases_are_restored",
            ),
            "restore": own("works", "Restores another database from a complete backup.", _RESTORED),
            "table": Cell("works", "Restores tables of another database, or of a backup that has the database."),
            "cluster": Cell("works", "Restores the databases that the backup has, and names those that it lacks."),
        },
    ),
    "table without a right": Fault(
        "The user of the backups is not a superuser, and may not read a table of one database.",
        "Grant the right that the message names, or leave the table out (`postgres_backup_exclude_tables`).",
        {
            "run": own(
                "incomplete",
                "Finds the table before the dump. Dumps the other databases, publishes the backup as incomplete, and "
                "fails. The message names the database, the table, and what to grant.",
                r"1 database could not be dumped.*private.*GRANT",
                f"{RESTRICTED}test_what_the_user_may_not_read_is_reported_for_each_database",
                "tests/script/run/test_inspection.py::test_a_right_that_is_taken_away",
            ),
            "list": own(
                "reports it", "Reports the database, and the newest backup that contains it.", r"^problems: .*private"
            ),
            "prune": Cell("works", "Like for a sick database."),
            "fetch": Cell("works", "Fetches the newest complete backup."),
            "upload": Cell("works", "Like for a sick database."),
            "verify": Cell("fails", "Like for a sick database."),
            "drill": Cell("works", "Like for a sick database."),
            "restore": Cell(
                "not affected", "Uses a superuser (`postgres_backup_restore_user`), not the user of the backups."
            ),
            "table": Cell("works", "Like for a sick database."),
            "cluster": Cell("works", "Like for a sick database."),
        },
    ),
    "typo in the policy": Fault(
        "A changed policy keeps 1 of 31 nights.",
        "Correct the policy. If you mean it, set `postgres_backup_allow_deletions` to the date.",
        {
            "run": own(
                "works, deletes nothing",
                "Creates the backup. Retention deletes nothing, and the run warns.",
                r"^succeeded$",
                "tests/script/volume/test_brake.py::test_a_typo_deletes_nothing_until_it_is_allowed",
            ),
            "list": own("works", "Lists the backups, with what the policy would delete.", _LISTED),
            "prune": own(
                "fails, nothing done",
                "Deletes nothing and reports how many backups the policy would delete, and how to allow it.",
                r"^retention deleted nothing: it would delete \d+ backups at once",
                "tests/script/volume/test_brake.py::test_a_typo_deletes_nothing_until_it_is_allowed",
            ),
            "fetch": own("works", "Only reads.", _FETCHED),
            "upload": Cell("works", "Warns if the next retention would delete the backup."),
            "verify": NO_CLUSTER,
            "drill": Cell("works", "Only reads."),
            "restore": Cell("works", "Only reads."),
            "table": Cell("works", "Only reads the volume."),
            "cluster": Cell("works", "Only reads the volume."),
        },
    ),
    "controller's disk full or read-only": Fault(
        "The fetched file is written to a small tmpfs, which something else fills meanwhile.",
        "Free some disk space at `dest`.",
        {
            "run": Cell("not affected", "Does not write to it."),
            "list": as_of("run", "not affected"),
            "prune": as_of("run", "not affected"),
            "fetch": shown(
                "fails, nothing left",
                "Fails at the start if the free space is too small. If the disk fills up later, it fails and deletes "
                "the partial file.",
                f"{FETCHES}test_local_disk_that_is_not_writable_or_full",
                f"{FETCHES}test_local_disk_that_fills_up",
            ),
            "upload": Cell("not affected", "Only reads the local file."),
            "verify": shown(
                "fails",
                "Only reads; fails if `contents_dest` cannot be written.",
                "tests/unit/plugins/modules/test_backup_verify.py::test_invalid_calls_are_refused",
            ),
            "drill": as_of("run", "not affected"),
            "restore": as_of("run", "not affected"),
            "table": as_of("run", "not affected"),
            "cluster": as_of("run", "not affected"),
        },
    ),
    "volume full": Fault(
        "Something else fills the share after the operations have started; list and prune start on the full share.",
        "Free some space, enlarge the volume, or keep fewer backups and run `backup_prune`.",
        {
            "run": own(
                "fails, nothing left",
                "Fails, reports that the volume is full, and deletes its partial file; so does the next attempt of "
                "the Job.",
                r"Reason: the backup volume is full: .*No space left on device",
                f"{VOLUME}test_full_while_the_dump_is_written",
                f"{VOLUME}test_full_from_the_start",
                f"{VOLUME}test_full_at_a_later_step",
                f"{VOLUME}test_refused_when_the_last_backup_would_not_fit",
                f"{RUN_FAULTS}test_full_volume_fails_the_run",
            ),
            "list": own(
                "reports it",
                "Lists the backups, and reports the failed run and the lack of free space.",
                r"^problems: .*the last run",
            ),
            "prune": own("works", "Deletes what the policy does not keep; needs no free space.", _PRUNED),
            "fetch": own("works", "Only reads.", _FETCHED),
            "upload": own(
                "fails, nothing left",
                "Fails, reports that the volume is full, and deletes its partial file.",
                r"full|No space left on device",
            ),
            "verify": NO_CLUSTER,
            "drill": own("works", "Only reads.", _RESTORED),
            "restore": own("works", "Only reads.", _RESTORED),
            "table": own("works", "Only reads.", _RESTORED),
            "cluster": own("works", "Only reads.", _RESTORED),
        },
    ),
    "volume read-only": Fault(
        "The share becomes read-only after the dump is written, as if the NAS had detected disk errors.",
        "Check the disks of the NAS. The next run that can write deletes the remaining partial file.",
        {
            "run": own(
                "fails",
                "Fails and reports it in its log. The result cannot be recorded on the volume, so a second attempt "
                "reports "
                "the first one as interrupted. The remaining partial file is deleted after a day.",
                r"^the backup failed: .*Reason: (attempt 1 was interrupted|the backup volume is read-only)",
                f"{VOLUME}test_read_only",
                f"{VOLUME}test_not_writable",
            ),
            "list": own(
                "reports it", "Lists the backups; the failed run could not record its result.", r"^(healthy|problems: )"
            ),
            "prune": own(
                "fails",
                "Reports which backups could not be deleted.",
                r"some backups could not be deleted|read-only",
                f"{PRUNES}test_a_volume_that_refuses_deletion_fails_the_run",
            ),
            "fetch": own("works", "Only reads.", _FETCHED),
            "upload": own(
                "fails",
                "Fails and reports it. The remaining partial file is deleted after a day.",
                r"[Rr]ead-only",
            ),
            "verify": NO_CLUSTER,
            "drill": own("works", "Only reads.", _RESTORED),
            "restore": own("works", "Only reads.", _RESTORED),
            "table": own("works", "Only reads.", _RESTORED),
            "cluster": own("works", "Only reads.", _RESTORED),
        },
    ),
    "volume slow": Fault(
        "The share's server works 10 ms of each 100 ms.",
        "Check the NAS and the network. A run ends at `postgres_backup_time_limit`, the others at their `timeout`.",
        {
            "run": own(
                "works, slower",
                "Takes longer; ends at its time limit, and leaves no partial file.",
                r"^succeeded$",
                "tests/script/run/test_interruption.py::test_the_time_limit_ends_every_process",
            ),
            "list": own("works, slower", "Takes longer.", _LISTED),
            "prune": own("works, slower", "Takes longer.", _PRUNED),
            "fetch": own(
                "works, slower", "Takes longer; a slow connection does not count as lost, only an idle one.", _FETCHED
            ),
            "upload": own("works, slower", "Like fetch.", _UPLOADED),
            "verify": NO_CLUSTER,
            "drill": own("works, slower", "Takes longer.", _RESTORED),
            "restore": own("works, slower", "Takes longer.", _RESTORED),
            "table": own("works, slower", "Takes longer.", _RESTORED),
            "cluster": own("works, slower", "Takes longer.", _RESTORED),
        },
    ),
    "volume silent": Fault(
        "The server of the share is stopped for 12 s during all operations: every call waits, as on a hard NFS mount.",
        "Restore the NAS: everything continues. A pod that waits for it cannot be killed before that.",
        {
            "run": own("waits", "Waits, and continues.", r"^succeeded$"),
            "list": own("waits", "The pod starts when the share responds.", _LISTED),
            "prune": own("waits", "Like list.", _PRUNED),
            "fetch": own("waits", _STALLS, _FETCHED),
            "upload": own("waits", _STALLS, _UPLOADED),
            "verify": NO_CLUSTER,
            "drill": own("waits", "Waits, and continues.", _RESTORED),
            "restore": own("waits", "Waits, and continues.", _RESTORED),
            "table": own("waits", "Waits, and continues.", _RESTORED),
            "cluster": own("waits", "Waits, and continues.", _RESTORED),
        },
    ),
    "volume vanished": Fault(
        "The server of the share is killed during all operations: the mount still exists, but every call on it fails. "
        "Afterwards the share is mounted again.",
        "Mount it again. A pod that used it keeps the dead mount until it ends; later pods use the new mount.",
        {
            "run": own(
                "fails",
                "Fails. The pod of the next attempt does not start on the dead mount; the module reports this after "
                "`startup_timeout` and deletes its Job. The remaining partial file is deleted after a day.",
                r"waiting will not help.*transport endpoint is not connected|Reason: the backup volume",
                f"{VOLUME}test_the_share_is_unmounted_in_the_middle",
                f"{VOLUME}test_the_folder_is_removed_in_the_middle",
                f"{VOLUME}test_the_partial_is_removed_in_the_middle",
            ),
            "list": own(
                "fails, nothing done",
                "Its pod does not start. After `startup_timeout` the module reports the reason and deletes its Job.",
                r"does not start, and waiting will not help.*transport endpoint is not connected",
                "tests/script/volume/test_list.py::test_a_volume_that_is_not_there",
            ),
            "prune": own(
                "fails, nothing done",
                "Like list.",
                r"does not start, and waiting will not help.*transport endpoint is not connected",
            ),
            "fetch": own(
                "fails",
                "Fails, and reports that the backup cannot be read, or why the next pod does not start.",
                r"cannot be read on the volume|transport endpoint is not connected",
            ),
            "upload": own(
                "fails",
                "Fails, and reports that the volume cannot be written, or why the next pod does not start.",
                r"transport endpoint is not connected|cannot be",
            ),
            "verify": NO_CLUSTER,
            "drill": own("fails", "Fails when it next accesses the volume.", r"^the restore drill.* failed: "),
            "restore": own(
                "fails, live unchanged",
                "Fails when it next accesses the volume; drops the temporary database.",
                r"^the restore.* failed: ",
            ),
            "table": own("fails, live unchanged", "Fails when it next accesses the volume.", r"failed: "),
            "cluster": own(
                "fails, is continued",
                "Fails when it next accesses the volume; drops the temporary databases.",
                r"failed: ",
            ),
        },
    ),
    "cluster's clock wrong": Fault(
        "The clock of the script differs from `now()` of the server. The test uses a wrong `date`, since containers "
        "on Linux "
        "have no separate clock.",
        "Correct the clocks. Until then, backups dated in the future are kept and reported.",
        {
            "run": shown(
                "no retention",
                "Creates the backup, deletes nothing, and warns.",
                f"{RUNS}test_no_retention_with_a_wrong_clock",
                f"{RUNS}test_retention_with_a_clock_that_is_nearly_right",
            ),
            "list": shown(
                "reports it",
                "Reports backups dated more than five minutes in the future; they are never the newest.",
                f"{PRUNES}test_five_minutes_ahead_is_the_border_of_the_future",
                "tests/unit/plugins/module_utils/_volume/test_health.py::test_problems_of_the_volume",
            ),
            "prune": shown(
                "keeps it",
                "A backup dated in the future is kept, and does not count towards retention.",
                f"{PRUNES}test_five_minutes_ahead_is_the_border_of_the_future",
            ),
            "fetch": shown(
                "skips it",
                "A backup dated in the future is not the newest; it can be fetched by name.",
                "tests/unit/plugins/module_utils/_volume/test_catalog.py::test_newest_complete_backup",
            ),
            "upload": Cell("works", "The name of the backup has its time."),
            "verify": NO_CLUSTER,
            "drill": as_of("fetch", "skips it"),
            "restore": Cell("not affected", "Uses the name and the hash of the backup."),
            "table": Cell("not affected", "The name of the schema has the time of the controller."),
            "cluster": Cell("not affected", "Uses the name and the hash of the backup."),
        },
    ),
    "controller's clock forward": Fault(
        "The clock of the controller is three days ahead.",
        "Correct the clock of the controller.",
        {
            "run": own(
                "extra backup",
                "With `max_age`, the newest backup seems too old, so an extra backup is run.",
                r"^succeeded$",
            ),
            "list": own(
                "false alarm",
                "Reports that the newest backup is older than `max_age`.",
                r"^problems: .*expected a complete backup younger than",
            ),
            "prune": own("works", "Retention uses the clock of the pod.", _PRUNED),
            "fetch": own("works", "Uses names and hashes only.", _FETCHED),
            "upload": own("works", "Uses names and hashes only.", _UPLOADED),
            "verify": shown(
                "false alarm",
                "With `max_age`, the file seems too old.",
                "tests/unit/plugins/module_utils/_verify/test_verification.py::test_all_failures_are_reported_together",
            ),
            "drill": own("works", "Uses names and hashes only.", _RESTORED),
            "restore": own("works", "Uses names and hashes only.", _RESTORED),
            "table": own("works", "The name of the schema has the time of the controller.", _RESTORED),
            "cluster": own("works", "Uses names and hashes only.", _RESTORED),
        },
    ),
    "controller's clock back": Fault(
        "The clock of the controller is three days behind, before the certificate of the API server became valid.",
        "Correct the clock of the controller. If the certificate is already valid at that time, only ages are wrong.",
        {
            "run": own(
                "fails, nothing done",
                "Reports that the certificate of the API server is not yet valid.",
                _NOT_YET,
            ),
            "list": own("fails, nothing done", "Like run.", _NOT_YET),
            "prune": own("fails, nothing done", "Like run.", _NOT_YET),
            "fetch": own("fails, nothing done", "Like run.", _NOT_YET),
            "upload": own("fails, nothing done", "Like run.", _NOT_YET),
            "verify": Cell("works", "Needs no cluster; with `max_age`, the file seems younger than it is."),
            "drill": own("fails, nothing done", "Like run.", _NOT_YET),
            "restore": own("fails, nothing done", "Like run.", _NOT_YET),
            "table": own("fails, nothing done", "Like run.", _NOT_YET),
            "cluster": own("fails, nothing done", "Like run.", _NOT_YET),
        },
    ),
    "two controllers": Fault(
        "Each operation is started twice at the same time, and a run while a restore ends.",
        "Nothing.",
        {
            "run": own(
                "works",
                "The second one attaches to the Job of the first one, or creates a separate backup. A run that "
                "coincides with the end of a restore, which renames its temporary database, dumps it under its new "
                "name.",
                r"^succeeded(; attached)?$",
                f"{RUNS}test_two_runs_at_once_give_two_backups",
                f"{RUNS}test_two_runs_in_one_second_give_two_backups",
                "tests/cluster/modules/test_backup_job.py::test_run_in_progress_is_attached_to",
            ),
            "list": own("works", "Each uses a separate pod.", r"^healthy$"),
            "prune": own(
                "works",
                "Together they delete exactly what the policy does not keep.",
                r"^deleted [012]$",
                f"{PRUNES}test_two_at_once_agree",
                f"{RUNS}test_a_run_and_prunes_at_once",
            ),
            "fetch": shown(
                "the second fails",
                "With the same destination, the second one reports that another fetch is running.",
                "tests/cluster/modules/test_fetch_interrupted.py::test_two_fetches_at_once",
                "tests/unit/plugins/module_utils/_fetch/test_transfer.py::test_many_fetches_to_one_file",
            ),
            "upload": Cell("works", "Both write the same bytes; the one that ends later finds the backup in place."),
            "verify": Cell("works", "Only reads."),
            "drill": own("works", "Each uses a separate temporary server.", _RESTORED),
            "restore": own(
                "the second fails",
                "With the same name, the second one reports which Job is running.",
                _RESTORED,
                "tests/cluster/modules/test_restore.py::test_second_restore_to_the_same_name_is_refused",
            ),
            "table": Cell("the second fails", "Like restore: one at a time for a database."),
            "cluster": Cell("the second fails", "Reports which Job runs; so does any other restore into that server."),
        },
    ),
    "seven bad nights": Fault(
        "Seven runs in a row fail, each for another reason: no server, an error of pg_dumpall, a truncated dump, "
        "killed "
        "processes, a file that cannot be read back.",
        "Check `<name>.last-run.json` or `backup_info`; set up an alert on its age.",
        {
            "run": own(
                "works again",
                "Each fails with its reason, and none deletes anything. The next successful run does.",
                r"^succeeded$",
            ),
            "list": own(
                "reports it", "Reports the last failure; every older backup still exists.", r"^problems: .*the last run"
            ),
            "prune": own(
                "works", "Applies the policy to the existing backups; the newest complete one is kept.", _PRUNED
            ),
            "fetch": own("works", "Fetches the newest complete backup, from before the failed runs.", _FETCHED),
            "upload": own("works", "Uploads a backup from elsewhere.", _UPLOADED),
            "verify": NO_CLUSTER,
            "drill": own("works", "Uses a backup from before the failed runs.", _RESTORED),
            "restore": own("works", "Uses a backup from before the failed runs.", _RESTORED),
            "table": own("works", "Uses a backup from before the failed runs.", _RESTORED),
            "cluster": own("works", "Like table.", _RESTORED),
        },
    ),
}

# The check that the watch reports after each fault that leaves the installation unhealthy.
_REPORTED = {
    "sick database": "incomplete",
    "table without a right": "incomplete",
    "volume full": "last_run",
    "volume read-only": "last_run",
    "volume vanished": "last_run",
    "seven bad nights": "last_run",
}


def _watch(name: str) -> Cell:
    if name == "controller's disk full or read-only":
        return as_of("run", "not affected")
    if name == "cluster's clock wrong":
        return shown(
            "reports it",
            "Reports backups dated more than five minutes in the future, as `backup_info` does.",
            "tests/unit/plugins/module_utils/_watch/test_judgement.py::test_judged",
        )
    if name in _REPORTED:
        return own(
            "reports it",
            "One message, and one when the next run has succeeded.",
            rf"^alarm: .*\b{_REPORTED[name]}\b.*; recovery: ",
        )
    return own("no message", "The installation is healthy after the fault.", "^no message$")


FAULTS = {name: replace(fault, cells={**fault.cells, "watch": _watch(name)}) for name, fault in _OPERATED.items()}
