# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The temporary folder of the copies' pod is full, or cannot be written: that is what the message names."""

from __future__ import annotations

import gzip
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.copy_program import Copier, copy_program, install
from tests.stores.loopback import rclone, restic

FULL = "the temporary folder of the pod (/tmp) is full. It is on the disk of the node: add free space there"
READ_ONLY = (
    "the temporary folder of the pod (/tmp) cannot be written: Read-only file system. Check the disk of the node"
)
PAGE = 4096
OPTIONS = {"options": {"folder": "of/this installation"}, "name": "usb"}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_program(tmp_path_factory.mktemp("program"))


def with_backup(copier: Copier, text_bytes: int, manifest_bytes: int = 0) -> Copier:
    text = random.Random(1).randbytes(text_bytes)  # noqa: S311 - no secret
    name = copier.add_backup(1, gzip.compress(text, mtime=0), "complete")
    manifest = copier.volume / f"{name}.json"
    manifest.write_text(f'{manifest.read_text().rstrip()[:-1]},"more":"{"x" * manifest_bytes}"}}\n')
    return copier


@pytest.fixture
def usb(tmp_path: Path, code: Path) -> Copier:
    return with_backup(install(tmp_path, rclone(), {"kind": "claim", **OPTIONS}, code=code), 1000, 400_000)


@pytest.fixture
def dedup(tmp_path: Path, code: Path) -> Copier:
    copier = install(tmp_path, rclone(), {"kind": "restic", "repository": "claim", **OPTIONS}, code=code)
    (copier.folder / "bin" / "restic").symlink_to(restic())
    copier.add_secret({"repository_password": "a long password"})
    return with_backup(copier, 8 << 20)


@contextmanager
def small(copier: Copier, *options: str) -> Iterator[Path]:
    folder = copier.folder / "tmp"
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def failed(copier: Copier, *words: str) -> str:
    result = copier.run(*words)
    assert (result["status"], result["state"]) == (1, "failed"), result["log"]
    return str(result["reason"])


def assert_mended(copier: Copier) -> None:
    result = copier.run()
    assert (result["status"], len(copier.copies("usb"))) == (0, 1), result["log"]


@pytest.mark.parametrize("pages", [0, 2, 10])
def test_no_space_for_the_script(usb: Copier, pages: int) -> None:
    with small(usb, "size=2m") as folder:
        (folder / "ballast").write_bytes(bytes((512 - pages) * PAGE))
        assert failed(usb) == FULL
        assert failed(usb, "retrieve", "usb") == FULL
    assert_mended(usb)


def test_no_inodes(usb: Copier) -> None:
    with small(usb, "nr_inodes=8"):
        assert failed(usb) == FULL
    assert_mended(usb)


def test_it_cannot_be_written(usb: Copier) -> None:
    with small(usb, "ro"):
        assert failed(usb) == READ_ONLY
        assert failed(usb, "retrieve", "usb") == READ_ONLY
    assert_mended(usb)


@pytest.mark.parametrize(("kibibytes", "step"), [(300, "usb: could not read the checksum files: "), (640, "usb: ")])
def test_no_space_for_the_manifests_of_the_place(usb: Copier, kibibytes: int, step: str) -> None:
    usb.run()
    with small(usb, f"size={kibibytes}k"):
        assert failed(usb) == f"{step}{FULL}"
    assert_mended(usb)


def test_no_space_for_what_restic_collects(dedup: Copier) -> None:
    with small(dedup, "size=2m"):
        reason = failed(dedup)
        assert reason.startswith("usb: could not copy ") and reason.endswith(f": {FULL}")
    assert_mended(dedup)


def test_a_failure_of_another_kind_is_named(usb: Copier) -> None:
    environment: dict[str, Any] = {"POSTGRES_BACKUP_DIR": str(usb.folder / "none")}
    usb.variables |= environment
    assert failed(usb).startswith("the backup volume could not be listed: ")
