# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A run of databases with extensions, and what `backup_verify` counts in it."""

from __future__ import annotations

import gzip
import json

from plugins.module_utils._dump.dump_reader import DumpReader
from tests.dump import truth

from ..conftest import MakeSandbox
from ..support import extensions
from ..support.server import Server


def test_a_run_of_databases_with_extensions(make_sandbox: MakeSandbox, extension_server: Server) -> None:
    sandbox = make_sandbox()
    sandbox.server = extension_server
    sandbox.run("run").check()
    (backup,) = sandbox.backup_files()
    manifest = json.loads((backup.parent / f"{backup.name}.json").read_text())
    assert manifest["state"] == "complete"
    assert set(extensions.CASES) <= set(manifest["dumped"])
    reader = DumpReader()
    reader.feed(gzip.decompress(backup.read_bytes()))
    databases = {database["name"]: database for database in reader.finish().to_dict()["databases"]}
    for name in extensions.CASES:
        counted = {(table["schema"], table["name"]): table["rows"] for table in databases[name]["tables"]}
        assert truth.tables(extension_server, name).items() <= counted.items(), name
