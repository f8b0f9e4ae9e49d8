# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The process in the pod of the copies. A placeholder, until the program is merged."""

from __future__ import annotations
