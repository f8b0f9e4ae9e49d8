# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Rules for the role's variables: what they cover, and their parts. Values that they refuse: tests/unit/roles."""

from __future__ import annotations

import pytest

from plugins.module_utils._role.command_line import explain_cut_value
from plugins.module_utils._role.schedules import is_cut_schedule, is_schedule
from plugins.module_utils._role.variables import RULES, refused_variables

from .default_variables import variables

# What the argument specification alone can check: booleans, choices, and paths on the controller.
BY_TYPE = frozenset(
    f"postgres_backup_{name}"
    for name in [
        "access_mode",
        "applied_by",
        "compressor",
        "delete_data",
        "drill_in_memory",
        "image_pull_policy",
        "manifest_dir",
        "metrics",
        "network_policy",
        "protect_volume",
        "restore_kit",
        "runbook_dir",
        "server_network_policy",
        "state",
        "suspend",
        "watch",
    ]
)


def test_every_variable_has_a_rule_or_is_checked_by_its_type() -> None:
    ruled = {rule.name for rule in RULES}
    assert ruled | BY_TYPE == variables().keys()
    assert not ruled & BY_TYPE


def test_the_defaults_keep_all_rules() -> None:
    assert refused_variables(variables()) == []


def test_a_value_is_shown_in_json() -> None:
    (message,) = refused_variables(variables(postgres_backup_ssl_ca={"secret": "ä", "key": None, "config_map": [1]}))
    assert message.endswith('; found {"secret": "\\u00e4", "key": null, "config_map": [1]}')


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ("0 2 * * *", True),
        ("0,30 02 1,15 JAN,jul ?", True),
        ("0 2 29 2 *", True),
        ("0 2 30 2 1", True),
        ("@every 12h30m", True),
        ("@reboot", False),
        ("0 2 30 2 *", False),
        ("0 2 31 apr *", True),  # accepted in words, as it was
        ("0 2 31 11 ?", False),
        ("0 2 * * 7", False),
        ("0 2 * * *\n", False),
        ("TZ=UTC 0 2 * * *", False),
    ],
)
def test_schedules(text: str, is_valid: bool) -> None:
    assert is_schedule(text) is is_valid


@pytest.mark.parametrize(("text", "is_cut"), [("30", True), ("*/5", True), ("0 2 * * *", False), ("daily", False)])
def test_schedules_that_were_cut_at_a_space(text: str, is_cut: bool) -> None:
    assert is_cut_schedule(text) is is_cut


def test_the_words_of_a_cut_value_are_quoted_as_they_are() -> None:
    message = explain_cut_value('"backup" über')
    assert message.startswith('-e: expected name=value, found the words "\\"backup\\" über" after a value.')
    assert """-e 'postgres_backup_schedule="30 3 * * *"'""" in message
