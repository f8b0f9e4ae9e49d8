# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A volume's content as a value: made by Hypothesis, put on a real directory, judged by the model."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path

from . import retention_model as model
from .volume import HOUR, backup_name

Json = dict[str, object]


class ChecksumFile(Enum):
    """What may be next to a backup as `.sha256`: its text, and whether that makes the backup complete."""

    EXACT = ("{hash}  {name}\n", True)
    NO_NEWLINE = ("{hash}  {name}", True)
    MORE_LINES = ("{hash}  {name}\nsomething else\n", True)
    NONE = (None, False)
    EMPTY = ("", False)
    OTHER_NAME = ("{hash}  x{name}\n", False)
    LONGER_NAME = ("{hash}  {name}.old\n", False)
    IN_FOLDER = ("{hash}  ./{name}\n", False)
    ONE_SPACE = ("{hash} {name}\n", False)
    THREE_SPACES = ("{hash}   {name}\n", False)
    TAB = ("{hash}\t{name}\n", False)
    BINARY_MARK = ("{hash} *{name}\n", False)
    SHORT_HASH = ("{hash:.63}  {name}\n", False)
    LONG_HASH = ("{hash}0  {name}\n", False)
    NO_HASH = ("{name}\n", False)
    NOT_HEX = ("g{hash:.63}  {name}\n", False)
    INDENTED = (" {hash}  {name}\n", False)
    TRAILING_SPACE = ("{hash}  {name} \n", False)
    DOS = ("{hash}  {name}\r\n", False)
    ESCAPED = ("\\{hash}  {name}\n", False)
    SECOND_LINE = ("rubbish\n{hash}  {name}\n", False)
    EMPTY_FIRST_LINE = ("\n{hash}  {name}\n", False)
    ZEROS = ("\0" * 100, False)
    FOLDER = ("folder", False)
    FIFO = ("fifo", False)
    LINK = ("{hash}  {name}\n", False)

    @property
    def text(self) -> str:
        text: str | None = self.value[0]
        return text or ""

    @property
    def complete(self) -> bool:
        complete: bool = self.value[1]
        return complete


class Manifest(Enum):
    """What may be next to a backup as `.json`: whether its state counts, and whether its lists do.

    In the text, `summary` is what a run writes first: `{{"format":1,"backup":…,"state":…,"dumped":…,"left_out":…`.
    """

    EXACT = ('{summary},\n"sha256":1}}\n', True, True)
    ONLY_A_SUMMARY = ("{summary}}}", True, True)
    NEWER = ('{newer},"more":[{{}}],\n}}\n', True, True)
    LONG = ("{summary},{long}\n}}\n", True, True)
    NONE = (None, False, False)
    EMPTY = ("", False, False)
    RUBBISH = ("rubbish\n", False, False)
    ZEROS = ("\0" * 100, False, False)
    BYTES = ("\u00ff{summary},\n", False, False)
    OTHER_BACKUP = ("{other},\n}}\n", False, False)
    INDENTED = (" {summary},\n}}\n", False, False)
    SECOND_LINE = ("\n{summary},\n}}\n", False, False)
    OTHER_STATE = ("{other_state},\n}}\n", False, False)
    CUT_IN_STATE = ("{cut_in_state}", False, False)
    CUT_IN_LISTS = ("{cut_in_lists}", True, False)
    NOT_A_LIST = ("{not_a_list},\n}}\n", True, False)
    WITH_TAB = ('{summary},"\t"\n}}\n', False, False)
    TOO_LARGE = ("{summary},\n}}\n", False, False)
    FOLDER = ("folder", False, False)
    FIFO = ("fifo", False, False)
    LINK = ("{summary},\n}}\n", False, False)

    @property
    def has_state(self) -> bool:
        has_state: bool = self.value[1]
        return has_state

    @property
    def has_lists(self) -> bool:
        has_lists: bool = self.value[2]
        return has_lists

    def text(self, name: str, state: str, dumped: tuple[str, ...], missing: tuple[str, ...]) -> str:
        def summary(backup: str = name, state: str = state, version: int = 1) -> str:
            lists = json.dumps({"dumped": dumped, "missing": missing}, separators=(",", ":"))[1:-1]
            return f'{{"format":{version},"backup":"{backup}","state":"{state}",{lists},"left_out":{_left_out(dumped)}'

        text: str = self.value[0]
        return text.format(
            summary=summary(),
            newer=summary(version=12),
            other=summary(backup=f"x{name}"),
            other_state=summary(state="complet"),
            cut_in_state=summary().partition('complete"')[0] + "complete",
            cut_in_lists=summary().partition('"missing"')[0],
            not_a_list=summary().replace('"missing":[', '"missing":[{},'),
            long="x" * 200_000,
        )


