# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The temporary folder of the pod: an attempt makes a folder there; and what keeps programs from using it.

The script and restic have their temporary files there, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .faults import scratch_fault

_DEFAULT = "/tmp"  # noqa: S108 - as the script and restic have it
# More than the script needs.
_FILES, _FILE_BYTES = 32, 32 << 10


def temporary_folder(environment: Mapping[str, str]) -> str:
    """The temporary folder of the pod."""
    return environment.get("TMPDIR") or _DEFAULT


@contextmanager
def scratch_folder(environment: Mapping[str, str]) -> Iterator[str]:
    """The path of a new folder there, which is deleted at the end. Raises PlaceError."""
    with writing_scratch():
        folder = tempfile.TemporaryDirectory(prefix="copy-", dir=temporary_folder(environment))
    with folder as path:
        yield path


@contextmanager
def writing_scratch() -> Iterator[None]:
    """Raises PlaceError for an error of the operating system while something is written there."""
    try:
        yield
    except OSError as error:
        raise scratch_fault(error) from error


def check_scratch(environment: Mapping[str, str]) -> None:
    """Raises PlaceError if nothing can be written there: then another program may have failed for this reason."""
    with writing_scratch(), tempfile.TemporaryDirectory(dir=temporary_folder(environment)) as folder:
        for number in range(_FILES):
            Path(folder, str(number)).write_bytes(bytes(_FILE_BYTES))


def names_scratch(message: str, environment: Mapping[str, str]) -> bool:
    """Whether an error of the operating system, as Go writes it, is one of a file there."""
    return f" {temporary_folder(environment).rstrip('/')}/" in message
