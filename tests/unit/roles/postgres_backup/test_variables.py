# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which values of the variables are refused, by a message that names the variable."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from plugins.module_utils._role.checks import DRILL_SUFFIX
from plugins.module_utils._role.prerequisites import SERVER_POLICY_SUFFIX
from plugins.module_utils._role.variables import DEFAULT_CA_KEY, RESERVED_LABELS

from .rendering import evaluate

IMAGE = "registry.example/postgresql:18"

REFUSED: list[tuple[str, Any]] = [
    *[
        ("postgres_backup_name", name)
        for name in ["", "Upper", "a_b", "-a", "a-", "a.b", "a b", "a\n", "ä", "a/b", "a" * 53, "a-drill"]
    ],
    *[("postgres_backup_namespace", name) for name in ["", "Data", "a.b", "a" * 64, "data\n"]],
    *[
        ("postgres_backup_schedule", schedule)
        for schedule in [
            "",
            "daily",
            "@dayly",
            "0 2 * *",
            "0 2 * * * *",
            "60 2 * * *",
            "0 24 * * *",
            "0 2 0 * *",
            "0 2 32 * *",
            "0 2 * 13 *",
            "0 2 * 0 *",
            "0 2 * * 7",
            "*/0 * * * *",
            "0 2 30 2 *",
            "0 2 31 4 *",
            "0 2 31 02 ?",
            "-1 2 * * *",
            "0,, 2 * * *",
            "0 2 * * monday",
            "TZ=UTC 0 2 * * *",
            "0 2 * * *\n",
            "0 2 * * * # nightly",
        ]
    ],
    *[
        ("postgres_backup_time_zone", zone)
        for zone in ["", "Local", "local", "Europe/", "/UTC", "../etc/passwd", "Etc UTC"]
    ],
    *[
        ("postgres_backup_starting_deadline", text)
        for text in ["", "0h", "10", "5s", "59s", "1.5h", "-1h", "10 h", "1h30m"]
    ],
    *[("postgres_backup_lock_timeout", text) for text in ["", "0s", "24h", "soon"]],
    *[("postgres_backup_time_limit", text) for text in ["", "24h", "1d", "0s", "6", "six", "1381m", "82801s"]],
    *[("postgres_backup_job_ttl", text) for text in ["", "1", "1y", "0d", "99999999d", "999999w"]],
    *[("postgres_backup_bind_timeout", text) for text in ["", "2", "2w", "0s"]],
    *[
        (f"postgres_backup_{name}", number)
        for name in ["backoff_limit", "successful_jobs_history", "failed_jobs_history"]
        for number in [-1, "-1", 100000, True]
    ],
    *[("postgres_backup_server", name) for name in ["", "A", "a b", "a/", "/a", "a/b/c", "$(id)/a", "a\n"]],
    *[
        ("postgres_backup_host", host)
        for host in [
            "",
            "a b",
            "/var/run/postgresql",
            "host:",
            "db:5432",
            "[fd00::1]:5432",
            "a\n",
            "-a",
            "a;b",
            "h" * 254,
        ]
    ],
    *[("postgres_backup_port", port) for port in [0, -1, 65536, "70000", True]],
    *[(f"postgres_backup_{name}", text) for name in ["user", "database"] for text in ["", "a\nb", "a\n", "\x00"]],
    *[("postgres_backup_secret_name", name) for name in ["", "A", "a_b", "a/b", "a..b", ".a", "a" * 254, "a\n"]],
    *[("postgres_backup_secret_key", key) for key in ["", "a b", "a/b", "k" * 254, "a\n"]],
    *[
        ("postgres_backup_ssl_ca", value)
        for value in [
            "secret=a",
            {"key": "ca.crt"},
            {"secret": "a", "config_map": "b"},
            {"secret": "A"},
            {"secret": "a", "key": "../x"},
            {"config_map": ""},
        ]
    ],
    *[
        ("postgres_backup_extra_args", value)
        for value in [
            "--no-comments",
            [""],
            ["--no-comments\n--clean"],
            ["-f/tmp/x"],
            ["--file=/tmp/x"],
            ["--file"],
            ["-h", "elsewhere"],
            ["--password"],
            ["-Uroot"],
            ["--dbname=x"],
            ["--exclude-table-data=public.log"],
            ["--no-comments", "-T", "log"],
            ["--globals-only"],
            [1],
            [["--clean"]],
        ]
    ],
    *[
        (f"postgres_backup_{name}", value)
        for name in ["databases", "exclude_databases"]
        for value in ["shop", [""], ["a\tb"], ["a\n"], [2024], [None], [["shop"]], {"shop": True}]
    ],
    *[("postgres_backup_exclude_databases", value) for value in [["*"], ["shop", "**"]]],
    *[
        (f"postgres_backup_{name}", value)
        for name in ["exclude_tables", "exclude_table_data"]
        for value in [
            {"database": "shop", "table": "log"},
            ["public.log"],
            [{"table": "log"}],
            [{"database": "shop", "table": "log", "schema": "public"}],
            [{"database": "", "table": "log"}],
            [{"database": "a\tb", "table": "log"}],
            [{"database": "shop", "table": ""}],
            [{"database": "shop", "table": ["log"]}],
            [{"database": "shop", "table": "a\nb"}],
            [{"database": "shop", "table": "a.b.c.d"}],
            [{"database": "shop", "table": '"log'}],
        ]
    ],
    *[
        ("postgres_backup_dump_args", value)
        for value in [
            "--no-comments",
            [""],
            ["--nothing"],
            ["--schema"],
            ["--table=users"],
            [{"database": "shop"}],
            [{"database": "shop", "args": "--no-comments"}],
            [{"database": "shop", "args": ["--clean"]}],
            [{"database": "a\nb", "args": ["--no-comments"]}],
            [1],
        ]
    ],
    *[("postgres_backup_max_deletions", value) for value in [0, -1, "many", 100001, True]],
    *[
        ("postgres_backup_allow_deletions", value)
        for value in ["tomorrow", "2026-02-30", "20261231", "31.12.2026", "2026-12-31\n", True]
    ],
    *[
        ("postgres_backup_file_mode", mode)
        for mode in ["", "640", 416, "0o640", "0440", "0240", "u=rw", "0648", "00640"]
    ],
    *[
        (f"postgres_backup_keep_{rule}", number)
        for rule in ["last", "daily", "weekly", "monthly", "yearly"]
        for number in [-1, "-7", 100001, False]
    ],
    *[("postgres_backup_keep_within", text) for text in ["14", "0d", "-1d", "1.5d", "two weeks", "1d ", "14d\n"]],
    *[("postgres_backup_alerts", value) for value in ["", "maybe", 1, None, True, "true"]],
    *[("postgres_backup_alert_max_age", text) for text in ["26", "0h", "a day", "26h "]],
    *[
        (f"postgres_backup_{name}_labels", value)
        for name in ["alert", "dashboard"]
        for value in ["a=b", {"a": 1}, ["a"]]
    ],
    ("postgres_backup_dashboard", True),
    *[("postgres_backup_drill_schedule", schedule) for schedule in ["weekly", "0 2 * *", "0 2 30 2 *", "@weekly\n"]],
    *[("postgres_backup_drill_size_limit", size) for size in ["", "0", "10GB", "100m", "lots"]],
    *[
        ("postgres_backup_drill_settings", value)
        for value in ["a=b", ["a"], {"a b": 1}, {"a\n": 1}, {"a": "x\ny"}, {"a": ["x"]}, {"a": None}, {"": "x"}]
    ],
    *[("postgres_backup_drill_image", image) for image in ["a b", "a\n"]],
    *[
        (f"postgres_backup_drill_{name}", value)
        for name in ["search_path", "before_sql", "after_sql"]
        for value in [
            "public",
            ["app"],
            {"app": ""},
            {"": "public"},
            {"app": None},
            {"app": ["a"]},
            {"app": "x" * 30000},
        ]
    ],
    ("postgres_backup_drill_search_path", {"app": "public\n"}),
    *[
        ("postgres_backup_ssl_cert", value)
        for value in ["client", {"cert_key": "a"}, {"secret": "A"}, {"secret": "a", "cert_key": "tls.key"}]
    ],
    *[("postgres_backup_claim_name", name) for name in ["", "A", "a_b", "a/b"]],
    *[("postgres_backup_storage_class", name) for name in ["NFS", "a_b", "a b", "nfs\n"]],
    *[
        ("postgres_backup_storage_size", size)
        for size in ["", "0", "0Gi", "10GB", "10gi", "-1Gi", "ten", "10 Gi", "1.2345Gi", "100m", "1e3", "Gi"]
    ],
    *[("postgres_backup_volume_name", name) for name in ["A", "a_b"]],
    *[
        ("postgres_backup_nfs", value)
        for value in [
            {"server": "nas:2049", "path": "/volume1"},
            "server=nas path=/x",
            {"server": "nas"},
            {"path": "/x"},
            {"server": "nas", "path": "x"},
            {"server": "", "path": "/x"},
            {"server": "nas:/x", "path": "/x"},
            {"server": "[nas]", "path": "/x"},
            {"server": "[fd00::1", "path": "/x"},
            {"server": "nas", "path": "/x/../y"},
            {"server": "nas", "path": "/../y"},
            {"server": "nas", "path": "/x\n"},
            {"server": "nas", "path": "/x", "mount_options": "hard"},
        ]
    ],
    *[("postgres_backup_image", image) for image in ["a b", "a\n", "a\tb"]],
    *[("postgres_backup_image_pull_secrets", value) for value in ["secret", ["A"], [""], [{"name": "a"}]]],
    *[("postgres_backup_run_as_user", user) for user in [0, -1, "root", "", 2147483648, 1.5]],
    *[("postgres_backup_fs_group", group) for group in [-1, "users", "", 2147483648]],
    *[
        ("postgres_backup_resources", value)
        for value in [
            "cpu=1",
            {"cpu": "1"},
            {"requests": "1"},
            {"requests": {"cpu": "lots"}},
            {"limits": {"memory": "512MB"}},
            {"limits": {"memory": "0"}},
            {"limits": {"memory": "-1Gi"}},
        ]
    ],
    *[("postgres_backup_node_selector", value) for value in ["a=b", ["a"], {"gpu": True}, {"n": 1}]],
    *[("postgres_backup_tolerations", value) for value in ["a", {"key": "a"}, ["a"]]],
    *[("postgres_backup_affinity", value) for value in ["a", [{"podAffinity": {}}]]],
    *[
        ("postgres_backup_pod_labels", value)
        for value in ["a=b", {"a": 1}, {"app.kubernetes.io/component": "x"}, {"app.kubernetes.io/instance": "x"}]
    ],
    *[("postgres_backup_pod_annotations", value) for value in ["a=b", {"a": 1}, {"a": None}]],
]

