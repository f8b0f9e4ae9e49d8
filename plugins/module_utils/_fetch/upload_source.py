# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The local file of an upload: what it is, its hash, its checksum file and its manifest, and its name on the volume."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .._dump.decryption import BEGINNING_BYTES, BEGINNINGS
from .._progress.event import Event
from .._progress.reporter import SILENT, Reporter
from .._volume.backup_names import backup_name, is_encrypted_name, prefix_in_name, time_in_name
from .._volume.checksum_file import LIMIT_BYTES, SUFFIX, format_checksum_file, parse_checksum_file
from .._volume.manifest import parse_manifest
from .._volume.recipients import wrong_identity
from ..errors import ChecksumFileError, IdentityError, ManifestError, SourceError
from .destination import read_manifest

_READ_BYTES = 1 << 20
_PIECE_BYTES = 1 << 17
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class LocalBackup:
    """A local file that is to be uploaded as `name`.

    `checksum_file` is the content of the one that it gets on the volume, None if nothing proves that the file is a
    complete backup; `manifest` is None if there is none. `identity` differs if the file was replaced meanwhile.
    """

    path: str
    name: str
    size_bytes: int
    sha256: str
    checksum_file: bytes | None
    manifest: bytes | None
    identity: tuple[int, int, int, int]
    warnings: tuple[str, ...] = ()

    def pieces(self, offset: int) -> Iterator[memoryview]:
        """The file's bytes from `offset` to its end; raises SourceError if the file was changed or replaced."""
        with _opened(self.path) as stream:
            if _identity(os.fstat(stream.fileno())) != self.identity:
                raise SourceError(
                    f"{self.path} changed during the upload: wait until nothing writes to it, and run it again"
                )
            stream.seek(offset)
            left = self.size_bytes - offset
            while left:
                data = stream.read(min(_PIECE_BYTES, left))
                if not data:
                    raise SourceError(
                        f"{self.path} became shorter during the upload: run it again when nothing writes to it"
                    )
                left -= len(data)
                yield memoryview(data)

    def sha256_of_beginning(self, length: int) -> str:
        """The hash of the first `length` bytes."""
        if length == self.size_bytes:
            return self.sha256
        result = hashlib.sha256()
        with _opened(self.path) as stream:
            while length and (data := stream.read(min(_READ_BYTES, length))):
                result.update(data)
                length -= len(data)
        return result.hexdigest()


def read_source(
    path: str,
    installation: str | None,
    *,
    rename: bool,
    public_keys: Sequence[str] = (),
    reporter: Reporter = SILENT,
) -> LocalBackup:
    """The local file, after it was hashed and compared with its checksum file and its manifest.

    `installation` is the name with which its backups begin; None if there is none yet, then any name is accepted. With
    `rename`, the backup gets a name of the installation. Raises SourceError and ChecksumFileError, and IdentityError if
    identities with these public keys certainly do not decrypt it.
    """
    local_name = Path(path).name
    name = _name_on_volume(path, local_name, installation, rename)
    with _opened(path) as stream:
        status = os.fstat(stream.fileno())
        result = hashlib.sha256()
        beginning = stream.read(BEGINNING_BYTES)
        _require_kind(path, beginning, is_encrypted_name(local_name))
        result.update(beginning)
        meter = reporter.meter(Event("read_local", done_bytes=len(beginning), total_bytes=status.st_size))
        while data := stream.read(_READ_BYTES):
            result.update(data)
            meter.add(len(data))
        if _identity(os.fstat(stream.fileno())) != _identity(status):
            raise SourceError(f"{path} changed while it was read: wait until nothing writes to it, and run it again")
    sha256 = result.hexdigest()
    is_proven = _compare_checksum_file(path, local_name, sha256)
    manifest, warning = _manifest(path, local_name, name, sha256)
    if manifest and (wrong := wrong_identity(public_keys, parse_manifest(manifest, name).recipients, local_name)):
        raise IdentityError(wrong)
    return LocalBackup(
        path=path,
        name=name,
        size_bytes=status.st_size,
        sha256=sha256,
        checksum_file=format_checksum_file(sha256, name) if is_proven or manifest is not None else None,
        manifest=manifest,
        identity=_identity(status),
        warnings=(warning,) if warning else (),
    )


