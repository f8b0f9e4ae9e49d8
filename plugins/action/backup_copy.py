# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The controller's part of the module backup_copy: it shows the progress."""

from __future__ import annotations

from ansible_collections.homelab.postgres_backup.plugins.plugin_utils.progress_action import ProgressAction


class ActionModule(ProgressAction):
    activity = "copies"
