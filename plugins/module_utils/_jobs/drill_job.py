# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The Job of a restore drill: its options as values, and as the variables and volumes of its pod."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ExpectationError
from ..units import parse_duration, parse_size
from .drill_report import BUILTIN_DATABASES
from .identity import Identity
from .job_templates import PREFIX
from .octal_lines import VARIABLE_BYTES, is_text, octal_lines
from .volume_jobs import DRILL, VolumeWork

# The data directory of the temporary server.
DATA = "/drill"
_DATA_VOLUME = "postgres-backup-drill"
# How long the Job may take in addition to the script's own time limit: to be scheduled, and to start.
START_SECONDS = 600
# Which databases are restored in one transaction: those with enough text to be faster (below wal_skip_threshold
# PostgreSQL writes WAL anyway), and with at most as many tables as a fifth of the locks of the temporary server.
_LEAST_BYTES_IN_A_TRANSACTION = 4 * 1024**2
_MOST_TABLES_IN_A_TRANSACTION = 5000
# As PostgreSQL names settings (src/backend/utils/misc/guc.c, valid_custom_variable_name), without the rare $.
_SETTING = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
# As Kubernetes trims and rejects them: no blanks.
_IMAGE = re.compile(r"[!-~]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class DrillRequest:
    """The options of a drill: `backup` is None for the newest complete one, `superuser` for the one in the backup.

    `size_limit` is a Kubernetes quantity, `timeout` a duration; `node` is where the pod must run; `sections` are the
    offset, length and body's offset in bytes of each database's section of the text, if they are known for this backup.
    `image` replaces that of the CronJob. `search_path`, `before_sql` and `after_sql` have a text for each database.
    `identity` decrypts the backup.
    """

    backup: str | None = None
    size_limit: str = "10Gi"
    in_memory: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    superuser: str | None = None
    timeout: str = "6h"
    directory: str | None = None
    node: str | None = None
    sections: tuple[tuple[int, int, int], ...] = ()
    image: str | None = None
    search_path: Mapping[str, Any] = field(default_factory=dict)
    before_sql: Mapping[str, Any] = field(default_factory=dict)
    after_sql: Mapping[str, Any] = field(default_factory=dict)
    identity: Identity | None = None


def sections(contents: Mapping[str, Any]) -> tuple[tuple[int, int, int], ...]:
    """The sections of a dump that can be restored in parallel, one for each database.

    A section has its offset and its length in bytes, and the offset of its body if the body is to be restored in one
    transaction, else 0. There are none in a dump of `pg_dumpall --clean`, which drops and creates the databases in
    which every session begins. Raises ExpectationError if the contents do not have the offsets.
    """
    try:
        found = contents["databases"]
        if any(each["name"] in BUILTIN_DATABASES and each["create_options"] for each in found):
            return ()
        return tuple((int(each["offset_bytes"]), int(each["length_bytes"]), _in_a_transaction(each)) for each in found)
    except (KeyError, TypeError, ValueError) as error:
        raise ExpectationError(
            f"contents: expected the offset of each database, found no usable {error}. Pass complete 'contents', such "
            "as a file of contents_dest"
        ) from error


def _in_a_transaction(database: Mapping[str, Any]) -> int:
    gains = int(database["length_bytes"]) >= _LEAST_BYTES_IN_A_TRANSACTION
    fits = len(database["tables"]) <= _MOST_TABLES_IN_A_TRANSACTION
    return int(database["body_offset_bytes"]) if gains and fits else 0


def drill_work(request: DrillRequest, job: str) -> VolumeWork:
    """The Job's work; `job` is its name. Raises ExpectationError, which names the option."""
    for name, text in (("backup", request.backup), ("superuser", request.superuser)):
        if text is not None and (not text or _CONTROL.search(text)):
            raise ExpectationError(f"{name}: expected a name in one line, found {text!r}")
    if request.backup is not None and "/" in request.backup:
        raise ExpectationError(f"backup: expected the name of a backup on the volume, found a path, {request.backup}")
    if request.image is not None and not _IMAGE.fullmatch(request.image):
        raise ExpectationError(f"image: expected the name of an image, such as postgres:18, found {request.image!r}")
    limit = _named("size_limit", parse_size, request.size_limit)
    seconds = _named("timeout", parse_duration, request.timeout).total_seconds()
    return VolumeWork(
        kind=DRILL,
        words=("drill",),
        deadline_seconds=int(seconds) + START_SECONDS,
        directory=request.directory,
        node=request.node,
        variables={
            f"{PREFIX}DRILL_BACKUP": request.backup or "",
            f"{PREFIX}DRILL_SUPERUSER": request.superuser or "",
            f"{PREFIX}DRILL_SETTINGS": settings_text(request.settings),
            f"{PREFIX}DRILL_SECTIONS": _sections_text(request.sections),
            f"{PREFIX}DRILL_UPGRADE": "yes" if request.image else "",
            f"{PREFIX}DRILL_SEARCH_PATH": _by_database("search_path", request.search_path),
            f"{PREFIX}DRILL_BEFORE_SQL": _by_database("before_sql", request.before_sql),
            f"{PREFIX}DRILL_AFTER_SQL": _by_database("after_sql", request.after_sql),
            f"{PREFIX}DRILL_DATA": DATA,
            f"{PREFIX}DRILL_SIZE_LIMIT": str(limit),
            f"{PREFIX}TIME_LIMIT": request.timeout,
            f"{PREFIX}JOB": job,
        },
        volumes=(
            {
                "name": _DATA_VOLUME,
                "emptyDir": {"sizeLimit": request.size_limit, **({"medium": "Memory"} if request.in_memory else {})},
            },
        ),
        mounts=({"name": _DATA_VOLUME, "mountPath": DATA},),
        # initdb rejects a user id without an entry in the passwd file.
        passwd=True,
        image=request.image,
        identity=request.identity,
    )


def _by_database(option: str, texts: Mapping[str, Any]) -> str:
    for name, text in texts.items():
        if not is_text(text):
            raise ExpectationError(f"{option}: expected a text for the database {name!r}, found {text!r}")
        if option == "search_path" and _CONTROL.search(text):
            raise ExpectationError(f"{option}: expected a search_path in one line for the database {name!r}")
    return str(_named(option, octal_lines, {str(name): text for name, text in texts.items()}))


def _sections_text(parts: tuple[tuple[int, int, int], ...]) -> str:
    """A line for each; empty, so that the drill is slower, if they do not fit into a variable (execve(2))."""
    text = "\n".join(" ".join(map(str, each)) for each in parts)
    return text if len(text) < VARIABLE_BYTES else ""


def _named(option: str, parse: Any, text: Any) -> Any:
    try:
        return parse(text)
    except ExpectationError as error:
        raise ExpectationError(f"{option}: {error}") from error


def settings_text(settings: Mapping[str, Any]) -> str:
    """A line `name = value` for each; raises ExpectationError for a name or value that PostgreSQL cannot have."""
    lines = []
    for name, value in settings.items():
        if not _SETTING.fullmatch(str(name)):
            raise ExpectationError(
                f"settings: expected names of PostgreSQL's settings, such as shared_preload_libraries, found {name!r}"
            )
        if not isinstance(value, (str, int, float)):
            raise ExpectationError(f"settings: expected one value for {name}, found {type(value).__name__}")
        text = ("on" if value else "off") if isinstance(value, bool) else str(value)
        if _CONTROL.search(text):
            raise ExpectationError(f"settings: expected the value of {name} in one line, without control characters")
        lines.append(f"{name} = {text}")
    return "\n".join(lines)
