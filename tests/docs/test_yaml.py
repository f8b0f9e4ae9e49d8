# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""YAML of the pages, and the EXAMPLES of the modules: real plays, tasks, variables, inventories and manifests.

A role's variables and a module's options are checked by Ansible's own validator.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from .pages import ALL, CHECKOUT, ROLE

COLLECTION = "homelab.postgres_backup."
SPECS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
ANSIBLE_S_OWN = ("ansible_", "postgres_backup_hosts")
Json = dict[str, Any]


def examples(path: Path) -> list[Any]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "EXAMPLES":
            found: list[Any] = yaml.safe_load(ast.literal_eval(node.value))
            return found
    raise AssertionError(f"{path.name} has no EXAMPLES")


SNIPPETS: dict[str, Any] = {str(block): yaml.safe_load(block.text) for block in ALL if block.language == "yaml"} | {
    f"examples of {path.stem}": examples(path) for path in sorted((CHECKOUT / "plugins" / "modules").glob("*.py"))
}


def kind(snippet: Any) -> str:
    """What a piece of YAML is; the empty text for nothing that is known."""
    if isinstance(snippet, list) and all(isinstance(each, dict) for each in snippet):
        return "plays" if all("hosts" in each for each in snippet) else "tasks"
    if not isinstance(snippet, dict):
        return ""
    if "apiVersion" in snippet:
        return "manifest"
    if set(snippet) == {"module_defaults"}:
        return "keywords"
    if all(name.startswith("postgres_backup_") for name in snippet):
        return "variables"
    return "inventory" if all(set(group) <= {"hosts", "vars", "children"} for group in snippet.values()) else ""


def play(snippet: Any) -> list[Json]:
    surroundings = {"name": "An example", "hosts": "localhost", "gather_facts": False}
    role = {"roles": [{"role": f"{COLLECTION}postgres_backup"}]}
    wrapped: dict[str, list[Json]] = {
        "plays": snippet,
        "tasks": [{**surroundings, "tasks": snippet}],
        "keywords": [{**surroundings, **(snippet if isinstance(snippet, dict) else {}), "tasks": []}],
        "variables": [{**surroundings, **role, "vars": snippet}],
    }
    return wrapped[kind(snippet)]


def environment(folder: Path) -> dict[str, str]:
    place = folder / "collections" / "ansible_collections" / "homelab"
    place.mkdir(parents=True)
    (place / "postgres_backup").symlink_to(CHECKOUT)
    there = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
    own = {"ANSIBLE_COLLECTIONS_PATH": f"{folder / 'collections'}:{there}".rstrip(":"), "ANSIBLE_NOCOLOR": "1"}
    return os.environ | own


