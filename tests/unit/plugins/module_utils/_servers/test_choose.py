# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which of several servers is backed up: what a user has set, what is installed, and what is there."""

from __future__ import annotations

import pytest

from plugins.module_utils._servers.choose import Wanted, choose_server, is_search_needed, unsearched, variables_of
from plugins.module_utils._servers.found_server import FoundServer

SHOP = FoundServer("CloudNativePG", "data", "shop", "shop-rw", services=("shop-r", "shop-ro", "shop-rw"))
BLOG = FoundServer("Zalando", "data", "blog", "blog", services=("blog", "blog-repl"))
OTHER_SHOP = FoundServer("image", "data", "shop", "shop", services=("shop",))


def wanted(server: str = "auto", **more: object) -> Wanted:
    return Wanted(server, "data", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("servers", "request_", "chosen"),
    [
        ([], wanted(), None),
        ([SHOP], wanted(), SHOP),
        ([SHOP, BLOG], wanted("blog"), BLOG),
        ([SHOP, BLOG], wanted("zalando/blog"), BLOG),
        ([SHOP, OTHER_SHOP], wanted("image/shop"), OTHER_SHOP),
        # A host that a user has set leads to its server, also by a service of replicas; else nothing is found.
        ([SHOP, BLOG], wanted(host="shop-ro"), SHOP),
        ([SHOP, BLOG], wanted(host="blog.data.svc.cluster.local"), BLOG),
        ([SHOP], wanted(host="blog"), None),
        ([SHOP, BLOG], wanted("shop", host="shop-ro"), SHOP),
        ([SHOP], wanted(host="shop-rw.elsewhere.svc"), None),
        ([SHOP], wanted(host="10.0.0.7"), None),
        # An installation keeps its server.
        ([SHOP, BLOG], wanted(is_installed=True, recorded="Zalando/blog"), BLOG),
        ([SHOP, BLOG], wanted("shop", is_installed=True, recorded="Zalando/blog"), SHOP),
    ],
)
def test_chosen(servers: list[FoundServer], request_: Wanted, chosen: FoundServer | None) -> None:
    choice = choose_server(servers, request_)
    assert (choice.server, choice.problem) == (chosen, "")


@pytest.mark.parametrize(
    ("servers", "request_", "words"),
    [
        (
            [SHOP, BLOG],
            wanted(),
            ["expected one PostgreSQL server in the namespace data", "CloudNativePG/shop, Zalando/"],
        ),
        ([SHOP, OTHER_SHOP], wanted("shop"), ["found shop", "CloudNativePG/shop, image/shop"]),
        ([SHOP], wanted("blog"), ["expected auto, none, or the name", "the servers CloudNativePG/shop."]),
        ([], wanted("blog"), ["and the servers none."]),
        # The Secret of one server is not used for another one.
        ([SHOP, BLOG], wanted("shop", host="blog"), ["postgres_backup_host: expected a service of the server shop"]),
        ([SHOP], wanted("shop", host="db.example.com"), ["(shop-r, shop-ro, shop-rw), found db.example.com"]),
        (
            [SHOP],
            wanted(is_installed=True, recorded="Zalando/blog"),
            ["expected the server Zalando/blog, which this installation backs up", "found CloudNativePG/shop"],
        ),
    ],
)
def test_problems(servers: list[FoundServer], request_: Wanted, words: list[str]) -> None:
    choice = choose_server(servers, request_)
    assert choice.server is None
    for text in words:
        assert text in choice.problem


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (wanted(), ""),
        (wanted(host="shop-rw"), ""),
        # Another server must not take the place of a certain one.
        (wanted("shop"), "to find the server shop, found none"),
        (wanted(is_installed=True, recorded="Zalando/blog"), "to find the server Zalando/blog, found none"),
    ],
)
def test_servers_that_may_not_be_listed(request_: Wanted, expected: str) -> None:
    problem = unsearched(request_).problem
    assert expected in problem
    assert bool(problem) == bool(expected)


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (wanted(), True),
        (wanted("none"), False),
        # An installation of an earlier version keeps its variables, until a server is named.
        (wanted(is_installed=True), False),
        (wanted("shop", is_installed=True), True),
        (wanted(is_installed=True, recorded="Zalando/blog"), True),
        (wanted("none", is_installed=True, recorded="Zalando/blog"), False),
    ],
)
def test_when_servers_are_looked_for(request_: Wanted, needed: bool) -> None:
    assert is_search_needed(request_) == needed


def test_variables_of_a_server() -> None:
    assert variables_of(FoundServer("image", "data", "db", "db", secret_name="db", secret_key="password")) == {  # noqa: S106 - names
        "host": "db.data.svc.cluster.local",
        "port": 5432,
        "user": "postgres",
        "database": "postgres",
        "secret_name": "db",
        "secret_key": "password",
        "ssl_ca": {},
    }
