# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Whether the identity of each recipient has opened a backup in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from ..findings import Failure
from ..units import format_duration
from .key_record import Key
from .recipients import shown


def key_problems(keys: Iterable[Key], now: datetime) -> Iterator[Failure]:
    """A problem for each identity that was not tried for too long."""
    for key in keys:
        if key.limit is not None and key.is_overdue(now):
            if key.opened is None:
                found = f"never since {key.since:%Y-%m-%d}, when the first backup was encrypted to it"
            elif key.is_of_future(now):
                found = f"{key.opened:%Y-%m-%d}, which is in the future: a clock was wrong ({key.backup})"
            else:
                found = f"{key.opened:%Y-%m-%d}, {format_duration(now - key.opened)} ago ({key.backup})"
            yield Failure(
                "key",
                f"expected the identity of the recipient {shown(key.recipient)} to have opened a backup within "
                f"{format_duration(key.limit)}, found {found}. Try it: ansible-playbook homelab.postgres_backup.drill "
                "-e postgres_backup_identity_file=IDENTITY-FILE. If it is lost, exchange the recipient "
                "(postgres_backup_recipients)",
            )