def ansible(program: str, folder: Path, *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    done = subprocess.run(command, env=environment(folder), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippet_has_a_known_kind(name: str) -> None:
    assert kind(SNIPPETS[name]), "expected plays, tasks, variables of the role, an inventory or a manifest"


def test_ansible_accepts_each_play(tmp_path: Path) -> None:
    files = []
    for number, snippet in enumerate(SNIPPETS.values()):
        if kind(snippet) in {"plays", "tasks", "keywords", "variables"}:
            files.append(str(tmp_path / f"{number}.yml"))
            Path(files[-1]).write_text(yaml.safe_dump(play(snippet), sort_keys=False))
    ansible("ansible-playbook", tmp_path, "--syntax-check", *files)


def test_ansible_accepts_each_inventory(tmp_path: Path) -> None:
    found = [snippet for snippet in SNIPPETS.values() if kind(snippet) == "inventory"]
    assert found
    for number, snippet in enumerate(found):
        path = tmp_path / f"{number}.yml"
        path.write_text(yaml.safe_dump(snippet))
        listed = json.loads(ansible("ansible-inventory", tmp_path, "-i", str(path), "--list"))
        hosts = {host for group in snippet.values() for host in group["hosts"]}
        assert set(listed["_meta"]["hostvars"]) == hosts
        for variables in listed["_meta"]["hostvars"].values():
            refuse_wrong(SPECS, {k: v for k, v in variables.items() if not k.startswith(ANSIBLE_S_OWN)})


def role_variables(snippet: Any) -> list[Json]:
    if kind(snippet) == "variables":
        return [snippet]
    plays = snippet if kind(snippet) == "plays" else []
    roles = [role for each in plays for role in each.get("roles", [])]
    return [role["vars"] for role in roles if role["role"] == f"{COLLECTION}postgres_backup"]


def test_the_role_accepts_the_variables() -> None:
    found = [variables for snippet in SNIPPETS.values() for variables in role_variables(snippet)]
    assert len(found) >= 2
    for variables in found:
        refuse_wrong(SPECS, variables)


def test_the_modules_accept_the_options(tmp_path: Path) -> None:
    modules = [f"{COLLECTION}{path.stem}" for path in sorted((CHECKOUT / "plugins" / "modules").glob("*.py"))]
    documented = json.loads(ansible("ansible-doc", tmp_path, "--json", "--type", "module", *modules))
    used = set()
    for name, snippet in SNIPPETS.items():
        for task in snippet if kind(snippet) == "tasks" else []:
            for module in task.keys() & set(modules):
                used.add(module)
                refuse_wrong(documented[module]["doc"]["options"], task[module] or {}, f"{name}, {module}")
    assert used == set(modules)


DUMP = """--
-- PostgreSQL database cluster dump
--

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

\\connect template1

--
-- Database "app" dump
--

--
-- PostgreSQL database dump
--

CREATE DATABASE app WITH TEMPLATE = template0 ENCODING = 'UTF8';

\\connect app

CREATE TABLE public.users (
    id integer
);

COPY public.users (id) FROM stdin;
ROW\\.


--
-- PostgreSQL database dump complete
--

--
-- PostgreSQL database cluster dump complete
--

"""


def test_comparison_of_the_readme_succeeds_first_and_then_detects_a_loss(tmp_path: Path) -> None:
    (tasks,) = (block.text for block in ALL if block.page == "README.md" and "compare_to" in block.text)
    written = tmp_path / "play.yml"
    here = yaml.safe_load(tasks.replace("/srv/backups", str(tmp_path)))
    written.write_text(yaml.safe_dump(play(here), sort_keys=False))
    backup = tmp_path / "postgres-backup-2026-11-22-020000.sql.gz"
    surroundings = environment(tmp_path)
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-c", "local", str(written)]
    for rows, status in (("1\n" * 9, 0), ("1\n", 2)):
        backup.write_bytes(gzip.compress(DUMP.replace("ROW", rows).encode()))
        digest = hashlib.sha256(backup.read_bytes()).hexdigest()
        (tmp_path / f"{backup.name}.sha256").write_text(f"{digest}  {backup.name}\n")
        done = subprocess.run(command, env=surroundings, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stdout + done.stderr
    assert "lost more than" in done.stdout


def refuse_wrong(options: Mapping[str, Any], given: Mapping[str, Any], where: str = "") -> None:
    known = {name: spec(option) for name, option in options.items()}
    checked = {name: literal(value, known.get(name, {})) for name, value in given.items()}
    result = ArgumentSpecValidator(known).validate(checked)
    assert result.error_messages == [], where


def spec(option: Mapping[str, Any]) -> Json:
    found = {key: option[key] for key in ("type", "elements", "required", "aliases") if key in option}
    if "choices" in option:
        found["choices"] = list(option["choices"])  # documentation may describe each
    below = option.get("options", option.get("suboptions"))
    return found | ({"options": {name: spec(each) for name, each in below.items()}} if below else {})


def literal(value: Any, known: Mapping[str, Any]) -> Any:
    """A template is worth something of its option's type."""
    if isinstance(value, str) and "{{" in value:
        return {"dict": {}, "list": [], "int": 1, "float": 1.0, "bool": True}.get(known.get("type", "str"), "text")
    return value


def test_unknown_option_is_detected() -> None:
    with pytest.raises(AssertionError):
        refuse_wrong(SPECS, {"postgres_backup_keep_last": "many"})
    with pytest.raises(AssertionError):
        refuse_wrong(SPECS, {"postgres_backup_keep_first": 1})
    with pytest.raises(AssertionError):
        refuse_wrong(SPECS, {"postgres_backup_nfs": {"host": "nas"}})
