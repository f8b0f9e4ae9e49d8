# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The tools image (docs/tools-image.md), made and imported only for the tests that need it."""

from __future__ import annotations

import subprocess
from functools import cache

from tests.cluster.support.kube import CHECKOUT


@cache
def tools_image() -> str:
    """The name of the image, which the cluster has from now on."""
    program = str(CHECKOUT / "dev" / "cluster" / "image")
    return subprocess.run([program, "tools"], check=True, capture_output=True, text=True).stdout.strip()
