# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""What the modules read of a real run: its manifest, its text and the listing agree."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from plugins.module_utils._dump.dump_reader import DumpReader
from plugins.module_utils._volume.catalog import parse_listing
from plugins.module_utils._volume.manifest import parse_manifest
from tests.dump.sections import AWKS, facts

from ..support.sandbox import Sandbox
from ..support.server import Server

# pg_dump cannot read the large objects of a database without this function.
DAMAGE = "DELETE FROM pg_proc WHERE proname = 'textin';"


@pytest.mark.parametrize("missing", [(), ("sick",), ("shop", "sick")])
def test_manifest_text_and_listing_agree(sandbox: Sandbox, fresh_server: Server, missing: tuple[str, ...]) -> None:
    for name in ("shop", "sick", "zoo"):
        fresh_server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
        fresh_server.sql("CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n;", name)
        if name in missing:
            fresh_server.sql(DAMAGE, name)
    outcome = sandbox.run("run", env={"POSTGRES_BACKUP_PORT": str(fresh_server.port)})
    assert outcome.result["backup_state"] == ("incomplete" if missing else "complete"), outcome.log
    assert tuple(failure["database"] for failure in outcome.result["failed_databases"]) == missing
    (path,) = sandbox.backup_files()
    file = path.read_bytes()

    manifest = parse_manifest(path.with_name(f"{path.name}.json").read_bytes(), path.name)
    assert (manifest.missing, manifest.sha256) == (missing, outcome.result["sha256"])
    spans = [part.span for part in manifest.parts if part.span is not None]
    members = [file[span.offset_bytes : span.offset_bytes + span.length_bytes] for span in spans]
    text = b"".join(zlib.decompress(member, wbits=31) for member in members)
    assert text == gzip.decompress(file)

    reader = DumpReader()
    reader.feed(text)
    contents = reader.finish()
    assert contents.missing == missing
    assert [database.name for database in contents.databases] == [*manifest.dumped]
    places = [(database.offset_bytes, database.length_bytes) for database in contents.databases]
    assert places == [(span.text_offset_bytes, span.text_length_bytes) for span in spans[1:-1]]
    for awk in AWKS:
        result = facts(text, awk)
        assert [section[:2] for section in result.sections] == places
        assert json.loads(result.missing or "[]") == [*missing]

    (backup,) = parse_listing(map(json.dumps, sandbox.run("list").objects)).backups
    assert (backup.dumped, backup.missing, backup.left_out) == (manifest.dumped, missing, False)
