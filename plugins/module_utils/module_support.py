# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the modules that meet the cluster share: their options, and errors mapped to `fail_json` in one place."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ._cluster.connection import Connection
from ._cluster.reader import ReaderSettings
from .errors import BackupError, ExpectationError
from .interruption import InterruptedBySignal
from .units import parse_duration

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
    "stuck_timeout": {"type": "str", "default": "30s"},
}

Result = dict[str, Any]
# Of a log, where a module fails.
FAILED_LOG_LINES = 12


def duration(parameters: dict[str, Any], name: str) -> timedelta:
    """The option `name`, a duration as users write it; raises ExpectationError, which names the option."""
    try:
        return parse_duration(parameters[name])
    except ExpectationError as error:
        raise ExpectationError(f"{name}: {error}") from error


def seconds(parameters: dict[str, Any], name: str) -> float:
    """The same in seconds."""
    return duration(parameters, name).total_seconds()


def reader_settings(parameters: dict[str, Any]) -> ReaderSettings:
    return ReaderSettings(stuck_seconds=seconds(parameters, "stuck_timeout"))


def shortened(result: Result) -> Result:
    """A failure's result: Ansible prints all of it behind the message, which has what matters."""
    short = dict(result)
    if isinstance(short.get("log"), list):
        short["log"] = [line for line in short["log"] if not line.startswith("{")][-FAILED_LOG_LINES:]
    if isinstance(short.get("result"), dict):
        short["result"] = {key: value for key, value in short["result"].items() if value not in (None, [], {}, "")}
    contents = short.get("contents")
    if isinstance(contents, dict) and isinstance(contents.get("databases"), list):
        databases = [{key: value for key, value in each.items() if key != "tables"} for each in contents["databases"]]
        short["contents"] = {**contents, "databases": databases}
    return short


def run_module(arguments: dict[str, Any], work: Callable[[Any, Connection], Result], **options: Any) -> None:
    """Make the module, connect, work, and end: with the result, or with what BackupError says.

    `work` gets the module and the connection; a key `failed` in its result ends the module as failed.
    """
    if KUBERNETES_CORE_ERROR is not None:
        # Without its options, no module can be made that takes what the user gave.
        message = missing_required_lib(
            "the collection kubernetes.core", url="https://galaxy.ansible.com/kubernetes/core"
        )
        print(json.dumps({"failed": True, "msg": message, "exception": KUBERNETES_CORE_ERROR}))
        sys.exit(1)
    module = AnsibleK8SModule(
        module_class=AnsibleModule,
        check_pyyaml=False,
        argument_spec={**CLUSTER_ARGUMENTS, **arguments},
        supports_check_mode=True,
        **options,
    )
    try:
        result = work(module, Connection(module))
    except BackupError as error:
        module.fail_json(msg=str(error), check=error.check)
    except InterruptedBySignal as error:
        module.fail_json(msg=f"ended by {error}; what was started in the cluster is removed", check="interrupted")
    except OSError as error:
        where = error.filename or "this machine"
        module.fail_json(msg=f"{where}: {error.strerror}. Look at the path, its permissions and its room", check="file")
    if result.get("failed"):
        module.fail_json(**shortened(result))
    module.exit_json(**result)
