# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`<name>.prom`: a run and a scheduled drill write it, also when they fail, and never fail because of it."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.prometheus import check_metrics, number_of_series, samples, value

from ..support import sample
from ..support.combinations import under_all
from ..support.metrics import FILE, METRICS, drill_record
from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.volume import HISTORY, backup_name, created, give, put, put_backup, snapshot

# A run with this fails when it has checked the volume.
UNREACHABLE = {"POSTGRES_BACKUP_PORT": "1"}
NEWEST_OF_DATABASE = "postgres_backup_database_newest_timestamp_seconds"


def metrics(sandbox: Sandbox) -> str:
    text = (sandbox.volume / FILE).read_text(encoding="utf-8")
    check_metrics(text)
    assert number_of_series(text) <= 30
    return text


@under_all
def test_a_run_and_what_it_found(sandbox: Sandbox) -> None:
    outcome = sandbox.run("run", env=METRICS).check()
    text = metrics(sandbox)
    assert outcome.result["warnings"] == sandbox.run("list").check().of_type("volume")[0]["last_run"]["warnings"]
    (path,) = sandbox.backup_files()
    when = created(path.name, sandbox.name).timestamp()
    assert (
        value(text, "postgres_backup_newest_timestamp_seconds", name="postgres-backup", backup_namespace="data") == when
    )
    assert value(text, "postgres_backup_newest_size_bytes") == path.stat().st_size
    assert value(text, "postgres_backup_last_run_state", state="succeeded") == 1
    assert when <= value(text, "postgres_backup_last_run_timestamp_seconds") <= datetime.now(UTC).timestamp()
    assert value(text, "postgres_backup_consecutive_failures") == 0
    assert value(text, "postgres_backup_schedule_interval_seconds") == 86400
    assert value(text, "postgres_backup_copies") == 0
    dumped = json.loads(Path(f"{path}.json").read_text())["dumped"]
    assert value(text, "postgres_backup_databases") == len(dumped)
    assert {dict(labels)["database"] for labels in samples(text)[NEWEST_OF_DATABASE]} == set(dumped)
    space = os.statvfs(sandbox.volume)
    assert value(text, "postgres_backup_volume_size_bytes") == space.f_blocks * space.f_frsize
    # node_exporter is another user.
    assert stat.S_IMODE((sandbox.volume / FILE).stat().st_mode) == 0o644
    assert not [entry for entry in sandbox.volume.iterdir() if entry.name.startswith(".")]


def test_copies_of_the_backup_of_yesterday(sandbox: Sandbox) -> None:
    name, content = backup_name(sandbox.name, datetime.now(UTC) - timedelta(days=1, minutes=1)), b"a copied backup"
    digest = hashlib.sha256(content).hexdigest()
    (sandbox.volume / name).write_bytes(content)
    (sandbox.volume / f"{name}.sha256").write_text(f"{digest}  {name}\n")
    folder = sandbox.volume / f"{sandbox.name}.copies"
    folder.mkdir()
    for place in ("nas", "offsite"):
        record = {"format": 1, "place": place, "copies": [{"backup": name, "sha256": digest, "size_bytes": 15}]}
        (folder / f"{place}.json").write_text(f"{json.dumps(record, separators=(',', ':'))}\n")
    sandbox.run("run", env=METRICS).check()
    assert value(metrics(sandbox), "postgres_backup_copies") == 2


def test_a_run_without_metrics(sandbox: Sandbox) -> None:
    sandbox.run("run").check()
    sandbox.run("run", env={**METRICS, **UNREACHABLE, "POSTGRES_BACKUP_METRICS": ""}).check(1)
    assert not (sandbox.volume / FILE).exists()


@under_all
def test_failed_runs(sandbox: Sandbox) -> None:
    sandbox.run("run", env=METRICS).check()
    good = metrics(sandbox)
    os.link(sandbox.volume / FILE, sandbox.volume / "before")
    for number in (1, 2):
        job = {"POSTGRES_BACKUP_JOB": f"postgres-backup-2900000{number}", **UNREACHABLE}
        sandbox.run("run", env={**METRICS, **job}).check(1)
        text = metrics(sandbox)
        assert value(text, "postgres_backup_last_run_state", state="failed") == 1
        assert value(text, "postgres_backup_consecutive_failures") == number
    for name in ("newest_timestamp_seconds", "newest_size_bytes", "databases"):
        assert value(text, f"postgres_backup_{name}") == value(good, f"postgres_backup_{name}")
    # The file is replaced and never written in place.
    assert (sandbox.volume / "before").read_text() == good


def test_values_that_somebody_set_wrong(sandbox: Sandbox) -> None:
    """They never make a run fail, or the file invalid."""
    wrong = {"POSTGRES_BACKUP_NAMESPACE": 'a"b', "POSTGRES_BACKUP_SCHEDULE_SECONDS": "1d"}
    outcome = sandbox.run("run", env={**METRICS, **UNREACHABLE, **wrong}).check(1)
    assert "WARNING" not in outcome.log
    (labels,) = samples(metrics(sandbox))["postgres_backup_copies"]
    assert dict(labels) == {"name": "postgres-backup"}
    assert "postgres_backup_schedule_interval_seconds" not in metrics(sandbox)


def _folder(sandbox: Sandbox) -> None:
    (sandbox.volume / FILE).mkdir()


