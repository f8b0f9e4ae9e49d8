# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The playbooks as a person runs them, without a cluster: the modules' options are recorded (recording_support.py)."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.warm_python import warm_python

CHECKOUT = Path(__file__).resolve().parents[3]
PLAYBOOKS = CHECKOUT / "playbooks"
PREFIX = "homelab.postgres_backup."
BACKUP = "postgres-backup-2026-11-22-020000.sql.gz"

# Each module's result on success, as far as playbooks use it.
WELL: dict[str, dict[str, Any]] = {
    "backup_fetch": {
        "changed": False,
        "path": f"/nowhere/{BACKUP}",
        "backup": BACKUP,
        "backup_state": "complete",
        "sha256": "0" * 64,
        "contents": {"databases": []},
    },
    "backup_info": {
        "changed": False,
        "healthy": True,
        "problems": [],
        "backups": [],
        "volume": {"claim": "postgres-backup", "free_bytes": 1000, "nfs_server": None, "nfs_path": None},
    },
    "backup_job": {
        "changed": True,
        "job": "postgres-backup-manual-x",
        "attached": False,
        "newest": None,
        "result": {
            "backup": BACKUP,
            "bytes": 1000,
            "size_bytes": 1000,
            "uncompressed_bytes": 2000,
            "sha256": "0" * 64,
            "seconds": {},
        },
        "log": [],
    },
    "backup_prune": {"changed": False, "deleted": [], "freed_bytes": 0, "backups": []},
    "backup_upload": {"changed": True, "backup": BACKUP, "sha256": "0" * 64},
    "report_upload": {"changed": True, "file": "postgres-backup.report.html", "size_bytes": 1000},
    # In check mode, so that the role, which needs a cluster, is left out.
    "backup_user": {
        "changed": True,
        "role": "postgres_backup",
        "secret_name": "postgres-backup-user",
        "secret_key": "password",
        "secret_exists": False,
        "administrator": {"user": "postgres", "secret_name": "postgres-postgresql", "secret_key": "postgres-password"},
        "password": "created",
        "rights": {"login": True},
        "granted_databases": [],
    },
    "restore_cluster": {
        "changed": True,
        "backup": BACKUP,
        "sha256": "0" * 64,
        "databases": [
            {
                "name": "shop",
                "state": "would_be_restored",
                **dict.fromkeys(("replaced", "rows", "tables", "seconds", "reason")),
                "dropped": True,
            },
            {
                "name": "old",
                "state": "present",
                "replaced": "old_before_restore_20261122030405",
                "dropped": False,
                **dict.fromkeys(("rows", "tables", "seconds"), 3),
                "reason": None,
            },
        ],
        "created_roles": ["app"],
        "kept_roles": ["postgres"],
        "altered_roles": [],
        "missing_databases": [],
        "other_databases": ["other"],
        "rows": 3,
        "tables": 1,
    },
    "restore_database": {
        "changed": True,
        "backup": BACKUP,
        "sha256": "0" * 64,
        "rows": 3,
        "replaced": None,
        "created_roles": [],
    },
    "restore_table": {
        "changed": True,
        "backup": BACKUP,
        "sha256": "0" * 64,
        "target": "shop",
        "schema": "restored_20261122030405",
        "merged": False,
        "tables": [
            {
                "schema": "public",
                "name": "orders",
                **dict.fromkeys(("rows", "only_in_backup", "only_in_live", "changed", "same"), 3),
                "inserted": 0,
                "updated": 0,
                "key": ["id"],
                "keys": {"only_in_backup": [{"id": 7}], "only_in_live": [], "changed": []},
            },
            {
                "schema": "public",
                "name": "lost",
                "rows": 3,
                **dict.fromkeys(("only_in_backup", "only_in_live", "changed", "same", "key", "keys")),
                "inserted": 0,
                "updated": 0,
            },
        ],
        "needs": [],
        "missing": [],
    },
    "backup_copy": {
        "changed": True,
        "job": "postgres-backup-copy-manual-1",
        "attached": False,
        "state": "succeeded",
        "reason": None,
        "places": [
            {
                "name": "cloud",
                "kind": "s3",
                "state": "copied",
                "copied": [BACKUP],
                "deleted": [],
                "bytes": 3,
                "seconds": 1,
                "error": None,
            }
        ],
        "log": [],
    },
    "backup_retrieve": {
        "changed": True,
        "place": "offsite",
        "backup": BACKUP,
        "sha256": "0" * 64,
        "size_bytes": 2048,
        "replaced_damaged": False,
        "copy_read": True,
        "duration_seconds": 3.0,
        "log": [],
    },
    "notify_test": {
        "changed": True,
        "channels": [{"name": "phone", "kind": "ntfy", "state": "works", "error": None}],
        "log": [],
    },
    "restore_drill": {
        "changed": False,
        "backup": BACKUP,
        "server_version": "18.1",
        "databases": [{"name": "app", "tables": 1, "rows": 3}],
        "tables": 1,
        "rows": 3,
        "seconds": {"restore": 1},
        "errors": [],
        "upgrade": None,
        "left_out": [{"database": "app", "object": "materialized view public.far", "reason": "no network"}],
        "needs": [{"database": "app", "search_path": "public", "object": "trigger t", "cure": "Change it."}],
        "compared": True,
        "failures": [],
    },
}
# What a template that met a value of another type, or none, leaves in the output.
TEMPLATE_ERRORS = ("Error rendering template", "Finalization of task", "is undefined", "NoneType", "Traceback", "None0")


