# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The variables of a playbook for the options that the message of a module names.

A module's messages name its options, such as `create_roles`, and the user of a playbook sets variables, such as
`postgres_backup_restore_create_roles`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from .play_stats import Results, failure
from .variable_names import PREFIX

# What is between the prefix of all variables and the name of the option.
_SUBJECTS = {
    "backup_user": ("user",),
    "copy": ("copy",),
    "disaster": ("restore",),
    "drill": ("drill",),
    "restore": ("restore",),
    "restore_table": ("restore",),
    "retrieve": ("retrieve",),
    "upgrade_rehearsal": ("upgrade", "drill"),
    "verify": ("verify", "retrieve"),
}
# Options whose variables have nothing between.
_OF_ALL = frozenset({"dest", "identity", "identity_file", "max_age", "name", "namespace", "namespaces", "place"})
_OF_RESTORES = frozenset(f"restore_{name}" for name in ("host", "port", "sslmode", "user", "secret_name", "secret_key"))
# Variables with another name than the option.
_OTHERS = {
    ("backup_user", "admin_secret_key"): "restore_secret_key",
    ("backup_user", "admin_secret_name"): "restore_secret_name",
    ("backup_user", "admin_user"): "restore_user",
    ("backup_user", "secret_key"): "secret_key",
    ("disaster", "src"): "restore_file",
    ("verify", "path"): "verify_file",
}

# How messages name an option: after what to do with it (set, leave out), before its problem, with a value; or it is
# not a word of a sentence.
_NAME = r"['`]?[a-z][a-z0-9_]*['`]?"
_ADVICE = re.compile(
    rf"\b(?:set|out|options?|raise|lower) ({_NAME}(?:(?:, and |, or | and | or |, ){_NAME})*)", re.IGNORECASE
)
_OTHER_WAYS = (
    re.compile(r"^([a-z][a-z0-9_]*): ", re.MULTILINE),
    re.compile(r"(?<![\w.])([a-z][a-z0-9_]*)(?:: ?|=)(?:true|false)\b"),
    re.compile(r"(?<![\w./-])([a-z]+_[a-z0-9_]+)(?![\w/-])"),
)


def option_variables(results: Results, playbook: str, known: Collection[str]) -> list[dict[str, str]]:
    """The options that the message of a failed module names, each with its variable in the playbook.

    An option is left out if the playbook has no variable for it, and if the message has the variable, too. `results`
    are the registered results by the names of play_stats.py; `known` has the names of all variables.
    """
    module, message = failure(results)
    # What brings a backup back has a timeout, as the restores have.
    subjects = ("retrieve",) if module == "retrieve" else ()
    pairs = [(option, _variable(option, playbook, subjects, known)) for option in _options(message)]
    return [
        {"option": option, "variable": variable}
        for option, variable in dict(pairs).items()
        if variable and not re.search(rf"\b{variable}\b", message)
    ]


def _variable(option: str, playbook: str, subjects: tuple[str, ...], known: Collection[str]) -> str:
    if (playbook, option) in _OTHERS:
        return PREFIX + _OTHERS[playbook, option]
    own = _SUBJECTS.get(playbook, ())
    order = own + subjects if option == "backup" else subjects + own
    names = [f"{subject}_{option}" for subject in order]
    if option in _OF_ALL or ("restore" in own and option in _OF_RESTORES):
        names.append(option)
    return next((PREFIX + name for name in names if PREFIX + name in known), "")


def _options(message: str) -> Iterator[str]:
    """What may be names of options, in the order of the ways to name them."""
    for match in _ADVICE.finditer(message):
        yield from (name.strip("'`") for name in re.split(r",? (?:and|or) |, ", match[1]))
    for way in _OTHER_WAYS:
        yield from way.findall(message)