def _no_awk(sandbox: Sandbox) -> None:
    sandbox.shim("awk", 'case "$*" in *metrics.awk*) echo "out of memory" >&2; exit 3 ;; esac\nexec "$real" "$@"')


@pytest.mark.parametrize("make", [_folder, _no_awk])
def test_file_that_cannot_be_written_is_a_warning(sandbox: Sandbox, make: Callable[[Sandbox], None]) -> None:
    make(sandbox)
    give(sandbox.volume, sandbox.uid)
    outcome = sandbox.run("run", env=METRICS).check()
    assert outcome.result["state"] == "succeeded"
    (warning,) = [text for text in outcome.result["warnings"] if text.startswith(f"{FILE} could not be written: ")]
    assert f"WARNING: {warning}" in outcome.log
    assert sandbox.last_run == outcome.result == sandbox.termination
    assert not (sandbox.volume / FILE).is_file()
    failed = sandbox.run("run", env={**METRICS, **UNREACHABLE}).check(1).result
    assert failed["state"] == "failed" and "could not be written" in str(failed["warnings"])


@pytest.mark.parametrize("name", [FILE, f".{FILE}.postgres-backup-29000000-abcde"])
def test_links_are_not_written_through(sandbox: Sandbox, name: str) -> None:
    put(sandbox.volume / "elsewhere", "untouched")
    (sandbox.volume / name).symlink_to("elsewhere")
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run", env={**METRICS, **UNREACHABLE}).check(1)
    assert (sandbox.volume / "elsewhere").read_text() == "untouched"
    assert not (sandbox.volume / FILE).is_symlink()
    metrics(sandbox)


def test_old_partial_files_are_removed(sandbox: Sandbox) -> None:
    put(sandbox.volume / f".{FILE}.a-killed-pod", "x", age=2 * 86400)
    put(sandbox.volume / f".{FILE}.a-running-pod", "x")
    give(sandbox.volume, sandbox.uid)
    sandbox.run("run", env={**METRICS, **UNREACHABLE}).check(1)
    assert [path.name for path in sandbox.volume.glob(f".{FILE}.*")] == [f".{FILE}.a-running-pod"]


def test_a_run_with_hostile_names(make_sandbox: Callable[[], Sandbox], fresh_server: Server) -> None:
    names = ['q"uo\\te', 'x"} 1', "two\nlines", "gr\u00fcn \U0001f4be", "$(touch x)'"]
    for name in names:
        sample.create_database(fresh_server, name)
    sandbox = make_sandbox()
    sandbox.server = fresh_server
    # pg_dump refuses the name of two lines.
    sandbox.run("run", env=METRICS).check(2)
    text = metrics(sandbox)
    shown = {dict(labels)["database"]: number for labels, number in samples(text)[NEWEST_OF_DATABASE].items()}
    (when,) = {number for name, number in shown.items() if name != "two?lines"}
    assert when > shown.pop("two?lines") == 0
    assert shown.keys() == {"postgres", "template1", *(name for name in names if "\n" not in name)}
    assert value(text, "postgres_backup_databases_missing") == 1


def test_bytes_in_a_manifest_that_no_run_wrote(offline: Sandbox) -> None:
    path = put_backup(offline.volume, backup_name(offline.name, datetime.now(UTC)))
    start = f'{{"format":1,"backup":"{path.name}","state":"complete","dumped":["ok","'.encode()
    put(Path(f"{path}.json"), start + b'lat\xe9 \xff\xc3("],"missing":[],"left_out":false}\n')
    give(offline.volume, offline.uid)
    offline.run("_drill_record", env=drill_record(offline, "succeeded")).check()
    shown = {dict(labels)["database"] for labels in samples(metrics(offline))[NEWEST_OF_DATABASE]}
    assert shown == {"ok", "lat? ??("}


# A scheduled drill.


@under_all
def test_drills(offline: Sandbox) -> None:
    offline.run("_drill_record", env=drill_record(offline, "succeeded")).check()
    text = metrics(offline)
    assert value(text, "postgres_backup_last_drill_state", state="succeeded") == 1
    assert value(text, "postgres_backup_restore_seconds") == 33
    assert value(text, "postgres_backup_restore_rows") == 5_000_000_000
    offline.run("_drill_record", env=drill_record(offline, "failed")).check(1)
    text = metrics(offline)
    assert value(text, "postgres_backup_last_drill_state", state="failed") == 1
    assert value(text, "postgres_backup_restore_seconds") == 33
    assert stat.S_IMODE((offline.volume / FILE).stat().st_mode) == 0o644


def test_a_drill_whose_metrics_cannot_be_written(offline: Sandbox) -> None:
    _folder(offline)
    give(offline.volume, offline.uid)
    outcome = offline.run("_drill_record", env=drill_record(offline, "succeeded")).check()
    assert f"WARNING: {FILE} could not be written: {offline.volume / FILE} is a directory" in outcome.log


def test_a_drill_without_metrics(offline: Sandbox) -> None:
    before = snapshot(offline.volume)
    offline.run("_drill_record", env={**drill_record(offline, "succeeded"), "POSTGRES_BACKUP_METRICS": ""}).check()
    assert {os.fsdecode(name) for name in snapshot(offline.volume).keys() - before.keys()} == {
        "postgres-backup.last-drill.json",
        HISTORY,
    }
