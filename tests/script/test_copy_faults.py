# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Each fault of tests/stores/copy_faults.py at each store: its own message, no half copy, and a later run mends it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.copy_program import copy_program
from tests.in_turn import weekly_but
from tests.stores.copy_bench import PLACE, Server, make_bench, serve
from tests.stores.copy_faults import CLOSED, COPIED, FAILED, FAULTS, FOUND, KILLED

Serve = Callable[[str, str], Server]
CELLS = {
    " - ".join(word for word in (name, point, store) if word): (name, store, point)
    for name, fault in FAULTS.items()
    for store in fault.stores
    for point in fault.points
}
# minio is not built for a daily run.
DAILY = (
    "the store has internal errors - rclone",
    "each connection is cut during an upload - 5 - rclone",
    "the share is full - folder",
    "a copy is changed - folder",
    "a manifest is changed - sftp",
    "the pod is killed between two steps - before the checksum file - folder",
)
# A run cannot tell these apart.
SEEN_AS_ONE = (
    {"a copy is deleted", "the folder is renamed", "the bucket is renamed"},
    {
        "an upload is deleted before it is proven",
        "a copy is deleted while it gets its checksum file",
        "the folder is renamed while a backup is copied",
    },
    {"an upload is changed before it is proven", "a copy is changed while it gets its checksum file"},
    {"a checksum file is changed", "two installations copy different backups of one name to one folder"},
    {"the store has internal errors", "the store is full, and has no answer for it"},
)


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


@pytest.mark.parametrize("cell", weekly_but(CELLS, *DAILY))
def test_fault(cell: str, servers: Serve, code: Path, tmp_path: Path) -> None:
    """The run with the fault has its message and calls nothing a copy that is not one; the next one copies the rest."""
    name, store, point = CELLS[cell]
    fault = FAULTS[name]
    bench = make_bench(servers(store, fault.variant), tmp_path, code)
    with bench.restored():
        with fault.cause(bench, point):
            result = bench.run()
        assert bench.half_copies() == []
    assert_seen(name, fault.ends, result)
    if fault.ends == FAILED:
        assert bench.copier.record(PLACE)["failing_since"]
    after = bench.run()
    assert (after["status"], bench.recorded(), bench.missing()) == (0, bench.names, []), after["log"]
    assert bench.half_copies() == []
    if fault.ends in (KILLED, CLOSED):
        assert bench.remains() == []
    assert bench.copier.record(PLACE)["failing_since"] is None
    for secret in bench.secrets():
        assert secret not in result["log"] + after["log"]


def assert_seen(name: str, ends: str, result: dict[str, Any]) -> None:
    if ends == KILLED:
        assert (result["status"], result["places"]) == (-9, [])
        return
    status, *states = ENDS[ends]
    assert len(result["places"]) == 1, result["log"]
    place = result["places"][0]
    assert result["status"] == status and place["state"] in states, result["log"]
    if not FAULTS[name].message:
        return
    seen = {FAILED: str(result["reason"]), FOUND: "; ".join(place["findings"])}.get(ends, result["log"])
    fitting = {other for other, fault in FAULTS.items() if fault.message and is_in(fault.message, seen)}
    message = FAULTS[name].message
    assert name in fitting, f"expected {message}, found {seen}"
    # A message that fits better than others is not theirs.
    others = {other for other in fitting if not is_in(FAULTS[other].message, message)}
    assert others <= {other for group in SEEN_AS_ONE if name in group for other in group}, seen


ENDS = {
    FAILED: (1, "failed"),
    COPIED: (0, "copied", "nothing_to_do"),
    FOUND: (0, "copied", "nothing_to_do"),
    CLOSED: (0, "outside_window"),
}


def is_in(message: str, text: str) -> bool:
    return bool(re.search(".*?".join(map(re.escape, message.split("…"))), text, re.DOTALL))


def test_each_fault_has_its_own_message() -> None:
    faults: dict[str, set[str]] = {}
    for name, fault in FAULTS.items():
        assert fault.message or fault.ends != FAILED, name
        faults.setdefault(fault.message or name, set()).add(name)
    assert [names for names in faults.values() if len(names) > 1 and names not in SEEN_AS_ONE] == []
