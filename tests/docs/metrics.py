# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The metrics that a run writes."""

from __future__ import annotations

import re

from .pages import ROLE


def metrics() -> set[str]:
    text = (ROLE / "files" / "metrics.awk").read_text()
    return {f"postgres_backup_{name}" for name in re.findall(r'\bbegin\("([a-z_]+)"', text)}
