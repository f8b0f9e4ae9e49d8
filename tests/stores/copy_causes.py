# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How each fault of copy_faults.py is caused. A cause lasts for one run of the program; `point` is where it occurs."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from plugins.module_utils._copy.etag import PARTS_FROM_BYTES
from tests.copy_program import Copier, install
from tests.stores import http_proxy
from tests.stores.copy_bench import LARGE, LOCKED_BUCKET, MIB, QUICK, RCLONE, SFTP, Bench, Process, kill, wait_for
from tests.stores.fault_proxy import FaultProxy
from tests.stores.http_proxy import HttpProxy, Request, Rule

Cause = Callable[[Bench, str], AbstractContextManager[None]]
_SMALL = 20_000
_PLENTY = 1_000_000
# A host key that no server has.
_OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMLw8Uq1wKcNqVdGZ9b8s8K0m3ce2nCuSkGAbXJSh5nF"
_OTHER_LOGIN = {"private_key": "private_key", "known_hosts": "known_hosts"}


def _two_backups(bench: Bench, size: int = _SMALL) -> None:
    bench.add(_SMALL, 2)
    bench.add(size, 1)


def _copied(bench: Bench, size: int = _SMALL) -> None:
    """Both backups are copies before the fault."""
    _two_backups(bench, size)
    result = bench.run()
    assert (result["status"], bench.recorded(), bench.missing()) == (0, bench.names, []), result["log"]


# Configuration


def options(values: Mapping[str, Any], size: int = _SMALL) -> Cause:
    """The place has other options."""

    @contextmanager
    def cause(bench: Bench, _point: str) -> Iterator[None]:
        _two_backups(bench, size)
        bench.options.update(values)
        yield

    return cause


def secret(values: Mapping[str, str]) -> Cause:
    """The Secret has other values."""

    @contextmanager
    def cause(bench: Bench, _point: str) -> Iterator[None]:
        _two_backups(bench)
        bench.copier.add_secret(values)
        yield

    return cause


@contextmanager
def other_host_key(bench: Bench, point: str) -> Iterator[None]:
    """`known`: another key of the server is known; else, only another server is."""
    _two_backups(bench)
    store = bench.server.sftp
    host = f"[{store.host}]:{store.port}" if point == "known" else "nas"
    bench.copier.add_secret({"known_hosts": f"{host} {_OTHER_KEY}\n"})
    yield


@contextmanager
def other_private_key(bench: Bench, _point: str) -> Iterator[None]:
    _two_backups(bench)
    path = bench.copier.folder / "other_key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True, capture_output=True)
    bench.copier.add_secret({"private_key": path.read_text()})
    yield


@contextmanager
def without_tls(bench: Bench, _point: str) -> Iterator[None]:
    _two_backups(bench)
    bench.options["endpoint"] = bench.options["endpoint"].replace("http://", "https://")
    yield


@contextmanager
def with_tls(bench: Bench, _point: str) -> Iterator[None]:
    """The place's endpoint has no TLS, and its server has."""
    _two_backups(bench)
    bench.options["endpoint"] = bench.options["endpoint"].replace("https://", "http://")
    yield


@contextmanager
def unknown_host(bench: Bench, _point: str) -> Iterator[None]:
    _two_backups(bench)
    if bench.kind == SFTP:
        bench.options["host"] = "nas.invalid"
    else:
        bench.options["endpoint"] = "http://store.invalid"
    yield


# Answers of an S3 server


def answers(fault: http_proxy.Fault, method: str = "PUT", path: str = "", times: int | None = None) -> Cause:
    """A proxy makes a fault of the first `times` requests of a kind, or of all."""

    @contextmanager
    def cause(bench: Bench, _point: str) -> Iterator[None]:
        _two_backups(bench)
        store = bench.server.s3
        with HttpProxy(store.host, store.port) as proxy:
            proxy.rules.append(Rule(fault, method, path, times))
            bench.through(proxy.port)
            yield
            assert proxy.faults > 0

    return cause


