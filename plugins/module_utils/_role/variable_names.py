# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Names of variables that neither the role nor a playbook has: Ansible ignores them, also a misspelt one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import SequenceMatcher, get_close_matches

PREFIX = "postgres_backup_"
# What the old names of variables begin with, too.
_START = "postgres_"
_TOLERATED = 2
# Shorter names are often similar by chance, such as nas and nfs.
_LONG = len(PREFIX) + 5


def refused_names(names: Iterable[str], given: Collection[str], known: Collection[str]) -> list[str]:
    """A message for each name that is probably a mistake.

    `names` are the names with the prefix that a host has, from all sources, and `given` those of the command line.
    `known` has the names of the role and the playbooks. An inventory may have variables that its users defined with
    the prefix: only a name that is nearly a known one is refused, and not if it only has more letters at its end, such
    as postgres_backup_servers.
    """
    messages = []
    for name in sorted({*names, *given} - set(known)):
        meant = _meant(name, known)
        if name in given:
            is_refused = bool(meant) or name.startswith(PREFIX)
        else:
            is_refused = any(not name.startswith(other) for other in meant)
        if is_refused:
            near = " or ".join(meant or _similar(name, known))
            question = f" Did you mean {near}?" if near else ""
            messages.append(
                f"{name}: expected a variable of the role or of a playbook, found an unknown name.{question}"
            )
    return messages


def _meant(name: str, known: Collection[str]) -> list[str]:
    """The known names that differ in one letter, or in two that are missing or additional."""
    plain = name.lower().replace("-", "_")
    # An internal variable of the role may have a known name after two of these. Names of other roles are many.
    if plain.startswith("_") or _difference(plain[: len(_START)], _START) > 2 * _TOLERATED:
        return []
    return sorted(other for other in known if _difference(plain, other) <= (_TOLERATED if len(other) >= _LONG else 1))


def _difference(one: str, other: str) -> int:
    """How many letters of both texts have no equal in the other one, in the same order."""
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return len(one) + len(other) - 2 * sum(block.size for block in blocks)


def _similar(name: str, known: Collection[str]) -> list[str]:
    """Up to three known names that are similar after the prefix."""
    ends = sorted(other.removeprefix(PREFIX) for other in known if other.startswith(PREFIX))
    return [PREFIX + end for end in get_close_matches(name.removeprefix(PREFIX), ends)]
