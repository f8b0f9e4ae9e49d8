# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Runs a module that accesses the cluster: its options, its connection, and its errors as `fail_json`.

Separate from module_support.py, so that a module that does not read a volume does not contain the code for it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ._cluster.connection import Connection
from ._progress.event_file import reporter_of
from .errors import BackupError
from .interruption import InterruptedBySignal
from .script_output import FAILED_LOG_LINES, log_tail

try:
    from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
    from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule

    KUBERNETES_CORE_ERROR = None
except ImportError:
    AUTH_ARG_SPEC = {}
    KUBERNETES_CORE_ERROR = traceback.format_exc()

CLUSTER_ARGUMENTS: dict[str, Any] = {
    **AUTH_ARG_SPEC,
    "namespace": {"type": "str", "default": "data"},
    "name": {"type": "str", "default": "postgres-backup"},
    "directory": {"type": "str"},
    "startup_timeout": {"type": "str", "default": "30s", "aliases": ["stuck_timeout"]},
}

Result = dict[str, Any]


def shortened(result: Result) -> Result:
    """The result of a failed module, shortened: Ansible prints all of it after the message, which has the cause."""
    short = dict(result)
    if isinstance(short.get("log"), list):
        short["log"] = log_tail(short["log"], FAILED_LOG_LINES)
    if isinstance(short.get("result"), dict):
        short["result"] = {key: value for key, value in short["result"].items() if value not in (None, [], {}, "")}
    contents = short.get("contents")
    if isinstance(contents, dict) and isinstance(contents.get("databases"), list):
        databases = [
            {key: value for key, value in database.items() if key != "tables"} for database in contents["databases"]
        ]
        short["contents"] = {**contents, "databases": databases}
    return short


def run_module(
    arguments: dict[str, Any], work: Callable[[AnsibleModule, Connection], Result], common: bool = True, **options: Any
) -> None:
    """Create the module, connect, work, and exit with the result, or with the message of a BackupError.

    `common` adds the options that the modules for one CronJob's volume share; those of kubernetes.core are always
    added. `work` is called with the module (that of kubernetes.core, which wraps an AnsibleModule) and the connection;
    a key `failed` in its result makes the module fail.
    """
    if KUBERNETES_CORE_ERROR is not None:
        # Without its options, the module would reject the user's.
        message = missing_required_lib(
            "the collection kubernetes.core", url="https://galaxy.ansible.com/kubernetes/core"
        )
        print(json.dumps({"failed": True, "msg": message, "exception": KUBERNETES_CORE_ERROR}))
        sys.exit(1)
    module = AnsibleK8SModule(
        module_class=AnsibleModule,
        check_pyyaml=False,
        argument_spec={**(CLUSTER_ARGUMENTS if common else AUTH_ARG_SPEC), **arguments},
        supports_check_mode=True,
        **options,
    )
    try:
        result = work(module, Connection(module, reporter_of(os.environ)))
    except BackupError as error:
        module.fail_json(msg=str(error), check=error.check)
    except InterruptedBySignal as error:
        module.fail_json(
            msg=f"terminated by {error}; the Jobs that were started in the cluster are deleted", check="interrupted"
        )
    except OSError as error:
        where = error.filename or "this machine"
        module.fail_json(
            msg=f"{where}: {error.strerror}. Check the path, its permissions and the free space", check="file"
        )
    if result.get("failed"):
        module.fail_json(**shortened(result))
    module.exit_json(**result)
