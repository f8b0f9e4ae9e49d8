# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Compressed nights: the script against a real server, a clock that moves a day each time, and faults by chance.

libfaketime moves the clock of the script and of the server. It leaves files' times alone, so after each night those of
new files are set to the night's time. (Two runs at once would take each other's files for old ones: not done here.)
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from tests import clock
from tests.script.support.programs import Programs
from tests.script.support.rehearsal import Rehearsal, counted
from tests.script.support.retention_model import Backup, Policy, State, judge
from tests.script.support.sandbox import Json, Outcome, Sandbox
from tests.script.support.server import Server
from tests.script.support.volume import END, backup_name, created, give, put, snapshot
from tests.script.support.workspace import kill_all, processes_of
from tests.soak.watched import Watch

POLICY = Policy(keep_last=3, keep_daily=7, keep_weekly=4, keep_monthly=3)
NIGHT = timedelta(days=1)
# The watch looks so long after a run: then the record of a run that was killed is old.
EVENING = timedelta(hours=20)
# More than the script lets pass between its clock and the server's.
WRONG_CLOCKS = (timedelta(hours=-1), timedelta(days=-1), timedelta(minutes=10), timedelta(days=3))
DATABASE = "nights"
FOREIGN = ("notes.txt", "postgres-backup-old.sql.gz", "postgres-backup-2026-11-22.sql.gz")


