# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The stores for tests of copies (support/stores.py) as pods, with and without TLS."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.support import stores
from tests.cluster.support.kube import must_get
from tests.stores.servers import S3Store, Store

MADE: dict[str, Callable[[str], Store]] = {
    "sftp": stores.sftp,
    "rclone": stores.rclone_s3,
    "rclone with TLS": lambda namespace: stores.rclone_s3(namespace, tls=True),
    "minio": stores.minio,
    "minio with TLS": lambda namespace: stores.minio(namespace, tls=True),
}


# The tests of copies use them every day.
@pytest.mark.weekly
@pytest.mark.parametrize("made", MADE)
def test_a_test_sees_and_changes_what_is_stored(made: str, namespace: str) -> None:
    store = MADE[made](namespace)
    keys = {"user", "private_key", "known_hosts"}
    if isinstance(store, S3Store):
        store.make_bucket("copies", locked=made.startswith("minio"))
        keys = {"access_key", "secret_key", *(["ca.crt"] if store.ca else [])}
        assert store.url.startswith("https:" if made.endswith("TLS") else "http:")
    assert set(must_get("secret", stores.secret_name(store.host.partition(".")[0]), namespace)["data"]) == keys
    store.write("copies/data/a backup é", b"\0\n")
    assert store.files("copies") == {"data/a backup é": 2}
    assert store.read("copies/data/a backup é") == b"\0\n"
    store.delete("copies/data/a backup é")
    assert store.files("copies") == {}
    if isinstance(store, S3Store) and made.startswith("minio"):
        # The version, and the mark that hides it.
        assert len(store.versions("copies")) == 2
