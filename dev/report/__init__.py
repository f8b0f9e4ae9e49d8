# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The page of playbooks/report.yml from made-up installations, and its pictures in docs/report.md."""
