# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Hypothesis strategies for volumes and policies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from . import retention_model as model
from .listing import ChecksumFile, Item, Kind, Listing, Manifest, Other
from .volume import HOUR, backup_name

PREFIXES = ("postgres-backup", "pg.backup", "a", "backup-2026", "x-2026-01-01-000000.sql.gz")

# Days around which calendars are strange.
ANCHORS = [
    datetime(1, 1, 2, tzinfo=UTC),
    datetime(1600, 2, 29, 12, tzinfo=UTC),
    datetime(1900, 3, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2000, 2, 29, tzinfo=UTC),
    datetime(2009, 12, 31, tzinfo=UTC),  # week 53
    datetime(2010, 1, 3, 23, 59, 59, tzinfo=UTC),  # still week 53 of 2009
    datetime(2012, 1, 1, tzinfo=UTC),  # week 52 of 2011
    datetime(2014, 12, 29, tzinfo=UTC),  # week 1 of 2015
    datetime(2016, 1, 1, tzinfo=UTC),  # week 53 of 2015
    datetime(2018, 12, 31, tzinfo=UTC),  # week 1 of 2019
    datetime(2020, 2, 29, 2, tzinfo=UTC),
    datetime(2020, 12, 31, 23, 59, 59, tzinfo=UTC),  # week 53
    datetime(2021, 1, 1, tzinfo=UTC),  # week 53 of 2020
    datetime(2023, 1, 1, 2, tzinfo=UTC),  # week 52 of 2022
    datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
    datetime(2024, 12, 30, tzinfo=UTC),  # week 1 of 2025
    datetime(2025, 3, 31, 2, tzinfo=UTC),
]
_STEPS = [1, 1, 59, 3600, 43200, 86399, 86400, 86400, 86401, 2 * 86400, 7 * 86400, 30 * 86400, 31 * 86400, 365 * 86400]
# Relative to now: well inside the tolerance of 300 s, or well outside, since a run takes its time.
_NEAR_NOW = st.one_of(st.integers(-3 * 86400, 220), st.integers(400, 10 * 86400), st.just(9 * 365 * 86400))
_DAMAGES = [
    'gzip: "x": unexpected end',
    "back\\slash and\ttab",
    "ends early",
    "$(id) `id` %s %d %%",
    "a: b  c ",
    "\\",
    "'",
]


@st.composite
def _absolute_moments(draw: st.DrawFn) -> list[datetime]:
    """A history going back from a strange day, in steps within, or across, a second, a day, a week, a year."""
    moment = draw(st.sampled_from(ANCHORS)) + timedelta(seconds=draw(st.sampled_from([0, 1, 86399, 86400, 5 * 86400])))
    moments = [moment]
    for step in draw(st.lists(st.sampled_from(_STEPS), min_size=draw(st.sampled_from([0, 4, 9])), max_size=16)):
        try:
            moment -= timedelta(seconds=step)
        except OverflowError:
            break
        moments.append(moment)
    return moments


_histories = st.one_of(
    _absolute_moments(),
    st.lists(_NEAR_NOW, min_size=1, max_size=6),
    st.lists(
        st.datetimes(datetime(1, 1, 1), datetime(2025, 12, 31), timezones=st.just(UTC)), min_size=1, max_size=4
    ).map(lambda moments: [moment.replace(microsecond=0) for moment in moments]),
    st.just([datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]),
)


# Names of databases that are hard to read in a list of JSON strings.
DATABASES = [
    "a", "b", ",", '"', '","', 'a",', "\\", '\\"', '],"missing":[', '],"left_out":true,',
    "\u00fc", "\U0001f4be", "\x01", " ",
]  # fmt: skip
_databases = st.lists(st.sampled_from(["a", "b", *DATABASES]), max_size=4, unique=True).map(tuple)


@st.composite
def _items(draw: st.DrawFn) -> list[Item]:
    items = []
    for moments in draw(st.lists(_histories, max_size=3)):
        for when in moments:
            checksum_file = draw(
                st.one_of(st.just(ChecksumFile.EXACT), st.just(ChecksumFile.EXACT), st.sampled_from(ChecksumFile))
            )
            damage = draw(st.one_of(st.none(), st.none(), st.none(), st.sampled_from(_DAMAGES)))
            pinned = draw(st.sampled_from([False] * 7 + [True]))
            manifest = draw(st.sampled_from([Manifest.EXACT] * 20 + [Manifest.NONE] * 10 + list(Manifest)))
            dumped = draw(_databases)
            missing = draw(st.one_of(st.just(()), _databases))
            size = draw(st.integers(0, 255))
            items.append(Item(when, checksum_file, damage, pinned, size, manifest, dumped, missing))
    return items


IMPOSSIBLE = [
    "2026-02-30-000000", "2026-02-29-000000", "1900-02-29-000000", "2024-13-01-000000", "2024-00-10-000000",
    "2024-04-31-000000", "2024-01-00-000000", "2024-01-01-240000", "2024-01-01-006000", "2024-01-01-000060",
    "2016-12-31-235960", "20240101-000000", "2024-1-1-000000", "2024-01-01-00000", "2024-01-01-0000000",
    "2024-01-01T000000", "02024-01-01-000000", "-024-01-01-000000", "2024-01-01- 12345", "2024-01-01-+12345",
    "\N{FULLWIDTH DIGIT TWO}024-01-01-000000",
]  # fmt: skip


