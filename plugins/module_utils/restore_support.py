# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the modules for restores share: their options as values, their Job, and the common part of their results."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any, Callable

from ._cluster.connection import Connection
from ._cluster.restore_run import run_restore
from ._cluster.volume_upload import backup_on_volume
from ._jobs.job_outcome import JobEnd, JobOutcome, Operation, outcome_of
from ._jobs.restore_server import restore_server
from .identity_support import given_identity, given_public_keys
from .module_support import seconds, start_limits
from .place_support import backup_for

# A file that is uploaded names the backup, and has a hash.
MUTUALLY_EXCLUSIVE = [("src", "backup"), ("src", "sha256"), ("src", "place")]


@dataclass(frozen=True)
class RestoreCall:
    """One call of a module: the options, what is unique to it, and run_restore with what the options say of the Job."""

    options: dict[str, Any]
    token: str
    now: datetime
    run: Callable[..., JobEnd]


def restore_call(module: Any, connection: Connection, names: Iterable[str]) -> RestoreCall:
    """That of the module, with the options `names`.

    `src` is uploaded first, and is the backup then; so is what is brought back from `place`. Raises BackupError as
    connection.cronjob, restore_server, backup_on_volume and backup_for do.
    """
    parameters = module.params
    timeout, limits, identity = seconds(parameters, "timeout"), start_limits(parameters), given_identity(parameters)
    cronjob = connection.cronjob(parameters["namespace"], parameters["name"])
    server = restore_server(cronjob, parameters)
    options = {name: parameters[name] for name in names}
    if parameters["src"] is not None:
        keys = given_public_keys(parameters)
        options["backup"], options["sha256"] = backup_on_volume(module, connection, cronjob, parameters["src"], keys)
    elif parameters["place"]:
        wanted = backup_for(module, connection, cronjob, reads_copy=False)
        options |= {"backup": wanted.name, "sha256": parameters["sha256"] or wanted.sha256}
    run = partial(
        run_restore,
        connection,
        cronjob,
        directory=parameters["directory"],
        timeout_seconds=timeout,
        startup_seconds=limits.startup_seconds,
        server=server,
        identity=identity,
    )
    return RestoreCall(options, secrets.token_hex(4), datetime.now(timezone.utc), run)


def restore_outcome(module: Any, operation: Operation, end: JobEnd) -> tuple[dict[str, Any], JobOutcome]:
    """What each restore returns of the end of its Job, and the Job's outcome; warns through the module."""
    script_result, outcome = end.result or {}, outcome_of(operation, end)
    for warning in [*script_result.get("warnings", []), *outcome.warnings]:
        module.warn(warning)
    result = {
        "changed": True,
        "backup": script_result.get("backup") or module.params["backup"],
        "sha256": script_result.get("sha256"),
        "seconds": script_result.get("seconds", {}),
        "duration_seconds": end.duration_seconds,
        "job": end.job.partition("/")[2],
        "log": outcome.log,
    }
    return result, outcome
