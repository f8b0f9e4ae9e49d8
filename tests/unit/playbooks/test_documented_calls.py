# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Each call of a playbook's header, where nobody is at a terminal: as it stands, and with each variable left out."""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.in_turn import weekly

from .recorded import PLAYBOOKS, PREFIX, WELL, Call, Done, Recorded, Unsafe


@dataclass(frozen=True)
class Header:
    """One call of a header: the variables as typed, in their order, those in brackets optional."""

    playbook: str
    variables: dict[str, str]
    optional: tuple[str, ...]
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.playbook}: {' '.join(self.variables)}"


def headers(playbook: str) -> list[Header]:
    lines = [line[1:] for line in (PLAYBOOKS / f"{playbook}.yml").read_text().partition("---")[0].splitlines()]
    # A line that is indented further continues the one before.
    text = re.sub(r"\n {4,}(?=\[)", " ", "\n".join(lines))
    found = []
    for call in re.findall(rf"^ {{3}}ansible-playbook {re.escape(PREFIX + playbook)}(.*)$", text, re.MULTILINE):
        optional = {name for group in re.findall(r"\[(-e .*?)\](?= |$)", call) for name in given(shlex.split(group))}
        words = shlex.split(re.sub(r"\[(.*?)\](?= |$)", r"\1", call))
        found.append(Header(playbook, given(words), tuple(sorted(optional)), tuple(words)))
    return found


def given(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for before, word in itertools.pairwise(words) if before == "-e"]
    return {name: value for name, _, value in pairs}


NAMES = sorted(path.stem for path in PLAYBOOKS.glob("*.yml"))
HEADERS = [header for name in NAMES for header in headers(name)]
BOOLEANS = {"true": True, "false": False}
# What becomes of each variable: the module's option, and its value where the variable is left out.
BECOMES: dict[str, dict[str, tuple[str, str, Any]]] = {
    "backup_now": {"postgres_backup_max_age": ("backup_job", "max_age", None)},
    "backup_user": {
        "postgres_backup_user_role": ("backup_user", "role", "postgres_backup"),
        "postgres_backup_user_secret_name": ("backup_user", "secret_name", None),
        "postgres_backup_user_rotate": ("backup_user", "rotate", False),
        "postgres_backup_user_bypass_rls": ("backup_user", "bypass_rls", True),
        "postgres_backup_user_large_objects": ("backup_user", "large_objects", True),
    },
    "disaster": {
        "postgres_backup_restore_backup": ("restore_cluster", "backup", None),
        "postgres_backup_restore_replace": ("restore_cluster", "replace", False),
        "postgres_backup_restore_alter_roles": ("restore_cluster", "alter_roles", False),
        "postgres_backup_restore_terminate_connections": ("restore_cluster", "terminate_connections", False),
        "postgres_backup_restore_connections_timeout": ("restore_cluster", "connections_timeout", "30s"),
        "postgres_backup_restore_timeout": ("restore_cluster", "timeout", "12h"),
    },
    "drill": {"postgres_backup_drill_backup": ("restore_drill", "backup", None)},
    "restore": {
        "postgres_backup_restore_database": ("restore_database", "database", None),
        "postgres_backup_restore_new_name": ("restore_database", "new_name", "shop"),
        "postgres_backup_restore_replace": ("restore_database", "replace", False),
        "postgres_backup_restore_backup": ("restore_database", "backup", None),
        "postgres_backup_restore_create_roles": ("restore_database", "create_roles", False),
        "postgres_backup_restore_terminate_connections": ("restore_database", "terminate_connections", False),
        "postgres_backup_restore_connections_timeout": ("restore_database", "connections_timeout", "30s"),
        "postgres_backup_restore_timeout": ("restore_database", "timeout", "6h"),
        "postgres_backup_restore_search_path": ("restore_database", "search_path", None),
        "postgres_backup_restore_before_sql": ("restore_database", "before_sql", None),
        "postgres_backup_restore_after_sql": ("restore_database", "after_sql", None),
        "postgres_backup_restore_transform_sql": ("restore_database", "transform_sql", None),
        "postgres_backup_restore_assert_sql": ("restore_database", "assert_sql", None),
        "postgres_backup_restore_host": ("restore_database", "restore_host", None),
        "postgres_backup_restore_port": ("restore_database", "restore_port", None),
        "postgres_backup_restore_sslmode": ("restore_database", "restore_sslmode", None),
    },
    "restore_table": {
        "postgres_backup_restore_database": ("restore_table", "database", None),
        "postgres_backup_restore_backup": ("restore_table", "backup", None),
        "postgres_backup_restore_target": ("restore_table", "target", None),
        "postgres_backup_restore_merge": ("restore_table", "merge", None),
        "postgres_backup_restore_timeout": ("restore_table", "timeout", "6h"),
        "postgres_backup_restore_search_path": ("restore_table", "search_path", None),
    },
    "report": {"postgres_backup_max_age": ("backup_info", "max_age", "26h")},
    "upgrade_rehearsal": {"postgres_backup_upgrade_image": ("restore_drill", "image", None)},
    "verify": {"postgres_backup_max_age": ("backup_job", "max_age", "26h")},
}


