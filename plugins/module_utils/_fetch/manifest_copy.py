# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The copy of a manifest next to a fetched backup. A fetch that works without it never fails because of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Callable

from .._dump.decryption import Identities
from .._verify.verification import expected_recipients
from .._volume.catalog import Backup
from .._volume.manifest import SUFFIX, parse_manifest, wrong_identity_by_manifest
from ..errors import BackupError, ExpectationError, IdentityError, ManifestError, UndecryptedError
from .destination import Destination, local_errors, read_manifest, write_companion


@dataclass(frozen=True)
class ManifestCopy:
    """The path of the copy, None if there is none; whether it was changed, or would be; and a warning or None."""

    path: str | None
    is_changed: bool = False
    warning: str | None = None


def update_manifest(
    read: Callable[[], str] | None,
    destination: Destination,
    backup: str,
    sha256: str | None,
    mode: int,
    *,
    is_dry_run: bool,
) -> ManifestCopy:
    """Make the local manifest that of the backup: write it, or delete that of another backup. Raises nothing.

    `read` returns the text of the manifest on the volume; it is None if there is none, and is not called if the local
    copy belongs to the backup, nor in a dry run. `sha256` is that of the backup; None in a dry run if it is not known.
    """
    path = destination.path + SUFFIX
    try:
        with local_errors(path):
            local = read_manifest(destination.path)
            if local is not None and _is_of(local, backup, sha256):
                return ManifestCopy(path)
            if local is None and read is not None and os.path.lexists(path):
                return ManifestCopy(None, warning=f"{path} exists and is not a manifest: it was not replaced")
        warning = None
        if read is not None:
            if is_dry_run:
                return ManifestCopy(path, is_changed=True)
            text = _valid_text(read, backup, sha256)
            if text.warning is None:
                write_companion(destination, SUFFIX, text.content, mode)
                return ManifestCopy(path, is_changed=True)
            warning = text.warning
        if local is not None and not is_dry_run:
            with local_errors(path):
                os.unlink(path)
        return ManifestCopy(None, is_changed=local is not None, warning=warning)
    except BackupError as error:
        return ManifestCopy(None, warning=f"the manifest of {backup} was not copied: {error}")


def require_identity(
    backup: Backup, read: Callable[[], str], identities: Identities, public_keys: Sequence[str]
) -> None:
    """Raise ExpectationError without an identity for an encrypted backup, IdentityError for one certainly of others.

    `read` returns the text of the manifest on the volume; without one that is that of the file, nothing is certain.
    """
    if not backup.is_encrypted:
        return
    if not identities:
        raise ExpectationError(
            f"identity: expected the private key of a recipient of {backup.name}, which is encrypted, found none. "
            "Give one (the option identity or identity_file), or fetch the backup with verify: false"
        )
    wrong = None
    with suppress(BackupError):
        wrong = wrong_identity_by_manifest(public_keys, read(), backup.name, backup.sha256)
    if wrong:
        raise IdentityError(wrong)


@contextmanager
def naming_recipients(read: Callable[[], str], backup: str) -> Iterator[None]:
    """Add the recipients to the message of an UndecryptedError; `read` returns the text of the volume's manifest."""
    try:
        yield
    except UndecryptedError as error:
        recipients = ""
        with suppress(BackupError):
            recipients = expected_recipients(parse_manifest(read(), backup))
        raise UndecryptedError(f"{error}{recipients}") from error


def _is_of(text: bytes, backup: str, sha256: str | None) -> bool:
    """Whether a manifest is that of the backup with that hash."""
    with suppress(ManifestError):
        return parse_manifest(text, backup).sha256 == sha256
    return False


@dataclass(frozen=True)
class _Text:
    content: bytes
    warning: str | None = None


def _valid_text(read: Callable[[], str], backup: str, sha256: str | None) -> _Text:
    """The text of the backup's manifest, or why it cannot be used."""
    try:
        text = read().rstrip() + "\n"
        manifest = parse_manifest(text, backup)
    except BackupError as error:
        return _Text(b"", f"{error}. The backup was fetched without its manifest")
    if manifest.sha256 != sha256:
        return _Text(b"", f"the manifest of {backup} is that of another file: its sha256 differs. It was not copied")
    return _Text(text.encode())
