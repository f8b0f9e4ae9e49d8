# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The fixtures of tests/script."""

from tests.script.conftest import make_sandbox, paths, script, workspace

__all__ = ["make_sandbox", "paths", "script", "workspace"]