class Unsafe(str):
    """Text that Ansible does not take for a template."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", text, style='"'))


@dataclass(frozen=True)
class Call:
    module: str
    check: bool
    options: dict[str, Any]


@dataclass
class Done:
    status: int
    output: str
    calls: list[Call]

    def of(self, namespace: str) -> list[Call]:
        return [call for call in self.calls if call.options["namespace"] == namespace]

    def about(self, host: str) -> str:
        """The output about one host."""
        parts = self.output.replace("[ERROR]", "\n[ERROR]").split("\n[ERROR]")
        return "\n".join(part for part in parts if f"[{host}]" in part or f"{host} " in part)

    def stats(self, playbook: str) -> dict[str, dict[str, Any]]:
        """What the playbook leaves for the next step of a workflow, by host."""
        _, _, text = self.output.partition("CUSTOM STATS: ")
        left: dict[str, Any] = json.loads(text.partition("RUN: ")[2] or "{}")
        assert set(left) <= {"postgres_backup"}, left
        found: dict[str, dict[str, Any]] = left.get("postgres_backup", {}).get(playbook, {})
        return found

    def has_no_template_error(self) -> bool:
        return not any(error in self.output for error in TEMPLATE_ERRORS)


@dataclass
class Recorded:
    """Runs playbooks in a separate folder, without a terminal."""

    folder: Path
    answers: dict[str, dict[str, Any]] = field(default_factory=lambda: {"default": dict(WELL)})

    def __post_init__(self) -> None:
        ours = self.folder / "collections" / "ansible_collections" / "homelab" / "postgres_backup"
        (ours / "plugins" / "module_utils").mkdir(parents=True)
        for path in CHECKOUT.iterdir():
            if path.name not in {"plugins", ".ansible", ".git", ".venv"}:
                (ours / path.name).symlink_to(path)
        for path in (CHECKOUT / "plugins").iterdir():
            if path.name != "module_utils":
                (ours / "plugins" / path.name).symlink_to(path)
        for path in (CHECKOUT / "plugins" / "module_utils").iterdir():
            if path.name != "module_support.py":
                (ours / "plugins" / "module_utils" / path.name).symlink_to(path)
        (ours / "plugins" / "module_utils" / "module_support.py").symlink_to(
            Path(__file__).with_name("recording_support.py")
        )
        (self.folder / "here").mkdir()

    @property
    def here(self) -> Path:
        """Where the person is."""
        return self.folder / "here"

    def __call__(self, playbook: str, *arguments: str, **variables: Any) -> Done:
        return self.run([*self.program(playbook), "-e", json.dumps(variables), *arguments])

    def many(self, playbook: str, hosts: dict[str, dict[str, Any]], *arguments: str) -> Done:
        """One play for all of them: each host has its variables, and its name as namespace."""
        own = {name: {"postgres_backup_namespace": name, **of} for name, of in hosts.items()}
        inventory = self.folder / "inventory.yml"
        inventory.write_text(yaml.dump({"several": {"hosts": own}}, Dumper=_Dumper, allow_unicode=True))
        words = ["-i", str(inventory), "-e", "postgres_backup_hosts=several", "--forks", "4"]
        words += ["-e", f"ansible_python_interpreter={warm_python()}"]
        return self.run([*self.program(playbook), *words, *arguments])

    @staticmethod
    def program(playbook: str) -> list[str]:
        return [str(Path(sys.executable).with_name("ansible-playbook")), PREFIX + playbook]

    def run(self, command: list[str]) -> Done:
        self._begin()
        done = subprocess.run(
            command,
            cwd=self.here,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        return Done(done.returncode, done.stdout, self._calls())

    def at_terminal(self, command: list[str], *answers: tuple[str, str]) -> Done:
        """`answers` are what is asked for and what is typed then, in this order."""
        self._begin()
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.here)
            os.execve(command[0], command, self.environment)  # noqa: S606 - of the child of a fork
        output, left = b"", list(answers)
        try:
            while select.select([terminal], [], [], 60)[0]:
                try:
                    came = os.read(terminal, 65536)
                except OSError:  # how Linux reports that the other side is closed
                    break
                if not came:
                    break
                output += came
                if left and left[0][0].encode() in output.rpartition(b"\n[")[2]:
                    self._wait_for_a_reader(terminal)
                    os.write(terminal, f"{left.pop(0)[1]}\r".encode())
                    output += b"\n"
            else:
                os.kill(pid, signal.SIGKILL)
        finally:
            os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert not left, output.decode()
        return Done(status, output.decode(), self._calls())

    @staticmethod
    def _wait_for_a_reader(terminal: int) -> None:
        """Ansible throws away what was typed before it had switched the terminal's line editing off."""
        while termios.tcgetattr(terminal)[3] & termios.ICANON:
            time.sleep(0.02)
        time.sleep(0.3)

    def _begin(self) -> None:
        (self.folder / "calls").write_text("")
        (self.folder / "answers").write_text(json.dumps(self.answers))

    def _calls(self) -> list[Call]:
        return [Call(**json.loads(line)) for line in (self.folder / "calls").read_text().splitlines()]

    @property
    def environment(self) -> dict[str, str]:
        there = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
        return os.environ | {
            "ANSIBLE_COLLECTIONS_PATH": f"{self.folder / 'collections'}:{there}".rstrip(":"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SHOW_CUSTOM_STATS": "true",
            "ANSIBLE_MODULE_COMPRESSION": "ZIP_STORED",
            "KUBECONFIG": str(self.folder / "no-cluster"),
            "RECORDING_FOLDER": str(self.folder),
        }
