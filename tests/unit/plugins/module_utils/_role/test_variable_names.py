# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which names of variables are refused, on the command line and in an inventory. Playbooks: tests/unit/playbooks."""

from __future__ import annotations

import pytest

from plugins.module_utils._role.variable_names import PREFIX, refused_names

from .known_names import KNOWN

UNKNOWN = ": expected a variable of the role or of a playbook, found an unknown name."

# What somebody wrote, and what was meant.
MISSPELT = {
    "restore_databse": "restore_database",
    "restore_bakup": "restore_backup",
    "restore_hsot": "restore_host",
    "plase": "place",
    "maxage": "max_age",
    "drill-schedule": "drill_schedule",
    "Schedule": "schedule",
    "recipient": "recipients",
    "keeplast": "keep_last",
}
# Names that users define for themselves, such as parts of other variables.
OF_USERS = ["my_nas", "nas", "nfs_server", "nfs_path", "my_storage_size", "hostname", "servers", "users", "schedule2"]


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_name_is_accepted(name: str) -> None:
    assert refused_names([name], [name], KNOWN) == []


@pytest.mark.parametrize(("name", "meant"), MISSPELT.items())
def test_a_misspelt_name_is_refused_wherever_it_is(name: str, meant: str) -> None:
    full = PREFIX + name
    message = f"{full}{UNKNOWN} Did you mean {PREFIX}{meant}?"
    assert refused_names([full], [full], KNOWN) == refused_names([full], [], KNOWN) == [message]


@pytest.mark.parametrize("name", OF_USERS)
def test_a_name_that_users_defined_is_refused_only_on_the_command_line(name: str) -> None:
    full = PREFIX + name
    assert refused_names([full], [], KNOWN) == []
    (message,) = refused_names([full], [full], KNOWN)
    assert message.startswith(full + UNKNOWN)


@pytest.mark.parametrize(
    "name", ["postgres_bakup_place", "postgresql_backup_place", "postgresbackup_place", "psotgres_backup_place"]
)
def test_a_misspelt_prefix_is_refused_on_the_command_line(name: str) -> None:
    assert refused_names([], [name], KNOWN) == [f"{name}{UNKNOWN} Did you mean postgres_backup_place?"]


# postgres_backup has the results of an earlier step of a workflow of AWX.
@pytest.mark.parametrize(
    "name", ["max_age", "ansible_user", "__postgres_backup_place", "backup_place", "postgres_backup"]
)
def test_other_variables_of_the_command_line_are_accepted(name: str) -> None:
    assert refused_names([], [name], KNOWN) == []


def test_similar_names_are_shown_for_a_name_that_is_not_nearly_known() -> None:
    (message,) = refused_names([], ["postgres_backup_verify_maxage"], KNOWN)
    assert "postgres_backup_max_age" in message and message.endswith("?")
    assert refused_names([], ["postgres_backup_q"], KNOWN) == [f"postgres_backup_q{UNKNOWN}"]


def test_names_are_in_the_order_of_the_alphabet() -> None:
    messages = refused_names(["postgres_backup_plase"], ["postgres_backup_x", "postgres_backup_a"], KNOWN)
    assert [message.partition(":")[0][len(PREFIX) :] for message in messages] == ["a", "plase", "x"]
