# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Makes the pictures of docs/report.md again: `. dev/env; python -m dev.report`, on a machine with Chromium."""

from __future__ import annotations

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()

from .pictures import PICTURES, write  # noqa: E402 - Ansible's loader finds the filter

for each in PICTURES:
    write(each)
    print(each.path, each.path.stat().st_size)
