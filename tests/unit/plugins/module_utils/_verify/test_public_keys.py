# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The public keys of identities, against what age-keygen and ssh-keygen printed."""

from __future__ import annotations

import sys

import pyrage
import pytest

from plugins.module_utils._verify.public_keys import public_keys
from plugins.module_utils.key_forms import BECH32_LETTERS, bech32_checksum, has_checksum

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


def test_keys_of_age_by_chance() -> None:
    """Among the keys are those whose numbers begin or end with zeros."""
    for number in range(300):
        identity = pyrage.x25519.Identity.generate()
        assert public_keys(f"{identity}\n") == [str(identity.to_public())], number


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32, bytes(range(32)), b"\0" * 31 + b"\x80"])
def test_edges_of_the_curve(secret: bytes) -> None:
    identity = written(secret)
    assert public_keys(identity) == [str(pyrage.x25519.Identity.from_str(identity).to_public())]


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_has_none(length: int) -> None:
    identity = written(b"\1" * length)
    assert has_checksum(identity.lower())
    assert public_keys(identity) == []


def written(secret: bytes) -> str:
    """As a private key of age; pyrage reads it."""
    bits = "".join(f"{byte:08b}" for byte in secret)
    bits += "0" * (-len(bits) % 5)
    data = [int(bits[at : at + 5], 2) for at in range(0, len(bits), 5)]
    checksum = bech32_checksum("age-secret-key-", [*data, *[0] * 6]) ^ 1
    data += [checksum >> 5 * place & 31 for place in reversed(range(6))]
    return f"AGE-SECRET-KEY-1{''.join(BECH32_LETTERS[value] for value in data).upper()}"


def test_without_pyrage(pairs: dict[str, Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    """Restores do not need it where Ansible runs."""
    monkeypatch.setitem(sys.modules, "pyrage", None)
    assert public_keys(pairs["age"].identity) == [pairs["age"].recipient]


def test_without_the_library(pairs: dict[str, Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    assert public_keys(pairs["age"].identity) == []
    assert public_keys(pairs["ed25519"].identity) == [without_comment(pairs["ed25519"].recipient)]
