# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""backup_verify against tools that only decompress: reading alone, and the entire `ansible` run.

The dumps are written here rather than by a server: they are the same in every run, and as large as the bars say.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.script.support.programs import REPOSITORY

from .figures import Figure

ROUNDS = 3
TEXT_BYTES = 1_100_000_000
TABLES = 100_000
LINE_BYTES = 500_000_000
DUMP = REPOSITORY / "tests" / "unit" / "plugins" / "module_utils" / "dumps" / "18-all.sql"
MODULE = "homelab.postgres_backup.backup_verify"
COPY_LINE = b"COPY public.t (id, v) FROM stdin;\n"
NEXT_TABLE = b"--\n-- Name: z; Type: TABLE; Schema: public"
# What the figure measures is the reader's process alone: no Ansible, the module's own call.
READ = """
import json, os, sys, time
from datetime import datetime, timezone
from pathlib import Path
from plugins.module_utils._dump import gzip_reader
from plugins.module_utils._progress.event_file import reporter_of
from plugins.module_utils._verify import verification
from plugins.module_utils._verify.expectations import Expectations
if sys.argv[2] == "zlib":
    original = gzip_reader.GzipReader
    verification.GzipReader = lambda stream: original(stream, use_isal=False)
began = time.monotonic()
found = verification.verify(
    sys.argv[1], Expectations(), datetime.now(timezone.utc), None, "ignore", reporter=reporter_of(os.environ)
)
seconds = time.monotonic() - began
assert not found.failures, found.failures
# Linux counts what the process that started this one held (ru_maxrss), so the peak is read where it starts anew.
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps([seconds, int(status["VmHWM"].split()[0]) / 1024, found.contents.rows]))
"""

Say = Callable[[str], None]


def _rows(begin: int, number: int) -> bytes:
    """Rows as of a table of events: some text that repeats, and some that does not."""
    return b"".join(
        b"%d\t%032x\tcustomer number %d bought item %d and was content\t2026-01-01 00:00:00+00\t%.6f\n"
        % (
            row,
            row * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128,
            row % 1000,
            row * 7919 % 100003,
            row * 31 % 10007 / 7,
        )
        for row in range(begin, begin + number)
    )


def in_one_table(text_bytes: int) -> Iterator[bytes]:
    before, after = _around(COPY_LINE, keep=False)
    yield before + b"COPY public.large (id, token, remark, at, amount) FROM stdin;\n"
    written = begin = 0
    while written < text_bytes:
        piece = _rows(begin, 5000)
        begin += 5000
        written += len(piece)
        yield piece
    yield b"\\.\n\n\n" + after


def _in_many_tables(rows: int) -> Iterator[bytes]:
    """Each table with what pg_dump writes of it: comments, CREATE TABLE, its owner, its rows."""
    before, after = _around(NEXT_TABLE, keep=False)
    yield before
    columns = (
        b"(\n    id bigint,\n    token text,\n    remark text,\n    at timestamp with time zone,\n    amount numeric\n)"
    )
    for table in range(TABLES):
        name = b"t%06d" % table
        yield (
            b"--\n-- Name: %s; Type: TABLE; Schema: public; Owner: postgres\n--\n\n"
            b"CREATE TABLE public.%s %s;\n\n\nALTER TABLE public.%s OWNER TO postgres;\n\n"
            % (name, name, columns, name)
        )
    for table in range(TABLES):
        name = b"t%06d" % table
        yield (
            b"--\n-- Data for Name: %s; Type: TABLE DATA; Schema: public; Owner: postgres\n--\n\n"
            b"COPY public.%s (id, token, remark, at, amount) FROM stdin;\n" % (name, name)
        )
        yield _rows(table * rows, rows) + b"\\.\n\n\n"
    yield after


def _with_one_line(text_bytes: int) -> Iterator[bytes]:
    before, after = _around(COPY_LINE, keep=True)
    yield before
    yield b"1\t"
    for _ in range(text_bytes // 1_000_000):
        yield b"0123456789" * 100_000
    yield b"\n"
    yield after


def _around(mark: bytes, keep: bool) -> tuple[bytes, bytes]:
    text = DUMP.read_bytes()
    at = text.index(mark) + (len(mark) if keep else 0)
    return text[:at], text[at:]


def write(path: Path, pieces: Iterator[bytes]) -> int:
    """Compress as the backup's run does; returns the bytes of text."""
    written = 0
    with path.open("wb") as output, subprocess.Popen(["igzip", "-c"], stdin=subprocess.PIPE, stdout=output) as igzip:
        assert igzip.stdin is not None
        for piece in pieces:
            written += igzip.stdin.write(piece)
        igzip.stdin.close()
    assert igzip.returncode == 0
    return written


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run the command in the checkout; its output is shown if it fails."""
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _seconds(command: list[str], environment: dict[str, str] | None = None) -> float:
    began = time.monotonic()
    run(command, environment)
    return time.monotonic() - began


def _read(path: Path, library: str) -> tuple[float, float]:
    """Seconds of reading and the process's peak in MiB."""
    command = [sys.executable, "-c", READ, str(path), library]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"reading failed:\n{done.stderr}")
    seconds, peak, _ = json.loads(done.stdout)
    return seconds, peak


