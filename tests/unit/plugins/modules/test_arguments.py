# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the modules that meet the cluster say of their options is what they take."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[4]
# What an argument specification does not have.
_ONLY_DOCUMENTED = frozenset({"description", "suboptions", "version_added"})
CLUSTER = "kubernetes.core.k8s_auth_options"


def assigned(path: Path) -> dict[str, Any]:
    """The module's constants that are literals: importing it needs Ansible's own way of finding collections."""
    found = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            target, value = node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            target, value = node.target.id, node.value
        else:
            continue
        try:
            found[target] = ast.literal_eval(value)
        except ValueError:
            continue
    return found


def documentation(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(assigned(path)["DOCUMENTATION"])
    return found


def specification(options: dict[str, Any]) -> dict[str, Any]:
    """The documented options as an argument specification."""
    specified = {}
    for name, option in options.items():
        specified[name] = {key: one for key, one in option.items() if key not in _ONLY_DOCUMENTED}
        if "suboptions" in option:
            specified[name]["options"] = specification(option["suboptions"])
    return specified


MODULES = [
    path
    for path in sorted((ROOT / "plugins" / "modules").glob("*.py"))
    if CLUSTER in documentation(path).get("extends_documentation_fragment", [])
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_options_equal_the_documented_ones(path: Path) -> None:
    arguments = assigned(path).get("ARGUMENTS", {})
    # That a Secret's name may be shown is in no documentation.
    arguments = {name: {key: one for key, one in each.items() if key != "no_log"} for name, each in arguments.items()}
    options = documentation(path).get("options", {})
    assert specification(options) == arguments


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_return_values_and_attributes_are_documented(path: Path) -> None:
    returned = yaml.safe_load(assigned(path)["RETURN"])
    assert all(each.keys() >= {"description", "type", "returned"} for each in returned.values())
    assert documentation(path)["attributes"].keys() == {"check_mode", "diff_mode", "idempotent"}


def test_modules_are_in_the_action_group() -> None:
    (_, *names) = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]["k8s"]
    assert names == [path.stem for path in MODULES]
