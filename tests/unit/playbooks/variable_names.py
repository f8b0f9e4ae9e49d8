# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of the role and of the playbooks."""

from __future__ import annotations

from typing import Any

import yaml

from .recorded import CHECKOUT, PLAYBOOKS

_ROLE = CHECKOUT / "roles" / "postgres_backup"
_SPECS: dict[str, Any] = yaml.safe_load((_ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
# Complete: tests/unit/roles/postgres_backup/test_argument_specs.py compares it with what the playbooks use.
_OF_PLAYBOOKS: dict[str, Any] = yaml.safe_load((_ROLE / "vars" / "main" / "playbooks.yml").read_text())
NAMES: list[str] = [*_SPECS["main"]["options"], *_OF_PLAYBOOKS["__postgres_backup_playbook_variables"]]
_RENAMED = yaml.safe_load((PLAYBOOKS / "vars" / "renamed.yml").read_text())["__postgres_backup_renamed"]
OLD_NAMES: list[str] = [name for names in _RENAMED.values() for name in names]
# Without these, the playbooks that restore a database or tables do nothing.
CONFIRMED = {"postgres_backup_restore_database": "shop", "postgres_backup_restore_confirmed": True}
