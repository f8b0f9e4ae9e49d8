# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A Python 3.9 with nothing installed but itself: the oldest that ansible-core 2.19 uses on hosts."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from dev.buildkit import bootstrap, debian
from dev.buildkit.cache import Cache, key

_SUITE = "bullseye"


def python39(folder: Path) -> str:
    """That of the Debian which had it, in the cache of dev/cluster.

    Started without entering its root filesystem, by a wrapper in `folder`.
    """

    def make(entry: Path) -> None:
        debian.install(debian.TOOLS)
        bootstrap.make_root(entry / "root", _SUITE, ["python3"])

    root = Cache().entry(f"python-{_SUITE}", key([Path(__file__), Path(bootstrap.__file__)]), make) / "root"
    (loader,) = root.glob("lib/*/ld-linux*.so.*")
    libraries = f"{loader.parent}:{root / 'usr/lib' / loader.parent.name}"
    python = [f"PYTHONHOME={root / 'usr'}", loader, "--library-path", libraries, root / "usr/bin/python3.9"]
    wrapper = folder / "python3.9"
    wrapper.write_text(f'#!/bin/sh\nexec env {" ".join(quote(str(word)) for word in python)} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    return str(wrapper)