ACCEPTED: list[tuple[str, Any]] = [
    *[("postgres_backup_name", name) for name in ["a", "0", "db-1", "a" * 52]],
    ("postgres_backup_namespace", "a" * 63),
    *[
        ("postgres_backup_schedule", schedule)
        for schedule in [
            "0 2 * * *",
            "*/15 * * * *",
            "0 2-6/2 * * mon-fri",
            "0,30 02 1,15 JAN,jul ?",
            "0 2 29 2 *",
            "0 2 30 2 1",
            "0  2  *  *  0",
            "@daily",
            "@Weekly",
            "@every 12h30m",
        ]
    ],
    *[
        ("postgres_backup_time_zone", zone)
        for zone in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12"]
    ],
    *[("postgres_backup_starting_deadline", text) for text in ["1m", "60s", "10h", "1w"]],
    *[("postgres_backup_lock_timeout", text) for text in ["1s", "23h"]],
    *[("postgres_backup_time_limit", text) for text in ["1s", "23h", "1380m"]],
    *[("postgres_backup_backoff_limit", number) for number in [0, 3, "3"]],
    ("postgres_backup_failed_jobs_history", 0),
    *[
        ("postgres_backup_host", host)
        for host in [
            "db",
            "db.data",
            "db.data.svc",
            "db.data.svc.cluster.local.",
            "10.0.0.1",
            "fd00::1",
            "[fd00::1]",
            "db.example.org",
        ]
    ],
    *[("postgres_backup_port", port) for port in [1, "5432", 65535]],
    *[("postgres_backup_user", name) for name in ["postgres", "My-Admin", "o'neil $(x)"]],
    *[("postgres_backup_ssl_ca", value) for value in [{"secret": "a"}, {"config_map": "a", "key": "root.pem"}]],
    *[
        ("postgres_backup_ssl_cert", value)
        for value in [{}, {"secret": "a"}, {"secret": "a", "cert_key": "cert.pem", "key_key": "key.pem"}]
    ],
    ("postgres_backup_extra_args", ["--exclude-database=scratch*", "--no-comments", "--lock-wait-timeout", "5min"]),
    *[("postgres_backup_databases", value) for value in [["shop"], ["shop_?", "o'neil $(x)"]]],
    ("postgres_backup_exclude_databases", ["scratch*"]),
    ("postgres_backup_exclude_tables", [{"database": "shop", "table": 'public."Log"'}]),
    ("postgres_backup_exclude_table_data", [{"database": "*", "table": "*.*"}]),
    *[
        ("postgres_backup_dump_args", value)
        for value in [["--exclude-schema", "cache"], [{"database": "shop", "args": ["--no-comments", "-Ncache"]}]]
    ],
    *[("postgres_backup_max_deletions", value) for value in ["", 1, "90"]],
    *[("postgres_backup_allow_deletions", value) for value in ["", "2026-12-31"]],
    *[("postgres_backup_file_mode", mode) for mode in ["0600", "0640", "0644", "0770"]],
    ("postgres_backup_keep_last", 0),
    ("postgres_backup_keep_weekly", "4"),
    *[("postgres_backup_keep_within", text) for text in ["36h", "14d", "2w"]],
    *[("postgres_backup_alerts", value) for value in ["auto", False, "false", "no"]],
    *[("postgres_backup_alert_max_age", text) for text in ["", "26h", "8d"]],
    *[
        (f"postgres_backup_{name}_labels", value)
        for name in ["alert", "dashboard"]
        for value in [{}, {"release": "kps"}]
    ],
    *[("postgres_backup_drill_schedule", schedule) for schedule in ["", "0 4 * * 0", "@weekly"]],
    *[("postgres_backup_drill_size_limit", size) for size in ["500M", "1.5Ti", 1073741824]],
    *[
        ("postgres_backup_drill_settings", value)
        for value in [{}, {"shared_preload_libraries": "a,b", "jit": False, "cron.x": 3, "x": 0.5}]
    ],
    *[("postgres_backup_drill_image", image) for image in ["", "postgres:19"]],
    *[("postgres_backup_drill_search_path", value) for value in [{}, {"Ünï\n": 'public, "$user"'}]],
    *[("postgres_backup_drill_before_sql", value) for value in [{}, {"app": "SELECT 1;\nSELECT 2;\n" * 500}]],
    ("postgres_backup_storage_class", ""),
    *[("postgres_backup_storage_size", size) for size in ["10Gi", "1.5Ti", "500M", 1073741824, "10240Mi"]],
    *[
        ("postgres_backup_nfs", value)
        for value in [
            {"server": "nas.lan", "path": "/volume1/backups/"},
            {"server": "fd00::1", "path": "/", "mount_options": ["nfsvers=4.1"]},
            {"server": "::1", "path": "/x"},
            {"server": "[fd00::1]", "path": "/x"},
        ]
    ],
    ("postgres_backup_run_as_user", None),
    ("postgres_backup_run_as_user", "999"),
    ("postgres_backup_fs_group", None),
    ("postgres_backup_fs_group", 0),
    *[("postgres_backup_resources", value) for value in [{}, {"limits": {"cpu": 1.5, "memory": "1Gi"}}]],
    ("postgres_backup_tolerations", [{"key": "nas", "operator": "Exists"}]),
    ("postgres_backup_tolerations", "auto"),
    ("postgres_backup_node_selector", "auto"),
    ("postgres_backup_pod_labels", {"postgres-postgresql-client": "true", "app.kubernetes.io/part-of": "lab"}),
]