RESTORES = {"disaster": "restore_cluster", "restore": "restore_database", "restore_table": "restore_table"}
# A playbook does nothing without these variables.
NEEDED = {
    "restore": {"postgres_backup_restore_database"},
    "restore_table": {"postgres_backup_restore_database", "postgres_backup_restore_tables"},
    "retrieve": {"postgres_backup_place"},
    "upgrade_rehearsal": {"postgres_backup_upgrade_image"},
}


def test_playbook_header_shows_how_to_call_it() -> None:
    # sample_data is for trying things out, and takes nothing.
    assert {header.playbook for header in HEADERS} == set(NAMES) - {"sample_data"}


def option(calls: list[Call], module: str, name: str) -> Any:
    return next(call.options[name] for call in calls if call.module == module)


def value(text: str) -> Any:
    return BOOLEANS.get(text, int(text) if text.isdecimal() else text)


def changing(calls: list[Call]) -> set[str]:
    return {
        call.module
        for call in calls
        if not call.check and call.module in {"restore_cluster", "restore_database", "restore_table", "backup_prune"}
    }


# The recorded modules are distinguished by their namespace, which postgres_discover does not have: its playbook runs on
# a cluster, in tests/cluster/playbooks/test_unprotected.py.
NOT_RECORDED = {"site", "unprotected"}


# Every day, the first call of each of these playbooks.
DAILY = {"disaster", "drill", "restore", "restore_table", "verify"}
FIRST = {header.playbook: header for header in reversed(HEADERS) if header.playbook in DAILY}
CALLS = [
    (pytest.param if header is FIRST.get(header.playbook) else weekly)(header, id=str(header))
    for header in HEADERS
    if header.playbook not in NOT_RECORDED
]


@pytest.mark.parametrize("header", CALLS)
def test_documented_call_without_a_terminal(recorded: Recorded, header: Header) -> None:
    local = "postgres_backup_verify_file" in header.variables
    ways = {"complete": header.variables}
    for left in header.variables:
        ways[f"without-{left.replace('_', '-')}"] = {k: v for k, v in header.variables.items() if k != left}
    ways |= {"bare": {name: text for name, text in header.variables.items() if name not in header.optional}}
    done = recorded.many(header.playbook, ways)
    assert done.has_no_template_error(), done.output
    for host, variables in ways.items():
        calls = done.of(host)
        if local and "postgres_backup_verify_file" in variables:
            # The example's file does not exist, which is the expected message.
            assert calls == []
            assert f"{variables['postgres_backup_verify_file']} does not exist" in done.output
            continue
        if not NEEDED.get(header.playbook, set()) <= variables.keys():
            assert calls == []
            continue
        assert calls, f"{host}: {done.output}"
        for name, (module, what, otherwise) in BECOMES.get(header.playbook, {}).items():
            if name in header.variables:
                expected = value(variables[name]) if name in variables else otherwise
                assert option(calls, module, what) == expected, (host, name, calls)
        if header.playbook in RESTORES:
            restore = RESTORES[header.playbook]
            assert changing(calls) == ({restore} if "postgres_backup_restore_confirmed" in variables else set()), host
        if header.playbook == "retention":
            assert changing(calls) == ({"backup_prune"} if "postgres_backup_retention_apply" in variables else set()), (
                host
            )


RESTORE = "ansible-playbook homelab.postgres_backup.restore -e postgres_backup_restore_confirmed=true "


def as_typed(recorded: Recorded, command: str) -> Done:
    return recorded.run(["bash", "-c", command.replace("ansible-playbook", recorded.program("")[0], 1)])


