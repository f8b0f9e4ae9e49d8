# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which backup of a volume is fetched."""

from __future__ import annotations

from .._volume.catalog import COMPLETE, INCOMPLETE, UNCHECKED, Backup, Catalog
from ..errors import FetchError

_NAMED = 10


def choose(catalog: Catalog, name: str | None, *, allow_incomplete: bool = False) -> tuple[Backup, str | None]:
    """The backup to fetch, and a warning or None; raises FetchError.

    Without a name, that is the newest complete one, with `allow_incomplete` the newest that is complete or incomplete;
    without any of these the newest unchecked one.
    """
    if name is not None:
        named = catalog.named(name)
        if named is None:
            names = ", ".join(backup.name for backup in catalog.backups[:_NAMED]) or "none"
            more = f" and {len(catalog.backups) - _NAMED} older ones" if len(catalog.backups) > _NAMED else ""
            raise FetchError(f"the backup {name} is not on the volume: expected one of {names}{more}")
        return named, _warning(named)
    newest = catalog.newest(COMPLETE, *([INCOMPLETE] if allow_incomplete else []))
    if newest is not None:
        return newest, _warning(newest)
    newest = catalog.newest(UNCHECKED)
    if newest is not None:
        return newest, f"no backup on the volume is complete: {newest.name}, the newest unchecked one, is fetched"
    incomplete = catalog.newest(INCOMPLETE)
    if incomplete is not None:
        raise FetchError(
            f"no backup can be fetched: expected a complete one on the volume, found {incomplete.name}, which is "
            f"incomplete{_without(incomplete)}. Set allow_incomplete to fetch it, or name it as backup"
        )
    raise FetchError(
        f"no backup can be fetched: expected a complete one on the volume, found {len(catalog.backups)} others. "
        "Run the CronJob (homelab.postgres_backup.backup_job), or name one as backup"
    )


def _warning(backup: Backup) -> str | None:
    if backup.state == COMPLETE:
        return None
    return f"{backup.name} is {backup.state}{_without(backup)}: {', '.join(backup.reasons)}"


def _without(backup: Backup) -> str:
    """Which databases are missing, where that is known."""
    if not backup.missing:
        return ""
    more = f" and {len(backup.missing) - _NAMED} more" if len(backup.missing) > _NAMED else ""
    return f", without the databases {', '.join(backup.missing[:_NAMED])}{more}"
