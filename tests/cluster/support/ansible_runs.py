# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Playbooks and modules, run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.support.kube import CHECKOUT
from tests.warm_python import warm_python

RUN_MODULE = Path(__file__).with_name("run_module.py")


def link_collection(folder: Path) -> Path:
    """Makes `folder` a collections path that has this checkout."""
    (folder / "ansible_collections" / "homelab").mkdir(parents=True)
    (folder / "ansible_collections" / "homelab" / "postgres_backup").symlink_to(CHECKOUT)
    return folder


@dataclass(frozen=True)
class Play:
    """A playbook's run, as a person sees it."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        return self._recap("changed")

    @property
    def failed(self) -> int:
        return self._recap("failed")

    @property
    def summary(self) -> list[str]:
        """The lines that the play ends with."""
        _, _, rest = self.output.rpartition('"msg": [')
        text, _, _ = rest.partition("\n    ]")
        lines: list[str] = json.loads(f"[{text}]")
        return lines

    def _recap(self, name: str) -> int:
        match = re.search(rf"^localhost .*\b{name}=(\d+)", self.output, re.MULTILINE)
        assert match, self.output
        return int(match[1])


def warm() -> tuple[str, str]:
    """Arguments by which modules need not load their libraries."""
    return "-e", f"ansible_python_interpreter={warm_python()}"


@dataclass(frozen=True)
class Ansible:
    """Runs this collection's playbooks in a separate folder."""

    folder: Path
    collections: Path

    def __call__(self, playbook: str, *arguments: str, env: Mapping[str, str] | None = None, **variables: Any) -> Play:
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, playbook, "-e", json.dumps(variables), *warm(), *arguments],
            cwd=self.folder,
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Play(done.returncode, done.stdout)

    def module(
        self, module: str, /, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> dict[str, Any]:
        """A module's result with `failed`.

        With arguments it is run by `ansible`, and `shown` is what a person sees. Without, the module runs by itself,
        in half of the time.
        """
        if not arguments:
            return self._module_alone(module, env, options)
        tree = self.folder / f"tree-{uuid.uuid4().hex[:8]}"
        done = self.start(module, *arguments, *warm(), "--tree", str(tree), env=env, **options)
        output, _ = done.communicate()
        found = tree / "localhost"
        assert found.exists(), output
        result: dict[str, Any] = json.loads(found.read_text())
        return {"failed": done.returncode != 0, "msg": "", "shown": output, **result}

    def _module_alone(self, module: str, env: Mapping[str, str] | None, options: Mapping[str, Any]) -> dict[str, Any]:
        given = self.folder / f"{module}-{uuid.uuid4().hex[:8]}.json"
        given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}))
        done = subprocess.run(
            [warm_python(), RUN_MODULE, self.collections, module, given],
            cwd=self.folder,
            env=self.environment(env),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.startswith('\n{"'), done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return {"failed": done.returncode != 0, "msg": "", "shown": done.stderr, **result}

    def start(
        self, module: str, /, *arguments: str, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """Starts the play in a separate process group."""
        return subprocess.Popen(
            self.command(module, *arguments, **options),
            cwd=self.folder,
            env=self.environment(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def command(module: str, /, *arguments: str, **options: Any) -> list[str]:
        """The program and its arguments that run a module."""
        program = str(Path(sys.executable).with_name("ansible"))
        name = f"homelab.postgres_backup.{module}"
        return [program, "localhost", "-c", "local", "-m", name, "-a", json.dumps(options), *arguments]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        there = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
        return os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": f"{self.collections}:{there}".rstrip(":"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            # How much of it is shown depends on how busy this machine is.
            "POSTGRES_BACKUP_PROGRESS": "false",
            # What is unpacked a moment later on the same machine.
            "ANSIBLE_MODULE_COMPRESSION": "ZIP_STORED",
            **(more or {}),
        }

    def site(self, *arguments: str, env: Mapping[str, str] | None = None, **variables: Any) -> Play:
        """Runs site.yml, variables without their prefix."""
        given = {f"postgres_backup_{name}": value for name, value in variables.items()}
        return self("homelab.postgres_backup.site", *arguments, env=env, **given)


def signal_all(process: subprocess.Popen[str], sent: signal.Signals, children_first: bool = False) -> None:
    """Sends a signal to a process and its descendants: Ansible's workers are in separate sessions."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    family = [process.pid]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid]
    for pid in reversed(family) if children_first else family:
        with suppress(ProcessLookupError):  # ended meanwhile
            os.kill(pid, sent)


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