def refusals(**variables: Any) -> list[str]:
    variables.setdefault("postgres_backup_image", IMAGE)
    return [str(message) for message in evaluate("{{ __postgres_backup_refused_variables }}", **variables)]


Case = tuple[str, Any]


def rounds(cases: list[Case]) -> list[list[Case]]:
    """All cases in as few rounds as possible, each with at most one value of a variable: a rendering takes its time."""
    made: list[list[Case]] = []
    seen: Counter[str] = Counter()
    for name, value in cases:
        if seen[name] == len(made):
            made.append([])
        made[seen[name]].append((name, value))
        seen[name] += 1
    return made


@functools.cache
def refused_in_round(number: int) -> list[str]:
    return refusals(**dict(rounds(REFUSED)[number]))


def in_rounds(cases: list[Case]) -> Iterator[tuple[int, str, Any]]:
    for number, cases_of_round in enumerate(rounds(cases)):
        for name, value in cases_of_round:
            yield number, name, value


def test_the_defaults_are_accepted() -> None:
    assert refusals(postgres_backup_image="") == []


@pytest.mark.parametrize(("number", "name", "value"), list(in_rounds(REFUSED)))
def test_bad_value_is_refused_by_variable_name(number: int, name: str, value: Any) -> None:
    messages = [line for line in refused_in_round(number) if line.startswith(f"{name}: expected ")]
    assert len(messages) == 1
    assert messages[0].endswith(f"; found {json.dumps(value)}") or name == "postgres_backup_image"


