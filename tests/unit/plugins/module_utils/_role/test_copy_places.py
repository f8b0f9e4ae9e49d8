# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The keys of the Secret of a place, and where it is."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._role.copy_places import OPTIONAL_KEYS, SECRET_KEYS, copy_secret_keys, location_text

from .example_places import CLAIM, DEDUP, NFS, S3, SFTP


def test_the_keys_of_a_secret() -> None:
    assert copy_secret_keys(S3) == ["access_key_id", "secret_access_key", "ca.crt"]
    assert copy_secret_keys(SFTP) == ["known_hosts", "private_key", "password"]
    assert copy_secret_keys(NFS) == []
    assert copy_secret_keys(DEDUP) == ["repository_password", *copy_secret_keys(S3)]
    assert copy_secret_keys({**CLAIM, "kind": "restic", "repository": "claim"}) == ["repository_password"]
    assert set(SECRET_KEYS) >= set(OPTIONAL_KEYS)


@pytest.mark.parametrize(
    ("place", "change", "is_same"),
    [
        (S3, {"folder": "copies/"}, True),
        (S3, {"endpoint": "https://S3.example.com/", "folder": "copies", "lock_days": 9, "secret": "other"}, True),
        (S3, {"bucket": "others"}, False),
        (S3, {"folder": "copies/here"}, False),
        (S3, {"kind": "restic", "repository": "s3"}, False),
        (NFS, {"folder": "/copies/"}, True),
        (NFS, {"server": "192.168.2.4"}, False),
        (NFS, {"path": "/volume2/copies"}, False),
        (CLAIM, {"claim_name": "another"}, False),
        (SFTP, {"folder": "copies/"}, True),
        (SFTP, {"folder": "/copies"}, False),
        (SFTP, {"user": "another"}, False),
        (SFTP, {"port": 22}, True),
        (SFTP, {"port": 2222}, False),
    ],
)
def test_the_location_of_a_place(place: dict[str, Any], change: dict[str, Any], is_same: bool) -> None:
    place = {**place, "folder": "copies"}
    assert (location_text(place) == location_text({**place, **change})) == is_same
