# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Whose identity decrypts a backup; the message if none of those that were given does."""

from __future__ import annotations

import pytest

from plugins.module_utils._volume.recipients import are_of_others, listed, shown, wrong_identity


@pytest.mark.parametrize(
    ("keys", "recipients", "is_certain"),
    [
        (["age1a"], ["age1b", "age1c"], True),
        (["age1a"], ["age1b", "age1a"], False),
        (["age1a", "age1b"], ["age1b"], False),
        (["ssh-rsa AA"], ["ssh-rsa AA me@nas"], False),
        (["ssh-rsa AA"], ["ssh-rsa AB me@nas"], True),
        ([], ["age1b"], False),
        (["age1a"], [], False),
    ],
)
def test_whether_identities_are_certainly_of_others(keys: list[str], recipients: list[str], is_certain: bool) -> None:
    assert are_of_others(keys, recipients) is is_certain
    assert (wrong_identity(keys, recipients, "x.sql.gz.age") is not None) is is_certain


def test_the_message_of_a_wrong_identity() -> None:
    assert wrong_identity(["age1a", "age1b"], ["age1c", "ssh-rsa AA me@nas"], "x.sql.gz.age") == (
        "identity: expected the private key of one of the recipients of x.sql.gz.age, which are age1c, ssh-rsa AA, "
        "found that of age1a, age1b. Give the identity of one of these recipients"
    )


def test_a_long_key_and_many_keys_are_shortened() -> None:
    assert shown("age1abc") == "age1abc"
    assert shown("ssh-ed25519 " + "A" * 68) == "ssh-ed25519 " + "A" * 68
    assert shown("ssh-rsa " + "A" * 300) == f"ssh-rsa {'A' * 24}…{'A' * 24}"
    assert listed([f"age1{number}" for number in range(7)]) == "age10, age11, age12, age13, age14 and 2 more"
