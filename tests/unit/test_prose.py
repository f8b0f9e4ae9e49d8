# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""No program matches a sentence of the script: programs exchange fields, and sentences may change."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SHELL = sorted((CHECKOUT / "roles" / "postgres_backup" / "files").rglob("*.*"))
# Where the sentences of earlier versions are matched.
OF_EARLIER_VERSIONS = "script_1_0.py"
# Text in dumps, which both search for: that of PostgreSQL, and the comment by which an incomplete backup describes
# itself. It is a part of the format, and may not be reworded.
IN_DUMPS = ("PostgreSQL database ", "-- Databases that could not be dumped: ")
# A severity of PostgreSQL's messages, which the script prints when it quotes them.
SEVERITY = "ERROR"
# A sentence has words, a keyword of SQL is in capitals; a line of the log may begin with one word and a colon.
_WORDS = re.compile(r"[A-Za-z]+[^A-Za-z]* [^A-Za-z]*[a-z]+|[a-z]+[^A-Za-z]* [^A-Za-z]*[A-Za-z]+")
_FIRST_WORD = re.compile(r"[A-Z]+(?=:)")
# Methods of str that search for their arguments.
_METHODS = frozenset(
    {"startswith", "endswith", "find", "index", "count", "partition", "rpartition", "split", "rsplit", "removeprefix"}
)
_PATTERNS = frozenset({"compile", "match", "search", "fullmatch", "findall", "finditer", "sub", "split"})
# What may stand between the literal parts of a string of sh or awk, and of a regular expression.
_EXPANSION = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)|\$\{[^{}]*\}|\$[A-Za-z0-9_@#?*]+|%[.0-9]*[a-z]|\\.")
_NOT_LITERAL = re.compile(r"\(\?P<\w+>|\(\?[:=!<][=!]?|\[[^\]]*\]|\\[A-Za-z]|\{[0-9,]*\}|[()|*+?^$.\\]")


def texts_of_shell(source: str) -> set[str]:
    """The literal parts of what stands in double quotes in a line, where they have words, and the first words."""
    code = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith("#"))
    quoted = re.findall(r'"((?:[^"\\\n]|\\.)*)"', code)
    parts = {part.strip() for text in quoted for part in _EXPANSION.split(text) if _WORDS.search(part)}
    return parts | {first[0] for text in quoted if (first := _FIRST_WORD.match(text))}


class _Matches(ast.NodeVisitor):
    """The strings that a module searches for in others, by line; names are resolved to the module's constants."""

    def __init__(self, tree: ast.Module) -> None:
        self.constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.parts: list[tuple[int, str]] = []
        self.wholes: list[tuple[int, str]] = []
        self.visit(tree)

    def strings(self, node: ast.expr) -> Iterator[str]:
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)):
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        elif isinstance(node, ast.Name) and node.id in self.constants:
            yield from self.strings(self.constants[node.id])
        elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            for element in node.elts:
                yield from self.strings(element)
        elif isinstance(node, ast.JoinedStr):
            for value in node.values:
                yield from self.strings(value)
        elif isinstance(node, ast.BinOp):
            yield from self.strings(node.left)
            yield from self.strings(node.right)

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for operation, right in zip(node.ops, node.comparators, strict=True):
            is_part = isinstance(operation, (ast.In, ast.NotIn)) and not isinstance(
                right, (ast.Tuple, ast.List, ast.Set)
            )
            for text in [*self.strings(left), *([] if is_part else self.strings(right))]:
                (self.parts if is_part else self.wholes).append((node.lineno, text))
            left = right
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            is_pattern = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
            if is_pattern and node.func.attr in _PATTERNS and node.args:
                for text in self.strings(node.args[0]):
                    self.parts += ((node.lineno, part) for part in _NOT_LITERAL.split(text))
            elif node.func.attr in _METHODS:
                self.parts += ((node.lineno, text) for argument in node.args for text in self.strings(argument))
        self.generic_visit(node)


def matched(source: str, printed: Iterable[str]) -> list[tuple[int, str]]:
    """The places where a module's source searches for text that the shell prints, in part or in full."""
    matches = _Matches(ast.parse(source))
    texts = {*printed}
    parts = {
        (line, text)
        for line, text in matches.parts
        if text.strip(": ") in texts or (_WORDS.search(text) and any(text.strip() in each for each in texts))
    }
    return sorted({*parts, *((line, text) for line, text in matches.wholes if text.strip() in texts)})


@pytest.fixture(scope="module")
def printed() -> set[str]:
    texts = {text for path in SHELL for text in texts_of_shell(path.read_text())}
    return {text for text in texts if text != SEVERITY and not any(part in f"{text} " for part in IN_DUMPS)}


def patterns_of_shell(source: str) -> set[str]:
    """What the arms of `case` search for, *'words'*, if they contain words."""
    code = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith("#"))
    return {text for text in re.findall(r"\*'([^'*\n]+)'\*", code) if _WORDS.search(text)}


def test_the_scripts_sentences_are_found(printed: set[str]) -> None:
    assert {"was terminated by SIG", "dated in the future", "some backups could not be deleted", "FAILED"} <= {
        text.removeprefix("the run ") for text in printed
    }


@pytest.mark.parametrize(
    "source",
    [
        'x = "terminated by SIG" in reason',
        'FUTURE = "dated in the future"\ndef f(reasons): return FUTURE in reasons',
        'x = any("FAILED" in message for message in messages)',
        'x = any(line[21:].startswith("FAILED: ") for line in lines)',
        'x = reason == "dated in the future"',
        'x = reason in {"dated in the future", "unchecked"}',
        'x = line.startswith(("some backups could", "y"))',
        'import re\nX = re.compile(rb"terminated by SIG([A-Z]+)")',
        'x = text.endswith(f"{x} could not be dropped")',
    ],
)
def test_a_match_is_seen(source: str, printed: set[str]) -> None:
    assert matched(source, printed)


@pytest.mark.parametrize(
    "source",
    [
        'x = result["state"] == "failed"',
        'x = state in {"failed", "interrupted"}',
        'x = result.get("signal")',
        'x = "terminated by SIG"',
        'x = reason.startswith("DeadlineExceeded")',
    ],
)
def test_a_field_is_none(source: str, printed: set[str]) -> None:
    assert not matched(source, printed)


@pytest.mark.parametrize(
    "path",
    [path for path in sorted((CHECKOUT / "plugins").rglob("*.py")) if path.name != OF_EARLIER_VERSIONS],
    ids=lambda path: path.stem,
)
def test_no_python_matches_a_sentence_of_the_script(path: Path, printed: set[str]) -> None:
    assert matched(path.read_text(), printed) == []


# Messages of PostgreSQL with words that also occur in advice.
POSTGRESQLS = {": out of memory", "out of memory", "row-level security", "does not exist"}


@pytest.mark.parametrize("path", [path for path in SHELL if path.suffix == ".sh"], ids=lambda path: path.stem)
def test_no_shell_matches_its_own_sentences(path: Path, printed: set[str]) -> None:
    patterns = patterns_of_shell(path.read_text()) - POSTGRESQLS
    assert [pattern for pattern in patterns if any(pattern.strip() in text for text in printed)] == []
