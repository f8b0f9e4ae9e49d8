# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How long a pod is waited for, by what it waits for; time is counted, not spent."""

from __future__ import annotations

import time
from typing import Any

import pytest

from plugins.module_utils._cluster.pod_watch import PodWatch
from plugins.module_utils._progress.reporter import SILENT
from plugins.module_utils.errors import StuckError

STUCK = 30
Pod = dict[str, Any] | None


def pod(state: dict[str, Any] | None = None, *, has_node: bool = True) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": str(has_node), "reason": "Unschedulable", "message": "0/1 nodes"}
    statuses = [] if state is None else [{"name": "backup", "state": state}]
    return {
        "metadata": {"name": "p"},
        "status": {"phase": "Pending", "conditions": [condition], "containerStatuses": statuses},
    }


def waiting(reason: str, message: str = "words") -> dict[str, Any]:
    return pod({"waiting": {"reason": reason, "message": message}})


NO_NODE = pod(has_node=False)
NO_SECRET = waiting("CreateContainerConfigError", 'secret "none" not found')
REGISTRY_AWAY = waiting("ErrImagePull", "dial tcp: connection refused")
CREATING = waiting("ContainerCreating")
RUNNING = pod({"running": {}})
NAS_AWAY = {"type": "Warning", "reason": "FailedMount", "message": "mount.nfs: Connection timed out"}
REFUSED = {"type": "Warning", "reason": "FailedCreate", "message": 'serviceaccount "none" not found'}


class Fake:
    """A connection that shows one pod, or none, and these events."""

    reporter = SILENT

    def __init__(self, *events: dict[str, Any]) -> None:
        self.pod: Pod = None
        self._events = [*events]
        self.asked = 0

    def pods_of_job(self, *_: str) -> list[Any]:
        return [self.pod] if self.pod is not None else []

    def events(self, *_: str) -> list[Any]:
        self.asked += 1
        return self._events


def given_up(monkeypatch: pytest.MonkeyPatch, fake: Fake, *seen: tuple[int, Pod], patient: bool) -> int | None:
    """The second in which the pod is given up; it is seen in that state from that second on. None after an hour."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    connection: Any = fake
    watch = PodWatch(connection, "data", "j", STUCK, patient=patient)
    states = dict(seen)
    for second in range(3600):
        now = float(second)
        fake.pod = states.get(second, fake.pod)
        try:
            watch.poll()
        except StuckError:
            return second
    return None


@pytest.mark.parametrize(
    ("seen", "events", "own", "asked_for"),
    [
        # What is seen from which second on; when it is given up; and when a backup that was asked for is.
        ([(0, NO_NODE)], [], 301, None),
        ([(0, NO_NODE), (45, RUNNING)], [], None, None),
        ([(0, NO_NODE), (200, CREATING), (220, RUNNING)], [], None, None),
        ([(0, NO_NODE), (200, NO_SECRET)], [], 230, 230),
        ([(0, NO_SECRET)], [], 31, 31),
        ([(0, REGISTRY_AWAY)], [], 31, None),
        ([(0, CREATING)], [], None, None),
        ([(0, CREATING)], [NAS_AWAY], 31, None),
        ([(0, None)], [REFUSED], 31, 31),
        ([(0, None)], [], None, None),
        # The pod is deleted meanwhile, and another one made.
        ([(0, NO_NODE), (100, None), (110, NO_NODE)], [], 301, None),
        ([(0, RUNNING), (1000, NO_NODE)], [], 1300, None),
    ],
)
def test_time_limits_of_each_problem(
    monkeypatch: pytest.MonkeyPatch,
    seen: list[tuple[int, Pod]],
    events: list[dict[str, Any]],
    own: int | None,
    asked_for: int | None,
) -> None:
    assert given_up(monkeypatch, Fake(*events), *seen, patient=False) == own
    assert given_up(monkeypatch, Fake(*events), *seen, patient=True) == asked_for


def test_messages_of_each_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for found, words in ((NO_NODE, "does not start yet"), (NO_SECRET, "does not start, and waiting will not help")):
        fake: Any = Fake()
        now, fake.pod = 0.0, found
        watch = PodWatch(fake, "data", "j", STUCK)
        now = 500.0
        with pytest.raises(StuckError, match=words):
            watch.poll()


def test_problem_is_remembered_until_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    fake: Any = Fake(NAS_AWAY)
    watch = PodWatch(fake, "data", "j", STUCK, patient=True)
    reasons = []
    for second, found in ((1, NO_NODE), (2, CREATING), (40, CREATING), (41, CREATING), (60, RUNNING)):
        now, fake.pod = float(second), found
        watch.poll()
        reasons.append(watch.problem and watch.problem.reason)
    assert reasons == ["Unschedulable", None, "FailedMount", "FailedMount", None]
    assert fake.asked == 1
