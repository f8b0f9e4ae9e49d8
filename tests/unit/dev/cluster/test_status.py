# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""What `status` shows of the node's images, whatever the kubelet reports."""

from __future__ import annotations

from typing import Any

import pytest

from dev.cluster.devcluster.status import _images

TAGGED = {"names": ["localhost/b@sha256:1", "localhost/b:2"], "sizeBytes": 1}


@pytest.mark.parametrize(
    ("images", "shown"),
    [
        ([TAGGED, {"names": ["localhost/a:1"]}], "localhost/a:1, localhost/b:2"),
        ([{"names": None, "sizeBytes": 1}, TAGGED], "localhost/b:2, 1 without a name"),
        ([{"sizeBytes": 1}, {"names": []}], "2 without a name"),
        ([{"names": ["localhost/b@sha256:1"]}], "1 without a name"),
        ([], "none yet"),
        (None, "none yet"),
    ],
)
def test_images_with_and_without_a_tag(images: list[dict[str, Any]] | None, shown: str) -> None:
    assert _images({"images": images}) == shown


def test_node_without_a_list_of_images() -> None:
    assert _images({}) == "none yet"