def near_names(prefix: str, moment: datetime) -> list[str]:
    """Names that are nearly a backup's."""
    near = backup_name(prefix, moment)
    stem = near.removesuffix(".sql.gz")
    return [
        f"{near}\n", f"\n{near}", f"a\n{near}", f"{near}\n{near}", f" {near}", f"{near} ", f"-{near}", f"--{near}",
        f"x{near}", f"{near}.sha256 ", f"{near}.sha256\n", f"{near}.old", f"{near}.gz", f".{near}",
        f".{near}.pod.partial", f"{stem}.sql", f"{stem}.sql.gzip", f"{stem}.SQL.GZ", f"{stem}Xsql.gz",
        f"{stem}.sqlXgz", near.replace("-", "_"), near.upper(), f"{near}.keep.sha256",
        f"{near}.sha256.sha256", f"{near}.damaged.keep", f"{near}.deleted",
        f"{near}.json ", f"{near}.json.sha256", f"{near}.sha256.json",
    ]  # fmt: skip


@st.composite
def _foreign_names(draw: st.DrawFn, prefix: str) -> bytes:
    """A name that is not a backup's, most of them nearly."""
    moment = draw(st.sampled_from(ANCHORS))
    name = draw(
        st.one_of(
            st.sampled_from(IMPOSSIBLE).map(lambda time: f"{prefix}-{time}.sql.gz"),
            st.sampled_from(IMPOSSIBLE).map(lambda time: f"{prefix}-{time}.sql.gz.sha256"),
            st.sampled_from(near_names(prefix, moment)),
            st.sampled_from(
                [f"{prefix}-test", f"{prefix}2", f"my-{prefix}", prefix[:-1], f"{prefix}-", prefix.replace(".", "X")]
            )
            .filter(lambda other: other != prefix)
            .map(lambda other: backup_name(other, moment)),
            st.sampled_from(["-rf", "--", "-", "*", "?", "a b", " ", "new\nline", "\\", "\\n", "'", '"', "$(id)",
                             "last-run.json.old", "last-run.json", "a.last-run.json",
                             "lost+found", "@eaDir", "#recycle", ".nfs0000000000000001", "ünï", "%s", "tab\t", "\x01"]),
        )
    )  # fmt: skip
    raw = name.encode()
    if draw(st.sampled_from([False] * 15 + [True])):
        raw += b"\xff"
    return raw


@st.composite
def _others(draw: st.DrawFn, prefix: str) -> list[Other]:
    others = []
    for _ in range(draw(st.integers(0, 6))):
        age = draw(st.sampled_from([0, HOUR - 300, HOUR + 300, 400 * 86400]))
        choice = draw(st.sampled_from(["foreign", "foreign", "orphan", "odd kind"]))
        if choice == "foreign":
            kind = draw(st.sampled_from([Kind.FILE, Kind.FILE, *Kind]))
            others.append(Other(draw(_foreign_names(prefix)), kind, age))
        elif choice == "orphan":
            suffix = draw(st.sampled_from([".sha256", ".damaged", ".keep", ".json"]))
            others.append(
                Other((backup_name(prefix, draw(st.sampled_from(ANCHORS))) + suffix).encode(), Kind.FILE, age)
            )
        else:
            kind = draw(st.sampled_from([Kind.FOLDER, Kind.LINK, Kind.FIFO]))
            name = backup_name(prefix, draw(st.sampled_from(ANCHORS)) + timedelta(hours=5)).encode()
            others.append(Other(name, kind, age))
            if draw(st.booleans()):
                others.append(Other(name + draw(st.sampled_from([b".sha256", b".json"])), Kind.FILE, age))
    return others


_counts = st.one_of(st.sampled_from([0, 0, 1, 2, 3, 7]), st.integers(0, 40), st.just(100_000_000))
_durations = st.one_of(
    st.just(""),
    st.just(""),
    st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 90), st.sampled_from("smhdw")),
    st.sampled_from(["86400s", "999999s", "9000w"]),
)
_limits = st.sampled_from([None, None, 0, 1, 3, 10, 1000])
policies = st.builds(model.Policy, _counts, _counts, _counts, _counts, _counts, _durations, _limits).filter(
    lambda policy: policy != model.Policy(max_deletions=policy.max_deletions)
)


# So much of every rule that each backup shows the period that it stands for.
EVERY_RULE = model.Policy(1, 40, 40, 40, 40, "90d")


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    """Any volume under any policy."""
    prefix = draw(st.sampled_from(PREFIXES))
    policy = draw(st.one_of(st.just(model.DEFAULT_POLICY), st.just(EVERY_RULE), policies, policies))
    return Listing(prefix, tuple(draw(_items())), tuple(draw(_others(prefix))), policy)
