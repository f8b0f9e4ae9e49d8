# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A cache entry is complete or missing, and its key depends on its sources."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from dev.buildkit.cache import Cache, key

A_MONTH_AGO = time.time() - 31 * 86400


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    (folder / "sub").mkdir(parents=True)
    (folder / "main.go").write_text("package main")
    (folder / "sub" / "part.go").write_text("package sub")
    return folder


def test_key_does_not_depend_on_where_the_checkout_is(sources: Path, tmp_path: Path) -> None:
    before = key(["flags", sources])
    moved = sources.rename(tmp_path / "elsewhere")
    assert key(["flags", moved]) == before


@pytest.mark.parametrize("name", ["main.go", "sub/part.go", "new.go"])
def test_key_follows_each_file(sources: Path, name: str) -> None:
    before = key([sources])
    (sources / name).write_text("changed")
    assert key([sources]) != before


def test_key_follows_a_file_name(sources: Path) -> None:
    before = key([sources])
    (sources / "main.go").rename(sources / "other.go")
    assert key([sources]) != before


@pytest.mark.parametrize("name", ["__pycache__/main.pyc", ".hidden", ".git/config"])
def test_key_ignores_files_that_are_not_sources(sources: Path, name: str) -> None:
    before = key([sources])
    (sources / name).parent.mkdir(exist_ok=True)
    (sources / name).write_text("changed")
    assert key([sources]) == before


def test_key_keeps_texts_apart() -> None:
    assert key(["ab", "c"]) != key(["a", "bc"])


def test_entry_is_made_once(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "program").write_text("x")

    cache = Cache(tmp_path)
    first = cache.entry("name", "key", make)
    assert cache.entry("name", "key", make) == first == cache.path("name", "key")
    assert (first / "program").read_text() == "x"
    assert len(made) == 1


def test_failed_entry_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("the disk is full")

    cache = Cache(tmp_path)
    with pytest.raises(RuntimeError):
        cache.entry("name", "key", fail)
    assert not cache.path("name", "key").exists()
    assert [path.name for path in (tmp_path / "name").iterdir()] == [".lock"]


def test_interrupted_entry_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "name" / "key.partial").mkdir(parents=True)
    (tmp_path / "name" / "key.partial" / "half").write_text("x")
    path = Cache(tmp_path).entry("name", "key", lambda folder: (folder / "whole").touch())
    assert [item.name for item in path.iterdir()] == ["whole"]
    assert not (tmp_path / "name" / "key.partial").exists()


def test_entries_unused_for_a_month_are_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old = cache.entry("name", "old", lambda _: None)
    recent = cache.entry("name", "recent", lambda _: None)
    other = cache.entry("name-longer", "old", lambda _: None)
    for path in (old, other):
        os.utime(path, (A_MONTH_AGO, A_MONTH_AGO))
    cache.entry("name", "new", lambda _: None)
    assert [old.exists(), recent.exists(), other.exists()] == [False, True, True]


def test_entry_is_renewed_by_use(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = cache.entry("name", "key", lambda _: None)
    os.utime(path, (A_MONTH_AGO, A_MONTH_AGO))
    cache.entry("name", "key", lambda _: None)
    assert path.stat().st_mtime > A_MONTH_AGO + 86400


def test_entry_is_made_once_for_two_processes(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.05)

    cache = Cache(tmp_path)
    threads = [threading.Thread(target=cache.entry, args=("name", "key", make)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
