# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Backups for a volume, made without a server."""

from __future__ import annotations

import gzip
import hashlib
import random
from pathlib import Path

from tests.cluster.support.kube import CHECKOUT, NAME

DUMPS = CHECKOUT / "tests" / "unit" / "plugins" / "module_utils" / "dumps"
DUMP = (DUMPS / "18-all.sql").read_text()
BACKUP = f"{NAME}-2026-11-20-020000.sql.gz"


def with_statement(statement: str) -> str:
    """The dump with one more statement in the database `app`."""
    begin = DUMP.index("COPY public.b (x) FROM stdin;")
    return f"{DUMP[:begin]}{statement}\n\n{DUMP[begin:]}"


def put(folder: Path, text: str = DUMP, name: str = BACKUP) -> str:
    """A complete backup on the volume; returns its sha256."""
    data = gzip.compress(text.encode(), mtime=0)
    (folder / name).write_bytes(data)
    (folder / name).chmod(0o644)
    sha256 = hashlib.sha256(data).hexdigest()
    (folder / f"{name}.sha256").write_text(f"{sha256}  {name}\n")
    return sha256


def noise(size: int) -> bytes:
    """The same in every run."""
    source = random.Random(5)  # noqa: S311  # no secret
    return b"".join(source.randbytes(min(size - begin, 10_000_000)) for begin in range(0, size, 10_000_000))
