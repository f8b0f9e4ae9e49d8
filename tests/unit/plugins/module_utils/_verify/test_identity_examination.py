# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The public keys of identities, against what age-keygen and ssh-keygen printed."""

from __future__ import annotations

import sys

import pytest

from plugins.module_utils._verify.identity_examination import public_keys

from .key_pairs import Pair


def without_comment(recipient: str) -> str:
    return " ".join(recipient.split()[:2])


@pytest.mark.parametrize("name", ["age", "ed25519", "rsa"])
def test_the_public_key_is_the_recipient(pairs: dict[str, Pair], name: str) -> None:
    pair = pairs[name]
    for text in (pair.identity, pair.identity.replace("\n", "\r\n"), f"{pair.identity}\n"):
        assert public_keys(text) == [without_comment(pair.recipient)]


def test_several_keys_of_age(pairs: dict[str, Pair]) -> None:
    assert public_keys(pairs["age"].identity * 2) == [pairs["age"].recipient] * 2


@pytest.mark.parametrize("name", ["rsa PEM", "rsa PKCS8", "rsa with a passphrase", "ecdsa"])
def test_formats_without_a_public_key_and_what_is_no_identity(pairs: dict[str, Pair], name: str) -> None:
    assert public_keys(pairs[name].identity) == []


def test_without_pyrage(pairs: dict[str, Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)
    assert public_keys(pairs["age"].identity) == []
    assert public_keys(pairs["ed25519"].identity) == [without_comment(pairs["ed25519"].recipient)]
