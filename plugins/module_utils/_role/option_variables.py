# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of a playbook for the options that the message of a module names.

A module's messages name its options, such as `create_roles`, and the user of a playbook sets variables, such as
`postgres_backup_restore_create_roles`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .play_stats import Results, failure
from .variable_names import PREFIX


def _variables(options: str, subject: str = "") -> dict[str, str]:
    """The options with their variables, whose names have the subject before the option."""
    return {option: f"{PREFIX}{subject}{option}" for option in options.split()}


_INSTALLATION = _variables("namespace name")
_IDENTITY = _variables("identity identity_file")
_SERVER = _variables("host port sslmode user secret_name secret_key", "restore_")
_RESTORE = {
    **_INSTALLATION,
    **_IDENTITY,
    **{f"restore_{option}": variable for option, variable in _SERVER.items()},
    **_variables("place"),
    **_variables("backup timeout", "restore_"),
}
_DRILL = {
    **_INSTALLATION,
    **_IDENTITY,
    **_variables("backup image size_limit in_memory settings search_path before_sql after_sql", "drill_"),
}

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "backup_now": {**_INSTALLATION, **_variables("max_age")},
    "backup_user": {
        **_INSTALLATION,
        **_variables("role secret_name rotate bypass_rls large_objects", "user_"),
        **_variables("secret_key"),
        **{f"admin_{option}": _SERVER[option] for option in ("user", "secret_name", "secret_key")},
    },
    "copy": {**_INSTALLATION, **_variables("places", "copy_")},
    "disaster": {
        **_RESTORE,
        **_variables("keep replace alter_roles terminate_connections connections_timeout", "restore_"),
        "src": f"{PREFIX}restore_file",
    },
    "drill": {**_DRILL, **_variables("place"), **_variables("contents", "drill_")},
    "notify_test": _INSTALLATION,
    "report": {**_INSTALLATION, **_variables("max_age")},
    "restore": {
        **_RESTORE,
        **_variables("database new_name replace create_roles terminate_connections connections_timeout", "restore_"),
        **_variables("search_path before_sql after_sql transform_sql assert_sql", "restore_"),
    },
    "restore_table": {**_RESTORE, **_variables("database tables target merge keys search_path", "restore_")},
    "retention": _INSTALLATION,
    "retrieve": {**_INSTALLATION, **_IDENTITY, **_variables("place"), **_variables("backup", "retrieve_")},
    "unprotected": _variables("namespaces max_age"),
    "upgrade_rehearsal": {**_DRILL, **_variables("image", "upgrade_")},
    "verify": {
        **_INSTALLATION,
        **_IDENTITY,
        **_variables("dest max_age place"),
        **_variables("backup", "retrieve_"),
        **_variables("kind", "verify_"),
        "path": f"{PREFIX}verify_file",
    },
}
"""The variables of each playbook, by the options of its modules."""
RETRIEVE = _variables("timeout", "retrieve_")
"""Those of backup_retrieve that differ from those of the module that continues with the backup."""

# How messages name an option: after what to do with it (set, leave out), before its problem, with a value, in
# backquotes; or it is not a word of a sentence.
_NAME = r"['`]?[a-z][a-z0-9_]*['`]?"
_ADVICE = re.compile(
    rf"\b(?:set|out|options?|raise|lower) ({_NAME}(?:(?:, and |, or | and | or |, ){_NAME})*)", re.IGNORECASE
)
_OTHER_WAYS = (
    re.compile(r"^([a-z][a-z0-9_]*): ", re.MULTILINE),
    re.compile(r"(?<![\w.])([a-z][a-z0-9_]*)(?:: ?|=)(?:true|false)\b"),
    re.compile(r"`([a-z][a-z0-9_]*)`"),
    re.compile(r"(?<![\w./-])([a-z]+_[a-z0-9_]+)(?![\w/-])"),
)


def option_variables(results: Results, playbook: str) -> list[dict[str, str]]:
    """The options that the message of a failed module names, each with its variable in the playbook.

    An option is left out if the playbook has no variable for it, and if the message has the variable, too. `results`
    are the registered results by the names of play_stats.py.
    """
    module, message = failure(results)
    variables = {**OPTIONS.get(playbook, {}), **(RETRIEVE if module == "retrieve" else {})}
    options = dict.fromkeys(option for option in _named(message) if option in variables)
    return [
        {"option": option, "variable": variables[option]}
        for option in options
        if not re.search(rf"\b{variables[option]}\b", message)
    ]


def _named(message: str) -> Iterator[str]:
    """What may be names of options, in the order of the ways to name them."""
    for match in _ADVICE.finditer(message):
        yield from (name.strip("'`") for name in re.split(r",? (?:and|or) |, ", match[1]))
    for way in _OTHER_WAYS:
        yield from way.findall(message)
