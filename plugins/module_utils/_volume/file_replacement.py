# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Replaces a file so that readers and a crash find the old or the new one, complete."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def flush_folder(path: str | Path) -> None:
    """Flush what was created or renamed in a folder, where the file system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_file(path: Path, data: bytes, mode: int, partial: Path) -> None:
    """Write the data with this mode under the name `partial`, and rename it. Raises OSError; then `partial` is gone.

    Both are in one folder, which the caller flushes.
    """
    try:
        partial.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, mode), "wb") as file:
            # The umask does not change it.
            with contextlib.suppress(OSError):  # not every share lets its mode be set
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
