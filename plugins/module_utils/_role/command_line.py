# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Values that Ansible cut at a space on its command line."""

from __future__ import annotations

import json


def explain_cut_value(words: str) -> str:
    """The refusal of a value that was cut at a space.

    `words` is what Ansible keeps of it in the variable `_raw_params` (ansible.parsing.splitter.parse_kv): for
    `-e name=the backup user` it uses `the` and keeps `backup user`.
    """
    return (
        f"-e: expected name=value, found the words {json.dumps(str(words), ensure_ascii=False)} after a value. Ansible "
        "cuts name=value at spaces: quote such a value inside the shell's quotes too, as in "
        """-e 'postgres_backup_schedule="30 3 * * *"', or write JSON, as in """
        """-e '{"postgres_backup_schedule": "30 3 * * *"}'. Nothing was done."""
    )
