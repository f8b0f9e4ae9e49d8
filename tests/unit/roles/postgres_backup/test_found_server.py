# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The server that is found: the defaults follow from it, what a user has set wins, and the CronJob records it."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.module_utils._servers.choose import SERVER_ANNOTATION, variables_of
from plugins.module_utils._servers.found_server import FoundServer

from .rendering import cronjob, evaluate

SHOP = FoundServer(
    "CloudNativePG",
    "data",
    "shop",
    "shop-rw",
    port=5433,
    user="chief",
    database="app",
    secret_name="shop-superuser",  # noqa: S106 - a name
    secret_key="password",  # noqa: S106
    sslmode="verify-ca",
    ssl_ca={"secret": "shop-ca", "key": "ca.crt"},
    run_as_user=26,
)
VARIABLES = dict(variables_of(SHOP))
BY_HAND = {f"postgres_backup_{name}": value for name, value in VARIABLES.items()}


def unset(**variables: Any) -> list[str]:
    """The variables that the task which finds the server regards as not set."""
    not_set = evaluate("{{ __postgres_backup_not_set }}")
    result: list[str] = evaluate(
        "{{ __postgres_backup_find.unset }}", __postgres_backup_found_variables=not_set, **variables
    )
    return result


@pytest.mark.parametrize("name", VARIABLES)
def test_default_follows_from_the_server(name: str) -> None:
    variable = f"{{{{ postgres_backup_{name} }}}}"
    found = {"__postgres_backup_found": {"variables": VARIABLES}}
    assert evaluate(variable, **found) == VARIABLES[name]
    assert evaluate(variable, **found, **{f"postgres_backup_{name}": "by hand"}) == "by hand"


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_that_is_not_set_is_known(name: str) -> None:
    others = {key: value for key, value in BY_HAND.items() if key != f"postgres_backup_{name}"}
    assert unset(**others) == [name]


def test_whether_variables_are_set() -> None:
    assert sorted(unset()) == sorted(VARIABLES)
    assert unset(**BY_HAND) == []
    # Values that are also defaults are set.
    assert unset(**{**BY_HAND, "postgres_backup_ssl_ca": {}, "postgres_backup_sslmode": ""}) == []


@pytest.mark.parametrize("is_recorded", [True, False])
def test_the_cronjob_records_the_server(is_recorded: bool) -> None:
    found = {**SHOP.to_dict(), "variables": VARIABLES, "is_recorded": is_recorded}
    annotations = cronjob(__postgres_backup_found=found)["metadata"].get("annotations") or {}
    assert annotations.get(SERVER_ANNOTATION) == (SHOP.id if is_recorded else None)
