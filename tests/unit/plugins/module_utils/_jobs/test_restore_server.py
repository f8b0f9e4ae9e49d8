# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Into which server a restore restores: the environment of its Job."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from plugins.doc_fragments.restore_server import ModuleDocFragment
from plugins.module_utils._jobs.restore_server import RESTORE_SERVER_ARGUMENTS, restore_server
from plugins.module_utils.errors import ExpectationError

from ..cronjobs import cronjob, plain

USER = {"restore_user": "u$(X)", "restore_secret_name": "n", "restore_secret_key": "k"}


def parameters(**options: Any) -> dict[str, Any]:
    return {**dict.fromkeys(RESTORE_SERVER_ARGUMENTS), **options}


def environment(**options: Any) -> dict[str, Any]:
    return restore_server(cronjob(), parameters(**options)).environment()


def test_fragment_documents_the_arguments() -> None:
    options = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    documented = {
        name: {key: option[key] for key in ("type", "choices") if key in option} for name, option in options.items()
    }
    assert documented == {
        name: {key: value for key, value in argument.items() if key != "no_log"}
        for name, argument in RESTORE_SERVER_ARGUMENTS.items()
    }


def test_server_of_the_backups() -> None:
    assert restore_server(plain(("data", "/backups")), parameters()).environment() == {}
    assert environment(restore_host="") == {}
    assert environment(restore_user="u") == {
        "POSTGRES_BACKUP_USER": {"value": "u"},
        "PGPASSWORD": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    }
    assert restore_server(cronjob(), parameters()).address is None


def test_another_server() -> None:
    assert environment(restore_host="staging.example$1", **USER) == {
        "POSTGRES_BACKUP_HOST": {"value": "staging.example$$1"},
        "POSTGRES_BACKUP_PORT": {"value": "5432"},
        "POSTGRES_BACKUP_DATABASE": {"value": "postgres"},
        "POSTGRES_BACKUP_USER": {"value": "u$$(X)"},
        "PGPASSWORD": {"valueFrom": {"secretKeyRef": {"name": "n", "key": "k"}}},
        "PGHOSTADDR": {"value": ""},
        "POSTGRES_BACKUP_SSLCERT": {"value": ""},
        "POSTGRES_BACKUP_SSLKEY": {"value": ""},
    }
    more = environment(restore_host="h", restore_port=65535, restore_sslmode="verify-full", **USER)
    assert (more["POSTGRES_BACKUP_PORT"], more["POSTGRES_BACKUP_SSLMODE"]) == (
        {"value": "65535"},
        {"value": "verify-full"},
    )
    assert restore_server(plain(("data", "/backups")), parameters(restore_host="h", **USER)).address == "h:5432"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"restore_host": "h"}, "found no restore_user and no restore_secret_name and no restore_secret_key"),
        ({"restore_host": "h", **USER, "restore_secret_name": ""}, r"found no restore_secret_name\. Set them"),
        ({"restore_port": 5432}, "restore_port: expected restore_host with it"),
        ({"restore_sslmode": "require", **USER}, "restore_sslmode: expected restore_host with it"),
        ({"restore_host": "h", "restore_port": 65536, **USER}, "restore_port: expected a port number"),
        ({"restore_host": "h", "restore_port": 0, **USER}, "restore_port: expected a port number"),
    ],
)
def test_what_is_missing_is_named(options: dict[str, Any], message: str) -> None:
    """Nothing of the CronJob's is sent to another server."""
    with pytest.raises(ExpectationError, match=message):
        restore_server(cronjob(), parameters(**options))


@pytest.mark.parametrize("host", ["fd00::5", "[fd00::5]"])
def test_another_server_with_an_ipv6_address(host: str) -> None:
    assert (
        restore_server(plain(("data", "/backups")), parameters(restore_host=host, **USER)).address == "[fd00::5]:5432"
    )
