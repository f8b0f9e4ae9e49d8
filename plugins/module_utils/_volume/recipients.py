# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The recipients of encrypted backups, which are public keys: whose identity decrypts one, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# How many characters of the beginning and the end of a long key are shown, and how many keys.
_SHOWN = 24
_MOST = 5


def without_comment(public_key: str) -> str:
    """The public key without the comment that one of OpenSSH may have; without it, equal keys are equal texts."""
    return " ".join(public_key.split()[:2])


def are_of_others(public_keys: Iterable[str], recipients: Iterable[str]) -> bool:
    """Whether identities with these public keys certainly decrypt nothing that is encrypted to the recipients.

    It is not certain without public keys, which could not be found out then, nor if the recipients are not known.
    """
    given, named = set(public_keys), {without_comment(recipient) for recipient in recipients}
    return bool(given and named) and given.isdisjoint(named)


def wrong_identity(public_keys: Sequence[str], recipients: Sequence[str], backup: str) -> str | None:
    """What is wrong with identities that have these public keys, None unless they certainly do not decrypt the backup.

    Its recipients are those in the manifest of this file: another one may have been encrypted to others.
    """
    if not are_of_others(public_keys, recipients):
        return None
    return (
        f"identity: expected the private key of one of the recipients of {backup}, which are {listed(recipients)}, "
        f"found that of {listed(public_keys)}. Give the identity of one of these recipients"
    )


def listed(recipients: Sequence[str]) -> str:
    """Some of the recipients, without the comments of keys of OpenSSH."""
    texts = [shown(without_comment(recipient)) for recipient in recipients[:_MOST]]
    more = len(recipients) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")


def shown(recipient: str) -> str:
    """A recipient, shortened if it is long: keys of the type ssh-rsa have hundreds of characters."""
    kind, _space, data = recipient.rpartition(" ")
    if len(data) <= 3 * _SHOWN:
        return recipient
    return f"{kind} {data[:_SHOWN]}…{data[-_SHOWN:]}".strip()
