# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The report page: results of backup_info as the texts, tables and coordinates that its template prints.

No input or output, and no HTML: the template of playbooks/report.yml has that. All of it is text that may come from a
volume, so it is made printable (text.py) before anything else is done with it.
"""
