# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Options in messages, and their variables. The options of every playbook's modules: tests/unit/playbooks."""

from __future__ import annotations

import pytest

from plugins.module_utils._role.option_variables import option_variables
from plugins.module_utils._role.variable_names import PREFIX


def found(playbook: str, message: str, result: str = "result") -> dict[str, str]:
    rows = option_variables({"other": {}, result: {"failed": True, "msg": message}}, playbook)
    return {row["option"]: row["variable"].removeprefix(PREFIX) for row in rows}


# The playbook, a message as the modules have them, and the variables of the options, all of which begin with restore_.
RESTORES = [
    ("restore", "Set new_name, or replace to have the old one renamed.", ["new_name", "replace"]),
    ("restore", "Create them, or set create_roles.", ["create_roles"]),
    ("restore", "End them, or set terminate_connections; a transaction ends with COMMIT.", ["terminate_connections"]),
    ("restore", "after_sql failed: division by zero", ["after_sql"]),
    ("restore", "Leave out backup, sha256 and contents: then the newest is restored", ["backup"]),
    ("restore", "database: expected one of those in the backup (app), found 'shop'", ["database"]),
    ("restore_table", "Restore it (restore_database), or set target to the database", ["target"]),
    ("restore_table", "Check the names; restore_database with new_name restores the complete database", []),
    ("restore_table", "keys: expected a number from 0 to 1000, found -1", ["keys"]),
    ("disaster", "the database 'shop' has objects: drop it, or set replace to have it renamed", ["replace"]),
    ("disaster", "retention deletes it after the next run. Set `keep` to keep it", ["keep"]),
]
# The variables of the options.
OTHERS: list[tuple[str, str, dict[str, str]]] = [
    ("restore", "Set postgres_backup_host (or restore_host) to it.", {"restore_host": "restore_host"}),
    ("drill", "Set postgres_backup_host (or restore_host) to it.", {}),
    ("restore", "place: expected the name of a place", {"place": "place"}),
    (
        "restore",
        "Give one (the option identity or identity_file)",
        {"identity": "identity", "identity_file": "identity_file"},
    ),
    ("disaster", "src: expected a file", {"src": "restore_file"}),
    ("drill", "Raise its size limit (size_limit)", {"size_limit": "drill_size_limit"}),
    ("drill", "image: expected the name of an image", {"image": "drill_image"}),
    ("upgrade_rehearsal", "image: expected the name of an image", {"image": "upgrade_image"}),
    ("upgrade_rehearsal", "with the option search_path, or cure it", {"search_path": "drill_search_path"}),
    ("verify", "Rename the file, or leave out max_age", {"max_age": "max_age"}),
    ("copy", "places: expected places of the CronJob", {"places": "copy_places"}),
    ("backup_user", "role: expected a name of 1 to 63 bytes", {"role": "user_role"}),
    ("retention", "There is no namespace: check `namespace` and `context`", {"namespace": "namespace"}),
    ("retention", "name: expected the name of a CronJob", {"name": "name"}),
]


@pytest.mark.parametrize(("playbook", "message", "options"), RESTORES)
def test_options_of_restores(playbook: str, message: str, options: list[str]) -> None:
    assert found(playbook, message) == {option: f"restore_{option}" for option in options}


@pytest.mark.parametrize(("playbook", "message", "variables"), OTHERS)
def test_options_of_other_modules_and_of_all(playbook: str, message: str, variables: dict[str, str]) -> None:
    assert found(playbook, message) == variables


@pytest.mark.parametrize(
    "message",
    [
        "the image was not found on the node; its place in the backup is not known",
        "Set another one, or set it by hand; name one as backup",
        "verify it (allow_incomplete: true)",
        "the option search_path; postgres_backup_restore_search_path",
        "",
    ],
)
def test_words_and_options_without_another_variable_are_left_out(message: str) -> None:
    assert found("restore", message) == {}


def test_what_brings_a_backup_back_has_another_timeout() -> None:
    for playbook, backup in {"restore": "restore_backup", "drill": "drill_backup", "verify": "retrieve_backup"}.items():
        expected = {"timeout": "retrieve_timeout", "backup": backup}
        assert found(playbook, "backup: none. Raise timeout", "retrieve") == expected
    assert found("restore", "Raise timeout") == {"timeout": "restore_timeout"}


def test_problems_of_a_backup_are_a_message() -> None:
    results = {"verify": {"failed": False, "failures": [{"message": "Verify another file, or set kind"}]}}
    assert option_variables(results, "verify") == [{"option": "kind", "variable": "postgres_backup_verify_kind"}]
    assert option_variables({"verify": {}, "info": None}, "verify") == []
