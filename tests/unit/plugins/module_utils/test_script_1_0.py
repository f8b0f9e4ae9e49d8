# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Results that a script of version 1.0 wrote, which a CronJob may run still."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils.script_1_0 import with_fields

STEP = "it was in the step: dump"


@pytest.mark.parametrize(
    ("result", "signal"),
    [
        ({"reason": f"the run was ended from outside (SIGTERM): {STEP}"}, "TERM"),
        ({"reason": f"the drill was ended from outside (SIGINT): {STEP}"}, "INT"),
        ({"reason": f"the restore was ended from outside (SIGHUP): {STEP}. Start it again"}, "HUP"),
        ({"reason": f"the run took longer than its time limit of 6h: {STEP}"}, None),
        ({"reason": 'pg_dumpall failed: the relation "was ended from outside (SIGTERM)"'}, None),
        ({"reason": f"the run was ended from outside (SIGTERM): {STEP}", "last_reason": "the server is gone"}, None),
        ({"reason": "x", "last_reason": f"the run was ended from outside (SIGTERM): {STEP}"}, "TERM"),
        ({"reason": None}, None),
        ({"reason": 7}, None),
        ({}, None),
        ({"signal": None, "reason": f"the run was ended from outside (SIGTERM): {STEP}"}, None),
        ({"signal": "TERM", "reason": "any words"}, "TERM"),
    ],
)
def test_the_signal(result: dict[str, Any], signal: str | None) -> None:
    assert with_fields(result) == {**result, "signal": signal}


def test_no_result() -> None:
    assert with_fields(None) is None