def _require_kind(path: str, beginning: bytes, has_encrypted_name: bool) -> None:
    """Raises SourceError unless the file begins as its name ends: with gzip data, or .age with the header of age."""
    is_encrypted = beginning.startswith(BEGINNINGS)
    if not is_encrypted and not beginning.startswith(_GZIP_MAGIC):
        raise SourceError(
            f"{path} is not a backup: expected a gzip file, or one that age has encrypted, found "
            f"{'other data' if beginning else 'nothing'}"
        )
    if is_encrypted and not has_encrypted_name:
        raise SourceError(f"{path} is encrypted: expected a name that ends in .sql.gz.age. Rename the file")
    if has_encrypted_name and not is_encrypted:
        raise SourceError(f"{path} is not encrypted: expected a name that ends in .sql.gz. Rename the file")


def _opened(path: str):  # type: ignore[no-untyped-def]  # a raw file
    """The file, open for reading; raises SourceError for anything but a regular file that can be read."""
    try:
        # A pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SourceError(f"{_shown(path)} cannot be read: {error.strerror}. Check src") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(
            f"{_shown(path)} is not a file: expected a backup, found a folder, a pipe or a device. Check src"
        )
    return os.fdopen(descriptor, "rb", buffering=0)


def _shown(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _name_on_volume(path: str, local_name: str, installation: str | None, rename: bool) -> str:
    created, prefix = time_in_name(local_name), prefix_in_name(local_name)
    if created is None or prefix is None:
        raise SourceError(
            f"{_shown(path)} does not have the name of a backup: expected "
            f"'{installation or 'NAME'}-YYYY-MM-DD-HHMMSS.sql.gz', "
            f"the time in UTC, found '{_shown(local_name)}'. Rename the file"
        )
    if installation is None or prefix == installation:
        return local_name
    if not rename:
        raise SourceError(
            f"{_shown(path)} is a backup of another installation: expected a name that begins with '{installation}-', "
            f"found '{_shown(local_name)}'. Set rename to upload it under a name of this installation"
        )
    return backup_name(installation, created, is_encrypted=is_encrypted_name(local_name))


def _compare_checksum_file(path: str, local_name: str, sha256: str) -> bool:
    """Whether there is a checksum file, which has the hash; raises SourceError and ChecksumFileError."""
    try:
        with open(path + SUFFIX, "rb") as stream:
            recorded = parse_checksum_file(stream.read(LIMIT_BYTES), local_name)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SourceError(f"{path}{SUFFIX} cannot be read: {error.strerror}. Check its owner and mode") from error
    except ChecksumFileError as error:
        raise ChecksumFileError(f"{path}{SUFFIX}: {error}") from error
    if recorded != sha256:
        raise SourceError(
            f"{path} does not match its checksum file: expected the sha256 {recorded}, found {sha256}. The file "
            "is damaged "
            "or was replaced: upload another one"
        )
    return True


def _manifest(path: str, local_name: str, name: str, sha256: str) -> tuple[bytes | None, str | None]:
    """The manifest of the file for its name on the volume, None if there is none; and a warning, or None."""
    try:
        text = read_manifest(path)
    except OSError as error:
        return None, f"the manifest of {local_name} cannot be read: {error.strerror}. The backup is uploaded without it"
    if text is None:
        return None, None
    try:
        if parse_manifest(text, local_name).sha256 != sha256:
            return None, f"the manifest of {local_name} belongs to another file: its sha256 differs. It is not uploaded"
        if name != local_name:
            # The other fields are kept as the script wrote them: the listing reads them with awk.
            old, new = (b'"backup":' + json.dumps(each).encode() for each in (local_name, name))
            text = text.replace(old, new, 1)
            parse_manifest(text, name)
    except ManifestError as error:
        return None, f"{error}. The backup is uploaded without its manifest"
    return text.rstrip() + b"\n", None
