# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The commands to type next."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .._volume.advice import Remedy, remedy

_PREFIX = "ansible-playbook homelab.postgres_backup."
# A value that Ansible takes for text, and no shell for anything else.
_PLAIN = re.compile(r"[A-Za-z][-A-Za-z0-9_.]*")
_DEFAULTS = {"postgres_backup_namespace": "data", "postgres_backup_name": "postgres-backup"}
_OWN_VARIABLES = "Add the variables that you installed it with, unless they are in the inventory."


@dataclass(frozen=True)
class Command:
    """A line for a shell, and what it does; `hint` is what else to know before it is typed, perhaps empty."""

    line: str
    does: str
    hint: str = ""


@dataclass(frozen=True)
class Target:
    """How a playbook finds an installation: by a host of an inventory, or by its namespace and name."""

    host: str
    inventory: tuple[str, ...]
    namespace: str | None = None
    name: str | None = None

    def arguments(self) -> list[str]:
        """Those of ansible-playbook, quoted for a shell."""
        if self.host != "localhost":
            sources = [word for source in self.inventory for word in ("-i", shlex.quote(source))]
            return [*sources, *_assignment("postgres_backup_hosts", self.host)]
        values = {"postgres_backup_namespace": self.namespace, "postgres_backup_name": self.name}
        return [
            word
            for key, value in values.items()
            if value is not None and value != _DEFAULTS[key]
            for word in _assignment(key, value)
        ]


def _assignment(name: str, value: str) -> list[str]:
    if _PLAIN.fullmatch(value):
        return ["-e", f"{name}={value}"]
    return ["-e", shlex.quote(json.dumps({name: value}))]


def commands(target: Target, checks: Iterable[str], is_measured: bool) -> list[Command]:
    """What to run next: first what answers the problems, then what anybody may want, each once.

    `checks` are those of the problems, `is_measured` is whether a drill has succeeded.
    """
    remedies = [found for check in checks if (found := remedy(check))]
    usual = [_LOOK] if remedies else [_LOOK, *([] if is_measured else [_DRILL])]
    seen: dict[str, Remedy] = {}
    for each in [*remedies, *usual, _RESTORE]:
        seen.setdefault(each.playbook, each)
    return [_command(target, each) for each in seen.values()]


_LOOK = Remedy("verify", "fetches the newest backup, reads it to its end, and fails if the installation is not healthy")
_DRILL = Remedy("drill", "restores the newest backup into a temporary server, and measures how long that takes")
_RESTORE = Remedy("restore", "restores one database: it asks which one, and shows the plan first")


def command_for(target: Target, check: str) -> Command | None:
    """The command that answers a problem; None if no playbook does."""
    found = remedy(check)
    return _command(target, found) if found else None


def _command(target: Target, answer: Remedy) -> Command:
    variables: Sequence[str] = [word for variable in answer.variables for word in ("-e", variable)]
    line = " ".join([f"{_PREFIX}{answer.playbook}", *target.arguments(), *variables])
    return Command(line, answer.does, _OWN_VARIABLES if answer.reinstalls else "")