def _left_out(dumped: tuple[str, ...]) -> str:
    return "true" if len(dumped) % 2 else "false"


@dataclass(frozen=True)
class Item:
    """One backup on the volume. A number is a moment relative to now, in seconds."""

    when: datetime | int
    checksum_file: ChecksumFile = ChecksumFile.EXACT
    damage: str | None = None
    pinned: bool = False
    size: int = 20
    manifest: Manifest = Manifest.NONE
    dumped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def created(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.when) if isinstance(self.when, int) else self.when

    @property
    def state(self) -> model.State:
        if self.checksum_file.complete:
            return model.State.INCOMPLETE if self.missing and self.manifest.has_state else model.State.COMPLETE
        return model.State.UNCHECKED if self.damage is None else model.State.DAMAGED

    @property
    def has_lists(self) -> bool:
        return self.checksum_file.complete and self.manifest.has_lists

    def key(self, now: datetime) -> model.Backup:
        """The backup as the model has it."""
        lists = (self.dumped, self.missing) if self.has_lists else (None, None)
        return model.Backup(self.created(now), self.state, self.pinned, self.damage or "", *lists)

    def hash(self) -> str:
        return f"{self.size:02x}" * 32


class Kind(Enum):
    """What a directory entry can be."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    FIFO = "fifo"


@dataclass(frozen=True)
class Other:
    """An entry that is not a backup: foreign, or a checksum file without its backup."""

    name: bytes
    kind: Kind = Kind.FILE
    age: int = 0


@dataclass(frozen=True)
class Listing:
    """Everything on a volume."""

    prefix: str
    items: tuple[Item, ...] = ()
    others: tuple[Other, ...] = ()
    policy: model.Policy = field(default=model.DEFAULT_POLICY)

    def environment(self) -> dict[str, str | None]:
        policy = self.policy
        return {
            "POSTGRES_BACKUP_NAME": self.prefix,
            "POSTGRES_BACKUP_KEEP_LAST": str(policy.keep_last),
            "POSTGRES_BACKUP_KEEP_DAILY": str(policy.keep_daily),
            "POSTGRES_BACKUP_KEEP_WEEKLY": str(policy.keep_weekly),
            "POSTGRES_BACKUP_KEEP_MONTHLY": str(policy.keep_monthly),
            "POSTGRES_BACKUP_KEEP_YEARLY": str(policy.keep_yearly),
            "POSTGRES_BACKUP_KEEP_WITHIN": policy.keep_within,
            "POSTGRES_BACKUP_MAX_DELETIONS": "" if policy.max_deletions is None else str(policy.max_deletions),
        }


_IRREGULAR = (ChecksumFile.FOLDER, ChecksumFile.FIFO, ChecksumFile.LINK)
_IRREGULAR_MANIFESTS = (Manifest.FOLDER, Manifest.FIFO, Manifest.LINK)


def _make(path: bytes, kind: Kind, age: int, now: datetime) -> None:
    if kind is Kind.FOLDER:
        os.mkdir(path)
    elif kind is Kind.LINK:
        os.symlink(b"/etc/hostname", path)
    elif kind is Kind.FIFO:
        os.mkfifo(path)
    else:
        with open(path, "wb") as stream:
            stream.write(b"foreign " + os.path.basename(path))
    when = now.timestamp() - age
    os.utime(path, (when, when), follow_symlinks=False)


def _make_checksum_file(path: Path, item: Item, name: str) -> None:
    if item.checksum_file is ChecksumFile.NONE:
        return
    text = item.checksum_file.text.format(hash=item.hash(), name=name)
    _make_text(path, item.checksum_file.name, text, f"target-of-{name}")


def _make_manifest(path: Path, item: Item, name: str) -> None:
    if item.manifest is Manifest.NONE:
        return
    state = "incomplete" if item.missing else "complete"
    text = item.manifest.text(name, state, item.dumped, item.missing)
    _make_text(path, item.manifest.name, text, f"manifest-of-{name}")
    if item.manifest is Manifest.TOO_LARGE:
        os.truncate(path, 1 << 24)


def _make_text(path: Path, kind: str, text: str, target_name: str) -> None:
    """A file with the text, or what the kind names in its place; a link leads to a file with the text."""
    if kind == Kind.FOLDER.name:
        path.mkdir()
    elif kind == Kind.FIFO.name:
        os.mkfifo(path)
    elif kind == Kind.LINK.name:
        (path.parent / target_name).write_text(text)
        path.symlink_to(target_name)
    else:
        path.write_bytes(text.encode())


@dataclass(frozen=True)
class Placed:
    """A listing that lies on a real directory, and what must become of it."""

    listing: Listing
    now: datetime
    names: dict[str, Item]
    verdicts: dict[str, model.Verdict]
    orphans: frozenset[str]
    # Checksum files and manifests of deleted backups that are not regular files: the specification leaves them open.
    tolerated: frozenset[str]
    held_back: int

    @property
    def planned(self) -> set[str]:
        return {name for name, verdict in self.verdicts.items() if not verdict.keep}

    @property
    def removed(self) -> set[str]:
        """Every entry that `prune` removes if the brake does not hold it back."""
        beside = {name + suffix for name in self.planned for suffix in (".sha256", ".damaged", ".json")}
        return self.planned | beside | self.orphans

    def lines(self) -> list[Json]:
        """The backup lines that `list` and `prune` print."""
        created = {name: item.created(self.now) for name, item in self.names.items()}
        return [
            {
                "type": "backup",
                "name": name,
                "created": f"{created[name].year:04d}-{created[name]:%m-%dT%H:%M:%SZ}",
                "size_bytes": item.size,
                "sha256": item.hash() if item.checksum_file.complete else None,
                "state": item.state.value,
                "future": created[name] - self.now > model.FUTURE_TOLERANCE,
                "verdict": "keep" if self.verdicts[name].keep else "delete",
                "reasons": list(self.verdicts[name].reasons),
                "encrypted": name.endswith(".age"),
                "manifest": item.has_lists,
                "dumped": list(item.dumped) if item.has_lists else None,
                "missing": list(item.missing) if item.has_lists else None,
                "left_out": _left_out(item.dumped) == "true" if item.has_lists else None,
            }
            for name, item in sorted(self.names.items(), key=lambda pair: created[pair[0]], reverse=True)
        ]


def place(listing: Listing, volume: Path, now: datetime) -> Placed:
    """Put a listing on an empty directory. Of two entries with one name the first wins."""
    names: dict[str, Item] = {}
    for item in listing.items:
        try:
            name = backup_name(listing.prefix, item.created(now))
        except OverflowError:
            continue
        if names.setdefault(name, item) is not item:
            continue
        (volume / name).write_bytes(b"x" * item.size)
        _make_checksum_file(volume / f"{name}.sha256", item, name)
        _make_manifest(volume / f"{name}.json", item, name)
        if item.damage is not None:
            (volume / f"{name}.damaged").write_text(f"{item.damage}\nmore\n", encoding="utf-8")
        if item.pinned:
            (volume / f"{name}.keep").touch()
    made: list[Other] = []
    for other in listing.others:
        path = os.path.join(os.fsencode(volume), other.name)
        if os.path.lexists(path) or _belongs_to(other, names):
            continue
        _make(path, other.kind, other.age, now)
        made.append(other)
    orphans = frozenset(os.fsdecode(other.name) for other in made if _is_aged_orphan(listing.prefix, other, volume))
    keys = {name: item.key(now) for name, item in names.items()}
    judged = model.judge(keys.values(), listing.policy, now)
    odd = [f"{name}.sha256" for name, item in names.items() if item.checksum_file in _IRREGULAR]
    odd += [f"{name}.json" for name, item in names.items() if item.manifest in _IRREGULAR_MANIFESTS]
    verdicts = {name: judged[key] for name, key in keys.items()}
    held_back = model.held_back(keys.values(), listing.policy, now)
    return Placed(listing, now, names, verdicts, orphans, frozenset(odd), held_back)


def _belongs_to(other: Other, names: dict[str, Item]) -> bool:
    """Whether an entry has the name of a backup's checksum file."""
    backup, _, suffix = os.fsdecode(other.name).rpartition(".")
    return suffix in ("sha256", "damaged", "keep", "json") and backup in names


def _is_aged_orphan(prefix: str, other: Other, volume: Path) -> bool:
    """A checksum file or a manifest of ours, an hour old, whose backup does not exist."""
    name = os.fsdecode(other.name)
    backup, _, suffix = name.rpartition(".")
    if other.kind is not Kind.FILE or other.age <= HOUR or suffix not in ("sha256", "damaged", "json"):
        return False
    if not is_backup_name(prefix, backup):
        return False
    return not os.path.lexists(volume / backup)


def is_backup_name(prefix: str, name: str) -> bool:
    """Whether a name is a backup's, by writing the time that it seems to hold and comparing."""
    digits = name.removeprefix(f"{prefix}-").removesuffix(".sql.gz")
    try:
        moment = datetime.strptime(digits, "%Y-%m-%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return False
    return backup_name(prefix, moment) == name
