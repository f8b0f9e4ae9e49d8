# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Variables that were renamed: the old names still work, with a warning (playbooks/vars/renamed.yml)."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.in_turn import weekly, weekly_but

from .dumps import COMPLETE_BACKUP
from .recorded import PLAYBOOKS, Done, Recorded

VARIABLES = yaml.safe_load((PLAYBOOKS / "vars" / "renamed.yml").read_text())
RENAMED: dict[str, dict[str, str]] = VARIABLES["__postgres_backup_renamed"]
WARNING = "DEPRECATED: the old names of these variables will no longer work in version "
OLD: dict[str, dict[str, Any]] = {
    "backup_now": {"max_age": "7h"},
    "drill": {"backup": "a.sql.gz", "compare": "no"},
    "restore": {
        "postgres_restore_backup": "a.sql.gz",
        "postgres_restore_confirmed": "yes",
        "postgres_restore_connections_timeout": "7s",
        "postgres_restore_create_roles": True,
        "postgres_restore_database": "shop",
        "postgres_restore_new_name": "other",
        "postgres_restore_replace": "true",
        "postgres_restore_terminate_connections": "1",
        "postgres_restore_timeout": "7h",
    },
    "retention": {"apply": True},
    "verify": {"max_age": "7h", "postgres_backup_local_dir": "elsewhere"},
}


def new(playbook: str, variables: dict[str, Any]) -> dict[str, Any]:
    return {RENAMED[playbook][name]: value for name, value in variables.items()}


def asked(done: Done, host: str) -> list[tuple[str, bool, dict[str, Any]]]:
    """What each module was asked to do, but for what names the host itself."""
    calls = []
    for call in done.of(host):
        options = {name: str(value).replace(f"/{host}/", "/HOST/") for name, value in call.options.items()}
        calls.append((call.module, call.check, options | {"namespace": "HOST"}))
    return calls


def warnings(done: Done) -> list[str]:
    return re.findall(rf'"msg": "({WARNING}.*)"', done.output)


def test_each_old_name_is_tested() -> None:
    assert {name: set(variables) for name, variables in RENAMED.items()} == {
        name: set(variables) | ({"backup", "kind"} if name == "verify" else set()) for name, variables in OLD.items()
    }


def test_each_renamed_variable_has_the_value_under_either_name() -> None:
    pairs = {(new_name, old) for renamed in RENAMED.values() for old, new_name in renamed.items()}
    values = {name: text for name, text in VARIABLES.items() if name.startswith("__") and "default(" in text}
    assert {name: text.strip() for name, text in values.items()} == {
        f"__{new_name}": f"{{{{ {new_name} | default({old}) }}}}" for new_name, old in pairs
    }


@pytest.mark.parametrize("playbook", weekly_but(OLD, "drill", "restore"))
def test_an_old_name_in_an_inventory_does_what_the_new_one_does(recorded: Recorded, playbook: str) -> None:
    hosts: dict[str, dict[str, Any]] = {"new": new(playbook, OLD[playbook]), "old": OLD[playbook]}
    hosts["none"] = {}
    hosts["same"] = hosts["new"] | hosts["old"]
    hosts |= {"old-empty": dict.fromkeys(hosts["old"], ""), "new-empty": dict.fromkeys(hosts["new"], "")}
    done = recorded.many(playbook, hosts)
    assert done.has_no_template_error(), done.output
    assert asked(done, "old") == asked(done, "new") == asked(done, "same")
    assert asked(done, "old") != asked(done, "none")
    assert asked(done, "old-empty") == asked(done, "new-empty")
    (warning,) = warnings(done)
    for old, new_name in RENAMED[playbook].items():
        assert (f"{old} is now {new_name}" in warning) == (old in OLD[playbook])


def test_old_names_of_a_local_file(recorded: Recorded) -> None:
    (recorded.here / "a.sql.gz").write_bytes(COMPLETE_BACKUP)
    done = recorded.run([*recorded.program("verify"), "-e", "backup=a.sql.gz", "-e", "kind=globals"])
    assert "this is another kind of dump: expected" in done.output
    assert done.calls == []
    (warning,) = warnings(done)
    assert warning.endswith(": backup is now postgres_backup_verify_file, kind is now postgres_backup_verify_kind")


@pytest.mark.parametrize("text", [weekly("7h"), ""])
def test_an_old_name_on_the_command_line_does_what_the_new_one_does(recorded: Recorded, text: str) -> None:
    calls = [
        recorded.run([*recorded.program("backup_now"), "-e", f"{name}={text}"]).calls
        for name in ("max_age", "postgres_backup_max_age")
    ]
    assert calls[0] == calls[1]
    # Nothing is what a survey of AWX sends for a field that was left empty.
    assert calls[0][0].options["max_age"] == (text or None)


def test_new_names_bring_no_warning(recorded: Recorded) -> None:
    done = recorded.many("drill", {"new": new("drill", OLD["drill"]), "other": {"max_age": "7h", "apply": True}})
    assert done.status == 0, done.output
    assert "DEPRECATED" not in done.output


@pytest.mark.parametrize("playbook", OLD)
def test_different_values_under_both_names_are_an_error(recorded: Recorded, playbook: str) -> None:
    old, value = next(iter(OLD[playbook].items()))
    new_name = RENAMED[playbook][old]
    hosts = {
        "both": {old: value, new_name: False if value is True else "other"},
        "empty": {old: "", new_name: value},
    }
    done = recorded.many(playbook, hosts)
    assert done.status != 0
    assert done.calls == []
    assert done.has_no_template_error(), done.output
    for host in hosts:
        assert f"its old name {old} is" in done.about(host)
        assert f"remove {old}. Nothing was done." in done.about(host)


def test_true_as_text_and_as_a_boolean_is_the_same_value(recorded: Recorded) -> None:
    done = recorded.many("retention", {"host": {"apply": True}}, "-e", "postgres_backup_retention_apply=yes")
    assert done.status == 0, done.output
    assert [call.check for call in done.calls] == [False]
