# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""psql's backslash commands in dumps."""

from __future__ import annotations

import re

_ARGUMENT = re.compile(rb"\s*(\"(?:[^\"]|\"\")*\"|'(?:[^'\\]|''|\\.)*'|[^\s\\\"']+)")
# psql's commands that do not change what is restored; `set` only with one of these variables.
_IDLE_COMMANDS = frozenset((b"echo", b"qecho", b"warn", b"timing", b"pset", b"encoding"))
_IDLE_VARIABLES = frozenset(
    (b"ON_ERROR_STOP", b"VERBOSITY", b"SHOW_CONTEXT", b"ECHO", b"QUIET", b"HISTFILE", b"HISTCONTROL", b"ECHO_HIDDEN")
)
_CONNECTION_STRING = re.compile(rb"\s*dbname\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s\\]|\\.)*))\s*", re.DOTALL)


def is_idle(command: bytes, rest: bytes) -> bool:
    """Whether a command of psql does not change what is restored."""
    if command in (b"set", b"unset"):
        return rest.split()[:1] != [] and rest.split()[0] in _IDLE_VARIABLES
    return command in _IDLE_COMMANDS


def arguments_of(text: bytes) -> list[bytes]:
    """The arguments of a backslash command (psqlscanslash.l): quoted ones without their quotes."""
    arguments = []
    for argument in _ARGUMENT.findall(text):
        if argument[:1] == b'"':
            arguments.append(argument[1:-1].replace(b'""', b'"'))
        elif argument[:1] == b"'":
            arguments.append(re.sub(rb"\\(.)|''", lambda part: part[1] or b"'", argument[1:-1], flags=re.DOTALL))
        else:
            arguments.append(argument)
    return arguments


def database_name(argument: bytes) -> bytes | None:
    r"""The database in the argument of \connect, a name or a connection string; None if that has anything else."""
    if argument.startswith((b"postgresql://", b"postgres://")):
        return None
    if b"=" not in argument:
        return argument
    match = _CONNECTION_STRING.fullmatch(argument)
    if match is None:
        return None
    value = match[1] if match[1] is not None else match[2]
    return re.sub(rb"\\(.)", rb"\1", value, flags=re.DOTALL)