def _hours_late(request: Request) -> None:
    """As the clock of this node would make it."""
    request.set_header("X-Amz-Date", f"{datetime.now(UTC) - timedelta(hours=2):%Y%m%dT%H%M%SZ}")


def _another_byte(request: Request) -> None:
    request.body = request.body[:-1] + bytes([request.body[-1] ^ 1])


clock_skew = answers(_hours_late, "GET")
changed_on_the_way = answers(_another_byte, "PUT", r"\.gz(\?|$)")


# Connections


@contextmanager
def refused(bench: Bench, _point: str) -> Iterator[None]:
    _two_backups(bench)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        bench.through(unused.getsockname()[1])
        yield


@contextmanager
def silent(bench: Bench, point: str) -> Iterator[None]:
    """It accepts connections and answers nothing. Without the point `as in a pod`, for a shorter time."""
    _two_backups(bench)
    if point != "as in a pod":
        bench.copier.changes += "\nrclone.SHORT_SECONDS = 3"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bench.through(listener.getsockname()[1])
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        assert seconds < (300 if point == "as in a pod" else 60), seconds


@contextmanager
def stalled(bench: Bench, _point: str) -> Iterator[None]:
    """After 2 MiB of each upload, no byte of it passes."""
    _two_backups(bench, LARGE)
    bench.copier.changes += "\nrclone.STATS_SECONDS, rclone.IDLE_SECONDS = 1, 4"
    store = bench.server.store
    assert store is not None
    with FaultProxy(store.host, store.port) as proxy:
        proxy.stall(after=2 * MIB)
        bench.through(proxy.port)
        began = time.monotonic()
        yield
        assert time.monotonic() - began < 120


def cut(direction: Any) -> Cause:
    """Each connection is cut after the bytes of `point`, in MiB; `N once`: only the first one is."""

    @contextmanager
    def cause(bench: Bench, point: str) -> Iterator[None]:
        _two_backups(bench, LARGE)
        store = bench.server.store
        assert store is not None
        with FaultProxy(store.host, store.port) as proxy:
            after, _space, once = point.partition(" ")
            proxy.cut(direction, int(float(after) * MIB), times=1 if once else _PLENTY)
            bench.through(proxy.port)
            yield
            assert proxy.cuts > 0

    return cause


def cut_text(suffix: str) -> Cause:
    """The connection is cut after half of each file with this suffix."""
    return answers(http_proxy.cut, "PUT", rf"{suffix}(\?|$)")


# Rights and space


def denied(action: str, *, lock_days: int = 0) -> Cause:
    """minio allows everything but this action."""

    @contextmanager
    def cause(bench: Bench, _point: str) -> Iterator[None]:
        authority = bench.server.authority
        assert authority is not None
        if lock_days:
            bench.options["bucket"], bench.place["lock_days"] = LOCKED_BUCKET, lock_days
        if action == "s3:DeleteObject":
            _copied(bench)
            keep_one(bench)
        else:
            _two_backups(bench)
        authority.denied.add(action)
        try:
            yield
        finally:
            authority.denied.clear()

    return cause


def keep_one(bench: Bench) -> None:
    """Retention deletes all copies but the newest one, the oldest first."""
    bench.place["policy"] = {**bench.place["policy"], "keep_last": 1, "keep_daily": 0}
    del bench.names[1:]


def not_writable(*, deletes: bool = False) -> Cause:
    """The folder is not writable to the server's user; of a mounted place, the file system is not to anyone."""

    @contextmanager
    def cause(bench: Bench, _point: str) -> Iterator[None]:
        if deletes:
            _copied(bench)
            keep_one(bench)
        else:
            _two_backups(bench)
            if bench.path is not None:
                bench.path.mkdir(parents=True, exist_ok=True)
        path = bench.path
        assert path is not None
        if bench.kind == SFTP:
            path.chmod(0o555)
            shutil.chown(path, "root")
            yield
            shutil.chown(path, bench.server.sftp.user)
            path.chmod(0o755)
            return
        with _read_only(bench.copier.mount()):
            yield

    return cause


