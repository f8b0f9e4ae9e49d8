# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The kit that a run keeps next to the backups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..support.combinations import under_all, under_one
from ..support.sandbox import Sandbox
from ..support.script_files import write_kit

FIRST_LINE = "<!-- Written by the role for {}. Each run replaces this file. -->\n"


@pytest.fixture
def mounted(sandbox: Sandbox) -> Path:
    """The folder where the CronJob mounts the ConfigMap."""
    folder = sandbox.workspace.directory("kit")
    write_kit(folder)
    (folder / "RESTORE.md").write_text(FIRST_LINE.format("data/postgres-backup") + "\n# Restore ü\n")
    return folder


def back_up(sandbox: Sandbox, folder: Path) -> str:
    return sandbox.run("run", env={"POSTGRES_BACKUP_KIT": str(folder)}).check().log


@under_all
def test_a_run_writes_both_files_and_leaves_them_if_they_are_the_same(sandbox: Sandbox, mounted: Path) -> None:
    log = back_up(sandbox, mounted)
    assert "wrote restore-kit.sh next to the backups" in log and "wrote RESTORE.md next to the backups" in log
    written = {name: sandbox.volume / name for name in ("restore-kit.sh", "RESTORE.md")}
    for name, path in written.items():
        assert path.read_bytes() == (mounted / name).read_bytes()
        assert path.stat().st_mode & 0o777 == 0o640
    before = {path: path.stat() for path in written.values()}
    assert "next to the backups" not in back_up(sandbox, mounted)
    assert {path: path.stat().st_ino for path in before} == {path: stat.st_ino for path, stat in before.items()}
    (mounted / "RESTORE.md").write_text(FIRST_LINE.format("data/postgres-backup") + "new\n")
    assert "wrote RESTORE.md" in back_up(sandbox, mounted)
    assert written["RESTORE.md"].read_text().endswith("new\n")
    assert len(list(sandbox.volume.glob(".*"))) == 0


@under_one
def test_the_page_of_another_installation_or_of_a_person_stays(sandbox: Sandbox, mounted: Path) -> None:
    page, own = sandbox.volume / "RESTORE.md", sandbox.volume / "postgres-backup.RESTORE.md"
    for text in (FIRST_LINE.format("data/another"), "# Mine\n", ""):
        page.write_text(text)
        page.chmod(0o600)
        os.chown(page, sandbox.uid, sandbox.uid)
        back_up(sandbox, mounted)
        assert page.read_text() == text
        assert own.read_text() == (mounted / "RESTORE.md").read_text()
        own.unlink()


@under_one
def test_a_link_is_replaced_and_not_followed(sandbox: Sandbox, mounted: Path) -> None:
    victim = sandbox.workspace.directory("victim", sandbox.uid) / "file"
    victim.write_text("mine")
    os.chown(victim, sandbox.uid, sandbox.uid)
    for name in ("restore-kit.sh", "postgres-backup.RESTORE.md", "RESTORE.md"):
        (sandbox.volume / name).symlink_to(victim)
    back_up(sandbox, mounted)
    assert victim.read_text() == "mine"
    assert not (sandbox.volume / "restore-kit.sh").is_symlink()


@under_one
def test_a_file_that_cannot_be_written_is_a_warning(sandbox: Sandbox, mounted: Path) -> None:
    (sandbox.volume / "restore-kit.sh").mkdir()
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_KIT": str(mounted)}).check()
    assert outcome.result["state"] == "succeeded"
    (warning,) = outcome.result["warnings"]
    assert warning.startswith("restore-kit.sh could not be written next to the backups: ")
    assert (sandbox.volume / "RESTORE.md").exists()


@under_one
def test_an_installation_without_the_config_map(sandbox: Sandbox) -> None:
    """One of an earlier version, or without postgres_backup_restore_kit."""
    outcome = sandbox.run("run").check()
    assert outcome.result["warnings"] == []
    assert not list(sandbox.volume.glob("*RESTORE*")) and not (sandbox.volume / "restore-kit.sh").exists()
