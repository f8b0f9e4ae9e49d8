# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The module as Ansible runs it, on this machine's Python and on Python 3.9, and the playbook for people."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest

from tests.in_turn import weekly

from .python39 import python39

ROOT = Path(__file__).parents[4]
DUMPS = ROOT / "tests" / "unit" / "plugins" / "module_utils" / "dumps"
TEXT = (DUMPS / "18-all.sql").read_bytes()
NAME = "postgres-backup-2026-11-22-020000.sql.gz"
MODULE = "homelab.postgres_backup.backup_verify"

Verify = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collections")
    (folder / "ansible_collections" / "homelab").mkdir(parents=True)
    (folder / "ansible_collections" / "homelab" / "postgres_backup").symlink_to(ROOT)
    return folder


def run(collections: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOME": str(collections / "home"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    program = Path(sys.executable).with_name(command[0])
    return subprocess.run(
        [str(program), *command[1:]], env=environment, cwd=collections, capture_output=True, text=True, check=False
    )


@pytest.fixture
def verify(collections: Path, tmp_path: Path) -> Verify:
    """Run the module with options; its result as Ansible got it."""

    def call(*extra: str, python: str = sys.executable, **options: Any) -> dict[str, Any]:
        tree = tmp_path / "tree"
        command = ["ansible", "localhost", "-c", "local", "-m", MODULE, "-a", json.dumps(options), "--tree", str(tree)]
        done = run(collections, [*command, "-e", f"ansible_python_interpreter={python}", *extra])
        assert (tree / "localhost").exists(), done.stdout + done.stderr
        result: dict[str, Any] = json.loads((tree / "localhost").read_text())
        assert "Traceback" not in done.stdout + done.stderr + json.dumps(result)
        # What --tree leaves out.
        return {**result, "failed": done.returncode != 0, "shown": done.stdout}

    return call


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(gzip.compress(TEXT))
    path.with_name(f"{NAME}.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {NAME}\n")
    return path


def test_complete_backup_passes(verify: Verify, backup: Path) -> None:
    result = verify(
        path=str(backup),
        databases=["app", "postgres"],
        tables=[{"database": "app", "name": "t", "rows": 2}, {"database": "app", "name": "z", "min_rows": 1}],
        min_size_bytes=100,
        max_age="500w",
    )
    assert (result["failures"], result["failed"]) == ([], False)
    assert (result["changed"], result["sha256_compared_with"], result["reader"]) == (False, "sidecar", "isal")
    assert (result["created"], result["size_bytes"]) == ("2026-11-22T02:00:00Z", backup.stat().st_size)
    assert result["sha256"] == hashlib.sha256(backup.read_bytes()).hexdigest()
    assert result["duration_seconds"] >= 0
    contents = result["contents"]
    assert (contents["complete"], contents["rows"]) == (True, 4)
    assert contents["databases"][2]["tables"][0] == {"schema": "public", "name": "b", "rows": 1}
    assert set(contents["globals"]) == {"offset_bytes", "length_bytes"}


def test_python_39_without_packages_is_enough(verify: Verify, backup: Path, tmp_path: Path) -> None:
    result = verify(path=str(backup), python=python39(tmp_path))
    assert result["failed"] is False
    assert result["failures"] == []
    assert result["reader"] == "zlib"
    assert result["contents"]["rows"] == 4


def test_failures_and_contents_are_returned_together(verify: Verify, backup: Path) -> None:
    result = verify(
        path=str(backup), databases=["gone"], tables=[{"database": "app", "name": "t", "rows": 7}], min_size_bytes=10**9
    )
    assert result["failed"] is True
    assert [failure["check"] for failure in result["failures"]] == ["size", "databases", "tables"]
    assert all(failure["message"] in result["msg"] for failure in result["failures"])
    assert result["contents"]["complete"] is True


def test_damaged_backup_fails(verify: Verify, backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[:-500])
    result = verify(path=str(backup))
    assert [failure["check"] for failure in result["failures"]] == ["sha256", "gzip"]
    assert result["contents"]["complete"] is False
    assert [database["name"] for database in result["contents"]["databases"]][:1] == ["template1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "/nowhere/x.sql.gz"}, "/nowhere/x.sql.gz does not exist"),
        weekly({"path": "/"}, "/ is a directory"),
        weekly({"path": "/dev/null"}, "/dev/null is a device"),
        weekly({"max_age": "a day"}, "expected a duration"),
        ({"compare_to": {"a": 1}}, "compare_to is not what this module returned"),
        weekly({"contents_dest": "/nowhere/contents.json"}, "/nowhere"),
        weekly({"tables": [{"database": "a", "name": "b", "rows": 1, "min_rows": 1}]}, "mutually exclusive"),
    ],
)
def test_invalid_calls_are_refused(verify: Verify, backup: Path, options: dict[str, Any], message: str) -> None:
    result = verify(**{"path": str(backup), **options})
    assert result["failed"] is True
    assert message in result["msg"]


