# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""libfaketime, from Debian's package of that name.

Not by its program: that makes a semaphore named by its process id, and refuses where a killed one has left such a name.
"""

from __future__ import annotations

import subprocess
from functools import cache


@cache
def _library() -> str:
    files = subprocess.run(
        ["dpkg", "-L", "libfaketime"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return next(path for path in files if path.endswith("/libfaketime.so.1"))


def environment() -> dict[str, str]:
    """What loads it into a program, without names in shared memory."""
    return {"LD_PRELOAD": _library(), "FAKETIME_DISABLE_SHM": "1"}
