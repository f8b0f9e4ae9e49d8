# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The proxy with faults of single requests (tests/stores/http_proxy.py) changes only the requests of its rules."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from tests.receivers.listeners import Web, web
from tests.stores import http_proxy
from tests.stores.http_proxy import HOST, HttpProxy, Request, Rule, answer

BODY = bytes(range(256)) * 100


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as found:
        yield found


@pytest.fixture
def proxy(server: Web) -> Iterator[HttpProxy]:
    with HttpProxy(HOST, server.port) as found:
        yield found


def put(proxy: HttpProxy, path: str = "/object") -> tuple[int, bytes]:
    client = http.client.HTTPConnection(HOST, proxy.port, timeout=10)
    try:
        client.request("PUT", path, BODY, {"X-Amz-Date": "now"})
        response = client.getresponse()
        return response.status, response.read()
    finally:
        client.close()


def test_requests_pass_without_a_rule(proxy: HttpProxy, server: Web) -> None:
    assert put(proxy)[0] == 200
    assert [request.body for request in server.received] == [BODY]
    assert proxy.faults == 0


def test_the_first_requests_of_a_rule_are_answered(proxy: HttpProxy, server: Web) -> None:
    proxy.rules.append(Rule(answer(503, "SlowDown"), method="PUT", path="object$", times=1))
    assert put(proxy, "/other")[0] == 200
    status, body = put(proxy)
    assert (status, b"<Code>SlowDown</Code>" in body) == (503, True)
    assert put(proxy)[0] == 200
    assert (len(server.received), proxy.faults) == (2, 1)


def test_a_request_is_changed(proxy: HttpProxy, server: Web) -> None:
    def change(request: Request) -> None:
        request.body = request.body[::-1]
        request.set_header("X-Amz-Date", "later")

    proxy.rules.append(Rule(change))
    assert put(proxy)[0] == 200
    (request,) = server.received
    assert (request.body, request.headers["X-Amz-Date"]) == (BODY[::-1], "later")


def test_a_connection_is_cut(proxy: HttpProxy, server: Web) -> None:
    proxy.rules.append(Rule(http_proxy.cut, times=1))
    with pytest.raises((http.client.HTTPException, OSError)):
        put(proxy)
    assert put(proxy)[0] == 200
    assert [request.body for request in server.received if len(request.body) == len(BODY)] == [BODY]