@pytest.mark.parametrize(
    ("typed", "database"),
    [
        weekly("postgres_backup_restore_database=shop", "shop"),
        ("""'postgres_backup_restore_database="the shop"'""", "the shop"),
    ],
)
def test_documented_restore(recorded: Recorded, typed: str, database: str) -> None:
    done = as_typed(recorded, f"{RESTORE}-e {typed}")
    assert done.status == 0, done.output
    *_, restored = done.calls
    assert (restored.module, restored.check) == ("restore_database", False)
    assert (restored.options["database"], restored.options["new_name"]) == (database, database)
    assert restored.options["replace"] is False
    assert f'  DROP DATABASE "{database}";\n' in done.output, done.output


# A host of the inventory: what it sets, and the database that is restored then.
NAMED: dict[str, tuple[Any, str]] = {
    "none": ("None", "None"),
    "null": ("null", "null"),
    "yes": ("yes", "yes"),
    "zero": ("0", "0"),
    "number": (0, "0"),
    "spaces": (" the  shop ", " the  shop "),
    "quotes": ("a \"b\" 'c' ö", "a \"b\" 'c' ö"),
    "braces": (Unsafe("{{ braces }} {% x"), "{{ braces }} {% x"),
}


def test_database_name_is_passed_unchanged(recorded: Recorded) -> None:
    confirmed = {"postgres_backup_restore_confirmed": "y"}
    hosts = {host: {"postgres_backup_restore_database": name, **confirmed} for host, (name, _) in NAMED.items()}
    renamed = {
        "postgres_backup_restore_database": "shop",
        "postgres_backup_restore_new_name": "None",
        "postgres_backup_restore_replace": "Y",
    }
    done = recorded.many("restore", {**hosts, "renamed": {**renamed, **confirmed}})
    assert done.status == 0, done.output
    assert "Not prompting" not in done.output
    for host, (_, database) in NAMED.items():
        options = done.of(host)[-1].options
        assert (options["database"], options["new_name"], options["replace"]) == (database, database, False)
        quoted = '"' + database.replace('"', '""') + '"'
        assert f"  DROP DATABASE {quoted};\n" in done.output, done.output
    options = done.of("renamed")[-1].options
    assert (options["database"], options["new_name"], options["replace"]) == ("shop", "None", True)


# A host of the inventory: its variables, and the expected message.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"database": ""}, "postgres_backup_restore_database: expected a database's name, found nothing. Set it"),
    "nothing": (
        {"database": None},
        "postgres_backup_restore_database: expected a database's name, found nothing. Set it",
    ),
    "boolean": ({"database": True}, "expected a database's name, found true. Put it in quotes."),
    "float": ({"database": 1.5}, "expected a database's name, found 1.5. Put it in quotes."),
    "list": ({"database": ["a"]}, "expected a database's name, found ["),
    "name": ({"database": "a", "new_name": False}, "postgres_backup_restore_new_name: expected a name, found false"),
    "replace": ({"database": "a", "replace": "perhaps"}, "postgres_backup_restore_replace: expected yes or no, found"),
    "roles": ({"database": "a", "create_roles": 2}, "postgres_backup_restore_create_roles: expected yes or no, found"),
    "confirmed": ({"database": "a", "confirmed": "ja"}, "postgres_backup_restore_confirmed: expected yes or no, found"),
}


def test_ambiguous_value_is_refused_before_any_action(recorded: Recorded) -> None:
    hosts = {
        host: {f"postgres_backup_restore_{name}": value for name, value in {"confirmed": True, **given}.items()}
        for host, (given, _) in REFUSED.items()
    }
    done = recorded.many("restore", hosts)
    assert done.status != 0
    assert done.calls == []
    assert done.has_no_template_error(), done.output
    for host, (_, message) in REFUSED.items():
        (said,) = re.findall(rf"^fatal: \[{host}\]: .*$", done.output, re.MULTILINE)
        assert message in said, said


@pytest.mark.parametrize("playbook", NAMES)
def test_playbook_checks_the_command_line_first(playbook: str) -> None:
    (play,) = yaml.safe_load((PLAYBOOKS / f"{playbook}.yml").read_text())
    assert play["tasks"][0]["ansible.builtin.import_tasks"] == "tasks/command_line.yml"
    # What it asks where nobody can answer gets the text None.
    assert "vars_prompt" not in play


