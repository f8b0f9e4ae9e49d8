# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Misspelt variables are refused before anything is done. The rule itself: unit/plugins/module_utils/_role."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.in_turn import weekly_but

from .recorded import PLAYBOOKS, Recorded
from .variable_names import CONFIRMED, NAMES, OLD_NAMES

COMMON: dict[str, Any] = yaml.safe_load((PLAYBOOKS / "vars" / "common.yml").read_text())
ALL = sorted(path.stem for path in PLAYBOOKS.glob("*.yml"))


def test_playbooks_know_the_variables_of_the_role_and_of_all_playbooks_with_their_old_names() -> None:
    expressions = {name: trust_as_template(text) for name, text in COMMON.items() if isinstance(text, str)}
    templar = Templar(DataLoader(), variables={"playbook_dir": str(PLAYBOOKS), **expressions})
    known = templar.template(trust_as_template("{{ __postgres_backup_known_variables }}"))
    old = [name for name in OLD_NAMES if name.startswith("postgres_")]
    assert sorted(known) == sorted([*NAMES, *old])


@pytest.mark.parametrize("playbook", weekly_but(ALL, "restore", "retention", "site"))
def test_playbook_refuses_misspelt_variables_of_the_command_line(recorded: Recorded, playbook: str) -> None:
    given = {"postgres_backup_restore_bakup": "a.sql.gz", "postgres_backup_my_nas": "nas", "my_own": 1}
    path = recorded.here / "given.yml"
    path.write_text(json.dumps(given))
    words = ["-e", f"@{path}", "-e", "postgresql_backup_place=offsite", "-e", '{"postgres_backup_maxage": 1}']
    done = recorded.run([*recorded.program(playbook), *words])
    assert done.status != 0
    assert (done.calls, done.has_no_template_error()) == ([], True), done.output
    lines = [line.split("Action failed: ")[-1] for line in done.output.splitlines()]
    expected = "expected a variable of the role or of a playbook, found an unknown name."
    for name, meant in {
        "postgres_backup_maxage": " Did you mean postgres_backup_max_age?",
        "postgres_backup_my_nas": "",
        "postgres_backup_restore_bakup": " Did you mean postgres_backup_restore_backup?",
        "postgresql_backup_place": " Did you mean postgres_backup_place?",
    }.items():
        assert f"{name}: {expected}{meant}" in lines
    assert any(line.startswith("Correct the name.") and line.endswith("Nothing was done.") for line in lines)
    assert "my_own" not in done.output


def test_host_with_a_misspelt_variable_in_the_inventory_is_refused(recorded: Recorded) -> None:
    hosts: dict[str, dict[str, Any]] = {
        "misspelt": {"postgres_backup_restore_hsot": "staging"},
        "own": {"postgres_backup_my_nas": "nas", "postgres_backup_servers": [], "postgresql_backup_place": "/srv"},
        "other": {"postgres_backup_report_dest": "page.html", "postgres_restore_timeout": "1h", "kind": "x"},
    }
    done = recorded.many("restore", {name: {**CONFIRMED, **of} for name, of in hosts.items()})
    assert {call.options["namespace"] for call in done.calls} == {"own", "other"}
    assert "Did you mean postgres_backup_restore_host?" in done.about("misspelt")
    assert done.has_no_template_error(), done.output
