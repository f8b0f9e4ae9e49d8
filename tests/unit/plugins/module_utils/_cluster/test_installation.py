# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the API server adds to the record of the last run."""

from __future__ import annotations

from typing import Any, cast

import pytest

from plugins.module_utils._cluster.connection import Connection
from plugins.module_utils._cluster.installation import run_as_it_ended
from plugins.module_utils.errors import ForbiddenError, NotFoundError


def ended(kind: str | None) -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True"}] if kind else []
    return {"metadata": {"name": "night"}, "status": {"conditions": conditions}}


class OneJob:
    """In place of the API server: the Job of the name `night`."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def job(self, namespace: str, name: str) -> Any:
        assert (namespace, name) == ("data", "night")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


RUNNING = {"state": "running", "job": "night", "reason": None}


@pytest.mark.parametrize(
    ("record", "job", "state"),
    [
        (RUNNING, ended("Failed"), "interrupted"),
        (RUNNING, ended("Complete"), "running"),  # it is about to say more
        (RUNNING, ended(None), "running"),
        (RUNNING, NotFoundError("gone"), "running"),
        (RUNNING, ForbiddenError("no right"), "running"),
        ({**RUNNING, "state": "failed"}, AssertionError("not asked for"), "failed"),
        ({**RUNNING, "job": None}, AssertionError("not asked for"), "running"),
    ],
)
def test_a_run_whose_job_failed_is_not_running(record: dict[str, Any], job: Any, state: str) -> None:
    found = run_as_it_ended(cast(Connection, OneJob(job)), "data", record)
    assert found == {**record, "state": state}


def test_without_a_run_there_is_nothing_to_ask() -> None:
    assert run_as_it_ended(cast(Connection, OneJob(AssertionError())), "data", None) is None
