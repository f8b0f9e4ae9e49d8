# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Uploads in parts that were interrupted: no listing shows them, and they take space in the bucket."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from plugins.module_utils._copy.faults import PlaceError
from plugins.module_utils._copy.s3_requests import S3Requests
from tests.copy_program import NAME, Copier, install, place_of
from tests.stores.authority import Authority
from tests.stores.copy_bench import MIB, QUICK, kill, wait_for
from tests.stores.http_proxy import Fault, HttpProxy, Rule, answer, answer_page
from tests.stores.loopback import minio_server, rclone
from tests.stores.servers import REGION, S3Store
from tests.watch_program import PACKAGE

LATER = "import datetime; program._now = lambda now=program._now: now() + datetime.timedelta(days=3)\n"
# 5 MiB is the smallest part that S3 knows.
IN_PARTS = f"""
from {PACKAGE.replace("/", ".")}._copy import place
place.PARTS_FROM_BYTES, place.part_bytes = 1 << 20, lambda _size: 5 << 20
"""
DENIED = "the store answered AccessDenied. Allow these keys to list and abort uploads"
REFUSED = "parts of interrupted uploads may remain there"


def installed(folder: Path, code: Path, store: S3Store) -> Copier:
    options = {"endpoint": store.url, "bucket": "backups", "folder": f"{folder.name}/a&b", "provider": store.provider}
    copier = install(folder, rclone(), {"kind": "s3", "name": "offsite", "options": options}, code=code)
    copier.add_secret({"access_key_id": store.access_key, "secret_access_key": store.secret_key})
    copier.changes = QUICK
    return copier


def requests(store: S3Store) -> S3Requests:
    keys = {"access_key_id": store.access_key, "secret_access_key": store.secret_key}
    return S3Requests({"endpoint": store.url, "region": REGION}, keys, None)


def begun(store: S3Store, path: str = "") -> list[str]:
    """The objects of unfinished uploads whose paths begin so."""
    return sorted(upload.path for upload in requests(store).multipart_uploads("backups", path))


def begin(store: S3Store, path: str) -> None:
    assert b"<UploadId>" in store.api("POST", f"/backups/{quote(path)}?uploads=").stdout


def test_a_killed_upload_is_removed_later(tmp_path: Path, code: Path, store: S3Store) -> None:
    """Not before, since another copier may have begun it; and none of others."""
    folder = f"{tmp_path.name}/a&b"
    others = [f"{folder}/{NAME}-shop-2026-11-01-020000.sql.gz", f"{folder}2/{NAME}-2026-11-01-020000.sql.gz"]
    others += [f"{folder}/sub/{NAME}-2026-11-01-020000.sql.gz", f"{folder}/{NAME}-film.mkv"]
    copier = installed(tmp_path, code, store)
    for path in others:
        begin(store, path)
    name = copier.add_backup(1, os.urandom(12 * MIB))
    copier.changes = QUICK + IN_PARTS
    copier.places[0]["bandwidth_bytes"] = 2 * MIB
    process = copier.start()
    wait_for(lambda: f"{folder}/{name}" in begun(store))
    kill(process)
    process.communicate()
    copier.places[0]["bandwidth_bytes"] = None
    assert copier.run()["status"] == 0
    assert begun(store, tmp_path.name) == sorted([*others, f"{folder}/{name}"])
    copier.changes = QUICK + "\n" + LATER
    result = copier.run()
    assert (result["status"], place_of(result)["findings"]) == (0, []), result["log"]
    assert "removed the parts of 1 interrupted uploads" in result["log"]
    assert begun(store, tmp_path.name) == sorted(others)
    assert REFUSED not in result["log"]


@pytest.mark.parametrize(
    ("fault", "method", "reported"),
    [
        (answer(403, "AccessDenied"), "GET", [DENIED]),
        (answer(501, "NotImplemented"), "GET", ["the store answered NotImplemented"]),
        (answer_page(404), "GET", []),
        (answer(403, "AccessDenied"), "DELETE", [DENIED]),
    ],
)
def test_a_store_that_does_not_allow_it(
    tmp_path: Path, code: Path, store: S3Store, *, fault: Fault, method: str, reported: list[str]
) -> None:
    """It gets its copies all the same; the log has at most one line about it."""
    copier = installed(tmp_path, code, store)
    name = copier.add_backup(1)
    begin(store, f"{tmp_path.name}/a&b/{NAME}-2026-11-01-020000.sql.gz")
    copier.changes = QUICK + "\n" + LATER
    with HttpProxy(store.host, store.port) as proxy:
        copier.places[0]["options"]["endpoint"] = store.through(proxy.port).url
        proxy.rules.append(Rule(fault, method, r"[?&](uploads|uploadId)="))
        result = copier.run()
        assert proxy.faults == 1
    assert (result["status"], copier.copies("offsite"), place_of(result)["findings"]) == (0, [name], [])
    lines = [line for line in result["log"].splitlines() if "uploads" in line]
    assert [line.split(f"{REFUSED}: ")[1] for line in lines] == reported


@pytest.mark.weekly
@pytest.mark.parametrize("right", ["ListBucketMultipartUploads", "AbortMultipartUpload"])
def test_rights_at_minio(tmp_path: Path, code: Path, right: str) -> None:
    """It shows uploads of one object alone, whose path is the prefix, and those of the bucket."""
    with Authority() as authority, minio_server(authority=authority.url) as store:
        store.make_bucket("backups")
        copier = installed(tmp_path, code, store)
        name = copier.add_backup(1)
        path = f"{tmp_path.name}/a&b/{name}"
        begin(store, path)
        authority.denied.add(f"s3:{right}")
        assert copier.run()["status"] == 0
        if right == "AbortMultipartUpload":
            (upload,) = requests(store).multipart_uploads("backups", path)
            with pytest.raises(PlaceError, match="AccessDenied"):
                requests(store).abort("backups", upload)
        else:
            with pytest.raises(PlaceError, match="AccessDenied"):
                requests(store).multipart_uploads("backups", path)
        authority.denied.clear()
        assert begun(store, path) == [path]
        (upload,) = requests(store).multipart_uploads("backups", path)
        requests(store).abort("backups", upload)
        assert begun(store, path) == []
