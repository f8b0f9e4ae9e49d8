# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Who may import what: a pure core, an edge that does input and output, one adapter to Kubernetes, thin modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
UTILS = CHECKOUT / "plugins" / "module_utils"
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
NOW = frozenset({"now", "utcnow", "today"})
# Pure but for a thread that works ahead: the streams are passed in.
CORE = frozenset(
    [
        "catalog",
        "contents",
        "diagnosis",
        "drill_report",
        "drilling",
        "dump_arguments",
        "dump_reader",
        "encodings",
        "errors",
        "expectations",
        "gzip_reader",
        "health",
        "job_templates",
        "names",
        "postgres_server",
        "restore_plan",
        "script",
        "section_statements",
        "sizes",
        "sql_lexer",
        "volume_jobs",
        "websocket_frames",
    ]
)
# Local files, signals and child processes, without a cluster.
EDGE = frozenset(["destination", "following", "interruption", "sidecar", "transfer", "verification"])
# These put core, edge and adapter together for the modules.
TOGETHER = frozenset(["fetching", "module_runner", "module_support"])


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The level and the first word of each import: (1, "names") for `from .names import …`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.level, node.module.partition(".")[0]
            else:
                yield from ((node.level, alias.name) for alias in node.names)


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            yield function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def test_every_file_has_its_layer() -> None:
    layers = (CORE, EDGE, TOGETHER)
    assert sum(map(len, layers)) == len(CORE | EDGE | TOGETHER)
    assert {path.stem for path in UTILS.glob("*.py")} - {"__init__"} == CORE | EDGE | TOGETHER


@pytest.mark.parametrize("name", sorted(CORE))
def test_the_core_does_no_input_or_output(name: str) -> None:
    path = UTILS / f"{name}.py"
    found = set(imports(path))
    assert not {word for level, word in found if level == 0} & (IO | {"ansible", "ansible_collections", "kubernetes"})
    assert {word for level, word in found if level == 1} <= CORE
    assert not {level for level, _ in found} - {0, 1}
    assert not set(calls(path)) & (NOW | {"open", "print", "input"})


@pytest.mark.parametrize("name", sorted(EDGE))
def test_the_edge_knows_neither_ansible_nor_a_cluster(name: str) -> None:
    found = set(imports(UTILS / f"{name}.py"))
    assert not {word for level, word in found if level == 0} & {"ansible", "ansible_collections", "kubernetes"}
    assert {word for level, word in found if level == 1} <= CORE | EDGE


def test_only_the_adapter_imports_kubernetes() -> None:
    """module_runner takes the authentication options from kubernetes.core, their one source."""
    for path in (CHECKOUT / "plugins").rglob("*.py"):
        found = {word for level, word in imports(path) if level == 0}
        if path.parent != UTILS / "cluster":
            assert "kubernetes" not in found, path
            is_face = path.parent.name in {"action", "filter", "modules"}
            assert "ansible_collections" not in found or is_face or path.stem == "module_runner"


def test_only_modules_and_their_support_import_ansible() -> None:
    allowed = {UTILS / "module_runner.py"}
    for path in UTILS.rglob("*.py"):
        if path not in allowed:
            assert "ansible" not in {word for level, word in imports(path) if level == 0}, path


@pytest.mark.parametrize("path", sorted((CHECKOUT / "plugins" / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_modules_code_is_small(path: Path) -> None:
    """Documentation left out: what is more than a screen or two belongs into module_utils."""
    tree = ast.parse(path.read_text())
    texts = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
    code = [
        node for node in tree.body if not (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in texts)
    ]
    lines = sum((node.end_lineno or 0) - node.lineno + 1 for node in code)
    assert lines <= 230, f"{lines} lines"
