# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""meta/argument_specs.yml agrees with defaults/main.yml."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from .rendering import OPTIONS, ROLE, evaluate

COLLECTION = ROLE.parents[1]
# What counts if no server is found.
_FALLBACK = yaml.safe_load((ROLE / "vars" / "main" / "server.yml").read_text())["__postgres_backup_fallback"]
DEFAULTS: dict[str, Any] = {
    name: _FALLBACK[name.removeprefix("postgres_backup_")] if "__postgres_backup_defaults" in str(value) else value
    for name, value in yaml.safe_load((ROLE / "defaults" / "main.yml").read_text()).items()
}
# As the role's summary finds them.
(_UNKNOWN,) = re.findall(r"set unknown = (.*) -%}", (ROLE / "templates" / "unknown-variables.txt.j2").read_text())
UNKNOWN = "{{ " + _UNKNOWN + " }}"
PYTHON_TYPES = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}


def test_specs_and_defaults_have_the_same_variables_in_order() -> None:
    assert list(OPTIONS) == list(DEFAULTS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_specs_and_defaults_give_the_same_default(name: str) -> None:
    assert OPTIONS[name]["default"] == DEFAULTS[name]
    assert type(OPTIONS[name]["default"]) is type(DEFAULTS[name])


@pytest.mark.parametrize("name", OPTIONS)
def test_variable_has_a_description_and_the_type_of_its_default(name: str) -> None:
    option = OPTIONS[name]
    assert name.startswith("postgres_backup_")
    assert all(sentence.endswith(".") for sentence in option["description"])
    if option["type"] != "raw":
        assert type(DEFAULTS[name]) is PYTHON_TYPES[option["type"]]
    if "choices" in option:
        assert DEFAULTS[name] in option["choices"]
    if option["type"] == "list":
        assert "elements" in option


def test_readme_names_each_variable() -> None:
    text = (ROLE / "README.md").read_text()
    assert set(re.findall(r"`(postgres_backup_\w+)`", text)) == set(OPTIONS)


def test_playbook_variables_are_known_to_the_role() -> None:
    """It reports each other variable with its prefix as unknown."""
    used: set[str] = set()
    for path in [*(COLLECTION / "playbooks").rglob("*.yml"), COLLECTION / "plugins/plugin_utils/progress_action.py"]:
        text = re.sub(r"^ *#.*", "", path.read_text(), flags=re.MULTILINE)
        used |= set(re.findall(r"(?<![\w.])postgres_backup_\w+", text))
    own = evaluate("{{ __postgres_backup_playbook_variables }}")
    assert sorted(used - set(OPTIONS)) == own
    vars_there = dict.fromkeys([*own, "postgres_backup_schedule", "postgres_backup_misspelt"], "x")
    found = evaluate(UNKNOWN, **vars_there)
    assert found == ["postgres_backup_misspelt"]


def test_variables_used_in_the_role_are_declared() -> None:
    known = set(OPTIONS) | set(evaluate("{{ __postgres_backup_playbook_variables }}"))
    for path in ROLE.rglob("*"):
        if path.suffix in {".yml", ".j2"}:
            used = set(re.findall(r"(?<![\w.])postgres_backup_[a-z_]+[a-z]", path.read_text()))
            assert used <= known | {"postgres_backup_keep"}, path
