# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Retention on real directories against the reference model, with every shell and awk.

Each combination draws other examples, from a fixed seed: a failure is repeated in the next run.
SCRIPT_TESTS_EXAMPLES sets how many. SCRIPT_TESTS_SHRINK=1 lets Hypothesis search for the smallest volume that fails,
which takes minutes.
"""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from ..support import combinations
from ..support import retention_model as model
from ..support.combinations import Combination, under_all
from ..support.listing import ChecksumFile, Item, Listing, Manifest, Other, Placed, place
from ..support.sandbox import Sandbox
from ..support.strategies import ANCHORS, DATABASES, EVERY_RULE, IMPOSSIBLE, listings, near_names
from ..support.volume import HOUR, Entry, give, snapshot, without

pytestmark = under_all

EXAMPLES = int(os.environ.get("SCRIPT_TESTS_EXAMPLES") or 8)
PROFILE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink) if os.environ.get("SCRIPT_TESTS_SHRINK") else (Phase.generate,),
)


def _empty(volume: Path, uid: int) -> None:
    shutil.rmtree(volume)
    volume.mkdir()
    os.chown(volume, uid, uid)


def _compare_lines(sandbox: Sandbox, placed: Placed, found: list[dict[str, object]]) -> None:
    expected = placed.lines()
    assert [line["name"] for line in found] == [line["name"] for line in expected]
    for line, wanted in zip(found, expected, strict=True):
        assert line == wanted, f"under {sandbox.combination}"


def _compare_plan(placed: Placed, plan: dict[str, object], *, dry_run: bool) -> None:
    assert plan["dry_run"] is dry_run
    assert plan["held_back"] == placed.held_back
    named = plan["deleted"]
    assert isinstance(named, list)
    assert sorted(named) == (sorted(placed.planned) if dry_run or not placed.held_back else [])
    assert plan["freed_bytes"] == sum(placed.names[name].size for name in named)


def _compare_volume(placed: Placed, before: dict[bytes, Entry], after: dict[bytes, Entry]) -> None:
    ignored = [*placed.tolerated, f"{placed.listing.prefix}.history.jsonl"]
    removed = [] if placed.held_back else placed.removed
    assert without(after, *ignored) == without(before, *removed, *ignored)


def check(sandbox: Sandbox, listing: Listing) -> None:
    """`prune --dry-run` reports what the model does and changes nothing; `prune` does exactly that."""
    _empty(sandbox.volume, sandbox.uid)
    placed = place(listing, sandbox.volume, datetime.now(UTC).replace(microsecond=0))
    give(sandbox.volume, sandbox.uid)
    environment = listing.environment()
    before = snapshot(sandbox.volume)

    dry = sandbox.run("prune", "--dry-run", env=environment).check()
    _compare_lines(sandbox, placed, dry.backups)
    _compare_plan(placed, dry.result, dry_run=True)
    assert snapshot(sandbox.volume) == before

    real = sandbox.run("prune", env=environment).check(2 if placed.held_back else 0)
    _compare_lines(sandbox, placed, real.backups)
    _compare_plan(placed, real.result, dry_run=False)
    _compare_volume(placed, before, snapshot(sandbox.volume))

    if placed.held_back:
        return
    again = sandbox.run("prune", env=environment).check()
    assert again.result["deleted"] == []
    _compare_volume(placed, before, snapshot(sandbox.volume))


def test_prune_does_what_the_model_says(offline: Sandbox, combination: Combination) -> None:
    @seed(combinations.ALL.index(combination))
    @PROFILE
    @given(listings())
    def matches(listing: Listing) -> None:
        check(offline, listing)

    matches()


def _on(moments: list[datetime], policy: model.Policy, others: list[Other] | None = None) -> Listing:
    return Listing("postgres-backup", tuple(Item(moment) for moment in moments), tuple(others or ()), policy)


_STRANGE_DAYS = [
    day + timedelta(seconds=step) for day in ANCHORS for step in (-86400, -1, 0, 1, 86400, 3 * 86400, 6 * 86400)
]
_TRAPS = {
    "every strange day, all shown": _on(_STRANGE_DAYS, EVERY_RULE),
    "every strange day, few kept": _on(_STRANGE_DAYS, model.Policy(1, 2, 3, 4, 5, "1h")),
    "weeks only": _on(_STRANGE_DAYS, model.Policy(keep_weekly=9)),
    "every checksum file": Listing(
        "postgres-backup",
        tuple(
            Item(ANCHORS[-1] - timedelta(days=number), checksum_file, damage)
            for number, (checksum_file, damage) in enumerate(product(ChecksumFile, (None, "ends early")))
        ),
        policy=model.Policy(keep_last=3),
    ),
    "every manifest": Listing(
        "postgres-backup",
        tuple(
            Item(ANCHORS[-1] - timedelta(days=number), manifest=manifest, dumped=dumped, missing=missing)
            for number, (manifest, (dumped, missing)) in enumerate(
                product(Manifest, ((("a", "b"), ()), (("a",), ("b",)), (tuple(DATABASES), tuple(DATABASES))))
            )
        ),
        policy=model.Policy(keep_last=3),
    ),
    "dates that do not exist, and names that are nearly ours": _on(
        ANCHORS[4:6],
        model.DEFAULT_POLICY,
        [
            Other(name.encode(), age=2 * HOUR)
            for name in [
                *(f"postgres-backup-{time}.sql.gz{suffix}" for time in IMPOSSIBLE for suffix in ("", ".sha256")),
                *near_names("postgres-backup", ANCHORS[5]),
            ]
        ],
    ),
}


@pytest.mark.parametrize("trap", _TRAPS)
def test_what_chance_may_miss(offline: Sandbox, trap: str) -> None:
    """Complete lists of strange entries, in one volume each."""
    check(offline, _TRAPS[trap])