@contextmanager
def _read_only(path: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        yield
    finally:
        subprocess.run(["umount", path], check=True)


@contextmanager
def full(bench: Bench, _point: str) -> Iterator[None]:
    """The file system of the place is small, and another file fills it."""
    _two_backups(bench, LARGE)
    store = bench.server.store
    if store is None:
        with _small(bench.copier.mount()) as disk:
            with _filled(disk):
                yield
            # The next run shall find what this one has left.
            shutil.copytree(disk, bench.copier.folder / "kept")
        shutil.copytree(bench.copier.folder / "kept", bench.copier.mount(), dirs_exist_ok=True)
        return
    with _filled(Path(store.disk)):
        yield


@contextmanager
def _filled(disk: Path) -> Iterator[None]:
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        file.write(bytes(20 * MIB))
    yield
    ballast.unlink()


@contextmanager
def _small(path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


@contextmanager
def quota(bench: Bench, _point: str) -> Iterator[None]:
    """The bucket may have 1 MiB."""
    _two_backups(bench, LARGE)
    store = bench.server.s3
    store.make_bucket("small")
    bench.options["bucket"] = "small"

    def limit(size: int) -> None:
        body = f'{{"quota":{size},"size":{size},"quotatype":"hard"}}'.encode()
        answer = store.api("PUT", "/minio/admin/v3/set-bucket-quota?bucket=small", body, status=True)
        assert answer.stdout.endswith(b"200"), answer.stdout

    limit(MIB)
    yield
    limit(0)


@contextmanager
def a_file_as_folder(bench: Bench, _point: str) -> Iterator[None]:
    _two_backups(bench)
    path = bench.path
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not a folder")
    yield
    path.unlink()


@contextmanager
def the_backup_volume(bench: Bench, _point: str) -> Iterator[None]:
    """The place is the backup volume, mounted once more."""
    _two_backups(bench)
    bench.options["folder"] = ""
    subprocess.run(["mount", "--bind", bench.copier.volume, bench.copier.mount()], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", bench.copier.mount()], check=True)


# Object Lock


@contextmanager
def no_lock(bench: Bench, _point: str) -> Iterator[None]:
    """The place has lock_days, and its bucket no Object Lock."""
    _two_backups(bench, LARGE)
    bench.place["lock_days"] = 3
    yield


@contextmanager
def locked(bench: Bench, _point: str) -> Iterator[None]:
    """Retention would delete a copy that is still locked."""
    bench.options["bucket"], bench.place["lock_days"] = LOCKED_BUCKET, 3
    _copied(bench)
    names = list(bench.names)
    keep_one(bench)
    bench.names, bench.keeps_options = names, True
    yield


# Behind our back


def behind(harm: Callable[[Bench, str], None]) -> Cause:
    """Somebody changes the newest copy between two runs."""

    @contextmanager
    def cause(bench: Bench, _point: str) -> Iterator[None]:
        _copied(bench)
        harm(bench, bench.names[0])
        yield

    return cause


def delete(suffix: str) -> Callable[[Bench, str], None]:
    return lambda bench, name: bench.delete(f"{name}{suffix}")


def reverse(bench: Bench, name: str) -> None:
    """The same size, other bytes."""
    bench.write(name, bench.contents()[name][::-1])


def shorten(bench: Bench, name: str) -> None:
    bench.write(name, bench.contents()[name][:-100])


@contextmanager
def lying(bench: Bench, _point: str) -> Iterator[None]:
    """A checksum file has another hash, until somebody deletes it."""
    _copied(bench)
    name = f"{bench.names[0]}.sha256"
    bench.write(name, f"{'f' * 64}  {bench.names[0]}\n".encode())
    yield
    bench.delete(name)


def change_manifest(bench: Bench, name: str) -> None:
    text = bench.contents()[f"{name}.json"]
    bench.write(f"{name}.json", text.replace(b'"complete"', b'"verified"'))


def rename_folder(bench: Bench, _name: str) -> None:
    bench.rename_folder(f"{bench.folder}-renamed")


def rename_bucket(bench: Bench, _name: str) -> None:
    """As far as a run sees it: what was in the bucket is in another one."""
    bench.server.s3.make_bucket("other")
    bench.options["bucket"] = "other"


@contextmanager
def foreign_files(bench: Bench, _point: str) -> Iterator[None]:
    """Files that the copies have not written, also half a backup without a checksum file."""
    _copied(bench)
    name = bench.add(_SMALL, 0.5)
    half = (bench.copier.volume / name).read_bytes()[: _SMALL // 2]
    foreign = {"notes.txt": b"notes", f"{bench.names[1]}.old": b"old", "other-2026-01-01-000000.sql.gz": b"other"}
    for other, content in foreign.items():
        bench.write(other, content)
    bench.write(name, half)
    yield
    there = bench.contents()
    assert foreign.items() <= there.items()


# While it copies

_READS = {RCLONE: "cat *.sql.gz", "minio": "cat *.sql.gz", SFTP: "cat *.sql.gz.*.partial"}
# Before which of its rclones the program is killed.
STEPS = {
    "before the upload": "copyto *.sql.gz*",
    "after the upload": "",
    "before the manifest": "rcat *.sql.gz.json",
    "before the checksum file": "rcat *.sql.gz.sha256",
    "after the checksum file": "cat *.sql.gz.sha256",
}


@contextmanager
def changed_meanwhile(bench: Bench, point: str) -> Iterator[None]:
    """Between the upload and its proof, `deleted` or with other bytes."""
    _two_backups(bench)

    def act(_process: Process) -> None:
        (name,) = [name for name in bench.contents() if name.startswith(bench.names[0])]
        if point == "deleted":
            bench.delete(name)
        else:
            reverse(bench, name)

    bench.at(_READS[bench.kind], act)
    yield


@contextmanager
def other_hashes(bench: Bench, _point: str) -> Iterator[None]:
    """The proof is the hash of the store, for a backup that is sent in parts."""
    bench.place["read_back"] = False
    _two_backups(bench, PARTS_FROM_BYTES)
    yield


@contextmanager
def damaged_meanwhile(bench: Bench, _point: str) -> Iterator[None]:
    """Other bytes on the disk of the server before the proof, with the size and the time of before."""
    _two_backups(bench)

    def act(_process: Process) -> None:
        folder = bench.path
        assert folder is not None
        (path,) = folder.glob(f"{bench.names[0]}*")
        times = path.stat()
        path.write_bytes(path.read_bytes()[::-1])
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    bench.at(_READS[bench.kind], act)
    yield


@contextmanager
def harmed_after_the_proof(bench: Bench, point: str) -> Iterator[None]:
    """Between the proof and the listing after it, `deleted` or with other bytes."""
    _two_backups(bench)
    harm = delete("") if point == "deleted" else reverse
    bench.at("cat *.sql.gz.sha256", lambda _process: harm(bench, bench.names[0]))
    yield


@contextmanager
def renamed_meanwhile(bench: Bench, _point: str) -> Iterator[None]:
    """The folder is renamed before the manifest of the newest backup is written."""
    _two_backups(bench)
    bench.at("rcat *.sql.gz.json", lambda _process: rename_folder(bench, ""))
    yield


@contextmanager
def killed(bench: Bench, point: str) -> Iterator[None]:
    _two_backups(bench)
    mounted = {"folder": "moveto *.partial *"}
    pattern = STEPS[point] or {**_READS, **mounted}[bench.kind]
    bench.at(pattern, kill)
    yield


@contextmanager
def killed_in_deletion(bench: Bench, point: str) -> Iterator[None]:
    """Before each file of the first copy is deleted, `point` is its suffix; or `before the second copy`."""
    bench.add(_SMALL, 3)
    _copied(bench)
    second = bench.names[1]
    keep_one(bench)
    bench.at(
        f"deletefile *{second}.sha256" if point == "before the second copy" else f"deletefile *.sql.gz{point}", kill
    )
    yield


@contextmanager
def killed_in_upload(bench: Bench, point: str) -> Iterator[None]:
    """After so many MiB."""
    _two_backups(bench, LARGE)
    bench.place["bandwidth_bytes"] = 3 * MIB
    limit = int(float(point) * MIB)
    store = bench.server.store
    with ExitStack() as stack:
        if store is None:
            path = bench.copier.mount()

            def is_there() -> bool:
                return any(file.stat().st_blocks * 512 >= limit for file in path.rglob("*.partial"))

        else:
            proxy = stack.enter_context(FaultProxy(store.host, store.port))
            bench.through(proxy.port)

            def is_there() -> bool:
                return proxy.uploaded >= limit

        def follow(process: Process) -> None:
            (bench.copier.folder / "gate" / "open").touch()
            wait_for(is_there)
            kill(process)

        bench.at("copyto *.sql.gz*", follow)
        yield


@contextmanager
def window_closes(bench: Bench, _point: str) -> Iterator[None]:
    """It is open for 5 more seconds, and an upload takes longer."""
    _two_backups(bench, LARGE)
    bench.place["bandwidth_bytes"] = MIB // 2
    bench.place["window"] = "22:00-06:00"
    bench.copier.changes += "\nprogram._window_seconds = lambda *_arguments: 5.0"
    yield


@contextmanager
def two_copiers(bench: Bench, point: str) -> Iterator[None]:
    """Another installation with the same backups: it copies `at once`, or while this one reads back."""
    _two_backups(bench, LARGE)
    other = _twin(bench)
    others: list[subprocess.Popen[str]] = []

    def act(_process: Process) -> None:
        others.append(other.start())
        if point != "at once":
            others[0].wait(timeout=120)

    bench.at("lsjson *" if point == "at once" else {**_READS, "folder": "moveto *.partial *"}[bench.kind], act)
    yield
    log, _unused = others[0].communicate(timeout=120)
    assert others[0].returncode == 0, log


@contextmanager
def different_copiers(bench: Bench, _point: str) -> Iterator[None]:
    """Another installation copies other backups of these names, before this one reads back. Then it gets a folder."""
    _two_backups(bench)
    other = _twin(bench)
    for name in bench.names:
        content = (other.volume / name).read_bytes()[::-1]
        (other.volume / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        (other.volume / f"{name}.sha256").write_text(f"{digest}  {name}\n")
    bench.volumes.append(other.volume)

    def act(_process: Process) -> None:
        result = other.run()
        assert result["status"] == 0, result["log"]

    bench.at({**_READS, "folder": "copyto *"}[bench.kind], act)
    bench.next_folder = f"{bench.folder}-own"
    yield
    # This one has left the copies of the other one alone.
    (place,) = other.run()["places"]
    assert (place["state"], place["findings"]) == ("nothing_to_do", [])


def _twin(bench: Bench) -> Copier:
    folder = bench.copier.folder / "twin"
    place = {key: value for key, value in bench.place.items() if key != "name"} | {"name": bench.place["name"]}
    other = install(folder, (bench.copier.folder / "bin" / "rclone").resolve(), place, code=bench.code)
    for path in bench.copier.volume.iterdir():
        if path.is_file():
            shutil.copy2(path, other.volume)
    shutil.copytree(bench.copier.folder / "secrets", folder / "secrets", dirs_exist_ok=True)
    shutil.rmtree(other.mount())
    other.mount().symlink_to(bench.copier.mount())
    other.changes = QUICK
    return other