@pytest.mark.parametrize("cases", rounds(ACCEPTED))
def test_good_values_are_accepted(cases: list[Case]) -> None:
    assert refusals(**dict(cases)) == []


def test_an_argument_that_pg_dumpall_has_not_is_refused_with_the_reason() -> None:
    (message,) = refusals(postgres_backup_extra_args=["--exclude-table-data=public.log", "--clean=yes"])
    assert (
        "(--exclude-table-data is set by another variable of the role: "
        'postgres_backup_exclude_table_data: [{"database": "*", "table": "public.log"}]; --clean takes no value)'
    ) in message


def test_options_that_the_image_does_not_have_are_refused_with_its_version() -> None:
    (message,) = refusals(postgres_backup_image="postgres:15.3", postgres_backup_dump_args=["--no-policies"])
    assert message == (
        "postgres_backup_dump_args: expected options of pg_dump 15, which the image postgres:15.3 has; "
        "found others: --no-policies is in PostgreSQL 18 and newer, not in 15"
    )
    assert refusals(postgres_backup_image="registry/backup:latest", postgres_backup_dump_args=["--no-policies"]) == []


def test_a_policy_that_keeps_nothing_is_refused() -> None:
    (message,) = refusals(postgres_backup_keep_last=0, postgres_backup_keep_daily="0")
    assert message.startswith("postgres_backup_keep_last: expected at least one retention rule")
    assert refusals(postgres_backup_keep_last=0, postgres_backup_keep_daily=0, postgres_backup_keep_within="7d") == []


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_server_verification_needs_a_ca(mode: str) -> None:
    (message,) = refusals(postgres_backup_sslmode=mode)
    assert message.startswith("postgres_backup_sslmode: expected another mode, or a postgres_backup_ssl_ca to verify ")
    assert refusals(postgres_backup_sslmode=mode, postgres_backup_ssl_ca={"secret": "ca"}) == []


