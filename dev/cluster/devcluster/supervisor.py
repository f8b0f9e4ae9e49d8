# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The cluster's first process: PID 1 of its process namespace.

Started by :mod:`.machine` in separate process, mount and network namespaces. It prepares these,
starts the components, starts again what ends, and reaps what is orphaned. When it ends, however it ends, the
kernel ends every process of the cluster and with them go the mounts, the network and the veth.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

_TICK_SECONDS = 0.1
_IDLE_SECONDS = 30.0
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_SECONDS = 60.0
_LOG_CHECK_SECONDS = 60.0
_LOG_LIMIT_BYTES = 64 * 1024 * 1024
_KERNEL_SETTINGS = {
    "kernel/keys/root_maxbytes": "25000000",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
}


# The namespaces


def prepare_mounts(state: Path, kept: list[Path]) -> None:
    """Give the cluster a separate /run, /var/lib and /var/log.

    Whatever the components write to fixed places there lies in the state folder or in memory. The folders that
    are kept can be reached under their own paths also when they lie there: the state folder, so that a volume's
    folder has the same path inside and outside, and the programs.
    """
    _run("mount", "-t", "proc", "proc", "/proc")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    Path("/run/lock").mkdir()
    _shield_kernel_settings()
    stash = Path("/run/stash")
    for number, path in enumerate(kept):
        (stash / str(number)).mkdir(parents=True)
        _run("mount", "--bind", path, stash / str(number))
    # /var/lib is the last one, because it usually contains the state folder.
    for name, place in (("var-log", "/var/log"), ("var-lib", "/var/lib")):
        (state / name).mkdir(exist_ok=True)
        _run("mount", "--bind", state / name, place)
    for number, path in enumerate(kept):
        path.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", stash / str(number), path)
        _run("umount", stash / str(number))
    # What happens to the machine's mounts is seen in here (the namespace was made a slave of the machine's);
    # what is mounted in here from now on is not seen there, but in the containers.
    _run("mount", "--make-rshared", "/")


def _shield_kernel_settings() -> None:
    """Show the kubelet the kernel settings that it wants, so that it does not change the machine's.

    They apply to the entire machine, whatever the namespace.
    """
    for name, wanted in _KERNEL_SETTINGS.items():
        setting = Path("/proc/sys", name)
        if setting.exists():
            shown = Path("/run", name.replace("/", "-"))
            shown.write_text(wanted, encoding="ascii")
            _run("mount", "--bind", shown, setting)


def prepare_network(network: dict[str, str]) -> None:
    """Bring up loopback and the bridge that carries the node's address."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", "cluster0", "type", "bridge")
    _run("ip", "address", "add", network["node"], "dev", "cluster0")
    _run("ip", "link", "set", "cluster0", "up")
    # The kubelet wants a default route. This one leads nowhere.
    _run("ip", "route", "add", "default", "via", network["nowhere"], "dev", "cluster0")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")


def _run(*arguments: str | Path) -> None:
    subprocess.run([str(argument) for argument in arguments], check=True, stdin=subprocess.DEVNULL)


# The components


@dataclass
class _Process:
    """A component and what has become of it so far."""

    name: str
    arguments: list[str]
    environment: dict[str, str]
    after_socket: str
    after_api: bool
    pid: int = 0
    started: float = 0.0
    restarts: int = 0
    failures_in_a_row: int = 0
    not_before: float = 0.0
    last_end: str = ""


@dataclass
class Supervisor:
    """Keeps the components running."""

    state: Path
    api_port: int
    processes: list[_Process] = field(default_factory=list)
    _reported: str = ""
    _stopping: bool = False
    _next_log_check: float = 0.0

    def run(self) -> None:
        """Supervise until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        # A signal writes into this pipe, which ends the wait below.
        wake, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while not self._stopping:
            self._reap()
            for process in self.processes:
                if not process.pid and time.monotonic() >= process.not_before and self._may_start(process):
                    self._start(process)
            self._report()
            self._limit_logs()
            if select.select([wake], [], [], _TICK_SECONDS if self._waiting() else _IDLE_SECONDS)[0]:
                os.read(wake, 4096)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _waiting(self) -> bool:
        return any(not process.pid for process in self.processes)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for process in self.processes:
                if process.pid == pid:
                    self._ended(process, os.waitstatus_to_exitcode(status))

    def _ended(self, process: _Process, code: int) -> None:
        lived = time.monotonic() - process.started
        process.pid = 0
        process.restarts += 1
        process.failures_in_a_row = 1 if lived > _STEADY_SECONDS else process.failures_in_a_row + 1
        reason = f"signal {-code}" if code < 0 else f"exit status {code}"
        process.last_end = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {reason} after {lived:.0f} s"
        if process.failures_in_a_row > 1:
            pause = min(2.0 ** (process.failures_in_a_row - 2), _LONGEST_PAUSE_SECONDS)
            process.not_before = time.monotonic() + pause
        self._log(process, f"--- ended: {process.last_end} ---\n")

    def _may_start(self, process: _Process) -> bool:
        if process.after_socket and not _connects(process.after_socket):
            return False
        return not process.after_api or self._api_is_ready()

    def _api_is_ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.state / "pki/ca.crt"))
        connection = HTTPSConnection("127.0.0.1", self.api_port, timeout=2, context=context)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _start(self, process: _Process) -> None:
        log = os.open(self._log_path(process), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            child = subprocess.Popen(
                process.arguments,
                env=process.environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            process.started = time.monotonic()
            self._log(process, f"--- cannot be started: {error} ---\n")
            self._ended(process, 127)
            return
        finally:
            os.close(log)
        process.pid, process.started = child.pid, time.monotonic()
        # The process is waited for above, in one place with the orphans.
        child.returncode = 0

    def _log_path(self, process: _Process) -> Path:
        return self.state / "log" / f"{process.name}.log"

    def _log(self, process: _Process, text: str) -> None:
        with self._log_path(process).open("a", encoding="utf-8") as file:
            file.write(text)

    def _limit_logs(self) -> None:
        now = time.monotonic()
        if now < self._next_log_check:
            return
        self._next_log_check = now + _LOG_CHECK_SECONDS
        for process in self.processes:
            path = self._log_path(process)
            if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
                os.truncate(path, 0)

    def _report(self) -> None:
        report = {
            process.name: {"pid": process.pid, "restarts": process.restarts, "last_end": process.last_end}
            for process in self.processes
        }
        text = json.dumps(report, indent=1)
        if text != self._reported:
            path = self.state / "supervisor.json"
            temporary = path.with_suffix(".new")
            temporary.write_text(text, encoding="utf-8")
            temporary.rename(path)
            self._reported = text


def _connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET if host else socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect((host, int(port)) if host else address)
        except OSError:
            return False
    return True


def main(state: Path) -> None:
    """Read `supervise.json` in the state folder and run."""
    plan: dict[str, Any] = json.loads((state / "supervise.json").read_text(encoding="utf-8"))
    os.chdir("/")
    prepare_mounts(state, [Path(path) for path in plan["keep"]])
    prepare_network(plan["network"])
    processes = [_Process(**component) for component in plan["components"]]
    Supervisor(state, plan["api_port"], processes).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
