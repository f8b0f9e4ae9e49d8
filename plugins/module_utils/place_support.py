# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A backup that a module brings back from another place, and the option place of the modules that use it then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._cluster.connection import Connection, Object
from ._cluster.copy_run import chosen_copies, copies_of_installation
from ._cluster.reader import read_catalog
from ._cluster.retrieve_run import run_retrieval
from ._jobs.copy_job import Retrieval
from ._jobs.job_outcome import RETRIEVAL, outcome_of, outcome_of_error
from .errors import ClusterError, ExpectationError, RetrievalError
from .identity_support import given_public_keys
from .module_support import seconds, start_limits

# For the argument specification of a module, as the fragment place documents it.
PLACE_ARGUMENTS: dict[str, dict[str, Any]] = {"place": {"type": "str"}}
_VALUES = ("backup", "sha256", "size_bytes")
_FLAGS = ("replaced_damaged", "copy_read")


def bring_back(module: Any, connection: Connection, cronjob: Object, *, reads_copy: bool) -> dict[str, Any]:
    """Bring the backup that the options of the module name back; the result of the module backup_retrieve.

    It has `failed` and `msg` if the backup is not on the volume now. In check mode, it is what would be changed. Raises
    BackupError for wrong options, and without copies.
    """
    parameters = module.params
    timeout, limits = seconds(parameters, "timeout"), start_limits(parameters)
    # What they do not decrypt is not brought back.
    public_keys = given_public_keys(parameters)
    # Without a name, an empty variable of a playbook is the same as none.
    place, wanted = parameters["place"], parameters["backup"] or None
    ((copies, _places),) = chosen_copies(copies_of_installation(connection, cronjob), [place], "place")
    result: dict[str, Any] = {
        **dict.fromkeys(_VALUES),
        **dict.fromkeys(_FLAGS, False),
        "changed": True,
        "place": place,
        "backup": wanted,
        "log": [],
    }
    if module.check_mode:
        there = read_catalog(connection, cronjob, parameters["directory"], limits).named(wanted) if wanted else None
        if there is not None:
            return {**result, "changed": False, "sha256": there.sha256, "size_bytes": there.size_bytes}
        return {**result, "msg": f"{wanted or 'the newest complete backup'} would be brought back from {place}"}
    try:
        end = run_retrieval(
            connection,
            copies,
            Retrieval(place, wanted, reads_copy, tuple(public_keys)),
            timeout_seconds=timeout,
            limits=limits,
        )
    except ClusterError as error:
        outcome = outcome_of_error(error)
        return {**result, "log": outcome.log, **outcome.failure()}
    outcome, found = outcome_of(RETRIEVAL, end), end.result or {}
    known = {name: found[name] for name in (*_VALUES, *_FLAGS, "changed") if found.get(name) is not None}
    for warning in outcome.warnings:
        module.warn(warning)
    if known.get("replaced_damaged"):
        module.warn(
            f"{known['backup']} was damaged on the volume, and was replaced by the copy at {place}. Check the storage "
            "of the volume"
        )
    return {**result, **known, "duration_seconds": end.duration_seconds, "log": outcome.log, **outcome.failure()}


@dataclass(frozen=True)
class Wanted:
    """The backup that a module is to use: `name` is None for its default. `changed` if the volume has it only now."""

    name: str | None
    sha256: str | None
    changed: bool


def backup_for(module: Any, connection: Connection, cronjob: Object, *, reads_copy: bool) -> Wanted:
    """That of the options place and backup. With a place, the volume has it now.

    Raises BackupError, also in check mode if the volume does not have it, which a check must not change.
    """
    name, place = module.params["backup"], module.params["place"]
    if not place:
        return Wanted(name, None, False)
    if module.check_mode and not name:
        raise ExpectationError(
            "backup: expected the name of a backup that is on the volume already, since check mode brings nothing back "
            f"from {place}, found none"
        )
    result = bring_back(module, connection, cronjob, reads_copy=reads_copy)
    if result.get("failed"):
        raise RetrievalError(result["msg"])
    if module.check_mode and result["changed"]:
        raise ExpectationError(
            "place: expected a backup that is on the volume already, since check mode brings nothing back from "
            f"{place}, found no {name} there. Bring it back first (backup_retrieve)"
        )
    return Wanted(result["backup"], result["sha256"], result["changed"])
