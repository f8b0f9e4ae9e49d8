# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""backup.sh against a plain pipe that checks nothing, both with a server in the image's root filesystem."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.script.support.combinations import ALL, make_path
from tests.script.support.programs import DEFAULT_VERSION, REPOSITORY, root_filesystem
from tests.script.support.server import Server
from tests.script.support.workspace import Workspace

from .figures import Figure
from .servers import new_server

FILES = REPOSITORY / "roles" / "postgres_backup" / "files"
ROUNDS = 3
LISTED = 10_000
ROWS = 7_600_000
# About 1.1 GB of text, the same in every run.
DATA = f"""
CREATE UNLOGGED TABLE events AS
SELECT g AS id, md5(g::text) AS token,
       'customer number ' || g % 1000 || ' bought item ' || g::bigint * 7919 % 100003 || ' and was content' AS remark,
       timestamptz '2026-01-01 00:00:00Z' - g * interval '1 second' AS at, (g::bigint * 31 % 10007) / 7.0 AS amount
FROM generate_series(1, {ROWS}) AS g
"""  # noqa: S608 - our own number
# What the figure is about is the run, not the database's own programs.
DUMPING = ("pg_dumpall", "pg_dump", "psql")

Say = Callable[[str], None]


def seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return time.monotonic() - began


def _busy_seconds() -> float:
    """How long all processors have worked since the machine started, waiting left out (proc_stat(5))."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(root_pid: int) -> int:
    """The resident memory of a process and those below it (Pss: shared pages in parts), without PostgreSQL's own."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [root_pid]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        try:
            name = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
            if any(Path(word.decode(errors="replace")).name in DUMPING for word in name):
                continue
            rollup = (Path("/proc") / str(pid) / "smaps_rollup").read_text()
            total += next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


def peak_memory(command: list[str], environment: dict[str, str]) -> int:
    """The most that a run and its processes held at one time, in bytes."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.is_set():
            peak = max(peak, _resident_bytes(process.pid))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    ended.set()
    watcher.join()
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return peak


def _fill(directory: Path) -> None:
    """Ten thousand backups, one every 23 hours, each with its checksum file."""
    moment = datetime(2000, 1, 1, 2, tzinfo=UTC)
    for _ in range(LISTED):
        name = f"postgres-backup-{moment:%Y-%m-%d-%H%M%S}.sql.gz"
        (directory / name).write_bytes(b"x")
        (directory / f"{name}.sha256").write_text(f"{'a' * 64}  {name}\n")
        moment += timedelta(hours=23)


def image(space: Workspace) -> Path:
    """The root filesystem of the image with igzip, with this machine's devices, the script and an empty volume."""
    layer = root_filesystem(DEFAULT_VERSION)
    upper, root = space.directory("upper"), space.directory("image")
    space.mount_tmpfs(upper, "64m")
    for name in ("upper", "work"):
        (upper / name).mkdir()
    options = f"lowerdir={layer.parent / 'igzip'}:{layer},upperdir={upper / 'upper'},workdir={upper / 'work'}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    mounts = {"dev": Path("/dev"), "proc": Path("/proc"), "backups": space.on_disk("volume"), "script": FILES}
    for name, source in mounts.items():
        (root / name).mkdir(exist_ok=True)
        subprocess.run(["mount", "--bind", str(source), str(root / name)], check=True)
    return root


def run_environment(server: Server) -> dict[str, str]:
    """That of a run inside of the image."""
    return {
        **server.environment(),
        "PATH": f"/usr/lib/postgresql/{DEFAULT_VERSION}/bin:/usr/sbin:/usr/bin:/bin",
        "POSTGRES_BACKUP_DIR": "/backups",
        "POSTGRES_BACKUP_HOST": "127.0.0.1",
        "POSTGRES_BACKUP_KEEP_LAST": "1",
        "POSTGRES_BACKUP_KEEP_DAILY": "0",
    }


def _runs(server: Server, space: Workspace, say: Say) -> list[Figure]:
    environment = run_environment(server)
    inside = ["chroot", str(image(space)), "sh"]
    run = [*inside, "/script/backup.sh", "run"]

    def pipe(compressor: str) -> list[str]:
        return [*inside, "-c", f"pg_dumpall {compressor} > /backups/plain"]

    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "run, gzip": (run, {**environment, "POSTGRES_BACKUP_COMPRESSOR": "gzip"}),
        "run, igzip": (run, {**environment, "POSTGRES_BACKUP_COMPRESSOR": "igzip"}),
        "pg_dumpall | gzip": (pipe("| gzip"), environment),
        "pg_dumpall | gzip -1": (pipe("| gzip -1"), environment),
        "pg_dumpall | igzip": (pipe("| igzip -c"), environment),
        "pg_dumpall": ([*inside, "-c", "pg_dumpall > /dev/null"], environment),
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    worked: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(ROUNDS):
        for name, (command, variables) in commands.items():
            before = _busy_seconds()
            taken[name].append(seconds(command, variables))
            worked[name].append(_busy_seconds() - before)
            say(f"round {number + 1} of {ROUNDS}: {name}: {taken[name][-1]:.2f} s")
    median = {name: statistics.median(values) for name, values in taken.items()}

    def against(name: str, other: str, bar: float) -> Figure:
        return Figure(name, median[name], "s", bar, other, median[other])

    peak = peak_memory(run, {**environment, "POSTGRES_BACKUP_COMPRESSOR": "igzip"})
    return [
        against("run, gzip", "pg_dumpall | gzip", 0.58),
        against("run, igzip", "pg_dumpall | gzip", 0.36),
        against("run, gzip", "pg_dumpall | gzip -1", 1.3),
        against("run, igzip", "pg_dumpall | igzip", 1.5),
        Figure(
            "run, igzip: its processor time over all cores (its floor)",
            statistics.median(worked["run, igzip"]) / (os.cpu_count() or 1),
            "s",
            compared_with="pg_dumpall | igzip",
            compared_to=median["pg_dumpall | igzip"],
        ),
        Figure("pg_dumpall > /dev/null", median["pg_dumpall"], "s"),
        Figure("memory of the run without pg_dumpall", peak / 2**20, "MiB", 64),
    ]


def _lists(space: Workspace, say: Say) -> list[Figure]:
    volume = space.directory("listed")
    _fill(volume)
    figures = []
    for combination in ALL:
        directory = space.directory(f"path-{combination}")
        path = make_path(combination, directory)
        environment = {"PATH": ":".join(str(part) for part in path), "POSTGRES_BACKUP_DIR": str(volume)}
        shell = str(_shell(path))
        for words in (["list"], ["prune", "--dry-run"]):
            command = [shell, str(FILES / "backup.sh"), *words]
            taken = statistics.median(seconds(command, environment) for _ in range(ROUNDS))
            figures.append(Figure(f"{' '.join(words)}, {LISTED} backups, {combination}", taken, "s", 1.0))
            say(f"{figures[-1].name}: {taken:.2f} s")
        shutil.rmtree(directory)
    return figures


def _shell(path: list[Path]) -> Path:
    return next(part / "sh" for part in path if (part / "sh").exists())


def measure(say: Say) -> list[Figure]:
    """All figures of the backup run, its listing and its pruning."""
    with new_server() as (space, server):
        figures = _lists(space, say)
        say("creating 1.1 GB of data")
        server.sql("CREATE DATABASE bench")
        server.sql(DATA, "bench")
        return _runs(server, space, say) + figures
