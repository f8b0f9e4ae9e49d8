# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The commands on the page: a shell and Ansible read them as they are meant."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._report.commands import Target, command_for, commands
from plugins.module_utils._volume import health
from plugins.module_utils._volume.advice import heading, remedy

CHECKOUT = Path(__file__).resolve().parents[5]
CHECKS = sorted(
    set(re.findall(r'Failure\(\s*"(\w+)"', Path(health.__file__).read_text())) | {"unchecked", "damaged", "future"}
)


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        (Target("localhost", (), "data", "postgres-backup"), ""),
        (
            Target("localhost", ("inventory",), "shop", "b"),
            " -e postgres_backup_namespace=shop -e postgres_backup_name=b",
        ),
        (
            Target("shop", ("inventory", "my hosts.yml")),
            " -i inventory -i 'my hosts.yml' -e postgres_backup_hosts=shop",
        ),
        (Target("9 a", ()), """ -e '{"postgres_backup_hosts": "9 a"}'"""),
    ],
)
def test_how_an_installation_is_named(target: Target, arguments: str) -> None:
    first = commands(target, (), True)[0]
    assert first.line == f"ansible-playbook homelab.postgres_backup.verify{arguments}"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), st.text(st.characters(codec="ascii")))
def test_a_shell_reads_the_command_as_it_is_meant(host: str, source: str) -> None:
    if host == "localhost":
        return
    words = shlex.split(commands(Target(host, (source,)), (), True)[0].line)
    assert words[:2] == ["ansible-playbook", "homelab.postgres_backup.verify"]
    assert words[2:4] == ["-i", source]
    value = words[5]
    read = json.loads(value)["postgres_backup_hosts"] if value.startswith("{") else value.partition("=")[2]
    assert read == host


def test_problems_come_first_and_each_command_once() -> None:
    target = Target("localhost", ())
    lines = [
        command.line.rpartition(".")[2] for command in commands(target, ["age", "last_run", "image", "future"], True)
    ]
    assert lines == ["backup_now", "site", "verify", "restore"]
    assert [command.line.rpartition(".")[2] for command in commands(target, (), False)] == [
        "verify",
        "drill",
        "restore",
    ]


def test_the_role_needs_its_variables() -> None:
    command = command_for(Target("localhost", ()), "schedule")
    assert command is not None
    assert command.line.endswith(".site -e postgres_backup_suspend=false")
    assert "variables" in command.hint


@pytest.mark.parametrize("check", CHECKS)
def test_each_problem_has_a_heading_and_its_command_a_playbook(check: str) -> None:
    assert heading(check) != check.replace("_", " ") or check in ("schedule", "space")
    found = remedy(check)
    if found is not None:
        assert (CHECKOUT / "playbooks" / f"{found.playbook}.yml").is_file()


def test_an_unknown_problem() -> None:
    assert heading("some_check") == "some check"
    assert remedy("some_check") is None
    assert command_for(Target("localhost", ()), "some_check") is None
