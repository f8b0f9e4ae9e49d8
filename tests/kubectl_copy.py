# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The size of the copy of an object that `kubectl apply` keeps in an annotation."""

from __future__ import annotations

import json
from typing import Any


def copy_bytes(value: Any) -> int:
    """The bytes of the object, or a part of it, as JSON of kubectl.

    Go writes `<`, `>` and `&` as six characters each (https://pkg.go.dev/encoding/json#Marshal), as kubectl does here.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode()) + sum(text.count(letter) for letter in "<>&") * (len("\\u003c") - 1)
