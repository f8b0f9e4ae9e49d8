# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""When the servers of a namespace are listed, and what counts where this user may not list them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.servers import Search, search_server, wanted_server
from plugins.module_utils._servers.choose import SERVER_ANNOTATION, Choice, Wanted
from plugins.module_utils.errors import ForbiddenError, UnauthenticatedError

RECORDED = Wanted("auto", "data", is_installed=True, recorded="Zalando/blog")


class Api:
    """In place of the API server: every list is empty, or an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.requests = error, 0

    def _list(self, *_: str) -> list[Any]:
        self.requests += 1
        if self.error:
            raise self.error
        return []

    services = pods = endpoint_slices = _list


def search(wanted: Wanted, error: Exception | None = None) -> tuple[Search, int]:
    api = Api(error)
    return search_server(cast(Connection, api), wanted), api.requests


@pytest.mark.parametrize(
    ("wanted", "requests"),
    [
        (Wanted("auto", "data"), 3),
        (Wanted("auto", "data", host="blog"), 3),
        (Wanted("auto", "data", host="blog.other.svc"), 0),
        (Wanted("auto", "data", host="db.example.org"), 0),
        (Wanted("none", "data"), 0),
        (Wanted("auto", "data", is_installed=True), 0),
    ],
)
def test_requests(wanted: Wanted, requests: int) -> None:
    assert search(wanted) == (Search(Choice()), requests)


def test_no_other_server_takes_the_place_of_one_that_may_not_be_listed() -> None:
    error = ForbiddenError("services is forbidden")
    assert search(Wanted("auto", "data"), error)[0] == Search(Choice(), "services is forbidden")
    for wanted in (RECORDED, Wanted("blog", "data")):
        assert "expected the right to list" in search(wanted, error)[0].choice.problem


def test_a_login_that_is_refused_is_an_error() -> None:
    with pytest.raises(UnauthenticatedError):
        search(RECORDED, UnauthenticatedError("log in"))


@pytest.mark.parametrize(
    ("cronjob", "is_installed", "recorded"),
    [
        (None, False, ""),
        ({"readable": True, "resources": []}, False, ""),
        ({"readable": False, "error": "forbidden"}, True, ""),
        ({"readable": True, "resources": [{"is_ours": True, "annotations": {}}]}, True, ""),
        ({"readable": True, "resources": [{"is_ours": True, "annotations": {SERVER_ANNOTATION: "a/b"}}]}, True, "a/b"),
        ({"readable": True, "resources": [{"is_ours": False, "annotations": {SERVER_ANNOTATION: "a/b"}}]}, True, ""),
    ],
)
def test_what_is_installed(cronjob: Any, is_installed: bool, recorded: str) -> None:
    expected = Wanted("auto", "data", "blog", is_installed, recorded)
    assert wanted_server("auto", "data", "blog", cronjob) == expected
