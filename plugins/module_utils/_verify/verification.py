# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""One local backup, read once: its hash, its contents, and every failure."""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

from .._dump.contents import Contents
from .._dump.dump_reader import DumpReader
from .._dump.gzip_reader import GzipReader
from .._progress.event import Event
from .._progress.reporter import SILENT, CountedStream, Reporter
from .._volume.backup_names import parse_time, time_in_name
from .._volume.checksum_file import LIMIT_BYTES, SUFFIX, parse_checksum_file
from ..errors import ChecksumFileError, DumpError, ExpectationError, GzipError, UnreadableError
from ..findings import Failure
from . import expectations
from .expectations import Expectations, Facts

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class Verification:
    """The result for one backup; `sha256` is the file's hash.

    `expected_sha256_from` is the source of the expected hash: `sha256` (the option), `sidecar` (the checksum file) or
    None where there is none.
    """

    path: str
    size_bytes: int
    sha256: str | None
    expected_sha256_from: str | None
    created: datetime | None
    contents: Contents
    failures: tuple[Failure, ...]


def open_backup(path: str) -> BinaryIO:
    """The file, opened for reading; raises UnreadableError for everything that is not a readable regular file."""
    try:
        # Opening a fifo would wait for a writer.
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            raise UnreadableError(f"{path} is {_kind(mode)}: expected a backup file{_directory_format(path)}")
        return Path(path).open("rb", buffering=0)
    except OSError as error:
        raise UnreadableError(_unreadable(path, error)) from error


def _directory_format(path: str) -> str:
    """What to do with what pg_dump --format=directory wrote."""
    if not (Path(path) / "toc.dat").exists():
        return ""
    return ". It is pg_dump's directory format, which pg_restore reads; dump with --format=plain"


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    return next((name for is_kind, name in kinds if is_kind(mode)), "not a regular file")


def _unreadable(path: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return f"{path} does not exist: expected a backup file. Check the path"
    if error.errno == errno.EACCES:
        return f"{path} cannot be read by user id {os.geteuid()}: change its mode, or become another user"
    return f"{path} cannot be read: {error.strerror}"


def expected_sha256(path: str, sha256: str | None, sidecar: str) -> tuple[str | None, str | None]:
    """The sha256 that the backup should have, and its source: `sha256`, `sidecar` or None.

    `sidecar` is `auto` (use a checksum file that exists), `required` or `ignore`. Raises ChecksumFileError.
    """
    if sha256 is not None:
        return sha256.lower(), "sha256"
    if sidecar == "ignore":
        return None, None
    checksum_file = path + SUFFIX
    try:
        with open_backup(checksum_file) as stream:
            return parse_checksum_file(stream.read(LIMIT_BYTES), Path(path).name), "sidecar"
    except OSError as error:
        raise ChecksumFileError(f"the checksum file {_unreadable(checksum_file, error)}") from error
    except UnreadableError as error:
        if sidecar == "auto" and not os.path.lexists(checksum_file):
            return None, None
        raise ChecksumFileError(f"the checksum file {error}") from error


def verify(
    path: str,
    expected: Expectations,
    now: datetime,
    sha256: str | None,
    sidecar: str,
    *,
    reporter: Reporter = SILENT,
) -> Verification:
    """Read the file once and compare it with everything that is expected of it; the bytes read are reported.

    Raises UnreadableError when there is nothing to read, ExpectationError for expectations that nothing can meet;
    everything else is a failure in the result.
    """
    expectations.require_usable(expected)
    if sha256 is not None and _SHA256.fullmatch(sha256) is None:
        raise ExpectationError(f"sha256: expected 64 hexadecimal digits, found '{sha256}'")
    failures: list[Failure] = []
    expected_hash = source = None
    with open_backup(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            expected_hash, source = expected_sha256(path, sha256, sidecar)
        except ChecksumFileError as error:
            failures.append(Failure(error.check, str(error)))
        meter = reporter.meter(Event("verify", done_bytes=0, total_bytes=size))
        actual_hash, contents, damage = read_backup(cast(BinaryIO, CountedStream(stream, meter)))
    failures += damage
    if expected_hash is not None and actual_hash is not None and actual_hash != expected_hash:
        failures.insert(
            0,
            Failure(
                "sha256",
                f"the file is not the one that was made: expected the sha256 {expected_hash} "
                f"({_SOURCES[str(source)]}), found {actual_hash}. Copy it again; if the copy on the volume differs "
                "too, use another backup",
            ),
        )
    created = parse_time(contents.header.started) if contents.header and contents.header.started else None
    facts = Facts(size_bytes=size, created=created or time_in_name(Path(path).name), now=now)
    failures += expectations.check(expected, facts, contents)
    return Verification(
        path=path,
        size_bytes=size,
        sha256=actual_hash,
        expected_sha256_from=source,
        created=facts.created,
        contents=contents,
        failures=tuple(failures),
    )


_SOURCES = {"sha256": "given", "sidecar": "in its checksum file"}


def read_backup(stream: BinaryIO) -> tuple[str | None, Contents, list[Failure]]:
    """The sha256, the contents as far as they can be read, and what is wrong with them.

    The hash is None when the stream could not be read to its end.
    """
    reader, dump = GzipReader(stream), DumpReader()
    failures: list[Failure] = []
    contents = _read(reader, dump, failures)
    return reader.sha256, contents, failures


def _read(reader: GzipReader, dump: DumpReader, failures: list[Failure]) -> Contents:
    """The contents, as far as they can be read; what is wrong goes to `failures`."""
    try:
        for chunk in reader:
            dump.feed(chunk)
    except (GzipError, UnreadableError) as error:
        failures.append(Failure(error.check, str(error)))
        return dump.contents()
    try:
        return dump.finish()
    except DumpError as error:
        failures.append(Failure(error.check, str(error)))
        return dump.contents()
