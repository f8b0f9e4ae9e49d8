# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The stores on this machine's loopback address; their programs are made by dev/cluster/rootfs. Needs root.

with minio_server() as store:
    store.make_bucket("backups", locked=True)
    subprocess.run([rclone(), "copy", folder, "store:backups"], env={**os.environ, **store.environment()})
    assert store.files("backups") == {...}
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

from tests.script.support.certificates import self_signed
from tests.stores import servers
from tests.stores.servers import MINIO_ENVIRONMENT, SFTP_PASSWORD, SFTP_USER, S3Store, SftpStore

HOST = "127.0.0.1"
_ROOTFS_COMMAND = Path(__file__).resolve().parents[2] / "dev" / "cluster" / "rootfs"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_START_SECONDS = 30


@cache
def rootfs(name: str) -> Path:
    """A root filesystem of dev/cluster, made if it is missing."""
    made = subprocess.run([str(_ROOTFS_COMMAND), name], check=True, stdout=subprocess.PIPE, text=True)
    return Path(made.stdout.strip())


def rclone() -> Path:
    """The tools image's rclone. It runs without chroot: it needs no library but a C library as old as Debian 12's."""
    return rootfs("tools") / "usr/bin/rclone"


def restic() -> Path:
    """The tools image's restic, which runs as its rclone does."""
    return rootfs("tools") / "usr/bin/restic"


@contextmanager
def minio_server(*, tls: bool = False, size: str = "", authority: str = "") -> Iterator[S3Store]:
    """minio: S3 with versions and Object Lock. Building it takes minutes the first time.

    The URL `authority` is asked whether a request is allowed (minio's access management plugin).
    """
    program = rootfs("minio") / "minio"
    with _folder(rootfs("tools"), size) as folder:
        port, certificates = _free_port(), _certificates(folder) if tls else None
        command = [str(program), *servers.minio(HOST, port, str(folder / "data"), certificates)]
        asked = {"MINIO_POLICY_PLUGIN_URL": authority} if authority else {}
        with running(command, folder, port, {"HOME": str(folder), **MINIO_ENVIRONMENT, **asked}):
            yield _s3_store(folder, port, tls=tls, provider="Minio")


@contextmanager
def rclone_s3_server(*, tls: bool = False, size: str = "") -> Iterator[S3Store]:
    """rclone's S3 server: starts at once; no versions, no Object Lock."""
    program = rootfs("rclone-s3") / "rclone-s3"
    with _folder(rootfs("tools"), size) as folder:
        port, certificates = _free_port(), _certificates(folder) if tls else None
        command = [str(program), *servers.rclone_s3(HOST, port, str(folder / "data"), certificates)]
        with running(command, folder, port, {"HOME": str(folder), "RCLONE_CONFIG": "/dev/null"}):
            yield replace(_s3_store(folder, port, tls=tls, provider="Rclone"), data=str(folder / "data"))


@contextmanager
def sftp_server(*, size: str = "", refused: str = "") -> Iterator[SftpStore]:
    """OpenSSH's sshd, which accepts SFTP only, without the requests `refused`; a session begins in an empty folder."""
    root = rootfs("sftp")
    with _folder(root, size) as folder, _folder(rootfs("tools")) as of_tools:
        private_key, host_key = make_sftp_files(folder)
        port, inside = _free_port(), f"/tmp/{folder.name}"
        command = servers.sshd(HOST, port, f"{inside}/data", inside, refused)
        shutil.chown(folder / "data", SFTP_USER)
        for name in ("host_key", "host_ecdsa_key"):
            shutil.chown(folder / name, SFTP_USER)
        chroot = ["chroot", f"--userspec={SFTP_USER}", str(root)]
        with running([*chroot, *command], folder, port, {"PATH": _SYSTEM_PATH}):
            known_hosts = of_tools / "known_hosts"
            data = str(folder / "data")
            store = SftpStore(HOST, port, run_tool, private_key, host_key, str(known_hosts), data=data, disk=data)
            known_hosts.write_text(store.known_hosts)
            yield store


@contextmanager
def sftp_password_server() -> Iterator[SftpStore]:
    """rclone's SFTP server, which accepts the password of the store and no key."""
    with _folder(rootfs("sftp")) as files, _folder(rootfs("tools")) as folder:
        _, host_key = make_sftp_files(files)
        port, known_hosts = _free_port(), folder / "known_hosts"
        command = [str(rclone()), *servers.rclone_sftp(HOST, port, str(folder / "data"), str(files))]
        with running(command, folder, port, {"HOME": str(folder), "RCLONE_CONFIG": "/dev/null"}):
            store = SftpStore(
                HOST,
                port,
                run_tool,
                "",
                host_key,
                known_hosts_file=str(known_hosts),
                password=SFTP_PASSWORD,
                data=str(folder / "data"),
            )
            known_hosts.write_text(store.known_hosts)
            yield store


def make_sftp_files(folder: Path) -> tuple[str, str]:
    """Writes what servers.sshd needs; returns the client's private key and the host's public one that clients know."""
    root = rootfs("sftp")
    inside = f"/tmp/{folder.name}"
    for name, kind in (("host_key", "ed25519"), ("host_ecdsa_key", "ecdsa"), ("client_key", "ed25519")):
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", f"{inside}/{name}"]
        subprocess.run(["chroot", str(root), *command], check=True, capture_output=True)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    return (folder / "client_key").read_text(), host_key


def sftp_files() -> dict[str, str]:
    """What a server in a pod needs: its two host keys, authorized_keys; and client_key and host_key.pub for clients."""
    with _folder(rootfs("sftp")) as folder:
        make_sftp_files(folder)
        return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def run_tool(
    words: Sequence[str], environment: Mapping[str, str], stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of the tools image in its root filesystem. Paths of this machine that lead into it are adapted."""
    root = str(rootfs("tools"))
    variables = {name: value.replace(root, "") for name, value in environment.items()}
    variables = {"PATH": _SYSTEM_PATH, "HOME": "/tmp", "LANG": "C.UTF-8", **variables}
    command = ["chroot", root, *(word.replace(root, "") for word in words)]
    return subprocess.run(command, input=stdin, capture_output=True, env=variables, check=False, timeout=120)


@contextmanager
def running(command: list[str], folder: Path, port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """A server that listens, until the end; its log is in `folder`."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(environment), start_new_session=True
        )
    try:
        _wait_for(port, process, folder / "log")
        yield
    finally:
        # With its children, the sessions of sshd.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _s3_store(folder: Path, port: int, *, tls: bool, provider: str) -> S3Store:
    disk = str(folder / "data")
    if not tls:
        return S3Store(HOST, port, run_tool, provider, disk=disk)
    ca = (folder / "public.crt").read_text()
    return S3Store(HOST, port, run_tool, provider, ca=ca, ca_file=str(folder / "public.crt"), disk=disk)


def _certificates(folder: Path) -> str:
    self_signed(folder, "store").rename(folder / "public.crt")
    (folder / "store.key").rename(folder / "private.key")
    return str(folder)


@contextmanager
def _folder(root: Path, size: str = "") -> Iterator[Path]:
    """A folder in the /tmp of a root filesystem, with an empty folder `data`, which has a file system of this size."""
    folder = Path(tempfile.mkdtemp(dir=root / "tmp", prefix="store-"))
    data = folder / "data"
    try:
        folder.chmod(0o755)
        data.mkdir()
        if size:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", data], check=True)
        yield folder
    finally:
        if data.is_mount():
            subprocess.run(["umount", data], check=True)
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
