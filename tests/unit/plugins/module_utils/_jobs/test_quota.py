# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Whether a quota can ever admit a pod, from messages of Kubernetes 1.36."""

from __future__ import annotations

import pytest

from plugins.module_utils._jobs.quota import is_quota_exceeded, quota_is_too_small

START = 'pods "a" is forbidden: exceeded quota: q, requested: '


@pytest.mark.parametrize(
    ("message", "is_exceeded", "is_too_small"),
    [
        (f"{START}limits.cpu=2, used: limits.cpu=0, limited: limits.cpu=1", True, True),
        (f"{START}limits.cpu=2, used: limits.cpu=500m, limited: limits.cpu=1900m", True, True),
        (f"{START}limits.cpu=2, used: limits.cpu=1, limited: limits.cpu=2", True, False),
        (f"{START}pods=1, used: pods=3, limited: pods=3", True, False),
        (f"{START}pods=1, used: pods=0, limited: pods=0", True, True),
        # One of several is enough; without a unit it is bytes.
        (
            f"{START}limits.cpu=1,requests.memory=2Gi, used: limits.cpu=1,requests.memory=0, "
            "limited: limits.cpu=1,requests.memory=1073741824",
            True,
            True,
        ),
        ('pods "a" is forbidden: failed quota: q: must specify limits.cpu for: backup', False, False),
        ("no words of a quota", False, False),
    ],
)
def test_quota_in_a_message(message: str, is_exceeded: bool, is_too_small: bool) -> None:
    assert (is_quota_exceeded(message), quota_is_too_small(message)) == (is_exceeded, is_too_small)
