# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""One local backup, read once: its hash, its contents, and every failure."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, cast

from .._dump.contents import Contents
from .._dump.decryption import (
    BEGINNING_BYTES,
    BEGINNINGS,
    HEADER_LIMIT,
    DecryptedStream,
    Identities,
    none_opens,
    parse_identities,
)
from .._dump.dump_reader import DumpReader
from .._dump.gzip_reader import READ_BYTES, GzipReader
from .._progress.event import Event
from .._progress.reporter import SILENT, CountedStream, Reporter
from .._volume.backup_names import parse_time, time_in_name
from .._volume.checksum_file import LIMIT_BYTES, SUFFIX, parse_checksum_file
from .._volume.manifest import LIMIT_BYTES as MANIFEST_LIMIT_BYTES
from .._volume.manifest import SUFFIX as MANIFEST_SUFFIX
from .._volume.manifest import Manifest, parse_manifest
from .._volume.recipients import listed, wrong_identity
from ..errors import (
    ChecksumFileError,
    DumpError,
    EncryptionError,
    ExpectationError,
    GzipError,
    IdentityError,
    ManifestError,
    UnreadableError,
)
from ..findings import Failure
from . import expectations
from .expectations import Expectations, Facts
from .identity_file import identity_text

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


def read_identities(identity: str | None, identity_file: str | None) -> Identities:
    """The identities of a text or of a file, none without both; raises IdentityError."""
    text = identity_text(identity, identity_file)
    return () if text is None else parse_identities(text)


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
    identities: Identities = (),
    public_keys: Sequence[str] = (),
    reporter: Reporter = SILENT,
) -> Verification:
    """Read the file once and compare it with everything that is expected of it; the bytes read are reported.

    An encrypted file needs one of the identities of its recipients; `public_keys` are those of the identities.

    Raises UnreadableError when there is nothing to read, ExpectationError for expectations that nothing can meet, and
    IdentityError, before the file is read, if neither its manifest nor its header is for one of the identities;
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
        manifest = _manifest_next_to(path)
        wrong = wrong_identity(public_keys, manifest.recipients if manifest else (), Path(path).name)
        if wrong and none_opens(io.BytesIO(os.pread(stream.fileno(), HEADER_LIMIT, 0)), identities):
            raise IdentityError(wrong)
        meter = reporter.meter(Event("verify", done_bytes=0, total_bytes=size))
        actual_hash, contents, damage = read_backup(
            cast(BinaryIO, CountedStream(stream, meter)), identities, manifest.size_bytes if manifest else None
        )
    failures += [_with_recipients(failure, manifest) for failure in damage]
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


def _manifest_next_to(path: str) -> Manifest | None:
    """The manifest next to the file, if there is one; its size shows whether the file is cut off."""
    try:
        with open_backup(path + MANIFEST_SUFFIX) as stream:
            return parse_manifest(stream.read(MANIFEST_LIMIT_BYTES), Path(path).name)
    except (OSError, UnreadableError, ManifestError):
        return None


def _with_recipients(failure: Failure, manifest: Manifest | None) -> Failure:
    if failure.check != IdentityError.check:
        return failure
    return replace(failure, message=failure.message + expected_recipients(manifest))


def expected_recipients(manifest: Manifest | None) -> str:
    """The end of the message of an IdentityError: whose identities are expected; empty if that is not known."""
    recipients = manifest.recipients if manifest else ()
    return f": {listed(recipients)}" if recipients else ""


def read_backup(
    stream: BinaryIO, identities: Identities = (), expected_bytes: int | None = None
) -> tuple[str | None, Contents, list[Failure]]:
    """The sha256, the contents as far as they can be read, and what is wrong with them.

    The hash is None when the stream could not be read to its end. `expected_bytes` is the size of the file, if that is
    known.
    """
    dump = DumpReader()
    failures: list[Failure] = []
    beginning = _Beginning(stream)
    if not beginning.is_encrypted:
        reader = GzipReader(cast(BinaryIO, beginning))
        contents = _read(reader, dump, failures)
        return reader.sha256, contents, failures
    if not identities:
        return _without_identity(beginning), dump.contents(), [Failure(IdentityError.check, _NO_IDENTITY)]
    decrypted = DecryptedStream(cast(BinaryIO, beginning), identities, expected_bytes)
    contents = _read(GzipReader(cast(BinaryIO, decrypted)), dump, failures)
    # What they call the file is what was decrypted.
    failures = [
        replace(one, message=f"decrypted, {one.message}") if one.check == GzipError.check else one for one in failures
    ]
    return decrypted.sha256, contents, failures


_NO_IDENTITY = (
    "the file is encrypted, so its contents were not checked: expected an identity, the private key of one of its "
    "recipients, found none. Give that of one of the recipients (the option identity or identity_file of the module, "
    "-e postgres_backup_identity_file=PATH of the playbook)"
)


def _without_identity(stream: _Beginning) -> str | None:
    """The sha256 of an encrypted file, None where it cannot be read to its end."""
    sha256 = hashlib.sha256()
    try:
        while data := stream.read(READ_BYTES):
            sha256.update(data)
    except OSError:
        return None
    return sha256.hexdigest()


class _Beginning:
    """A stream whose first bytes were read already."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._first = b""
        try:
            # As much as any other piece: each is reported.
            while len(self._first) < BEGINNING_BYTES and (data := stream.read(READ_BYTES)):
                self._first += data
            self._error: OSError | None = None
        except OSError as error:
            self._error = error
        self.is_encrypted = self._first.startswith(BEGINNINGS)

    def read(self, number: int) -> bytes:
        if self._error is not None:
            raise self._error
        if self._first:
            data, self._first = self._first[:number], self._first[number:]
            return data
        return self._stream.read(number)


def _read(reader: GzipReader, dump: DumpReader, failures: list[Failure]) -> Contents:
    """The contents, as far as they can be read; what is wrong goes to `failures`."""
    try:
        for chunk in reader:
            dump.feed(chunk)
    except (GzipError, EncryptionError, UnreadableError) as error:
        failures.append(Failure(error.check, str(error)))
        return dump.contents()
    try:
        return dump.finish()
    except DumpError as error:
        failures.append(Failure(error.check, str(error)))
        return dump.contents()
