# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The servers to which tests copy backups give back what they got, refuse what real ones refuse, and lock objects."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.in_turn import weekly
from tests.stores.fault_proxy import FaultProxy
from tests.stores.loopback import minio_server, rclone, rclone_s3_server, rootfs, sftp_password_server, sftp_server
from tests.stores.servers import IMPATIENT, S3Store, Store

CONTENT = random.Random(1).randbytes(2_000_000)  # noqa: S311 - no secret
# 5 MiB is the smallest part that S3 knows.
IN_PARTS = ("--s3-upload-cutoff=0", "--s3-chunk-size=5M")
DAY = timedelta(days=1)


def run_rclone(store: Store, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """rclone as a test of copies runs it: on this machine, without chroot."""
    environment = {"PATH": os.environ["PATH"], **store.environment()}
    return subprocess.run([rclone(), *IMPATIENT, *words], env=environment, capture_output=True, check=False)


@contextlib.contextmanager
def _secure(server: Callable[..., AbstractContextManager[S3Store]]) -> Iterator[S3Store]:
    with server(tls=True) as store:
        yield store


@pytest.fixture(
    params=[
        "rclone",
        "sftp",
        weekly("sftp with a password"),
        weekly("minio"),
        weekly("rclone with TLS"),
        weekly("minio with TLS"),
    ]
)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    servers: dict[str, Callable[[], AbstractContextManager[Store]]] = {
        "rclone": rclone_s3_server,
        "sftp": sftp_server,
        "sftp with a password": sftp_password_server,
        "minio": minio_server,
        "rclone with TLS": lambda: _secure(rclone_s3_server),
        "minio with TLS": lambda: _secure(minio_server),
    }
    with servers[request.param]() as started:
        if isinstance(started, S3Store):
            started.make_bucket("copies")
        yield started


def test_a_copy_is_given_back_and_can_be_changed_behind_its_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "a backup é.sql.gz").write_bytes(CONTENT)
    sent = run_rclone(store, "copy", tmp_path / "from", "store:copies/data")
    assert sent.returncode == 0, sent.stderr
    assert store.files("copies") == {"data/a backup é.sql.gz": len(CONTENT)}
    got = run_rclone(store, "copy", "store:copies/data", tmp_path / "to")
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "to" / "a backup é.sql.gz").read_bytes() == CONTENT
    store.write("copies/data/other", b"changed")
    assert store.read("copies/data/other") == b"changed"
    store.delete("copies/data/a backup é.sql.gz")
    assert store.files("copies") == {"data/other": 7}


@pytest.mark.parametrize("server", [rclone_s3_server, weekly(minio_server)], ids=["rclone", "minio"])
def test_wrong_key_is_refused(server: Callable[[], AbstractContextManager[S3Store]]) -> None:
    with server() as store:
        store.make_bucket("copies")
        for key, secret in ((store.access_key, "another-secret"), ("another-key", store.secret_key)):
            refused = run_rclone(store.with_key(key, secret), "lsf", "store:copies")
            assert b"StatusCode: 403" in refused.stderr
        assert run_rclone(store, "lsf", "store:copies").returncode == 0


def test_sftp_refuses_other_keys_and_clients_refuse_other_servers(tmp_path: Path) -> None:
    with sftp_server() as store, sftp_server() as other:
        stranger = replace(store, private_key=other.private_key)
        refused = run_rclone(stranger, "lsf", "store:")
        assert b"unable to authenticate" in refused.stderr
        (tmp_path / "known_hosts").write_text(replace(store, host_key=other.host_key).known_hosts)
        impostor = replace(store, known_hosts_file=str(tmp_path / "known_hosts"))
        refused = run_rclone(impostor, "lsf", "store:")
        assert b"knownhosts" in refused.stderr
        assert run_rclone(store, "lsf", "store:").returncode == 0


@pytest.mark.weekly
def test_sftp_refuses_another_password() -> None:
    with sftp_password_server() as store:
        refused = run_rclone(replace(store, password="another"), "lsf", "store:")  # noqa: S106 - no secret
        assert b"unable to authenticate" in refused.stderr
        assert run_rclone(store, "lsf", "store:").returncode == 0