def test_the_name_of_an_installation_with_drills_is_shorter() -> None:
    (message,) = refusals(postgres_backup_name="a" * 47, postgres_backup_drill_schedule="@weekly")
    assert message.startswith("postgres_backup_drill_schedule: expected ")
    assert "at most 46 characters" in message
    assert refusals(postgres_backup_name="a" * 46, postgres_backup_drill_schedule="@weekly") == []


def test_a_server_outside_the_cluster_needs_an_image() -> None:
    (message,) = refusals(postgres_backup_host="db.example.org", postgres_backup_image="")
    assert message.startswith("postgres_backup_image: expected an image with pg_dumpall")
    assert refusals(postgres_backup_host="10.0.0.1", postgres_backup_image="")
    assert refusals(postgres_backup_host="db.other.svc", postgres_backup_image="") == []


def test_all_broken_variables_are_named_at_once() -> None:
    messages = refusals(postgres_backup_port=0, postgres_backup_schedule="never", postgres_backup_storage_size="big")
    assert {message.partition(":")[0] for message in messages} == {
        "postgres_backup_schedule",
        "postgres_backup_port",
        "postgres_backup_storage_size",
    }


@pytest.mark.parametrize("value", ["30", 30, "*", "*/15", "0,30"])
@pytest.mark.parametrize("name", ["postgres_backup_schedule", "postgres_backup_drill_schedule"])
def test_a_schedule_that_was_cut_at_its_spaces_is_told_from_a_wrong_one(name: str, value: Any) -> None:
    (line,) = refusals(**{name: value})
    assert line.startswith(f"{name}: expected five cron fields")
    hint = "which appears to be cut at a space: with -e, quote it inside the shell's quotes too: "
    hint += f"""-e '{name}="0 2 * * *"'"""
    assert line.endswith(hint)
    (wrong,) = refusals(**{name: "0 25 * * *"})
    assert wrong.endswith('found "0 25 * * *"')


