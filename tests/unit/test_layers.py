# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which folder may import what; docs/architecture.md has the same layers: a core, one adapter, modules."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PLUGINS = CHECKOUT / "plugins"
UTILS = PLUGINS / "module_utils"
COLLECTION = "ansible_collections.homelab.postgres_backup.plugins.module_utils"
# What touches files, clocks, processes or the network, and is given to the core by its callers.
IO = frozenset(
    [
        "asyncio",
        "fcntl",
        "http",
        "io",
        "os",
        "pathlib",
        "select",
        "shutil",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "time",
        "urllib",
    ]
)
# Modules among them that only work on text.
PURE = frozenset({"urllib.parse"})
IO_CALLS = frozenset({"now", "utcnow", "today", "open", "print", "input"})
STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
# Faster decompression, and decryption, where they are installed.
OPTIONAL = frozenset({"isal", "pyrage"})
# The public key of an identity is found out where this one is installed.
PUBLIC_KEYS = frozenset({"cryptography"})
KUBERNETES = frozenset({"ansible_collections", "kubernetes", "urllib3", "websocket"})

# How many lines of code these modules may have; every other one has at most 150.
LARGER_MODULES = {"backup_fetch": 217}


@dataclass(frozen=True)
class Folder:
    """What the files of a package, or a single file, of module_utils may import.

    `uses` names those of module_utils, `libraries` those from outside the standard library. `io` has the words for
    input and output among the standard library that are allowed: all of them, or some in the one file that is named.
    """

    uses: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    io: bool = False
    io_files: frozenset[str] = frozenset()


def _folder(uses: str = "", libraries: frozenset[str] = frozenset(), io: bool = False, io_files: str = "") -> Folder:
    return Folder(frozenset(uses.split()), libraries, io, frozenset(io_files.split()))


# From the bottom to the top. A package without `io` may have it in the files that its docstring names.
FOLDERS = {
    "errors": _folder(),
    "findings": _folder(),
    "units": _folder("errors"),
    "key_forms": _folder(),
    "interruption": _folder(io=True),
    "script_output": _folder(),
    "script_1_0": _folder(),
    "secret_files": _folder(io=True),
    "_script": _folder(),
    "_progress": _folder("units", io_files="event_file"),
    "_dump": _folder("errors", OPTIONAL),
    "_volume": _folder(
        "errors findings units script_output script_1_0", io_files="checksum_file file_replacement record_folder"
    ),
    "_verify": _folder(
        "errors findings units key_forms _progress _dump _volume", PUBLIC_KEYS, io_files="identity_file verification"
    ),
    "_jobs": _folder("errors findings units script_output _dump"),
    "_servers": _folder("_jobs _volume"),
    "_role": _folder("errors units key_forms _jobs _volume"),
    "_report": _folder("units _volume _role"),
    "_watch": _folder("errors findings units secret_files _volume _role", io_files="delivery program"),
    "_copy": _folder(
        "errors units secret_files _progress _volume",
        io_files="mirror place process program restic_place s3_requests scratch volume_files",
    ),
    "_fetch": _folder("errors findings _progress _dump _volume _verify", io=True),
    "_cluster": _folder(
        "errors interruption units script_output script_1_0 _script _progress _volume _jobs _servers _fetch",
        KUBERNETES,
        io=True,
    ),
    "module_runner": _folder(
        "errors interruption script_output _progress _cluster", frozenset({"ansible", "ansible_collections"}), io=True
    ),
    "module_support": _folder("errors units _cluster module_runner"),
    "identity_support": _folder("_jobs _verify", io=True),
    "place_support": _folder("errors _cluster _jobs identity_support module_support", io=True),
    "restore_support": _folder("_cluster _jobs identity_support module_support place_support", io=True),
}
# backup_verify runs with these alone, on Python 3.9 and without libraries.
STANDALONE = frozenset(
    [
        "errors",
        "findings",
        "units",
        "key_forms",
        "script_output",
        "script_1_0",
        "_progress",
        "_dump",
        "_volume",
        "_verify",
    ]
)


def imports(path: Path) -> Iterator[str]:
    """The module of each import, with its dots: `..errors` for `from ..errors import …`, `.` for `from . import …`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def outside(path: Path) -> set[str]:
    """The first word of each import from outside this collection's module_utils."""
    return {
        name.partition(".")[0] for name in imports(path) if not name.startswith(".") and not name.startswith(COLLECTION)
    }


def folder_of(path: Path) -> str:
    return path.relative_to(UTILS).parts[0].removesuffix(".py")


