# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The role's templates, rendered by Ansible's own templar without a play."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[4] / "roles" / "postgres_backup"
SPECS: dict[str, Any] = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
OPTIONS: dict[str, Any] = SPECS["options"]


def _trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


@functools.cache
def _role_variables() -> dict[str, Any]:
    variables: dict[str, Any] = {}
    for path in [ROLE / "defaults" / "main.yml", *sorted((ROLE / "vars" / "main").glob("*.yml"))]:
        variables |= _trusted(yaml.safe_load(path.read_text())) or {}
    return variables


def evaluate(expression: str, **variables: Any) -> Any:
    """What `expression` is worth in the role, with these variables set by a user."""
    surroundings = {
        "role_path": str(ROLE),
        "ansible_search_path": [str(ROLE)],
        "ansible_check_mode": False,
    }
    templar = Templar(DataLoader(), variables={**_role_variables(), **surroundings, **variables})
    return templar.template(trust_as_template(expression))


def render(template: str, **variables: Any) -> str:
    text = evaluate("{{ lookup('ansible.builtin.template', '" + template + "') or '' }}", **variables)
    assert isinstance(text, str)
    return text


def objects(**variables: Any) -> list[dict[str, Any]]:
    """The objects for the cluster, as the role makes them for a server that it found."""
    server = {
        "image": "registry.example/postgresql:18",
        "port": 5432,
        "selector": {"app": "db"},
        "labels": {"app": "db"},
        "pull_secrets": [],
    }
    variables.setdefault("__postgres_backup_server", server)
    return [document for document in yaml.safe_load_all(render("objects.yaml.j2", **variables)) if document]


def cronjob(**variables: Any) -> dict[str, Any]:
    *_, last = objects(**variables)
    assert last["kind"] == "CronJob"
    return last


def environment(**variables: Any) -> dict[str, Any]:
    """The container's environment: values, and for what comes from elsewhere its reference."""
    (container,) = cronjob(**variables)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}
