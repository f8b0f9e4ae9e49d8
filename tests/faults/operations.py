# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""An installation for the fault matrix: operations are started, paused while they run, and their results read."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from tests import clock as faketime
from tests.cluster.support.ansible_runs import RUN_MODULE
from tests.cluster.support.backup_files import noise
from tests.cluster.support.kube import NAME, kubectl, listed, names
from tests.cluster.support.live_server import LiveServer
from tests.cluster.support.step_gate import RUN_AS, Installation, Json
from tests.faults.own_cluster import processes, wait_until
from tests.script.support.volume import Entry, backup_name, snapshot
from tests.warm_python import warm_python

SHOP = "faultshop"
# The Secret with the password of the new server.
NEW_SECRET = "new-server"
BIG = f"{NAME}-2026-01-01-020000.sql.gz"
UPLOADED = f"{NAME}-2026-01-02-020000.sql.gz"
BIG_BYTES = 300_000_000
MODULES = {
    "run": "backup_job",
    "list": "backup_info",
    "prune": "backup_prune",
    "fetch": "backup_fetch",
    "upload": "backup_upload",
    "drill": "restore_drill",
    "restore": "restore_database",
    "table": "restore_table",
    "cluster": "restore_cluster",
}
# Nothing can hold them up, so their process is stopped when a tenth has been transferred.
_TRANSFERS = ("fetch", "upload")
# Runs in the database that is restored: it waits while the volume has that file (a drill's server sees it), or while
# the server has that role (the live one).
_HOLD = """CREATE FUNCTION pg_temp.hold() RETURNS void LANGUAGE plpgsql AS $hold$
BEGIN
    WHILE (pg_catalog.pg_stat_file('/backups/gate/hold', true)).size IS NOT NULL
        OR EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'hold')
    LOOP
        PERFORM pg_catalog.pg_sleep(0.1);
    END LOOP;
END
$hold$;

SELECT pg_temp.hold();

"""


_WAIT = """import threading
import time


def wait(self, timeout=None):
    end = None if timeout is None else time.monotonic() + timeout
    while not self.is_set() and (end is None or time.monotonic() < end):
        time.sleep(0.05)
    return self.is_set()


threading.Event.wait = wait
"""


@dataclass(frozen=True)
class Operation:
    """A running module of the collection, started as Ansible starts it on the host, without Ansible's preparation."""

    kind: str
    process: subprocess.Popen[str]
    began: float = field(default_factory=time.monotonic)

    def end(self, seconds: float = 180) -> Json:
        """Its result, with `failed` and `msg`."""
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"{self.kind} did not end within {seconds} s") from None
        assert '\n{"' in output and "Traceback" not in output, output
        result: Json = json.loads(output[output.index('\n{"') :])
        return {"failed": False, "msg": "", **result}


