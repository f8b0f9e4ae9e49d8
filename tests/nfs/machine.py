# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""One Linux guest, and calls of programs in it over a serial port.

Its kernel is User-mode Linux (Debian package user-mode-linux): an ordinary program, some times faster than emulation,
that wants nothing of the machine. With NFS_GUEST=qemu it is Debian's cloud kernel under QEMU's software emulation.

It has no network. It ends with the test process, however that ends: the kernel kills it, and it powers off when nobody
holds the other end of its port, or after half an hour.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dev.nfs.cpio import Writer
from dev.nfs.image import MODULES, Image

MEMORY_MIB = 1536
PATH = "/usr/lib/postgresql/18/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GUEST_FILES = Path(__file__).with_name("guest")
_UML_MODULES = Path("/usr/lib/uml/modules")
_BOOT_SECONDS = 400
# Processor time, for what no other limit ends.
_CPU_SECONDS = 3600


class MachineError(Exception):
    """The machine could not be started, or it does not answer."""


@dataclass(frozen=True)
class Answer:
    """What a program in the guest gave back."""

    code: int
    out: str
    log: str


def _die_with_parent() -> None:
    """For preexec_fn: no way to outlive the tests."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        there = shutil.which(name, mode=os.F_OK)
        problem = f"{there} may not be executed: chmod +x {there}" if there else "it is not installed"
        raise MachineError(f"expected the program {name} (Debian package {package}), but {problem}")
    return found


def _qemu(image: Image, initramfs: Path, console: Path, port: int) -> list[str]:
    return [
        # One processor: with more, emulation meets the kernel changing its own code, and loses.
        *(_program("qemu-system-x86_64", "qemu-system-x86"), "-accel", "tcg", "-cpu", "max", "-smp", "1"),
        *("-m", str(MEMORY_MIB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-serial", f"file:{console}", "-chardev", f"socket,id=calls,fd={port}"),
        *("-device", "virtio-serial-pci", "-device", "virtserialport,chardev=calls,nr=1"),
        *("-kernel", str(image.kernel), "-initrd", str(initramfs)),
        *("-append", "console=ttyS0 loglevel=4 panic=-1 mitigations=off random.trust_cpu=on port=/dev/vport0p1"),
    ]


def _uml(initramfs: Path, port: int) -> list[str]:
    # In a process namespace: with the first process all others end.
    return [
        *("unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"),
        *(_program("linux.uml", "user-mode-linux"), f"mem={MEMORY_MIB}M", f"initrd={initramfs}"),
        *("con0=null,fd:1", "con=null", "ssl=null", f"ssl0=fd:{port}", "loglevel=4", "panic=-1"),
        # Without a root device the initramfs is a tmpfs, which can be the root of an NFS server.
        *("root=", "port=/dev/ttyS0"),
    ]


def _uml_modules() -> dict[str, bytes]:
    """The kernel modules that are needed, with those that they need, by their paths in the guest."""
    versions = sorted(_UML_MODULES.glob("*/modules.dep"))
    if not versions:
        raise MachineError(f"expected kernel modules in {_UML_MODULES} (Debian package user-mode-linux), found none")
    folder = versions[-1].parent
    needs = dict(line.split(":", 1) for line in versions[-1].read_text().splitlines())
    wanted = {path for path in needs if Path(path).stem in MODULES}
    wanted |= {need for path in wanted for need in needs[path].split()}
    files = [*folder.glob("modules.*"), *(folder / path for path in wanted)]
    return {f"usr/lib/modules/{folder.name}/{path.relative_to(folder)}": path.read_bytes() for path in files}


class Machine:
    """A guest that runs."""

    def __init__(self, image: Image, folder: Path, files: Mapping[str, bytes]) -> None:
        """`files`: additional files of the guest, by their paths there."""
        self._console = folder / "console.log"
        initramfs = folder / "initramfs.cpio"
        ours, theirs = socket.socketpair()
        kind = os.environ.get("NFS_GUEST", "uml")
        if kind == "qemu":
            command = _qemu(image, initramfs, self._console, theirs.fileno())
        elif kind == "uml":
            command = _uml(initramfs, theirs.fileno())
            files = _uml_modules() | dict(files)
        else:
            raise MachineError(f"expected NFS_GUEST to be uml or qemu, found {kind!r}")
        self._write_initramfs(image, initramfs, files)
        with (folder / "output.log").open("wb") as output:
            if kind == "uml":
                self._console = folder / "output.log"
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                env={"PATH": os.environ["PATH"], "TMPDIR": "/dev/shm", "HOME": str(folder)},
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads here yet
            )
        theirs.close()
        self._port = ours
        self._lock = threading.Lock()
        self._serial = 0
        self._waiting: dict[int, Future[Answer]] = {0: Future()}
        self._begin = time.monotonic()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._waiting[0].result(_BOOT_SECONDS)
        except BaseException as error:
            self.stop()
            raise MachineError(f"the guest did not start ({error!r}):\n{self.console()}") from error
        initramfs.unlink()
        self.boot_seconds = time.monotonic() - self._begin

    @staticmethod
    def _write_initramfs(image: Image, target: Path, files: Mapping[str, bytes]) -> None:
        own = {path.name: path.read_bytes() for path in _GUEST_FILES.iterdir() if path.is_file()}
        shutil.copyfile(image.initramfs, target)
        with target.open("ab") as stream:
            archive = Writer(stream)
            for folder in sorted({str(parent) for name in files for parent in Path(name).parents} - {"."}):
                archive.add(folder, 0o40755)
            for name, content in (own | dict(files)).items():
                archive.add(name, 0o100755 if name == "init" else 0o100644, content)
            archive.close()

    def _read(self) -> None:
        begun = b""
        try:
            while data := self._port.recv(1 << 20):
                *lines, begun = (begun + data).split(b"\n")
                for line in lines:
                    answer: dict[str, Any] = json.loads(line)
                    self._waiting.pop(answer["id"]).set_result(Answer(answer["code"], answer["out"], answer["log"]))
        except OSError:
            pass
        for future in list(self._waiting.values()):
            future.set_exception(MachineError("the guest is gone"))

    def start(self, argv: Iterable[str], env: Mapping[str, str] | None = None, text: str = "") -> Future[Answer]:
        """Start a program, as root; its result is available when it has ended."""
        future: Future[Answer] = Future()
        with self._lock:
            self._serial += 1
            self._waiting[self._serial] = future
            call = {"id": self._serial, "argv": list(argv), "env": {"PATH": PATH, **(env or {})}, "input": text}
            self._port.sendall(json.dumps(call).encode() + b"\n")
        return future

    def result(self, future: Future[Answer], seconds: float = 240) -> Answer:
        try:
            return future.result(seconds)
        except TimeoutError:
            raise AssertionError(f"no answer of the guest in {seconds} s; its console:\n{self.console()}") from None

    def sh(self, script: str, *arguments: str, seconds: float = 240) -> str:
        """A shell script in the guest, as root, to its good end: what it printed."""
        answer = self.result(self.start(["sh", "-euc", script, "sh", *arguments]), seconds)
        assert answer.code == 0, f"exit {answer.code} of: {script} {arguments}\n{answer.out}{answer.log}"
        return answer.out

    def console(self) -> str:
        """The last messages of its kernel."""
        said = self._console.read_text(errors="replace").splitlines()[-30:] if self._console.exists() else []
        return "\n".join(said)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
