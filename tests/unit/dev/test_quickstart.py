# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The commands that the quickstart prints can be pasted, for a checkout at any path, and use the same cluster."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
LAST_RUN = {"state": "succeeded", "seconds": {}, "uncompressed_bytes": 1, "server_version": "18"}
VOLUME = json.dumps({"type": "volume", "last_run": LAST_RUN})
PROGRAMS = {
    "ansible-playbook": ":",
    "kubectl": f"case $1 in get) echo Complete;; logs) echo '{VOLUME}'; esac",
    "python": f'exec {sys.executable} "$@"',
}
LIB = "say() { :; }\ndie() { exit 1; }\nensure_venv() { :; }\nlink_collection() { :; }\n"


def shell_of(folder: Path, **variables: str) -> dict[str, str]:
    return {"PATH": f"{folder / 'programs'}:/usr/bin:/bin", **variables}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The quickstart with stand-ins for what it starts."""
    root = tmp_path / "it's a $HOME"
    (root / "dev" / "cluster").mkdir(parents=True)
    (tmp_path / "programs").mkdir()
    shutil.copy(CHECKOUT / "dev" / "quickstart", root / "dev")
    (root / "dev" / "lib.sh").write_text(LIB)
    (root / "dev" / "env").write_text("export ENTERED=yes\n")
    scripts = {tmp_path / "programs" / name: body for name, body in PROGRAMS.items()}
    scripts |= {
        root / "dev" / "cluster" / name: f"echo {name} ran for ${{CLUSTER_NAME-the usual one}}"
        for name in ("up", "down")
    }
    for path, body in scripts.items():
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return root


def run(checkout: Path, **variables: str) -> tuple[str, str]:
    """What it prints, and what the line that it offers for another shell sets there."""
    shell = shell_of(checkout.parent, **variables)
    command = [str(checkout / "dev" / "quickstart")]
    done = subprocess.run(command, cwd=checkout.parent, env=shell, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = re.findall(r"in this shell after `(.*)`:", done.stdout)
    shown = f'{line} && printf "%s|" "$ENTERED" "$PWD" "${{KUBECONFIG-}}" "${{CLUSTER_NAME-}}"'
    there = subprocess.run(
        ["bash", "-c", shown], env=shell_of(checkout.parent), capture_output=True, text=True, check=True
    )
    return done.stdout, there.stdout


def test_printed_command_takes_the_development_cluster_down(checkout: Path) -> None:
    output, there = run(checkout, CLUSTER_NAME="mine")
    assert there == f"yes|{checkout / '.quickstart'}||mine|"
    (line,) = re.findall(r"in this shell after `(.*)`:", output)
    (down,) = re.findall(r"^  (\S.*?) {4,}removes the cluster", output, re.MULTILINE)
    pasted = ["bash", "-c", f"{line} && {down}"]
    done = subprocess.run(pasted, env=shell_of(checkout.parent), capture_output=True, text=True, check=True)
    assert done.stdout == "down ran for mine\n"


def test_printed_commands_leave_a_users_own_cluster(checkout: Path) -> None:
    output, there = run(checkout, KUBECONFIG="/home/me/a b", QUICKSTART_DIR="work here")
    assert there == f"yes|{checkout.parent / 'work here'}|/home/me/a b||"
    assert "down" not in output and "up ran" not in output


def test_volume_is_listed_as_in_the_runbook() -> None:
    """By a Job without an owner, which Kubernetes does not take for a run of the CronJob."""
    runbook = CHECKOUT / "roles" / "postgres_backup" / "templates" / "postgres-backup.md.j2"
    (edits,) = re.findall(r"^job=list-.*\| (sed .*?) \| kubectl create", runbook.read_text(), re.MULTILINE)
    assert edits in (CHECKOUT / "dev" / "quickstart").read_text()
