# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the modules that meet the cluster say of their options is what they take."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils._jobs.restore_server import RESTORE_SERVER_ARGUMENTS
from plugins.module_utils.identity_support import IDENTITY_ARGUMENTS
from plugins.module_utils.place_support import PLACE_ARGUMENTS

ROOT = Path(__file__).parents[4]
# What an argument specification does not have.
_ONLY_DOCUMENTED = frozenset({"description", "suboptions", "version_added"})
CLUSTER = "kubernetes.core.k8s_auth_options"
# By fragments of the documentation: the constant that modules unpack into their ARGUMENTS, and its value.
SHARED = {
    "homelab.postgres_backup.identity": ("IDENTITY_ARGUMENTS", IDENTITY_ARGUMENTS),
    "homelab.postgres_backup.place": ("PLACE_ARGUMENTS", PLACE_ARGUMENTS),
    "homelab.postgres_backup.restore_server": ("RESTORE_SERVER_ARGUMENTS", RESTORE_SERVER_ARGUMENTS),
}


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


def arguments_of(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The arguments that are literals in the module, and the fragments of those that it unpacks."""
    fragments_of = {constant: fragment for fragment, (constant, _) in SHARED.items()}
    values = [
        node.value
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and "ARGUMENTS" in ast.unparse(node).partition("=")[0]
    ]
    if not values:
        return {}, []
    (value,) = values
    assert isinstance(value, ast.Dict)
    arguments, fragments = {}, []
    for key, argument in zip(value.keys, value.values, strict=True):
        if key is None:
            assert isinstance(argument, ast.Name)
            fragments.append(fragments_of[argument.id])
        else:
            arguments[ast.literal_eval(key)] = ast.literal_eval(argument)
    return arguments, fragments


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
    arguments, fragments = arguments_of(path)
    # That a Secret's name may be shown is in no documentation.
    arguments = {name: {key: one for key, one in each.items() if key != "no_log"} for name, each in arguments.items()}
    options = documentation(path).get("options", {})
    assert specification(options) == arguments
    assert fragments == [name for name in SHARED if name in documentation(path)["extends_documentation_fragment"]]


@pytest.mark.parametrize("fragment", SHARED)
def test_shared_options_equal_the_documented_ones(fragment: str) -> None:
    shared = {
        name: {key: one for key, one in each.items() if key != "no_log"} for name, each in SHARED[fragment][1].items()
    }
    path = ROOT / "plugins" / "doc_fragments" / f"{fragment.rpartition('.')[2]}.py"
    (fragment_class,) = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    (text,) = (ast.literal_eval(node.value) for node in fragment_class.body if isinstance(node, ast.Assign))
    assert specification(yaml.safe_load(text)["options"]) == shared


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_return_values_and_attributes_are_documented(path: Path) -> None:
    returned = yaml.safe_load(assigned(path)["RETURN"])
    assert all(each.keys() >= {"description", "type", "returned"} for each in returned.values())
    assert documentation(path)["attributes"].keys() == {"check_mode", "diff_mode", "idempotent"}


def test_modules_are_in_the_action_group() -> None:
    (_, *names) = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]["k8s"]
    assert names == [path.stem for path in MODULES]
