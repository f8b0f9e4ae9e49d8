# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""docs/examples/awx and docs/examples/eda name what exists, with the types, defaults and choices that it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import consoles

EXAMPLES = consoles.CHECKOUT / "docs" / "examples"
PLAYBOOKS = {path.stem for path in (consoles.CHECKOUT / "playbooks").glob("*.yml")}
# Of AWX's survey_spec: the other types take the same keys.
TYPES = {"text": str, "multiplechoice": str, "integer": int}
KEYS = {"question_name", "question_description", "variable", "type", "required", "choices", "default"}


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_file_is_the_generated_one() -> None:
    assert consoles.TEMPLATES.read_text(encoding="utf-8") == consoles.render(), "run python -m dev.consoles --write"


def test_every_playbook_has_a_job_template() -> None:
    assert set(consoles.SURVEYS) == PLAYBOOKS - {"sample_data"}


@pytest.mark.parametrize("playbook", consoles.SURVEYS)
def test_every_variable_is_asked_for_or_has_a_reason(playbook: str) -> None:
    asked = {question.variable for question in consoles.SURVEYS[playbook]}
    read = consoles.variables_of(playbook)
    assert read - asked - set(consoles.NOT_ASKED) == set()
    # The role of site reads the others.
    assert playbook == "site" or asked - read == set()


def test_no_reason_is_stale() -> None:
    read = set().union(*(consoles.variables_of(playbook) for playbook in consoles.SURVEYS))
    assert set(consoles.NOT_ASKED) - read == set()


@pytest.mark.parametrize("template", consoles.job_templates(), ids=lambda template: str(template["name"]))
def test_survey_is_one_for_awx(template: dict[str, Any]) -> None:
    assert set(template["survey"]) == {"name", "description", "spec"}
    for item in template["survey"]["spec"]:
        assert set(item) | {"default"} == KEYS
        assert item["question_name"] and item["question_description"]
        assert not any(mark in item["question_description"] for mark in ("(V", "O(", "V(", "M(", "{{"))
        assert bool(item["choices"]) == (item["type"] == "multiplechoice")
        if "default" in item:
            assert isinstance(item["default"], TYPES[item["type"]])
            assert not item["choices"] or item["default"] in item["choices"]


def test_workflow_and_rulebook_name_what_exists() -> None:
    names = {template["name"] for template in consoles.job_templates()} | {"PostgreSQL backup: notify"}
    (play,) = loaded(EXAMPLES / "awx" / "configure.yml")
    module = "awx.awx.workflow_job_template"
    (workflow,) = [task[module] for task in play["tasks"] if module in task]
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    for node in nodes.values():
        assert node["unified_job_template"]["name"] in names
        for targets in node.get("related", {}).values():
            assert {target["identifier"] for target in targets} <= set(nodes)
    actions = [
        rule["action"]
        for ruleset in loaded(EXAMPLES / "eda" / "rulebooks" / "postgres_backup.yml")
        for rule in ruleset["rules"]
    ]
    started = {name: action for action in actions for name, action in action.items()}
    assert set(started) == {"run_playbook", "run_job_template"}
    assert started["run_job_template"]["name"] in names
    assert started["run_playbook"]["name"].removeprefix("homelab.postgres_backup.") in PLAYBOOKS
    variables = {*started["run_playbook"]["extra_vars"], *started["run_job_template"]["job_args"]["extra_vars"]}
    assert variables <= consoles.variables_of("verify")