class Clock:
    """A clock that runs, `offset` away from the real one; kept in a file that libfaketime reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set(timedelta())

    def set(self, offset: timedelta) -> None:
        self.offset = offset
        self._path.write_text(f"{offset.total_seconds():+.0f}\n")

    def environment(self) -> dict[str, str]:
        return {
            **clock.environment(),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


def move_clock_of(programs: Programs, clock: Clock) -> None:
    """The server's program begins with the clock's environment from now on."""
    wrapper = programs.bin / "postgres"
    first, _, rest = wrapper.read_text().partition("\n")
    exports = "".join(f"export {name}='{value}'\n" for name, value in clock.environment().items())
    wrapper.write_text(f"{first}\n{exports}{rest}")


@dataclass
class Night:
    """What happened: `outcome` is None if nothing was run, `new` the new names on the volume."""

    number: int
    fault: str
    outcome: Outcome | None = None
    new: list[str] = field(default_factory=list)


class Soak:
    """A volume, a server and the nights so far; every step asserts what must hold."""

    def __init__(self, sandbox: Sandbox, server: Server, script_clock: Clock, server_clock: Clock, seed: int) -> None:
        self.sandbox = sandbox
        self._server = server
        self._clock = script_clock
        self._server_clock = server_clock
        self._random = Random(seed)  # noqa: S311 - a repeatable choice, no secret
        self._date = timedelta()
        self._rows: dict[str, int] = {}
        self._deleted = 0
        self._last_run: Json | None = None
        self.nights: list[Night] = []
        self.watch = Watch(sandbox.name, self._listing)
        server.sql(f"CREATE DATABASE {DATABASE} STRATEGY file_copy;")
        server.sql(
            "CREATE TABLE nights (n int); CREATE TABLE text AS SELECT md5(n::text) FROM generate_series(1, 20000) n;",
            DATABASE,
        )
        for name in FOREIGN:
            put(sandbox.volume / name, b"not ours")
        give(sandbox.volume, sandbox.uid)

    # ------------------------------------------------------------------------------------------------- a night

    def pass_night(self, fault: str | None = None) -> Night:
        """One day goes by, with the fault asked for or one by chance."""
        faults: dict[str, tuple[int, Callable[[], Outcome | None]]] = {
            "none": (10, self._run),
            "by hand too": (2, self._by_hand_too),
            "node off": (1, lambda: None),
            "server down": (1, self._server_down),
            "server killed": (2, self._server_killed),
            "killed": (2, self._killed),
            "ended": (2, self._ended),
            "volume full": (1, self._volume_full),
            "half a backup of another script": (1, self._half_a_backup),
            "wrong clock": (1, self._wrong_clock),
        }
        names = list(faults)
        chosen = fault or self._random.choices(names, [faults[name][0] for name in names])[0]
        self._date += NIGHT
        self._clock.set(self._date)
        self._server_clock.set(self._date)
        # On the disk before the server is killed.
        self._server.sql("SET synchronous_commit = on; INSERT INTO nights SELECT count(*) FROM nights;", DATABASE)
        before = self._backups()
        night = Night(len(self.nights), chosen)
        self.nights.append(night)
        night.outcome = faults[chosen][1]()
        night.new = sorted(self._backups().keys() - before.keys())
        self._settle_times()
        self._check(night, before)
        self._watch(night)
        return night

    def _watch(self, night: Night) -> None:
        self._clock.set(self._date + EVENING)
        self.watch.look_twice(self._clock.now().replace(microsecond=0))
        self._clock.set(self._date)
        told = f"night {night.number}, {night.fault}: {sorted(self.watch.problems)} {self.watch.kinds}"
        assert self.watch.is_healthy == (not self.watch.problems), told
        assert self.watch.kinds.count("alarm") == self.watch.began, told
        events = [kind for kind in self.watch.kinds if kind != "digest"]
        assert self.watch.problems or events[-1:] in ([], ["recovery"]), told
        assert self.watch.kinds.count("digest") == night.number // 7, told

    def _listing(self) -> list[str]:
        outcome = self.sandbox.run("list", "--history", env=self._clock.environment()).check()
        return outcome.out.splitlines()

    def _run(self) -> Outcome:
        return self.sandbox.run("run", env=self._environment())

    def _environment(self) -> dict[str, str | None]:
        policy = {
            f"POSTGRES_BACKUP_{name.upper()}": str(getattr(POLICY, name))
            for name in ("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within")
        }
        return {**self._clock.environment(), **policy}

    def _by_hand_too(self) -> Outcome:
        self._run().check()
        self._note_rows()
        self._settle_times()
        later = self._date + timedelta(hours=self._random.randint(1, 20))
        self._clock.set(later)
        self._server_clock.set(later)
        return self._run()

    def _server_down(self) -> Outcome:
        self._server.stop()
        try:
            return self._run()
        finally:
            self._server.start()

    def _in_the_middle(self, act: Callable[[subprocess.Popen[str]], None]) -> Outcome:
        process = self.sandbox.start("run", env=self._environment())
        time.sleep(self._random.uniform(0.02, 1.2))
        act(process)
        outcome = self.sandbox.finish(process)
        deadline = time.monotonic() + 10
        while processes_of(self.sandbox.uid) and time.monotonic() < deadline:
            time.sleep(0.05)
        left = processes_of(self.sandbox.uid)
        kill_all(self.sandbox.uid)
        assert not left, left
        for path in self.sandbox.tmp.iterdir():
            subprocess.run(["rm", "-rf", str(path)], check=True)  # a pod's own /tmp goes with it
        return outcome

    def _server_killed(self) -> Outcome:
        try:
            return self._in_the_middle(lambda _: self._server.kill())
        finally:
            self._server.start()

    def _killed(self) -> Outcome:
        """All at once, as a node that loses power."""
        return self._in_the_middle(lambda _: kill_all(self.sandbox.uid))

    def _ended(self) -> Outcome:
        return self._in_the_middle(lambda process: process.send_signal(signal.SIGTERM))

    def _volume_full(self) -> Outcome:
        free = os.statvfs(self.sandbox.volume)
        filler = self.sandbox.volume / "filler"
        left = self._random.choice((0, 8192, 200_000))
        with filler.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(4096, free.f_bavail * free.f_frsize - left))
        try:
            return self._run()
        finally:
            filler.unlink()

    def _half_a_backup(self) -> Outcome:
        """Two hours old: tonight's run checks it and marks it as damaged."""
        name = backup_name(self.sandbox.name, self._clock.now() - timedelta(hours=2))
        content = gzip.compress(b"--\n-- PostgreSQL database cluster dump\n--\n\nSELECT 1;\n")
        put(self.sandbox.volume / name, content, 7200, self._clock.now().timestamp())
        give(self.sandbox.volume, self.sandbox.uid)
        return self._run()

    def _wrong_clock(self) -> Outcome:
        self._clock.set(self._date + self._random.choice(WRONG_CLOCKS))
        try:
            return self._run()
        finally:
            self._clock.set(self._date)

    # ----------------------------------------------------------------------------------------- what must hold

    def _backups(self) -> dict[str, Backup]:
        """Every backup on the volume, and what is known of it."""
        return {path.name: self._backup(path) for path in self.sandbox.backup_files()}

    def _backup(self, path: Path) -> Backup:
        moment = created(path.name, self.sandbox.name)
        checksum_file, damaged, manifest = (
            path.with_name(f"{path.name}.{ending}") for ending in ("sha256", "damaged", "json")
        )
        if not checksum_file.exists():
            return Backup(moment, State.DAMAGED if damaged.exists() else State.UNCHECKED)
        members = json.loads(manifest.read_text())
        dumped, missing = tuple(members["dumped"]), tuple(members["missing"])
        return Backup(moment, State(members["state"]), dumped=dumped, missing=missing)

    def _settle_times(self) -> None:
        """New files have tonight's date."""
        stamp = self._clock.now().timestamp()
        for path in self.sandbox.volume.iterdir():
            if abs(path.stat().st_mtime - time.time()) < NIGHT.total_seconds() / 2:
                os.utime(path, (stamp, stamp))

    def _note_rows(self) -> None:
        """How many rows of the table each new backup must hold."""
        for name, backup in self._backups().items():
            if backup.state is State.COMPLETE:
                self._rows.setdefault(name, len(self.nights))

    def _check(self, night: Night, before: dict[str, Backup]) -> None:
        after = self._backups()
        told = f"night {night.number}, {night.fault}: {night.outcome.log if night.outcome else ''}"
        self._note_rows()
        for name in night.new:
            if after[name].state in (State.COMPLETE, State.INCOMPLETE):
                self._assert_whole(name)
        state = {**before, **after}
        wanted = self._kept(state)
        # Never more than retention deletes, whatever happened; a successful run deleted all of it.
        assert wanted <= after.keys() <= state.keys(), told
        code = night.outcome.code if night.outcome else None
        complete = {name for name in night.new if after[name].state is State.COMPLETE}
        if night.fault == "wrong clock":
            assert before.keys() <= after.keys(), told
        elif code == 0:
            assert after.keys() == wanted, told
        if code == 0:
            assert complete, told
        if night.fault in {"none", "by hand too", "half a backup of another script", "wrong clock"}:
            assert code == 0, told
        if night.fault in {"server down", "volume full"}:
            assert code != 0 and not complete, told
        if code not in {0, None} and not complete:
            assert before.keys() == after.keys() - set(night.new), told
        last_run = self.sandbox.last_run
        # A signal may arrive before the run has recorded its start.
        said_nothing = code is not None and code < 0 and last_run == self._last_run
        if code is not None and night.fault != "volume full" and not (complete or said_nothing):
            states = {"succeeded"} if code == 0 else {"failed", "running"}
            assert last_run is not None and last_run["state"] in states, f"{last_run}\n{told}"
        self._last_run = last_run
        for name in FOREIGN:
            assert (self.sandbox.volume / name).read_bytes() == b"not ours", told
        self._deleted += len(state.keys() - after.keys())

    def _kept(self, backups: dict[str, Backup]) -> set[str]:
        verdicts = judge(backups.values(), POLICY, self._clock.now())
        return {name for name, backup in backups.items() if verdicts[backup].keep}

    def _assert_whole(self, name: str) -> None:
        content = (self.sandbox.volume / name).read_bytes()
        assert (
            self.sandbox.volume / f"{name}.sha256"
        ).read_text() == f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        assert gzip.decompress(content).endswith(END), name

    def check_end(self, rehearsal: Rehearsal, most: int) -> int:
        """Every kept backup is complete, and (the newest `most` of them) restores to the rows of its night."""
        kept = sorted(
            (name for name, backup in self._backups().items() if backup.state is State.COMPLETE), reverse=True
        )
        assert kept and self._deleted, (kept, self._deleted)
        for name in kept:
            self._assert_whole(name)
        assert not [
            path for path in self.sandbox.partials() if path.stat().st_mtime < self._clock.now().timestamp() - 2 * 86400
        ]
        rehearsal.volume = self.sandbox.volume
        unchanged = snapshot(self.sandbox.volume)
        for name in kept[:most]:
            outcome = rehearsal.run("drill", env={"POSTGRES_BACKUP_DRILL_BACKUP": name}).check()
            assert counted(outcome)[DATABASE]["public", "nights"] == self._rows[name], name
        assert snapshot(self.sandbox.volume) == unchanged
        return min(most, len(kept))
