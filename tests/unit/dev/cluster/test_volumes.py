# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Sizes of small volumes."""

from __future__ import annotations

import pytest

from dev.buildkit.errors import ReportedError
from dev.cluster.devcluster.volumes import quantity


@pytest.mark.parametrize(
    ("size", "expected"),
    [("16M", "16Mi"), ("16Mi", "16Mi"), ("512K", "512Ki"), ("2G", "2Gi"), ("1024M", "1Gi"), ("1536M", "1536Mi")],
)
def test_size_is_read_as_bytes(size: str, expected: str) -> None:
    assert quantity(size) == expected


@pytest.mark.parametrize("size", ["", "16", "M", "0M", "16MB", "1.5G", "16M,mode=0"])
def test_invalid_size_is_refused(size: str) -> None:
    with pytest.raises(ReportedError, match="size"):
        quantity(size)
