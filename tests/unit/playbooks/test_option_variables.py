# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""After a failure, playbooks show the variables of the options that the module's message names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from plugins.module_utils._role.option_variables import OPTIONS, RETRIEVE
from tests.in_turn import weekly

from .recorded import PLAYBOOKS, PREFIX, Recorded
from .variable_names import CONFIRMED, NAMES

FILES = {path.stem: yaml.safe_load(path.read_text()) for path in PLAYBOOKS.glob("*.yml")}
RETRIEVE_TASKS = yaml.safe_load((PLAYBOOKS / "tasks" / "retrieve.yml").read_text())
TITLE = "option in the message"


def modules(tasks: list[dict[str, Any]], private: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The modules of this collection with their options; `private` gets the variables on the way."""
    for task in tasks:
        private |= task.get("vars", {})
        if task.get("ansible.builtin.import_tasks") == "tasks/retrieve.yml":
            yield from modules(RETRIEVE_TASKS, private)
        for section in ("block", "rescue", "always"):
            yield from modules(task.get(section, []), private)
        for action, options in task.items():
            if action.startswith(PREFIX):
                yield action.removeprefix(PREFIX), options


def public(value: Any, private: dict[str, Any], seen: frozenset[str] = frozenset()) -> set[str]:
    """The variables of users that a value is made of."""
    names = set(re.findall(r"\b\w*postgres_backup_\w+", str(value))) - seen
    found = names & set(NAMES)
    for name in names & private.keys():
        found |= public(private[name], private, seen | names)
    return found


def options() -> Iterator[tuple[str, str, str, set[str]]]:
    for playbook, (play,) in sorted(FILES.items()):
        private = dict(play.get("vars", {}))
        for path in play["vars_files"]:
            private |= yaml.safe_load((PLAYBOOKS / path).read_text())
        # All calls first: then `private` has the variables of all tasks.
        for module, given in list(modules(play["tasks"], private)):
            for option, value in given.items():
                yield playbook, module, option, public(value, private)


FOUND = [option for option in options() if option[3]]


def test_options_are_found() -> None:
    found = {(playbook, option): names for playbook, _, option, names in FOUND}
    assert found["restore", "database"] == {"postgres_backup_restore_database"}
    assert found["verify", "identity_file"] == {"postgres_backup_identity_file"}
    assert found["restore_table", "tables"] == {"postgres_backup_restore_tables"}
    assert len(FOUND) > 100


@pytest.mark.parametrize("playbook", FILES)
def test_options_of_a_playbook_have_the_variables_that_it_passes(playbook: str) -> None:
    variables = OPTIONS.get(playbook, {})
    passed = set()
    for name, module, option, names in FOUND:
        if name == playbook:
            is_retrieve = module == "backup_retrieve" and option in RETRIEVE
            assert (RETRIEVE if is_retrieve else variables)[option] in names, (module, option)
            passed |= set() if is_retrieve else {option}
    assert passed == variables.keys()


@pytest.mark.parametrize(
    ("playbook", "module", "option", "variable"),
    [
        ("restore", "restore_database", "create_roles", "postgres_backup_restore_create_roles"),
        weekly("restore_table", "restore_table", "merge", "postgres_backup_restore_merge"),
        weekly("drill", "restore_drill", "size_limit", "postgres_backup_drill_size_limit"),
    ],
)
def test_failure_keeps_its_message_and_shows_the_variables(
    recorded: Recorded, playbook: str, module: str, option: str, variable: str
) -> None:
    answers = {
        "named": f"roles are missing on the server. Create them, or set {option}.",
        "other": "the server cannot be reached. Set it up",
    }
    for host, message in answers.items():
        recorded.answers[host] = {module: {"failed": True, "changed": False, "msg": message}}
    given = {**CONFIRMED, "postgres_backup_restore_tables": ["orders"]}
    done = recorded.many(playbook, dict.fromkeys([*answers, "well"], given))
    assert done.has_no_template_error(), done.output
    for host, message in answers.items():
        (fatal,) = re.findall(rf"^fatal: \[{host}\]: .*$", done.output, re.MULTILINE)
        assert message in fatal
        assert done.stats(playbook)[host]["message"] == message
    assert done.output.count(TITLE) == 1
    assert re.search(rf'"{option} +{variable}"', done.output)
    assert done.stats(playbook)["well"]["failed"] is False
