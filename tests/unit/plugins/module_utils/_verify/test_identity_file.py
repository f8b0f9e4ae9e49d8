# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is taken as an identity, and what is refused without being shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugins.module_utils._verify.identity_file import identity_text, private_text
from plugins.module_utils.errors import IdentityError

PRIVATE = "# created: today\nAGE-SECRET-KEY-1SECRET\n"
SSH = "-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize("text", [PRIVATE, SSH, "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n"])
def test_a_private_key(tmp_path: Path, text: str) -> None:
    file = tmp_path / "identity"
    file.write_text(text)
    assert private_text(text, None) == private_text(None, str(file)) == text


def test_neither() -> None:
    assert identity_text(None, None) is None
    assert private_text(None, None) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [("age1SECRET", "found a public key"), ("ssh-ed25519 SECRET", "found a public key"), ("SECRET", "found none")],
)
def test_what_is_none_is_not_shown(text: str, found: str) -> None:
    with pytest.raises(IdentityError) as error:
        private_text(text, None)
    assert found in str(error.value)
    assert "SECRET" not in str(error.value).replace("AGE-SECRET-KEY-1,", "")


def test_both_are_refused() -> None:
    with pytest.raises(IdentityError, match="expected one of identity and identity_file, found both"):
        private_text(PRIVATE, "/x")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("nothing", "pipe", "."):
        with pytest.raises(IdentityError, match=r"identity_file: .* cannot be read: check its path and mode"):
            private_text(None, str(tmp_path / name))


def test_an_encrypted_identity(tmp_path: Path) -> None:
    file = tmp_path / "identity.age"
    file.write_bytes(b"age-encryption.org/v1\n\xff")
    with pytest.raises(IdentityError, match="found an encrypted one"):
        private_text(None, str(file))
