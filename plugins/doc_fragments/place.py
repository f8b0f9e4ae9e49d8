# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The option of every module that can begin with a backup from another place."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  place:
    description:
      - The name of another place, as in C(postgres_backup_copies), from which O(backup), or by default the newest
        complete backup there, is first brought back to the volume, as M(homelab.postgres_backup.backup_retrieve) does.
        This may take O(timeout), too.
      - In check mode, O(backup) is required, and must be on the volume already.
    type: str
    version_added: 1.1.0
"""
