# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""meta/argument_specs.yml says the same as defaults/main.yml."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from .rendering import ROLE

DEFAULTS: dict[str, Any] = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
SPECS: dict[str, Any] = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
OPTIONS: dict[str, Any] = SPECS["options"]
PYTHON_TYPES = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict}


def test_they_name_the_same_variables_in_the_same_order() -> None:
    assert list(OPTIONS) == list(DEFAULTS)


@pytest.mark.parametrize("name", DEFAULTS)
def test_they_give_the_same_default(name: str) -> None:
    assert OPTIONS[name]["default"] == DEFAULTS[name]
    assert type(OPTIONS[name]["default"]) is type(DEFAULTS[name])


@pytest.mark.parametrize("name", OPTIONS)
def test_a_variable_has_a_description_and_the_type_of_its_default(name: str) -> None:
    option = OPTIONS[name]
    assert name.startswith("postgres_backup_")
    assert all(sentence.endswith(".") for sentence in option["description"])
    if option["type"] != "raw":
        assert type(DEFAULTS[name]) is PYTHON_TYPES[option["type"]]
    if "choices" in option:
        assert DEFAULTS[name] in option["choices"]
    if option["type"] == "list":
        assert "elements" in option


def test_the_readme_names_each_variable() -> None:
    text = (ROLE / "README.md").read_text()
    assert set(re.findall(r"`(postgres_backup_\w+)`", text)) == set(OPTIONS)


def test_no_variable_in_the_role_is_unknown() -> None:
    known = set(OPTIONS)
    for path in ROLE.rglob("*"):
        if path.suffix in {".yml", ".j2"}:
            used = set(re.findall(r"(?<![\w.])postgres_backup_[a-z_]+[a-z]", path.read_text()))
            assert used <= known | {"postgres_backup_keep"}, path