def test_value_cut_at_its_spaces_is_refused(recorded: Recorded) -> None:
    done = as_typed(recorded, f"{RESTORE}-e postgres_backup_restore_database='the shop' -e x=1")
    assert done.status != 0
    assert 'found the words "shop" after a value' in done.output, done.output
    assert """-e 'postgres_backup_schedule="30 3 * * *"'""" in done.output
    assert done.calls == []


def test_missing_value_is_prompted_for_at_a_terminal(recorded: Recorded) -> None:
    asked = ("Database to restore", "Name of the restored database", "If a database of that name exists", "Type yes")
    answers = ("the shop {{ x }}", "", "Y", "y")
    done = recorded.at_terminal(recorded.program("restore"), *zip(asked, answers, strict=True))
    assert done.status == 0, done.output
    *_, restored = done.calls
    assert (restored.module, restored.check) == ("restore_database", False)
    options = restored.options
    assert (options["database"], options["new_name"], options["replace"]) == (answers[0], answers[0], True)


def test_restore_at_a_terminal_needs_a_yes(recorded: Recorded) -> None:
    words = [*recorded.program("restore"), "-e", "postgres_backup_restore_database=a postgres_backup_restore_new_name="]
    done = recorded.at_terminal(words, ("If a database of that name exists", "no"), ("Type yes", "yes please"))
    assert done.status != 0
    assert "Nothing was done" in done.output
    assert {call.check for call in done.calls if call.module == "restore_database"} == {True}


@pytest.mark.weekly
def test_name_that_needs_quotes_is_printed_quoted(recorded: Recorded) -> None:
    old = 'my "odd"-app_before_restore_20261122030405'
    recorded.answers["default"]["restore_database"] = {**WELL["restore_database"], "replaced": old}
    name = 'my "odd"-app'
    done = recorded("restore", postgres_backup_restore_confirmed=True, postgres_backup_restore_database=name)
    assert done.status == 0, done.output
    lines = done.output.splitlines()
    quoted, aside = '"my ""odd""-app"', '"my ""odd""-app_restored"'
    quoted_old = '"my ""odd""-app_before_restore_20261122030405"'
    at = lines.index(f"  ALTER DATABASE {quoted} RENAME TO {aside};")
    assert lines[at + 1] == f"  ALTER DATABASE {quoted_old} RENAME TO {quoted};"
    assert lines[at + 3] == f"  DROP DATABASE {quoted_old};"


@pytest.mark.weekly
def test_check_mode_prints_no_way_back(recorded: Recorded) -> None:
    done = recorded("restore", "--check", "--diff", postgres_backup_restore_database="shop")
    assert done.status == 0, done.output
    assert {call.check for call in done.calls if call.module == "restore_database"} == {True}
    assert "(would be restored)" in done.output and "DROP DATABASE" not in done.output


IN_USE = {"postgres_backup_user": "nightly", "postgres_backup_secret_name": "s", "postgres_backup_secret_key": "k"}
ADMINISTRATOR = {"postgres_backup_restore_user": "chief"}
USERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {"role": "postgres_backup", "secret_name": None, "secret_key": "password", "admin_user": None}),
    "before": ({"postgres_backup_user": "boss"}, {"role": "postgres_backup", "secret_name": None, "admin_user": None}),
    "administrator": (ADMINISTRATOR, {"role": "postgres_backup", "secret_name": None, "admin_user": "chief"}),
    "same": ({**ADMINISTRATOR, "postgres_backup_user": "chief"}, {"role": "postgres_backup", "admin_user": "chief"}),
    "after": (
        {**IN_USE, **ADMINISTRATOR},
        {"role": "nightly", "secret_name": "s", "secret_key": "k", "admin_user": "chief"},
    ),
    "other": (
        {**IN_USE, **ADMINISTRATOR, "postgres_backup_user_role": "b", "postgres_backup_user_secret_name": "t"},
        {"role": "b", "secret_name": "t", "secret_key": "k", "admin_user": "chief"},
    ),
}


@pytest.mark.weekly
def test_backup_user_of_the_inventory(recorded: Recorded) -> None:
    done = recorded.many("backup_user", {host: variables for host, (variables, _) in USERS.items()})
    assert done.has_no_template_error(), done.output
    for host, (_, expected) in USERS.items():
        (call,) = done.of(host)
        assert {name: call.options[name] for name in expected} == expected, host
