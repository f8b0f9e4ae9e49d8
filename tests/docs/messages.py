# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The messages of script, role, playbooks and modules, from their sources; `…` stands for inserted values."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from .pages import CHECKOUT, ROLE

PLUGINS = CHECKOUT / "plugins"


def _python(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _yaml(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _yaml(item)
    elif isinstance(value, list):
        for item in value:
            yield from _yaml(item)
    elif isinstance(value, str):
        yield value


@functools.cache
def source_texts() -> tuple[str, ...]:
    found: list[str] = []
    for path in sorted((ROLE / "files").iterdir()) + sorted((ROLE / "templates").iterdir()):
        found += path.read_text().splitlines()
    for path in [*sorted((ROLE / "tasks").glob("*.yml")), *sorted((CHECKOUT / "playbooks").glob("*.yml"))]:
        found += _yaml(yaml.safe_load(path.read_text()))
    for path in sorted(PLUGINS.rglob("*.py")):
        if path.parent.name != "_script":  # the script's files once more
            found += _python(path)
    return tuple(found)


def is_in_the_sources(message: str) -> bool:
    """Whether a string of the sources contains the fixed parts of the message, in their order."""
    parts = [part for part in message.split("…") if part.strip()]
    pattern = re.compile(".*?".join(map(re.escape, parts)), re.DOTALL)
    return bool(parts) and any(pattern.search(text) for text in source_texts())


def failures_of_the_script() -> set[str]:
    """The fixed beginnings of the failures of the script."""
    calls = r'\b(?:fail(?:_[a-z_]+(?: (?:[0-9]|"\$[a-z_]+"))?)?|run_step \w+|drill_sql_failed \S+) "([^"]*)'
    whole = "\n".join(path.read_text() for path in sorted((ROLE / "files").glob("*.sh")))
    code = "\n".join(line for line in whole.splitlines() if not line.lstrip().startswith("#"))
    return {beginning for text in re.findall(calls, code) if (beginning := text.partition("$")[0].rstrip(" ("))}


def health_checks() -> set[str]:
    volume = PLUGINS / "module_utils" / "_volume"
    trees = [ast.parse((volume / name).read_text()) for name in ("health.py", "watch_record.py", "copy_health.py")]
    return {
        node.args[0].value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Failure"
        if isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    }


def startup_reasons() -> set[str]:
    """Kubernetes' reasons for a pod that does not start, for which the modules have advice."""
    words: set[str] = set()
    for node in ast.parse((PLUGINS / "module_utils" / "_jobs" / "pod_diagnosis.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            (target,) = node.targets
            if isinstance(target, ast.Name) and target.id in {"_ADVICE", "_EVENT_ADVICE"}:
                words |= {str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)}
    return words
