# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Stands in for plugins/module_utils/module_support.py: a fake that asks no cluster.

The modules are the collection's own, with their options; what they would do is replaced. Each writes down what it was
given, and returns what the test wants (recorded.py).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

CLUSTER = {
    "namespace": {"type": "str", "default": "data"},
    "name": {"type": "str", "default": "postgres-backup"},
    "directory": {"type": "str"},
    "startup_timeout": {"type": "str", "default": "30s", "aliases": ["stuck_timeout"]},
}
MODULES = {
    "fetch": "backup_fetch",
    "info": "backup_info",
    "ensure": "backup_job",
    "prune": "backup_prune",
    "put": "report_upload",
    "send": "backup_upload",
    "send_tests": "notify_test",
    "copy": "backup_copy",
    "retrieve": "backup_retrieve",
    "restore": "restore_database",
    "restore_cluster": "restore_cluster",
    "restore_tables": "restore_table",
    "set_up": "backup_user",
    "drill": "restore_drill",
}


def duration(*_: Any) -> Any:
    raise AssertionError("nothing is done here")


seconds = start_limits = duration


def run_module(arguments: dict[str, Any], work: Any, **options: Any) -> None:
    module = AnsibleModule(argument_spec={**CLUSTER, **arguments}, supports_check_mode=True, **options)
    name, given = MODULES[work.__name__], module.params
    folder = Path(os.environ["RECORDING_FOLDER"])
    with (folder / "calls").open("a") as stream:
        stream.write(json.dumps({"module": name, "check": module.check_mode, "options": given}) + "\n")
    answers = json.loads((folder / "answers").read_text())
    answer = answers.get(given["namespace"], {}).get(name) or answers["default"][name]
    if answer.get("failed"):
        module.fail_json(**answer)
    module.exit_json(**answer)
