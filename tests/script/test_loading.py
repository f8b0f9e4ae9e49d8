# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""The program and the files of its commands, as a ConfigMap has them, and where some are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from .support.combinations import under_one
from .support.sandbox import Sandbox
from .support.script_files import copy_script, files_of


def mount(folder: Path) -> Path:
    """As the kubelet mounts a ConfigMap: each file is a link into ..data, which is a link to a folder."""
    data = folder / "..2026_11_22"
    data.mkdir()
    copy_script(data)
    (folder / "..data").symlink_to(data.name)
    for path in data.iterdir():
        (folder / path.name).symlink_to(f"..data/{path.name}")
    return folder / "backup.sh"


def test_a_mounted_config_map(offline: Sandbox) -> None:
    offline.script = mount(offline.workspace.directory("mounted"))
    (volume,) = offline.run("list").check().of_type("volume")
    assert volume["path"] == str(offline.volume)
    offline.assert_nothing_left()


@under_one
def test_all_files_are_of_one_config_map(offline: Sandbox) -> None:
    """One link is another ConfigMap's already: what counts is the folder behind ..data."""
    folder = offline.workspace.directory("changing")
    offline.script = mount(folder)
    (folder / "volume.sh").unlink()
    (folder / "volume.sh").write_text("exit 9\n")
    offline.run("list").check()


@under_one
def test_commands_need_no_other_files(offline: Sandbox) -> None:
    """Those of `list` are what a reader has."""
    offline.script = copy_script(offline.workspace.directory("reader"), "list", "prune")
    assert "run.sh" not in {path.name for path in offline.script.parent.iterdir()}
    offline.run("list").check()
    offline.run("prune").check()
    outcome = offline.run("run").check(2)
    missing = next(name for name in files_of("run") if name not in files_of("list", "prune"))
    assert f"the script is not complete: {missing} is not in " in outcome.log


@pytest.mark.parametrize("missing", [name for name in files_of("list") if name != "backup.sh"])
@under_one
def test_a_file_that_is_missing(offline: Sandbox, missing: str) -> None:
    """A CronJob may mount a choice of the ConfigMap's keys: another try does not help."""
    offline.script = copy_script(offline.workspace.directory("incomplete"), "list")
    (offline.script.parent / missing).unlink()
    outcome = offline.run("list").check(2)
    assert f"the script is not complete: {missing} is not in {offline.script.parent}." in outcome.log
    assert outcome.out == ""
    offline.assert_nothing_left()