def uses(path: Path) -> set[str]:
    """The other folders of module_utils from which this file of module_utils imports."""
    package = list(path.relative_to(UTILS).parts[:-1])
    found = set()
    for name in imports(path):
        level = len(name) - len(name.lstrip("."))
        if level:
            parts = [*package[: len(package) - level + 1], *filter(None, name[level:].split("."))]
            assert parts, f"{path}: expected the name of a folder"
            found.add(parts[0])
    return found - {folder_of(path)}


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            yield function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


FILES = sorted(path for path in UTILS.rglob("*.py") if path != UTILS / "__init__.py")
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(UTILS).as_posix())


def test_every_file_has_its_folder() -> None:
    assert {folder_of(path) for path in FILES} == set(FOLDERS)
    assert all(len(path.relative_to(UTILS).parts) <= 2 for path in FILES)


def test_every_package_says_what_may_be_in_it() -> None:
    packages = {name for name in FOLDERS if (UTILS / name).is_dir()}
    assert packages == {name for name in FOLDERS if name.startswith("_")}
    for name in packages:
        docstring = ast.get_docstring(ast.parse((UTILS / name / "__init__.py").read_text())) or ""
        folder = FOLDERS[name]
        assert folder.io or folder.io_files or "No input or output" in docstring, name
        assert all(f"{file}.py" in docstring for file in folder.io_files), name
        assert f"{name}/`" in (CHECKOUT / "docs" / "architecture.md").read_text()


@each_file
def test_a_file_uses_the_folders_that_it_may(path: Path) -> None:
    assert uses(path) <= FOLDERS[folder_of(path)].uses


def test_no_folder_uses_one_that_uses_it() -> None:
    order = list(TopologicalSorter({name: folder.uses for name, folder in FOLDERS.items()}).static_order())
    assert set(order) == set(FOLDERS)


def test_every_error_with_a_check_is_in_errors() -> None:
    """A module reports an error by its `check`: errors.py lists them all, and nothing changes them on the way."""
    names = {node.name for node in ast.parse((UTILS / "errors.py").read_text()).body if isinstance(node, ast.ClassDef)}
    for path in PLUGINS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and path != UTILS / "errors.py":
                assert not names & {base.id for base in node.bases if isinstance(base, ast.Name)}, (
                    f"{path}: {node.name}"
                )
            elif isinstance(node, ast.Assign):
                assert not any(isinstance(target, ast.Attribute) and target.attr == "check" for target in node.targets)


@each_file
def test_a_file_imports_the_libraries_that_it_may(path: Path) -> None:
    """kubernetes by the adapter alone; module_runner takes its options from kubernetes.core, their one source."""
    assert outside(path) - STANDARD_LIBRARY <= FOLDERS[folder_of(path)].libraries
    assert not any(name.startswith(COLLECTION) for name in imports(path)), "relative imports inside module_utils"


@each_file
def test_input_and_output_are_where_they_are_declared(path: Path) -> None:
    folder = FOLDERS[folder_of(path)]
    if not folder.io and path.stem not in folder.io_files:
        assert not {name for name in imports(path) if name.partition(".")[0] in IO} - PURE
        assert not set(calls(path)) & IO_CALLS


def test_what_runs_without_libraries_uses_nothing_else() -> None:
    for name in STANDALONE:
        assert FOLDERS[name].uses <= STANDALONE
        assert FOLDERS[name].libraries <= OPTIONAL | PUBLIC_KEYS
    used = {
        name.removeprefix(f"{COLLECTION}.").partition(".")[0]
        for name in imports(PLUGINS / "modules/backup_verify.py")
        if name.startswith(COLLECTION)
    }
    assert used <= STANDALONE


@pytest.mark.parametrize(
    "path", sorted(PLUGINS.glob("modules/*.py")) + sorted(PLUGINS.glob("filter/*.py")), ids=lambda path: path.stem
)
def test_modules_and_filters_do_not_import_kubernetes(path: Path) -> None:
    assert not outside(path) & KUBERNETES
    used = {
        name.removeprefix(f"{COLLECTION}.").partition(".")[0] for name in imports(path) if name.startswith(COLLECTION)
    }
    if path.parent.name == "filter":
        assert not any(FOLDERS[name].io for name in used)


@pytest.mark.parametrize("path", sorted((CHECKOUT / "plugins" / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_modules_code_is_small(path: Path) -> None:
    """Documentation left out. A larger module has two subjects, or does what belongs into module_utils."""
    tree = ast.parse(path.read_text())
    texts = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    code = [
        node for node in tree.body if not (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in texts)
    ]
    lines = sum((node.end_lineno or 0) - node.lineno + 1 for node in code)
    assert lines <= LARGER_MODULES.get(path.stem, 150), f"{lines} lines"
