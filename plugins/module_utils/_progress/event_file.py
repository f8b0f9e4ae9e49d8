# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The file through which a module reports: its name is in an environment variable, which the action plugin sets."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping

from .reporter import SILENT, Reporter

VARIABLE = "POSTGRES_BACKUP_PROGRESS_FILE"


def reporter_of(environment: Mapping[str, str]) -> Reporter:
    """Appends events to the file that `environment` names; does nothing without one.

    Progress is never a reason to fail: what cannot be written is left out. The file exists already.
    """
    path = environment.get(VARIABLE)
    if not path:
        return SILENT
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return SILENT

    def write(line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(descriptor, f"{line}\n".encode("utf-8", "backslashreplace"))

    return Reporter(write, time.monotonic)
