# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""A temporary folder that fills up during a run: a backup is published only if everything about it was noted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest

from plugins.module_utils._volume.manifest import parse_manifest

from ..support.sandbox import Sandbox
from ..support.server import Server
from ..support.volume import RECORDS, snapshot, without
from ..support.workspace import Workspace

NAMES = tuple(f"database_{number:02d}" for number in range(12))


@pytest.fixture(scope="module")
def twelve(workspace: Workspace, template: Server) -> Iterator[Server]:
    with template.clone(workspace.directory("twelve", mode=0o777)) as server:
        for name in NAMES:
            server.sql(f"CREATE DATABASE {name} STRATEGY file_copy;")
        yield server


@pytest.fixture
def small(sandbox: Sandbox, twelve: Server) -> Iterator[Sandbox]:
    """A temporary folder of two megabytes."""
    sandbox.server = twelve
    sandbox.workspace.mount_tmpfs(sandbox.tmp, "2m")
    yield sandbox
    sandbox.workspace.unmount(sandbox.tmp)


# When it fills up: a program, a pattern of its arguments, and how many pages of 4 KiB remain free.
MOMENTS = {
    "the list of databases": ("psql", "*--set=exclude_regexes=*", 1),
    "the globals": ("pg_dumpall", "*--globals-only*", 0),
    "a database": ("pg_dump", "*dbname=\\'database_05\\'*", 0),
    "the last database": ("pg_dump", "*dbname=\\'postgres\\'*", 1),
    "the end of the dump": ("sed", "*inspect*", 0),
    "the manifest": ("chmod", "*.partial", 0),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_it_fills_up(small: Sandbox, moment: str) -> None:
    """The run may fail; a backup that it publishes is what its manifest contains."""
    program, pattern, pages = MOMENTS[moment]
    before = snapshot(small.volume)
    keep = f"dd if=/dev/zero of=$TMPDIR/kept bs=4096 count={pages} 2>/dev/null" if pages else ":"
    small.shim(
        program,
        f"""case "$*" in {pattern})
            if mkdir "$TMPDIR/filling" 2>/dev/null; then
                {keep}
                cat /dev/zero >"$TMPDIR/filler" 2>/dev/null
                rm -f "$TMPDIR/kept"
            fi ;;
        esac
        exec $real "$@\"""",
    )
    outcome = small.finish(small.start("run", env={"POSTGRES_BACKUP_TIME_LIMIT": "60s"}))
    assert (small.tmp / "filler").exists(), outcome.log
    (small.tmp / "filler").unlink()
    (small.tmp / "filling").rmdir()
    small.assert_nothing_left()
    files = small.backup_files()
    if not files:
        assert outcome.code != 0
        assert without(snapshot(small.volume), *RECORDS) == before
        return
    (path,) = files
    text = gzip.decompress(path.read_bytes()).decode()
    marked = [line for line in text.splitlines() if line.startswith('-- Database "')]
    titles = [line[len('-- Database "') : -len('" dump')] for line in marked]
    manifest = parse_manifest(path.with_name(f"{path.name}.json").read_text(encoding="ascii"), path.name)
    (line,) = small.run("list").check().backups
    assert (list(manifest.dumped), line["dumped"]) == (titles, titles), outcome.log
    missing = {"template1", "postgres", *NAMES} - set(titles)
    assert set(manifest.missing) == missing, outcome.log
    assert (outcome.code == 0, line["state"]) == ((False, "incomplete") if missing else (True, "complete")), outcome.log
    assert json.loads(outcome.out.splitlines()[-1])["backup"] == path.name
