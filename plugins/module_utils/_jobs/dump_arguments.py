# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which arguments of pg_dumpall and pg_dump a backup may have, read as getopt_long reads them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from .dump_options import NEWEST, OLDEST, PG_DUMP, PG_DUMPALL, Option, Program

# Options that the programs refuse without one of the others.
_NEEDS = {
    "if-exists": ("clean",),
    "on-conflict-do-nothing": ("inserts", "rows-per-insert", "column-inserts", "attribute-inserts"),
}
_EXCLUDE_EACH_OTHER = (("statistics", "no-statistics"),)


@dataclass(frozen=True)
class Argument:
    """An option as it is used; `value` is None for an option that takes none."""

    option: Option
    value: str | None = None

    @property
    def text(self) -> str:
        """The option in one word, with its full name."""
        name = f"--{self.option.name}"
        return name if self.value is None else f"{name}={self.value}"


@dataclass
class Arguments:
    """Arguments of a program; `problems` has the reason why a backup may not have it for each refused argument."""

    taken: list[Argument] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """The names of the options that both programs may have."""
        return {argument.option.name for argument in self.taken}


def read_arguments(program: Program, arguments: Sequence[str], major: int | None = None) -> Arguments:
    """The arguments in order, and what is wrong with individual ones for this major version, None for any version."""
    reader = _Reader(program, major, [*arguments])
    reader.read()
    return reader.result


def refused_arguments(program: Program, arguments: Sequence[str], major: int | None = None) -> list[str]:
    """The reasons why a backup may not have these arguments, one for each refused argument or combination."""
    result = read_arguments(program, arguments, major)
    return [*result.problems, *refused_combinations(result.names)]


def refused_combinations(names: Collection[str], others: Collection[str] = ()) -> list[str]:
    """The reasons why these options cannot be used together, or with `others`, which are checked already."""
    reasons = []
    present = {*names, *others}
    for name, needed in _NEEDS.items():
        if name in names and not present & set(needed):
            reasons.append(f"--{name} needs {' or '.join(f'--{other}' for other in needed)}")
    for pair in _EXCLUDE_EACH_OTHER:
        if present >= set(pair) and not set(others) >= set(pair):
            reasons.append(" and ".join(f"--{name}" for name in pair) + " exclude each other")
    return reasons


def canonical_arguments(program: Program, arguments: Sequence[str]) -> list[str]:
    """The same arguments with full names and joined values, one word each; unchanged if they are refused."""
    result = read_arguments(program, arguments)
    return [*arguments] if result.problems else [argument.text for argument in result.taken]


class _Reader:
    """Reads a list of arguments from its beginning to its end."""

    def __init__(self, program: Program, major: int | None, arguments: list[str]) -> None:
        self._program = program
        self._other = PG_DUMP if program is PG_DUMPALL else PG_DUMPALL
        self._major = major
        self._rest = arguments
        self.result = Arguments()

    def read(self) -> None:
        while self._rest:
            argument = self._rest.pop(0)
            if argument == "--":
                break
            if argument.startswith("--"):
                self._read_long(argument)
            elif argument.startswith("-") and argument != "-":
                self._read_letters(argument)
            else:
                self._refuse_word(argument)
        for argument in self._rest:
            self._refuse_word(argument)

    def _refuse(self, reason: str) -> None:
        self.result.problems.append(reason)

    def _refuse_word(self, argument: str) -> None:
        self._refuse(f"{argument} is not an option, and {self._program.name} may have nothing else")

    def _read_long(self, argument: str) -> None:
        name, equals, text = argument[2:].partition("=")
        option = self._named(name)
        if option is None:
            return
        if equals and not option.takes_value:
            self._refuse(f"--{option.name} takes no value")
        else:
            self._take(option, text if equals else None)

    def _named(self, name: str) -> Option | None:
        """The option with this name, or the only one whose name begins so; None if there is none, which is refused."""
        options = [option for option in self._program.options if option.is_in(self._major)]
        exact = [option for option in options if option.name == name]
        foreign = None if self._program.named(name) else self._other.named(name)
        matching = exact or [option for option in options if foreign is None and option.name.startswith(name)]
        if len(matching) == 1:
            return matching[0]
        if matching:
            names = ", ".join(sorted(f"--{option.name}" for option in matching))
            self._refuse(f"--{name} is the beginning of several options ({names})")
            return None
        option = self._program.named(name) or foreign
        if option is None:
            self._refuse(f"--{name} is not an option of {self._program.name} in PostgreSQL {OLDEST} to {NEWEST}")
        return option

    def _read_letters(self, argument: str) -> None:
        """Letters after one dash; what follows an option that takes a value is the value."""
        for position, letter in enumerate(argument[1:], 2):
            option = self._program.lettered(letter) or self._other.lettered(letter)
            if option is None:
                self._refuse(f"-{letter} is not an option of {self._program.name}")
                return
            if option.takes_value:
                self._take(option, argument[position:] or None, letter)
                return
            self._take(option, None, letter)

    def _take(self, option: Option, text: str | None, letter: str = "") -> None:
        """Take an option with its value, which may be the next argument."""
        name = f"-{letter}" if letter else f"--{option.name}"
        if option.takes_value and text is None:
            if not self._rest:
                self._refuse(f"{name} needs a value")
                return
            text = self._rest.pop(0)
        argument = Argument(option, text)
        reason = self._reason(argument)
        if reason is None:
            self.result.taken.append(argument)
        else:
            self._refuse(f"{_title(option)} {reason}")

    def _reason(self, argument: Argument) -> str | None:
        option = argument.option
        if option.variable:
            return f"{option.refused}: {_entry_of_variable(argument)}"
        if option not in self._program.options:
            return self._reason_of_other(argument)
        if option.refused is not None:
            return option.refused
        if not option.is_in(self._major):
            return f"is in PostgreSQL {option.versions}, not in {self._major}"
        return option.check(argument.value) if option.check and argument.value is not None else None

    def _reason_of_other(self, argument: Argument) -> str:
        """Why an option that only the other program has is refused, and where it belongs."""
        option, other = argument.option, self._other
        foreign = f"is an option of {other.name} that {self._program.name} does not have"
        if option.refused is not None:
            return f"{foreign}, and it {option.refused}"
        return f"{foreign}: set {other.variable}: [{json.dumps(argument.text, ensure_ascii=False)}]"


def _title(option: Option) -> str:
    return f"--{option.name} (-{option.letter})" if option.letter else f"--{option.name}"


def _entry_of_variable(argument: Argument) -> str:
    """The variable of the role that does the same, ready to paste."""
    entry = json.dumps({"database": "*", "table": argument.value}, ensure_ascii=False)
    return f"{argument.option.variable}: [{entry}]"
