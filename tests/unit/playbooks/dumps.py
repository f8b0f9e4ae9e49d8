# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Dumps of real servers that the playbooks are given as files."""

from __future__ import annotations

import gzip

from .recorded import CHECKOUT

DUMPS = CHECKOUT / "tests" / "unit" / "plugins" / "module_utils" / "dumps"
DUMP = (DUMPS / "18-all.sql").read_bytes()
COMPLETE_BACKUP = gzip.compress(DUMP, mtime=0)
