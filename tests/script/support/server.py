# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Real PostgreSQL servers on loopback, with a password, each in a separate directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from .programs import Programs
from .workspace import SERVER_UID, die_with_parent

HOST = "127.0.0.1"
SUPERUSER = "postgres"
# Everything that a shell, a .pgpass file, a connection string or JSON could trip over.
PASSWORD = 'it\'s $HOME "quoted" `id` \\\\ %s :pass*word= é\\'

_CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = 32MB
max_connections = 40
autovacuum = off
jit = off
# In the data directory: what a killed server leaves goes with it.
dynamic_shared_memory_type = mmap
# What a script must not lean on: the server's own time zone and way of writing dates.
timezone = '<+0545>-05:45'
datestyle = 'SQL, DMY'
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _start_as_server(command: list[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        user=SERVER_UID,
        group=SERVER_UID,
        extra_groups=[],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - no threads here
    )


def _give_to_server(data: Path) -> None:
    for folder, _, files in os.walk(data):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            os.chown(path, SERVER_UID, SERVER_UID)


class Server:
    """One PostgreSQL server; its data directory is made by `create` or copied by `clone`."""

    def __init__(self, programs: Programs, directory: Path) -> None:
        self.programs = programs
        self.directory = directory
        self.data = directory / "data"
        self._log = directory / "server.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> Self:
        """Make a new, empty data directory."""
        password_file = self.directory / "password"
        password_file.write_text(f"{PASSWORD}\n")
        password_file.chmod(0o644)
        initdb = [str(self.programs.path("initdb")), "-D", str(self.data), "-U", SUPERUSER, f"--pwfile={password_file}"]
        initdb += ["-A", "scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"]
        with open(self._log, "wb") as log:
            status = _start_as_server(initdb, log).wait()
        assert status == 0, self._log.read_text(errors="replace")
        with open(self.data / "postgresql.conf", "a") as configuration:
            configuration.write(_CONFIGURATION)
        return self

    def clone(self, directory: Path) -> Server:
        """A server, not started, on a copy of this one's data; this one must not be running."""
        assert self._process is None
        shutil.copytree(self.data, directory / "data", symlinks=True)
        _give_to_server(directory / "data")
        return Server(self.programs, directory)

    def standby(self, directory: Path) -> Server:
        """A streaming standby of this server, not started; it has this server's configuration."""
        copy = [
            str(self.programs.path("pg_basebackup")),
            "-D",
            str(directory / "data"),
            "-R",
            "-c",
            "fast",
            "--no-sync",
        ]
        result = subprocess.run(copy, env=self.environment(), capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        _give_to_server(directory / "data")
        return Server(self.programs, directory)

    def configure(self, *lines: str) -> None:
        """Append lines to postgresql.conf."""
        with open(self.data / "postgresql.conf", "a") as configuration:
            configuration.write("".join(f"{line}\n" for line in lines))

    def start(self) -> Self:
        for _ in range(5):
            self.port = self.port or free_port()
            with open(self._log, "ab") as log:
                command = [str(self.programs.path("postgres")), "-D", str(self.data), "-p", str(self.port)]
                self._process = _start_as_server(command, log)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and self._process.poll() is None:
                if self._ready():
                    return self
                time.sleep(0.02)
            self.stop()
            self.port = 0
        raise AssertionError(f"no server: {self._log.read_text(errors='replace')[-2000:]}")

    def _ready(self) -> bool:
        return self._psql(["-c", "SELECT 1"], "postgres", None).returncode == 0

    def stop(self, shutdown: signal.Signals = signal.SIGQUIT) -> None:
        """The immediate shutdown: quick, and the next start recovers. SIGINT is the fast one."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(shutdown)
            self._process.wait()
            self._process = None

    def _signal_all(self, sent: signal.Signals) -> None:
        """A signal to the server and to every process that serves a client."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for process in [pid, *(int(child) for child in children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, sent)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The kernel still accepts connections, and nobody answers: as on a machine whose disk hangs."""
        self._signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal_all(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9 of the server and of every process that serves a client."""
        assert self._process is not None
        self._signal_all(signal.SIGKILL)
        self._process.wait()
        self._process = None
        # Its System V segment is the one thing that a killed server leaves in the kernel.
        segment = (self.data / "postmaster.pid").read_text().splitlines()[6].split()[1]
        subprocess.run(["ipcrm", "-m", segment], check=False)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it and remove its directory: the tests' memory file system holds few servers at once."""
        self.stop()
        shutil.rmtree(self.directory)

    def environment(self) -> dict[str, str]:
        """libpq's variables for the superuser."""
        return {
            "PATH": "/usr/bin:/bin",
            "PGHOST": HOST,
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": PASSWORD,
            "PGCLIENTENCODING": "UTF8",
        }

    def _psql(self, arguments: list[str], database: str, text: str | None) -> subprocess.CompletedProcess[str]:
        command = [str(self.programs.path("psql")), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        name = database.replace("\\", "\\\\").replace("'", "\\'")
        command += ["-d", f"dbname='{name}'", *arguments]
        return subprocess.run(command, env=self.environment(), input=text, capture_output=True, text=True, check=False)

    def sql(self, text: str, database: str = "postgres") -> str:
        """Run SQL as the superuser; rows are returned as unaligned lines."""
        result = self._psql(["-f", "-"], database, text)
        assert result.returncode == 0, f"{result.stderr}\n{text[:500]}"
        return result.stdout.strip("\n")

    def load(self, dump: bytes) -> list[str]:
        """Feed a complete dump to psql, as the runbook does; returns the errors."""
        command = [str(self.programs.path("psql")), "-X", "-q", "-d", "postgres"]
        result = subprocess.run(command, env=self.environment(), input=dump, capture_output=True, check=False)
        return [line for line in result.stderr.decode().splitlines() if "ERROR" in line or "FATAL" in line]

    @property
    def waits_for_a_lock(self) -> bool:
        """Whether some session does."""
        return self.sql("SELECT count(*) FROM pg_locks WHERE NOT granted;") != "0"

    @contextlib.contextmanager
    def locked(self, table: str, database: str, mode: str = "ACCESS EXCLUSIVE") -> Iterator[None]:
        """Hold a lock that no dump gets past."""
        holder = subprocess.Popen(
            [str(self.programs.path("psql")), "-X", "-q", "-A", "-t", "-d", database],
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.write(f"BEGIN; LOCK TABLE {table} IN {mode} MODE; SELECT 'locked';\n")
        holder.stdin.flush()
        try:
            assert holder.stdout.readline().strip() == "locked"
            yield
        finally:
            holder.kill()
            holder.communicate()