def ansible_run(path: Path, home: Path) -> tuple[list[str], dict[str, str]]:
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(REPOSITORY / ".ansible" / "collections"),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    options = json.dumps({"path": str(path), "sidecar": "ignore"})
    program = str(Path(sys.executable).with_name("ansible"))
    return [program, "localhost", "-c", "local", "-m", MODULE, "-a", options], environment


def _peak_of_ansibles_module(path: Path, home: Path) -> float:
    """The most that the module's own process held, in MiB, as Ansible runs it."""
    command, environment = ansible_run(path, home)
    process = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    peak = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.is_set():
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                try:
                    if b"AnsiballZ_backup_verify" in (entry / "cmdline").read_bytes():
                        lines = (entry / "status").read_text().splitlines()
                        held = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0")
                        peak = max(peak, int(held.split()[1]) / 1024)
                except OSError:
                    continue
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    ended.set()
    watcher.join()
    if status != 0:
        raise SystemExit("ansible failed")
    return peak


def measure(say: Say) -> list[Figure]:
    """All figures of verifying."""
    with tempfile.TemporaryDirectory(prefix="postgres-backup-bench.") as folder:
        return _measure(Path(folder), say)


def _measure(folder: Path, say: Say) -> list[Figure]:
    one, many, small, line = (folder / f"{name}.sql.gz" for name in ("one", "many", "small", "line"))
    say("writing the dumps")
    text = write(one, in_one_table(TEXT_BYTES))
    text_of_many = write(many, _in_many_tables(rows=80))
    text_of_small = write(small, _in_many_tables(rows=1))
    same, tiny = folder / "same.sql.gz", folder / "tiny.sql.gz"
    write(same, in_one_table(text_of_many))
    write(tiny, in_one_table(text_of_small))
    write(line, _with_one_line(LINE_BYTES))
    command, environment = ansible_run(one, folder / "home")
    works: dict[str, Callable[[], float]] = {
        "igzip -t": lambda: _seconds(["igzip", "-t", str(one)]),
        "gzip -t": lambda: _seconds(["gzip", "-t", str(one)]),
        "reading, isal": lambda: _read(one, "isal")[0],
        "reading, zlib": lambda: _read(one, "zlib")[0],
        "ansible, entire run": lambda: _seconds(command, environment),
        "many": lambda: _read(many, "isal")[0],
        "same": lambda: _read(same, "isal")[0],
        "small": lambda: _read(small, "isal")[0],
        "tiny": lambda: _read(tiny, "isal")[0],
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS):
        for name, work in works.items():
            taken[name].append(work())
            say(f"round {number + 1} of {ROUNDS}: {name}: {taken[name][-1]:.2f} s")
    median = {name: statistics.median(seconds) for name, seconds in taken.items()}

    def against(name: str, other: str, bar: float | None, shown: str = "", other_shown: str = "") -> Figure:
        return Figure(shown or name, median[name], "s", bar, other_shown or other, median[other])

    size = f"{text / 1e9:.2f} GB"
    return [
        against("reading, isal", "igzip -t", 1.35, f"reading, isal, {size} of text"),
        against("reading, zlib", "gzip -t", 1.0),
        against("ansible, entire run", "gzip -t", 0.5),
        against("many", "same", 3.0, f"{TABLES} tables, {text_of_many / 1e9:.2f} GB", "the same bytes in one table"),
        against(
            "small", "tiny", None, f"{TABLES} tables of one row, {text_of_small / 1e6:.0f} MB", "the same in one table"
        ),
        Figure("memory of the process, reading", max(_read(one, name)[1] for name in ("isal", "zlib")), "MiB", 100),
        Figure("memory of the process, one 500 MB line", _read(line, "isal")[1], "MiB", 100),
        Figure("memory of the process, 100,000 tables", _read(many, "isal")[1], "MiB"),
        Figure(
            "memory of the module under Ansible, one 500 MB line",
            _peak_of_ansibles_module(line, folder / "home"),
            "MiB",
            100,
        ),
    ]