def test_words_left_over_from_a_cut_value_are_refused() -> None:
    (line,) = refusals(postgres_backup_user="the", _raw_params="backup user")
    assert line.startswith('-e: expected name=value, found the words "backup user" after a value.')


def test_names_of_objects_are_those_of_the_rules() -> None:
    """The rules and the objects have these names in two languages."""
    assert evaluate("{{ __postgres_backup_drill }}", postgres_backup_name="a") == f"a{DRILL_SUFFIX}"
    assert evaluate("{{ __postgres_backup_server_policy }}", postgres_backup_name="a") == f"a{SERVER_POLICY_SUFFIX}"
    assert evaluate("{{ __postgres_backup_ca_key }}") == DEFAULT_CA_KEY
    assert set(RESERVED_LABELS) < evaluate("{{ __postgres_backup_labels }}").keys()


def test_client_certificate_needs_tls() -> None:
    (message,) = refusals(postgres_backup_sslmode="disable", postgres_backup_ssl_cert={"secret": "client"})
    assert message.startswith(
        "postgres_backup_ssl_cert: expected none, or another postgres_backup_sslmode than disable"
    )


def test_password_is_optional_with_a_client_certificate() -> None:
    given = {"postgres_backup_ssl_cert": {"secret": "client"}, "postgres_backup_secret_name": ""}
    assert refusals(**given) == []
    (message,) = refusals(**given, postgres_backup_restore_user="chief")
    assert message.startswith("postgres_backup_restore_secret_name: expected a Secret with the password of ")
    restores = {"postgres_backup_restore_user": "chief", "postgres_backup_restore_secret_name": "chief"}
    assert refusals(**given, **restores) == []
