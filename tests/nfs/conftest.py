# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""One guest with real NFS for all tests. Where it cannot run the tests fail; they are not skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.buildkit.errors import ReportedError
from dev.nfs.image import make_image
from tests.script.support.script_files import files_of, source
from tests.script.support.volume import put_backup

from .machine import Machine, MachineError
from .shares import OLDER, Guest, LongStop, backup_name


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    folder = tmp_path_factory.mktemp("guest")
    older = folder / "older"
    older.mkdir()
    for moment in OLDER:
        put_backup(older, backup_name(moment))
    files = {f"script/{name}": (source() / name).read_bytes() for name in files_of()}
    files |= {f"older/{path.name}": path.read_bytes() for path in older.iterdir()}
    try:
        machine = Machine(make_image(), folder, files)
    except ReportedError as error:
        pytest.fail(error.render(), pytrace=False)
    except MachineError as error:
        pytest.fail(f"no guest with NFS: {error}", pytrace=False)
    with machine:
        yield Guest(machine)


@pytest.fixture(scope="session")
def long_stop(guest: Guest) -> LongStop:
    """A run whose server has been unavailable since the session began, in parallel with all other tests."""
    return LongStop(guest)


@pytest.fixture(scope="session", autouse=True)
def _begin_the_long_stop(request: pytest.FixtureRequest) -> None:
    if any("long_stop" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("long_stop")
