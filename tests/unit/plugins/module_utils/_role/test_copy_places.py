# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The keys of the Secret of a place."""

from __future__ import annotations

from plugins.module_utils._role.copy_places import OPTIONAL_KEYS, SECRET_KEYS, copy_secret_keys

from .example_places import CLAIM, DEDUP, NFS, S3, SFTP


def test_the_keys_of_a_secret() -> None:
    assert copy_secret_keys(S3) == ["access_key_id", "secret_access_key", "ca.crt"]
    assert copy_secret_keys(SFTP) == ["known_hosts", "private_key", "password"]
    assert copy_secret_keys(NFS) == []
    assert copy_secret_keys(DEDUP) == ["repository_password", *copy_secret_keys(S3)]
    assert copy_secret_keys({**CLAIM, "kind": "restic", "repository": "claim"}) == ["repository_password"]
    assert set(SECRET_KEYS) >= set(OPTIONAL_KEYS)