@dataclass(frozen=True)
class FaultSetup:
    """An installation, its live server, a new one, a backup whose restore can be held up, and a folder to fetch to.

    `watch_program` is a copy of the program of the watch.
    """

    installation: Installation
    live: LiveServer
    new: LiveServer
    folder: Path
    collections: Path
    held: Json
    watch_program: Path
    growing: str = ""

    @property
    def namespace(self) -> str:
        return self.installation.namespace

    @property
    def here(self) -> Path:
        return self.folder / "here"

    def begin(self, kind: str, clock: str = "", **options: Any) -> Operation:
        """Begins an operation: a drill or restore of the backup that can be held up, a fetch of the newest.

        `clock` sets the controller's clock off, such as by +3d.
        """
        given: dict[str, Any] = {"namespace": self.namespace, "name": NAME}
        if kind == "drill":
            given |= {"backup": self.held["backup"]}
        elif kind == "restore":
            given |= {key: self.held[key] for key in ("backup", "sha256", "contents")}
            given |= {"database": SHOP, "new_name": f"{SHOP}_new"}
        elif kind == "table":
            given |= {"backup": self.held["backup"], "database": SHOP, "tables": ["public.items"]}
        elif kind == "cluster":
            given |= {"backup": self.held["backup"], "restore_host": self.new.server.host}
            given |= {
                "restore_user": "postgres",
                "restore_secret_name": NEW_SECRET,
                "restore_secret_key": "postgres-password",
            }
        elif kind == "fetch":
            self.here.mkdir(exist_ok=True)
            given |= {"dest": f"{self.here}/"}
        elif kind == "upload":
            # Else a retention at the same time deletes it, or not.
            given |= {"src": str(self.to_upload()), "keep": True}
        arguments = self.folder / f"{kind}-{uuid.uuid4().hex[:8]}.json"
        arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": {**given, **options}}))
        # libfaketime is loaded when a program starts; a signal reaches only a module that is a process of this group.
        python = sys.executable if clock or kind in _TRANSFERS else str(warm_python())
        command = [python, str(RUN_MODULE), str(self.collections), MODULES[kind], str(arguments)]
        moved = {**faketime.environment(), "FAKETIME": clock, "PYTHONPATH": str(self._patience())} if clock else {}
        process = subprocess.Popen(
            command,
            env={**os.environ, **moved},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return Operation(kind, process)

    def _patience(self) -> Path:
        """A folder for Python's path: libfaketime does not know how threading waits, and it would wait for days."""
        folder = self.folder / "patience"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(_WAIT)
        return folder

    # --------------------------------------------------------------------------------------------- paused operations

    @contextlib.contextmanager
    def in_the_middle(
        self, *kinds: str, transfers_wait: bool = False, **options: Mapping[str, Any]
    ) -> Iterator[dict[str, Operation]]:
        """The operations while they run; `release` lets them continue, and so does the end of the block.

        `transfers_wait`: the transfers are stopped until `continue_transfers`.
        """
        if "run" in kinds:
            self.installation.stop_at("dump")
        if "drill" in kinds:
            (self.installation.volume / "gate" / "hold").touch()
        held_on = [(server, sum(kind in kinds for kind in on_it)) for server, on_it in self._servers()]
        for server, _ in held_on:
            server.sql("CREATE ROLE hold;")
        begun = {kind: self.begin(kind, **options.get(kind, {})) for kind in kinds if kind not in _TRANSFERS}
        try:
            if "run" in kinds:
                self.installation.wait_for_gate()
            if "drill" in kinds:
                wait_until(lambda: bool(processes(f": postgres {SHOP} [local] SELECT")), "the drill is held up")
            for server, number in held_on:
                wait_until(partial(_holds, server, number), "the restores are held up")
            for kind in _TRANSFERS:
                if kind in kinds:
                    begun[kind] = self._stopped_transfer(kind, options.get(kind, {}))
            if not transfers_wait:
                continue_transfers(begun)
            yield begun
        finally:
            continue_transfers(begun)
            self.release()

    def _servers(self) -> Iterator[tuple[LiveServer, tuple[str, ...]]]:
        """Each server with the operations that restore into it."""
        yield self.live, ("restore", "table")
        yield self.new, ("cluster",)

    def _stopped_transfer(self, kind: str, options: Mapping[str, Any]) -> Operation:
        """A transfer of 300 MB, whose process is stopped when a tenth is there."""
        operation = self.begin(kind, **({"backup": BIG} if kind == "fetch" else {}), **options)
        folder, pattern = (self.here, f".{BIG}*") if kind == "fetch" else (self.installation.volume, f".*{UPLOADED}*")

        def has_come() -> bool:
            if operation.process.poll() is not None:
                raise AssertionError(operation.end())
            return sum(path.stat().st_size for path in folder.glob(pattern)) > BIG_BYTES // 10

        wait_until(has_come, f"a tenth of the {kind} is there")
        os.killpg(operation.process.pid, signal.SIGSTOP)
        return operation

    def to_upload(self, size_bytes: int = BIG_BYTES) -> Path:
        """A local file of about that size with its checksum file."""
        folder = self.folder / f"to-upload-{size_bytes}"
        if not folder.exists():
            folder.mkdir()
            data = gzip.compress(noise(size_bytes), 0, mtime=0)
            (folder / UPLOADED).write_bytes(data)
            (folder / f"{UPLOADED}.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  {UPLOADED}\n")
        return folder / UPLOADED

    def release(self) -> None:
        self.release_restores()
        (self.installation.volume / "gate" / "stop").unlink(missing_ok=True)

    def release_restores(self) -> None:
        (self.installation.volume / "gate" / "hold").unlink(missing_ok=True)
        self.release_servers()

    def release_servers(self) -> None:
        for server, _ in self._servers():
            server.sql("DROP ROLE IF EXISTS hold;")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """A session that keeps a table locked: a dump waits for it."""
        statement = "BEGIN; LOCK TABLE items IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600);"
        words = ("env", "PGAPPNAME=the lock", "psql", "-X", "-d", SHOP, "-c", statement)
        session = subprocess.Popen(
            self.live.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        question = (
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND database IS NOT NULL;"
        )
        try:
            wait_until(lambda: self.live.sql(question) != "0", "the table is locked")
            yield
        finally:
            self.live.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the lock';")
            session.kill()
            session.communicate()

    def wait_until_the_dump_waits(self) -> None:
        wait_until(lambda: bool(processes(f": postgres {SHOP} ", "LOCK TABLE waiting")), "the dump waits for its lock")

    # -------------------------------------------------------------------------------------------------------- before

    def older(self) -> dict[bytes, Entry]:
        """The volume before a fault, with two backups more than retention keeps."""
        self.remove_results()
        for day in (1, 2):
            _put(self.installation.volume, backup_name(NAME, datetime(2025, 1, day, tzinfo=UTC)), gzip.compress(b"old"))
        return snapshot(self.installation.volume)

    def put_nights(self, number: int) -> list[str]:
        """Backups of that many nights, a hundred days ago and before; returns their names."""
        first = datetime.now(UTC) - timedelta(days=100)
        names = [backup_name(NAME, first - timedelta(days=night)) for night in range(number)]
        for name in names:
            _put(self.installation.volume, name, gzip.compress(b"old"))
        return names

    # --------------------------------------------------------------------------------------------------------- after

    def assert_as_it_was(self, before: dict[bytes, Entry], has_partial: bool = False) -> None:
        """Every older backup, nothing half done on the volume, here and in the cluster, no database of a restore.

        `has_partial`: a run that could not clean up left one partial file, or none. It is another Job's, which might be
        running; the first run after a day removes it.
        """
        if has_partial:
            partials = [*self.installation.volume.glob(f".{NAME}-*.partial")]
            # Of the run and of the upload.
            assert len(partials) <= 2 and sum(".upload-" in path.name for path in partials) <= 1
            for path in partials:
                path.unlink()
        kept = {name: entry for name, entry in before.items() if name + b".keep" in before or name.endswith(b".keep")}
        after = snapshot(self.installation.volume)
        assert len(kept) > 10
        assert kept.items() <= after.items()
        left = {os.fsdecode(name) for name in after if name.startswith(b".")}
        assert not left, left
        whole = {os.fsdecode(name) for name in after if name.endswith(b".sql.gz")}
        assert all(f"{name}.sha256".encode() in after for name in whole)
        assert not list(self.here.glob(".*.partial"))
        selector = "app.kubernetes.io/component in (reader, drill, restore)"
        wait_until(
            lambda: (
                not any(listed(kind, self.namespace, selector) for kind in ("job", "pod"))
                and not any("-restore-" in name for name in names("pod", self.namespace))
            ),
            "its Jobs are gone",
        )
        for server, _ in self._servers():
            wait_until(partial(_is_idle, server), "no database of a restore is left")
        self.remove_results()

    def remove_results(self) -> None:
        """What the operations of a test made, also of one that has failed before its end."""
        kubectl("delete", "jobs", "--all", "-n", self.namespace)
        wait_until(lambda: not names("job", self.namespace), "no Job is there")
        for path in [*self.installation.volume.glob(".*.partial"), *self.installation.volume.glob(f"{UPLOADED}*")]:
            path.unlink()
        self.live.sql(f"DROP DATABASE IF EXISTS {SHOP}_new WITH (FORCE);")
        self._drop_restored_tables()
        self.new.sql(f"DROP DATABASE IF EXISTS {SHOP} WITH (FORCE);")
        for path in [*self.here.glob("*"), *self.here.glob(".*")]:
            path.unlink()

    def _drop_restored_tables(self) -> None:
        schemas = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'restored\\_%';"
        for schema in self.live.sql(schemas, SHOP).split():
            self.live.sql(f"DROP SCHEMA {schema} CASCADE;", SHOP)


def continue_transfers(begun: Mapping[str, Operation]) -> None:
    """Let the transfers continue that `in_the_middle` has stopped."""
    for kind in _TRANSFERS:
        if kind in begun and begun[kind].process.poll() is None:
            os.killpg(begun[kind].process.pid, signal.SIGCONT)


def _is_idle(server: LiveServer) -> bool:
    return not server.waits()


def _holds(server: LiveServer, number: int) -> bool:
    """Whether that many restores are held up."""
    return number == int(
        server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%hold%';")
    )


def told(kind: str, result: Json) -> str:
    """What an operator sees of a result, without what differs from run to run."""
    if result["failed"]:
        return _without_names(result["msg"].partition("\nThe last lines of its log")[0])
    return _GOOD[kind](result)


def _run(result: Json) -> str:
    made = result["result"] or {}
    attempts = f"; attempt {made['attempts']}" if made.get("attempts", 1) > 1 else ""
    reason = f"; recovered from: {_without_names(made['recovered_from'])}" if made.get("recovered_from") else ""
    return f"succeeded{'; attached' if result['attached'] else ''}{attempts}{reason}"


def _list(result: Json) -> str:
    problems = [_without_names(problem["message"]) for problem in result["problems"]]
    return "healthy" if result["healthy"] else f"problems: {' | '.join(problems)}"


def _fetch(result: Json) -> str:
    return f"fetched, {result['size_bytes']} bytes; interruptions: {'some' if result['interruptions'] else 'none'}"


_GOOD: dict[str, Callable[[Json], str]] = {
    "run": _run,
    "list": _list,
    "prune": lambda result: f"deleted {len(result['deleted'])}",
    "fetch": _fetch,
    "drill": lambda result: f"restored, {result['rows']} rows counted",
    "restore": lambda result: f"restored, {result['rows']} rows",
    "upload": lambda result: f"uploaded, {result['size_bytes']} bytes",
    "table": lambda result: f"restored, {sum(table['rows'] for table in result['tables'])} rows",
    "cluster": lambda result: f"restored, {result['rows']} rows",
}


def _without_names(text: str) -> str:
    """The same in every run."""
    text = re.sub(r"postgres-backup-\d{4}-\d\d-\d\d-\d{6}\.sql\.gz", "<backup>", text)
    text = re.sub(r"postgres-backup-(manual-\d+-\w+|(reader|drill|restore|upload)-\w+)(-\w{5})?", "<job>", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<id>", text)
    text = re.sub(r"\bshare-[0-9a-f]{8}\b", "share", text)
    text = re.sub(r"10\.\d+\.\d+\.\d+", "<address>", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>", text)
    return " ".join(text.split())


def put_big(volume: Path) -> None:
    """A file that is downloaded slowly; it need not be a backup."""
    _put(volume, BIG, noise(BIG_BYTES))


def _put(volume: Path, name: str, data: bytes) -> None:
    (volume / name).write_bytes(data)
    (volume / f"{name}.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    for path in (volume / name, volume / f"{name}.sha256"):
        path.chmod(0o640)
        os.chown(path, RUN_AS, RUN_AS)


def keep_all(volume: Path) -> None:
    """Retention keeps what is there now, and it takes no slot."""
    for path in [*volume.glob("*.sql.gz")]:
        Path(f"{path}.keep").touch()


def put_held(volume: Path, real: str) -> str:
    """A real backup again, whose restore can be held up; returns its name."""
    return _put_other(volume, real, _HOLD, timedelta(days=2))


def put_growing(volume: Path, real: str) -> str:
    """A real backup again, which makes 300 MB more of data before it can be held up; returns its name."""
    grow = "CREATE TABLE public.big AS SELECT repeat(md5(g::text), 30) FROM generate_series(1, 300000) AS g;\n\n"
    return _put_other(volume, real, grow + _HOLD, timedelta(days=3))


def _put_other(volume: Path, real: str, statements: str, age: timedelta) -> str:
    text = gzip.decompress((volume / real).read_bytes()).decode()
    section = text.index(f"\\connect {SHOP}\n")
    begin = text.index("\nCOPY public.", section) + 1
    name = backup_name(NAME, datetime.now(UTC) - age)
    _put(volume, name, gzip.compress((text[:begin] + statements + text[begin:]).encode(), mtime=0))
    return name
