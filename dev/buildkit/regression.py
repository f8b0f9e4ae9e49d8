# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""PostgreSQL's own regression tests, from Debian's source packages.

python -m dev.buildkit.regression VERSION    makes sure that they are in the cache, and prints their folder
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from . import commands, debian
from .cache import Cache, key
from .errors import ReportedError
from .progress import say, step

TOOLS = (*debian.TOOLS, "bzip2", "gcc", "libc6-dev")
"""What `make` needs on this machine."""
SUITES = {"15": "bookworm", "17": "trixie", "18": "sid"}
"""The Debian release of each major version, as for the root filesystems."""


def make(cache: Cache, version: str) -> Path:
    """The folder of a version's tests: `sql`, `data`, `parallel_schedule` and the library regress.so.

    A repository may lack the source of the newest package for some days. The tests are then an older version's, with
    the library compiled for this one. Raises ReportedError.
    """
    if version not in SUITES:
        raise ReportedError(f"expected one of {', '.join(SUITES)}, found {version!r}")

    def fill(folder: Path) -> None:
        with step(f"downloading the regression tests of PostgreSQL {version} (half a minute the first time)"):
            _make(folder, version)

    return cache.entry(f"regression-{version}", key([Path(__file__), version]), fill)


def _make(folder: Path, version: str) -> None:
    packages = folder / "packages"
    headers = packages / "headers"
    packages.mkdir()
    _Apt(packages, SUITES[version]).run("download", f"postgresql-server-dev-{version}")
    _download_source(packages, version)
    (archive,) = packages.glob("*.orig.tar.*")
    (package,) = packages.glob("*.deb")
    tests = [f"*/src/test/regress/{name}" for name in ("sql", "data", "parallel_schedule", "regress.c")]
    commands.run(
        [
            *("tar", "--extract", "--file", archive, "--directory", folder, "--no-same-owner", "--wildcards"),
            *("--strip-components=4", *tests),
        ]
    )
    commands.run(["dpkg-deb", "--extract", package, headers])
    # An older version's regress.c expects this header to be included by another one.
    options = ["-w", "-include", "postgres.h", "-include", "utils/array.h"]
    include = headers / "usr/include/postgresql" / version / "server"
    source, library = folder / "regress.c", folder / "regress.so"
    commands.run(["gcc", "-shared", "-fPIC", "-O1", *options, f"-I{include}", "-o", library, source])
    shutil.rmtree(packages)
    # The server reads them as another user.
    commands.run(["chmod", "--recursive", "u=rwX,go=rX", folder])


def _download_source(folder: Path, version: str) -> None:
    """Downloads the archive of a version or, if the repository lacks it, of an older one."""
    versions = [other for other in SUITES if int(other) <= int(version)]
    while True:
        origin = versions.pop()
        try:
            _Apt(folder, SUITES[origin]).run("source", "--download-only", "--tar-only", f"postgresql-{origin}")
        except ReportedError as error:
            if not versions:
                raise
            say(f"taking the tests of PostgreSQL {versions[-1]}, since those of {origin} cannot be downloaded: {error}")
        else:
            return


class _Apt:
    """apt-get with the package lists of one release alone, whatever release this machine has; it downloads to a folder.

    Raises ReportedError.
    """

    def __init__(self, folder: Path, suite: str) -> None:
        state = folder / suite
        (state / "lists/partial").mkdir(parents=True, exist_ok=True)
        (state / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
        sources = state / "sources.list"
        address = debian.repository()
        if address is None:
            raise ReportedError("expected a repository of Debian in apt's sources, found none")
        lines = [f"{kind} {address} {suite} main\n" for kind in ("deb", "deb-src")]
        sources.write_text("".join(lines), encoding="utf-8")
        self._folder = folder
        self._advice = f"check that this machine's package sources can be reached, and have the release {suite}"
        self._options = {
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": state / "lists",
            "Dir::State::Status": "/dev/null",
            "Dir::Cache": state / "cache",
            "Acquire::Check-Valid-Until": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            # apt downloads as a separate user, who cannot write into root's cache folder.
            "APT::Sandbox::User": "root",
        }
        self.run("update")

    def run(self, *arguments: str) -> None:
        options = [f"--option={name}={value}" for name, value in self._options.items()]
        commands.run(["apt-get", "--yes", "--quiet", *options, *arguments], directory=self._folder, advice=self._advice)


if __name__ == "__main__":
    try:
        debian.check_machine()
        debian.install(TOOLS)
        print(make(Cache(), sys.argv[1]))
    except ReportedError as error:
        print(error.render(), file=sys.stderr)
        sys.exit(1)
