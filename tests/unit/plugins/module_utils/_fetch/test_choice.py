# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which backup is fetched."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from plugins.module_utils._fetch.choice import choose
from plugins.module_utils._volume.catalog import Backup, Catalog
from plugins.module_utils.errors import FetchError


def backup(day: int, state: str) -> Backup:
    missing = ("sick", "locked") if state == "incomplete" else None
    created = datetime(2026, 11, day, 2, tzinfo=UTC)
    return Backup(f"b-{day}", created, 10, None, state, "keep", ("a reason",), missing=missing)


def catalog(*states: str) -> Catalog:
    """The newest one is of day 22."""
    backups = tuple(backup(22 - number, state) for number, state in enumerate(states))
    return Catalog(backups, "/backups", None, 1, 1, {}, None)


@pytest.mark.parametrize(
    ("states", "by_default", "with_incomplete"),
    [
        (["complete", "complete"], 22, 22),
        (["unchecked", "complete"], 21, 21),
        (["incomplete", "complete"], 21, 22),
        (["complete", "incomplete"], 22, 22),
        (["damaged", "unchecked"], 21, 21),
        (["incomplete", "unchecked"], 21, 22),
        (["unchecked", "incomplete"], 22, 21),
        (["incomplete"], None, 22),
        (["damaged"], None, None),
        ([], None, None),
    ],
)
def test_newest_backup(states: list[str], by_default: int | None, with_incomplete: int | None) -> None:
    for is_allowed, expected in ((False, by_default), (True, with_incomplete)):
        if expected is None:
            with pytest.raises(FetchError, match="no backup can be fetched"):
                choose(catalog(*states), None, allow_incomplete=is_allowed)
            continue
        chosen, warning = choose(catalog(*states), None, allow_incomplete=is_allowed)
        assert chosen.created.day == expected
        assert (warning is None) == (chosen.state == "complete")


def test_incomplete_backup_is_named_with_what_it_lacks() -> None:
    with pytest.raises(
        FetchError, match=r"b-22, which is incomplete, without the databases sick, locked. Set allow_inc"
    ):
        choose(catalog("incomplete"), None)
    for name in (None, "b-22"):
        _, warning = choose(catalog("incomplete"), name, allow_incomplete=name is None)
        assert warning == "b-22 is incomplete, without the databases sick, locked: a reason"


def test_named_backup() -> None:
    assert choose(catalog("complete", "complete"), "b-21") == (backup(21, "complete"), None)
    assert choose(catalog("complete", "damaged"), "b-21")[1] == "b-21 is damaged: a reason"
    with pytest.raises(FetchError, match=r"b-1 is not on the volume: expected one of b-22, b-21, .* and 3 older ones"):
        choose(catalog(*["complete"] * 13), "b-1")