def test_contents_are_written_and_compared(verify: Verify, backup: Path, tmp_path: Path) -> None:
    dest = tmp_path / "contents.json"
    checked = verify("--check", "--diff", path=str(backup), contents_dest=str(dest))
    assert (checked["changed"], dest.exists()) == (True, False)
    assert '+  "complete": true' in checked["shown"]
    written = verify(path=str(backup), contents_dest=str(dest))
    assert (written["changed"], json.loads(dest.read_text())) == (True, written["contents"])
    assert dest.stat().st_mode & 0o777 == 0o640  # settings of databases may hold secrets
    assert verify(path=str(backup), contents_dest=str(dest))["changed"] is False
    older = json.loads(dest.read_text())
    assert verify(path=str(backup), compare_to=older, max_row_loss_percent=0)["failures"] == []
    backup.write_bytes(gzip.compress(TEXT.replace(b"1\tx\n", b"")))
    drifted = verify(
        path=str(backup), compare_to=older, max_row_loss_percent=10, sidecar="ignore", contents_dest=str(dest)
    )
    assert "'app: public.t (2 to 1)'" in drifted["msg"]
    assert json.loads(dest.read_text()) == older


def playbook(collections: Path, backup: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    return run(
        collections,
        ["ansible-playbook", "homelab.postgres_backup.verify", "-e", f"postgres_backup_verify_file={backup}", *extra],
    )


@pytest.mark.weekly
def test_playbook_prints_a_table(collections: Path, backup: Path) -> None:
    # As a person names it: relative to where the person is.
    done = playbook(collections, Path(os.path.relpath(backup, collections)))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.strip().strip('",') for line in done.stdout.splitlines()]
    assert any(line.split()[:3] == ["app", "3", "4"] for line in lines), done.stdout
    assert any(line.split()[:3] == ["total", "3", "4"] for line in lines)
    assert "result  complete, sha256 matches the checksum file" in done.stdout


def test_playbook_fails_with_the_reasons(collections: Path, backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[:-9])
    done = playbook(collections, backup)
    assert done.returncode != 0
    assert "the file is cut off" in done.stdout
    assert "result  failed" in done.stdout
    missing = playbook(collections, backup.with_name("none.sql.gz"))
    assert missing.returncode != 0
    assert "does not exist" in missing.stdout


def test_ansible_doc_renders_the_module(collections: Path) -> None:
    done = run(collections, ["ansible-doc", "--json", MODULE])
    assert done.returncode == 0, done.stderr
    documented = json.loads(done.stdout)[MODULE]
    assert set(documented["doc"]["attributes"]) == {"check_mode", "diff_mode", "idempotent"}
    assert documented["examples"]
    assert documented["return"]


def test_an_encrypted_file(verify: Verify, tmp_path: Path) -> None:
    key = pyrage.x25519.Identity.generate()
    path = tmp_path / f"{NAME}.age"
    path.write_bytes(pyrage.encrypt(gzip.compress(TEXT), [key.to_public()]))
    identity = tmp_path / "identity.txt"
    identity.write_text(f"# created: today\n{key}\n")
    result = verify(path=str(path), identity_file=str(identity))
    assert not result["failed"]
    assert result["contents"]["rows"] == 4
    # An empty variable of a playbook is the same as none, as in the modules that restore.
    result = verify("-vvv", path=str(path), identity=str(key), identity_file="")
    assert not result["failed"]
    assert str(key) not in result["shown"]
    result = verify(path=str(path))
    assert [failure["check"] for failure in result["failures"]] == ["identity"]
    other = pyrage.x25519.Identity.generate()
    summary = {
        **{"format": 1, "backup": path.name, "state": "complete", "dumped": [], "missing": [], "left_out": False},
        **{"sha256": "0" * 64, "bytes": path.stat().st_size, "uncompressed_bytes": len(TEXT), "parts": []},
        "encryption": {"recipients": [str(key.to_public())], "gzip_bytes": 9},
    }
    Path(f"{path}.json").write_text(json.dumps(summary))
    result = verify(path=str(path), identity=str(other))
    assert [failure["check"] for failure in result["failures"]] == ["identity"]
    assert result["msg"].startswith("identity: expected ") and result["msg"].endswith(
        "Give the identity of one of these recipients"
    )
    assert "sha256" not in result
