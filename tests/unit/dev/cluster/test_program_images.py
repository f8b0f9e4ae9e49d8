# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Images of a Go program: what is in them, and that only a change of the program's sources makes a new one."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from dev.buildkit.cache import Cache
from dev.cluster.devcluster import golang, program_images


@pytest.mark.parametrize("name", program_images.BY_NAME)
def test_image_has_the_program_alone(name: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    program = program_images.BY_NAME[name].program
    # As if it had been built.
    program.path(cache).parent.mkdir(parents=True)
    program.path(cache).write_bytes(b"the program")
    made = program_images.make_image(cache, name)
    with tarfile.open(made.archive) as archive:
        blobs = {member.name.replace("/", ":")[6:]: archive.extractfile(member) for member in archive.getmembers()}
        contents = {digest: file.read() for digest, file in blobs.items() if file}
    (image,) = made.digests.items()
    assert image[0] == program_images.BY_NAME[name].image
    manifest = json.loads(contents[image[1]])
    assert json.loads(contents[manifest["config"]["digest"]])["config"]["Entrypoint"] == [f"/{name}"]
    (layer,) = manifest["layers"]
    with tarfile.open(fileobj=io.BytesIO(contents[layer["digest"]])) as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.mode) == (name, 0o755)
        file = archive.extractfile(member)
        assert file is not None
        assert file.read() == b"the program"


def test_cluster_is_not_made_of_them() -> None:
    """Else each start of a cluster would build them."""
    assert not {program.name for program in golang.programs()} & set(program_images.BY_NAME)