@pytest.mark.parametrize(
    "server", [rclone_s3_server, sftp_server, weekly(minio_server)], ids=["rclone", "sftp", "minio"]
)
def test_faults_of_the_network_end_a_copy(server: Callable[[], AbstractContextManager[Any]], tmp_path: Path) -> None:
    (tmp_path / "backup").write_bytes(CONTENT)
    with server() as store, FaultProxy(store.host, store.port) as proxy:
        behind = store.through(proxy.port)
        store.rclone("mkdir", "store:copies")

        def copy(*words: str | Path) -> bool:
            return run_rclone(behind, "copyto", *words).returncode == 0

        proxy.cut("upload", 1_000_000)
        assert not copy(tmp_path / "backup", "store:copies/backup")
        assert proxy.cuts == 1
        assert store.files("copies").get("backup", 0) < len(CONTENT)
        assert copy(tmp_path / "backup", "store:copies/backup")
        # More than once: rclone opens a file again where it was cut.
        proxy.cut("download", 1_000_000, times=100)
        assert not copy("store:copies/backup", tmp_path / "got")
        proxy.cut("download", 100_000_000)
        assert copy("store:copies/backup", tmp_path / "got")
        with proxy.refused():
            assert not copy("store:copies/backup", tmp_path / "got")
        if isinstance(store, S3Store):
            proxy.answer_503(100)
            assert not copy("store:copies/backup", tmp_path / "got")
            proxy.answer_503(0)
        assert copy("store:copies/backup", tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == CONTENT


def test_nothing_is_left_of_a_server() -> None:
    folders = [rootfs(name) / "tmp" for name in ("tools", "sftp")]
    before = [sorted(folder.iterdir()) for folder in folders]
    with rclone_s3_server() as s3, sftp_server() as sftp:
        ports = [s3.port, sftp.port]
        assert [sorted(folder.iterdir()) for folder in folders] != before
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
    # Other tests may have servers at the same time.
    after = {path for folder in folders for path in folder.iterdir()}
    assert not [path for path in after if (path / "log").exists() and str(ports[0]) in (path / "log").read_text()]


def test_a_lock_is_shown_but_not_kept_by_a_server_that_has_none() -> None:
    """What a copy must not rely on: rclone's S3 server keeps the lock's headers as it keeps any others."""
    lock = ("--s3-object-lock-mode=COMPLIANCE", "--s3-object-lock-retain-until-date=30d")
    with rclone_s3_server() as store:
        store.make_bucket("copies")
        store.rclone("rcat", *lock, "store:copies/backup", stdin=b"content")
        (listed,) = store.listing("copies", "-M")
        assert listed["Metadata"]["object-lock-mode"] == "COMPLIANCE"
        assert store.retention("copies", "backup") is None
        store.delete("copies/backup")
        assert store.files("copies") == {}


@pytest.mark.weekly
def test_locks_need_a_bucket_for_them() -> None:
    lock = ("--s3-object-lock-mode=COMPLIANCE", "--s3-object-lock-retain-until-date=30d")
    with minio_server() as store:
        store.make_bucket("copies")
        refused = store.rclone("rcat", *lock, "store:copies/backup", stdin=b"content", check=False)
        assert b"Bucket is missing ObjectLockConfiguration" in refused.stderr
        assert store.files("copies") == {}


@pytest.mark.weekly
@pytest.mark.parametrize("options", [(), IN_PARTS], ids=["at once", "in parts"])
def test_a_lock_for_compliance_can_only_be_extended(options: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_bytes(CONTENT * 3)
    end = datetime.now(UTC).replace(microsecond=0) + DAY
    lock = ("--s3-object-lock-mode=COMPLIANCE", f"--s3-object-lock-retain-until-date={end.isoformat()}")
    with minio_server() as store:
        store.make_bucket("copies", locked=True)
        sent = run_rclone(store, "copyto", *lock, *options, file, "store:copies/backup")
        assert sent.returncode == 0, sent.stderr
        assert store.retention("copies", "backup") == ("COMPLIANCE", end)
        # rclone shows the lock too.
        (listed,) = store.listing("copies", "-M")
        assert listed["Metadata"]["object-lock-mode"] == "COMPLIANCE"
        assert datetime.fromisoformat(listed["Metadata"]["object-lock-retain-until-date"].replace("Z", "+00:00")) == end

        ((path, version),) = store.versions("copies")
        assert store.delete_version("copies", path, version) == 400
        assert store.delete_version("copies", path, version, bypass=True) == 400
        assert store.set_retention("copies", path, "COMPLIANCE", end - timedelta(hours=1), bypass=True) == 400
        assert store.set_retention("copies", path, "GOVERNANCE", end, bypass=True) == 400
        assert store.set_retention("copies", path, "COMPLIANCE", end + DAY) == 200
        assert store.retention("copies", "backup") == ("COMPLIANCE", end + DAY)

        # A deletion and an overwritten object hide the version, and do not remove it.
        store.write("copies/backup", b"other")
        store.delete("copies/backup")
        assert store.files("copies") == {}
        assert (path, version) in store.versions("copies")


@pytest.mark.weekly
def test_a_lock_for_governance_is_ended_by_the_right_to_bypass_it() -> None:
    with minio_server() as store:
        store.make_bucket("copies", locked=True)
        assert store.set_default_retention("copies", "GOVERNANCE", 1) == 200
        store.write("copies/backup", CONTENT)
        mode, _ = store.retention("copies", "backup") or ("", None)
        assert mode == "GOVERNANCE"
        ((path, version),) = store.versions("copies")
        assert store.delete_version("copies", path, version) == 400
        assert store.delete_version("copies", path, version, bypass=True) == 204
        assert store.versions("copies") == []
