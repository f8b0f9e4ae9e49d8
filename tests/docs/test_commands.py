# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Each block of the pages is of a kind that a test takes, and each command in them is claimed by who runs it."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterator

import pytest
import yaml

from .claims import CLAIMS, RUN, Claim
from .metrics import metrics
from .pages import ALL, CHECKOUT, NAMES, ROLE, prose

# sh: here; yaml: test_yaml.py; text: test_messages.py; json: test_manifest.py.
KINDS = {"sh", "yaml", "text", "json"}
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
PLAYBOOKS = {path.stem: path.read_text() for path in (CHECKOUT / "playbooks").glob("*.yml")}
FILTERS = {path.stem for path in (CHECKOUT / "plugins" / "filter").glob("*.py")}
MODULES = {path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py")}
COMMANDS = {
    page: [c for block in ALL if (block.page, block.language) == (page, "sh") for c in block.commands] for page in NAMES
}


def test_every_block_has_a_tested_language() -> None:
    assert [str(block) for block in ALL if block.language not in KINDS] == []


@pytest.mark.parametrize("page", NAMES)
def test_no_block_is_indented(page: str) -> None:
    """Markdown takes what is indented behind an empty line for code, too."""
    assert re.findall(r"\n\n    .*", prose(page)) == []


@pytest.mark.parametrize("page", NAMES)
def test_every_command_is_claimed_and_no_claim_is_stale(page: str) -> None:
    assert sorted(set(COMMANDS[page])) == sorted(CLAIMS.get(page, {}))


def claims() -> Iterator[Claim]:
    for of_page in CLAIMS.values():
        yield from of_page.values()


@pytest.mark.parametrize("test", sorted({claim.test for claim in claims() if claim.test}))
def test_claimed_test_exists(test: str) -> None:
    path, _, function = test.partition("::")
    text = (CHECKOUT / path).read_text()
    assert f"def {function}(" in text if function else "left" in text


def test_command_without_a_test_has_a_reason() -> None:
    assert all(bool(claim.test) != bool(claim.reason) for claim in claims())
    assert RUN in claims()


METRICS = metrics()
PLAYS = sorted({command for of_page in COMMANDS.values() for command in of_page if "ansible-playbook " in command})


@pytest.mark.parametrize("command", PLAYS)
def test_command_names_an_existing_playbook_and_its_variables(command: str) -> None:
    words = shlex.split(command)
    (name,) = (word.rpartition(".")[2] for word in words if word.startswith("homelab.postgres_backup."))
    text = PLAYBOOKS[name]
    for before, word in itertools.pairwise(words):
        if before != "-e":
            continue
        given = json.loads(word) if word.startswith("{") else {word.partition("=")[0]: None}
        for variable in given:
            assert re.search(rf"\b{variable}\b", text) or (name == "site" and variable in OPTIONS), variable


@pytest.mark.parametrize("page", NAMES)
def test_every_variable_and_name_of_the_collection_exists(page: str) -> None:
    text = (CHECKOUT / page).read_text()
    action = (CHECKOUT / "plugins" / "plugin_utils" / "progress_action.py").read_text()
    known = set(OPTIONS) | METRICS | set(re.findall(r"\bpostgres_[a-z_]+\b", "".join([*PLAYBOOKS.values(), action])))
    for word in re.findall(r"(?<![\w./])(?:postgres_backup|postgres_restore)_[a-z_]+", text):
        assert any(name == word or (word.endswith("_") and name.startswith(word)) for name in known), word
    for word in re.findall(r"homelab\.postgres_backup\.([a-z_0-9]+)", text):
        assert word in PLAYBOOKS or word in MODULES | FILTERS or word in {"postgres_backup", "k8s"}, word


def test_the_collection_is_installed_from_its_own_repository() -> None:
    repository = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())["repository"]
    assert f"ansible-galaxy collection install git+{repository}" in COMMANDS["README.md"]


def test_every_benchmark_is_documented() -> None:
    text = (CHECKOUT / "dev" / "benchmarks" / "__main__.py").read_text()
    there = set(re.findall(r'^    "(\w+)": \w+\.measure', text, re.MULTILINE))
    assert {command.removeprefix("dev/bench ") for command in COMMANDS["docs/benchmarks.md"]} == there
