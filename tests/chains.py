# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which tests share a worker of pytest-xdist, as they share something that takes long to make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


class Chains(LoadScopeScheduling):  # type: ignore[misc]
    """Chains first, long ones before short ones; each other test by itself.

    Not `--dist loadgroup`: pytest-xdist 3.8 and pytest 9.2 together ignore it.
    """

    def __init__(self, config: pytest.Config, log: Any, chain_of: Callable[[str], str | None]) -> None:
        """`chain_of` names the chain of a test's id; None stands for a test by itself."""
        super().__init__(config, log)
        self._chain_of = chain_of

    def _split_scope(self, nodeid: str) -> str:
        return self._chain_of(nodeid) or nodeid
