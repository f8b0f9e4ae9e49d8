# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The manifest in docs/architecture.md: the example is one, and the tables name every member that the script writes."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path

from plugins.module_utils._volume.manifest import parse_manifest

from .pages import ALL, ROLE, rows, spans

PAGE = "docs/architecture.md"
# The script's files that write members of a manifest.
WRITERS = ("manifest.sh", "databases.sh", "server_health.sh", "inspect.sh")


def test_example_is_a_manifest() -> None:
    (block,) = (block for block in ALL if (block.page, block.language) == (PAGE, "json"))
    manifest = parse_manifest(block.text, "postgres-backup-2026-11-22-020000.sql.gz")
    assert (manifest.state, manifest.missing) == ("incomplete", ("shop",))
    assert {"dumped", "missing"} < json.loads(block.text.splitlines()[0].rstrip(",") + "}").keys()


def test_every_member_is_documented() -> None:
    documented = {span for row in rows(PAGE) for cell in row.values() for span in spans(cell)}
    sources = "".join((ROLE / "files" / name).read_text() for name in WRITERS)
    members = set(re.findall(r'\\?"([a-z_0-9]+)\\?":', sources)) | {"reason", "advice"}
    assert len(members) > 45
    assert members - documented == set()


def test_command_reads_one_part(tmp_path: Path) -> None:
    commands = [command for block in ALL if block.page == PAGE for command in block.commands]
    (command,) = (command for command in commands if command.startswith("dd "))
    first, second, third = (gzip.compress(text * 1000) for text in (b"one", b"two", b"three"))
    (tmp_path / "BACKUP.sql.gz").write_bytes(first + second + third)
    command = command.replace("OFFSET_BYTES", str(len(first))).replace("LENGTH_BYTES", str(len(second)))
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, stdout=subprocess.PIPE, check=True)
    assert done.stdout == b"two" * 1000
