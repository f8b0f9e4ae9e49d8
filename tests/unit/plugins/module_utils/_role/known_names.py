# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The names of the variables of the role and of the playbooks."""

from __future__ import annotations

import yaml

from .default_variables import DEFAULTS, ROLE

_OF_PLAYBOOKS = yaml.safe_load((ROLE / "vars" / "main" / "playbooks.yml").read_text())
KNOWN: list[str] = [*yaml.safe_load(DEFAULTS.read_text()), *_OF_PLAYBOOKS["__postgres_backup_playbook_variables"]]
