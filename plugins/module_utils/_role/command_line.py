# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Values on the command line that Ansible cut at a space."""

from __future__ import annotations

import json


def explain_cut_value(words: str) -> str:
    """The message for a value that was cut at a space.

    `words` is the rest of the value, which Ansible stores in the variable `_raw_params`
    (ansible.parsing.splitter.parse_kv): for `-e name=the backup user` the value is `the` and the rest `backup user`.
    """
    return (
        f"-e: expected name=value, found the words {json.dumps(str(words), ensure_ascii=False)} after a value. Ansible "
        "splits name=value at spaces: quote such a value inside the shell's quotes too, as in "
        """-e 'postgres_backup_schedule="30 3 * * *"', or write JSON, as in """
        """-e '{"postgres_backup_schedule": "30 3 * * *"}'. Nothing was done."""
    )
