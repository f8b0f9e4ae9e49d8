# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What the module does before a transfer begins; tests/cluster/modules/test_fetch.py has the transfers."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest

ROOT = Path(__file__).parents[4]
DUMPS = ROOT / "tests" / "unit" / "plugins" / "module_utils" / "dumps"
NAME = "postgres-backup-2026-11-22-020000.sql.gz.age"
KEY = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
DATA = gzip.compress((DUMPS / "18-all.sql").read_bytes(), mtime=0)
FILE: bytes = pyrage.encrypt(DATA, [KEY.to_public()])
SHA256 = hashlib.sha256(FILE).hexdigest()


def manifest(recipient: Any, sha256: str = SHA256) -> str:
    return json.dumps(
        {
            **{"format": 1, "backup": NAME, "state": "complete", "dumped": [], "missing": [], "left_out": False},
            **{"sha256": sha256, "bytes": len(FILE), "uncompressed_bytes": 9, "parts": []},
            "encryption": {"recipients": [str(recipient)], "gzip_bytes": len(DATA)},
        }
    )


class Volume:
    """In place of a reader's pod, of which the module reads."""

    namespace, pod, container, directory = "data", "reader", "reader", "/backups"

    def __init__(self, manifest: str) -> None:
        self._manifest = manifest
        self.transferred = 0

    def __enter__(self) -> Volume:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def current(self) -> Volume:
        return self

    def listing(self) -> list[str]:
        backup: dict[str, Any] = {
            **{"type": "backup", "name": NAME, "created": "2026-11-22T02:00:00Z", "bytes": len(FILE), "sha256": SHA256},
            **{
                "size_bytes": len(FILE),
                "state": "complete",
                "verdict": "keep",
                "reasons": [],
                "manifest": True,
                "future": False,
            },
        }
        volume: dict[str, Any] = {
            **{"type": "volume", "path": "/backups", "source": None, "size_bytes": 9, "free_bytes": 9, "policy": {}},
            **{"last_run": None, "last_drill": None},
        }
        return [json.dumps(backup), json.dumps(volume)]

    def place(self, name: str) -> tuple[Volume, str]:
        return self, name

    def output(self, _command: list[str]) -> Iterator[memoryview]:
        self.transferred += len(FILE)
        yield memoryview(FILE)

    def answer(self, script: str, _name: str, *_arguments: str, **_limits: int) -> str:
        return self._manifest if ".json" in script else SHA256

    def mark_suspect(self) -> None:
        pass


class Module:
    check_mode = _diff = False

    def __init__(self, **options: Any) -> None:
        self.params = {
            **{"backup": None, "allow_incomplete": False, "mode": "0640", "keep_local": None, "retries": 0},
            **{"timeout": "6h", "silence_timeout": "60s", "startup_timeout": "60s", "place": None, "directory": None},
            **{"namespace": "data", "name": "postgres-backup", "identity_file": None, "verify": True},
            **options,
        }

    def warn(self, text: str) -> None:
        raise AssertionError(text)


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function of the module, for a volume and options."""
    (tmp_path / "ansible_collections" / "homelab").mkdir(parents=True)
    (tmp_path / "ansible_collections" / "homelab" / "postgres_backup").symlink_to(ROOT)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "ansible_collections.homelab.postgres_backup.plugins"
    module = importlib.import_module(f"{name}.modules.backup_fetch")
    silent = importlib.import_module(f"{name}.module_utils._progress.reporter").SILENT

    class Connection:
        core, reporter = None, silent

        def cronjob(self, *_names: str) -> dict[str, Any]:
            return {}

    def call(volume: Volume, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(module, "ReplaceableReader", lambda *_: volume)
        result: dict[str, Any] = module.fetch(Module(**options), Connection())
        return result

    return call


@pytest.mark.parametrize("has_dest", [True, False])
def test_a_wrong_identity_is_found_before_the_transfer(fetch: Any, tmp_path: Path, has_dest: bool) -> None:
    """The complete file was transferred first. Without verify, it is fetched as it is."""
    volume, dest = Volume(manifest(KEY.to_public())), str(tmp_path / "fetched.age")
    with pytest.raises(Exception, match=r"^identity: expected") as error:
        fetch(volume, dest=dest if has_dest else None, identity=str(OTHER))
    assert (type(error.value).__name__, volume.transferred) == ("IdentityError", 0)
    assert str(error.value) == (
        f"identity: expected the private key of one of the recipients of {NAME}, which are {KEY.to_public()}, found "
        f"that of {OTHER.to_public()}. Give the identity of one of these recipients"
    )
    assert not [name for name in os.listdir(tmp_path) if "fetched" in name]
    assert fetch(volume, dest=dest, verify=False, identity=str(OTHER))["changed"] is True
    assert volume.transferred == len(FILE)


def test_the_identity_of_a_recipient(fetch: Any, tmp_path: Path) -> None:
    volume = Volume(manifest(KEY.to_public()))
    assert fetch(volume, dest=str(tmp_path / "x"), identity=f"{OTHER}\n{KEY}")["contents"]["rows"] == 4


@pytest.mark.parametrize("text", [manifest(OTHER.to_public(), "0" * 64), "", "{"])
def test_a_manifest_that_is_not_that_of_the_file_decides_nothing(fetch: Any, text: str) -> None:
    """The name may have been given to another file, which was encrypted again to others."""
    assert fetch(Volume(text), dest=None, identity=str(KEY))["contents"]["rows"] == 4
