# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which key of which Secret the password of a container comes from."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._jobs.job_templates import variables
from plugins.module_utils._servers.pod_environment import PasswordSource, password_source, user_id

FOLDER = {"name": "login", "mountPath": "/run/secrets/"}
FILE = {"name": "login", "mountPath": "/run/secrets/password", "subPath": "admin"}
SECRET = {"name": "login", "secret": {"secretName": "db-login"}}
ITEMS = {"name": "login", "secret": {"secretName": "db-login", "items": [{"key": "pw", "path": "password"}]}}
EMPTY = {"name": "login", "emptyDir": {}}


@pytest.mark.parametrize(
    ("mount", "volume", "expected"),
    [
        (FOLDER, SECRET, ("db-login", "password")),
        (FOLDER, ITEMS, ("db-login", "pw")),
        (FILE, SECRET, ("db-login", "admin")),
        (FOLDER, EMPTY, ("", "")),
        ({**FOLDER, "mountPath": "/run/secret"}, SECRET, ("", "")),
        ({**FILE, "mountPath": "/run/secrets/other"}, SECRET, ("", "")),
    ],
)
def test_file_of_a_secret(mount: dict[str, Any], volume: dict[str, Any], expected: tuple[str, str]) -> None:
    container = {"env": [{"name": "PASSWORD_FILE", "value": "/run/secrets/password"}], "volumeMounts": [mount]}
    source = password_source({"volumes": [volume]}, container, "PASSWORD")
    assert source is not None
    assert (source.secret_name, source.secret_key) == expected
    assert bool(source.advice) == (expected == ("", ""))


def test_variable_wins_over_other_variables() -> None:
    reference = {"secretKeyRef": {"name": "db", "key": "pw"}}
    container = {"env": [{"name": "OTHER", "value": "x"}, {"name": "PASSWORD", "valueFrom": reference}]}
    assert password_source({}, container, "PASSWORD") == PasswordSource("db", "pw")
    assert password_source({}, container, "POSTGRES_PASSWORD") is None
    literals = variables(container)
    assert (literals.get("OTHER", ""), literals.get("PASSWORD", ""), variables({}).get("OTHER", "")) == ("x", "", "")


@pytest.mark.parametrize(
    ("of_the_container", "of_the_pod", "expected"),
    [(None, None, None), (26, 1000, 26), (None, 1000, 1000), (0, 1000, None)],
)
def test_user_id(of_the_container: int | None, of_the_pod: int | None, expected: int | None) -> None:
    container = {"securityContext": {"runAsUser": of_the_container}}
    assert user_id({"securityContext": {"runAsUser": of_the_pod}}, container) == expected
