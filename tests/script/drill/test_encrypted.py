# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""`backup.sh drill` with encrypted backups."""

from __future__ import annotations

import pytest

from ..support.encryption import make_key, put_encrypted
from ..support.programs import Programs
from ..support.rehearsal import NAME, Rehearsal
from ..support.sandbox import Sandbox
from ..support.volume import give


@pytest.fixture
def rehearsal(offline: Sandbox, postgresql: Programs) -> Rehearsal:
    return Rehearsal.of(offline, postgresql)


def test_without_an_identity_it_is_refused_and_not_called_damaged(rehearsal: Rehearsal) -> None:
    put_encrypted(rehearsal.volume, NAME, make_key())
    give(rehearsal.volume, rehearsal.uid)
    outcome = rehearsal.run("drill").check(2)
    assert "the backup is encrypted" in outcome.result["reason"]
    assert "damaged" not in outcome.log
