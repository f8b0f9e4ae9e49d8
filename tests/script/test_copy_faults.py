# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Each fault of tests/stores/copy_faults.py at each store: its own message, no half copy, and a later run mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.copy_program import copy_program
from tests.in_turn import weekly
from tests.stores.copy_bench import Bench, Server, make_bench, serve
from tests.stores.copy_faults import CLOSED, COPIED, FAILED, FAULTS, FOUND, KILLED

Serve = Callable[[str, str], Server]
DAILY = ()


@pytest.fixture(scope="module")
def servers() -> Iterator[Serve]:
    """The servers of the tests, each started when the first test needs it."""
    with ExitStack() as stack:
        started: dict[tuple[str, str], Server] = {}

        def server(kind: str, variant: str) -> Server:
            if (kind, variant) not in started:
                started[kind, variant] = stack.enter_context(serve(kind, variant))
            return started[kind, variant]

        yield server


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy of the program, so that Python compiles it once."""
    return copy_program(tmp_path_factory.mktemp("program"))


def cells() -> list[Any]:
    found = []
    for name, fault in FAULTS.items():
        for store in fault.stores:
            for point in fault.points:
                label = "-".join(word for word in (name, point, store) if word).replace(" ", "_")
                found.append(pytest.param(name, store, point, id=label))
    return found


@pytest.mark.parametrize(("name", "store", "point"), cells())
def test_fault(name: str, store: str, point: str, servers: Serve, code: Path, tmp_path: Path) -> None:
    fault = FAULTS[name]
    bench = make_bench(servers(store, fault.variant), tmp_path, code)
    with bench.restored(), fault.cause(bench, point):
        result = bench.run()
        half = [] if fault.is_kept else bench.half_copies()
    print(result["log"])
    print("SEEN", result["reason"], [place["findings"] for place in result["places"]])
    assert half == []
    assert_ends(bench, fault.ends, result)
    text = " ".join([str(result["reason"]), *(each for place in result["places"] for each in place["findings"])])
    assert fault.message in text
    after = bench.run()
    print("AFTER", after["log"])
    assert bench.half_copies() == []
    assert (after["status"], bench.recorded(), bench.missing()) == (0, bench.names, [])


def assert_ends(bench: Bench, ends: str, result: dict[str, Any]) -> None:
    states = {FAILED: (1, "failed"), COPIED: (0, "copied"), FOUND: (0, "copied"), CLOSED: (0, "outside_window")}
    if ends == KILLED:
        assert (result["status"], result["places"]) == (-9, [])
    else:
        assert (result["status"], result["places"][0]["state"]) == states[ends]
