# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A program in Python in its ConfigMap: without docstrings and comments, and otherwise the same."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from plugins.module_utils._role.program_text import without_docstrings
from tests import copy_program, watch_program

FILES = sorted({*copy_program.FILES, *watch_program.FILES})
TEXT = '''\
# licence
# developers
"""Module."""

# comment
class A(Exception):
    """Class."""


class B:
    r"""Two
    lines."""  # with more

    x = "# kept"  # kept

    async def f(self) -> str:
        """Only
        ä.
        """

    def g(self) -> str:
        # comment
        """First."""
        return """
# kept
"""
'''
EXPECTED = '''\
# licence
# developers


class A(Exception):
    pass


class B:
    r"""Two
    lines."""  # with more

    x = "# kept"  # kept

    async def f(self) -> str:
        pass



    def g(self) -> str:


        return """
# kept
"""
'''


def test_what_is_left_out() -> None:
    lines, expected = without_docstrings(TEXT).splitlines(), EXPECTED.splitlines()
    assert [line for line in lines if line] == [line for line in expected if line]
    assert len(lines) == len(TEXT.splitlines())


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_the_same_program(name: str) -> None:
    text = (watch_program.UTILS / name).read_text()
    made = without_docstrings(text)
    # With the positions: a traceback shows the lines of the collection.
    assert _program(made) == _program(text)
    assert made.splitlines()[:2] == text.splitlines()[:2]
    assert not _docstrings(ast.parse(made))


def _docstrings(tree: ast.Module) -> list[ast.stmt]:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, holders)]
    return [node.body[0] for node in nodes if ast.get_docstring(node) is not None]


def _program(text: str) -> list[tuple[int, str]]:
    """Each statement without its docstrings, and its line; one that was only a docstring is `pass`."""
    tree = ast.parse(text)
    docstrings = _docstrings(tree)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and body[0] in docstrings:
            line = body.pop(0).lineno
            if not body and not isinstance(node, ast.Module):
                body.append(ast.Pass(lineno=line, col_offset=0))
    lines = [(node.lineno, type(node).__name__) for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    return [*lines, (0, ast.dump(tree))]


def test_no_program_reads_a_docstring() -> None:
    readers = ("__doc__", "getdoc", "docopt", "pydoc", "doctest", "importlib.resources", "inspect")
    found = [
        (name, word)
        for name in FILES
        for node in ast.walk(ast.parse((watch_program.UTILS / name).read_text()))
        for word in readers
        if word in {getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "module", None)}
        or (isinstance(node, ast.Import) and word in {alias.name for alias in node.names})
    ]
    assert not found


def test_the_files_are_those_of_this_collection() -> None:
    assert len(FILES) > 40 and all(Path(watch_program.UTILS / name).is_file() for name in FILES)
