# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Results of the script's version 1.0, with the fields that it did not have.

A CronJob runs the script of the version that installed it, and its results are kept on the volume. This is the only
place where a sentence of the script is matched; it can be deleted when 1.0 is no longer supported.
"""

from __future__ import annotations

import re
from typing import Any

# How 1.0 began the reason where a signal ended a run, a drill or a restore.
_SIGNAL = re.compile(r"the (?:run|drill|restore) was ended from outside \(SIG(TERM|INT|HUP)\)")


def with_fields(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """The result of a run, a drill or a restore with its `signal`, None where none ended it."""
    if result is None or "signal" in result:
        return result
    # The last attempt's, where a run had several.
    reason = result.get("last_reason") or result.get("reason")
    match = _SIGNAL.match(reason) if isinstance(reason, str) else None
    return {**result, "signal": match[1] if match else None}
