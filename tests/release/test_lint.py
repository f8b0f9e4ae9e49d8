# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What Ansible's own tools say of the artifact: ansible-test sanity, antsibull-docs, antsibull-changelog."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dev.buildkit.cache import exclusive, key

from .machines import CHECKOUT
from .roots import cache

PROGRAMS = Path(sys.executable).parent
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
IGNORED = CHECKOUT / "tests" / "sanity"
# ansible-test downloads a script that installs pip from its own site; one of that name in its cache is taken
# instead. Its first argument names the version of pip, which comes from where all other packages come from.
GET_PIP = """
import subprocess
import sys

wanted = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)
"""


def run(*command: str, folder: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    program, *arguments = command
    return subprocess.run(
        [PROGRAMS / program, *arguments],
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def pip_settings() -> str:
    """This machine's settings of pip as a file: ansible-test hides the environment from it."""
    listed = run("python", "-m", "pip", "config", "list", folder=CHECKOUT).stdout
    found = re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", listed, re.MULTILINE)
    lines = [f"{name} = {value}" for name, value in dict(found).items() if name != "disable-pip-version-check"]
    return "\n".join(["[global]", *lines, ""])


def sanity_home() -> Path:
    """A home folder in the cache: ansible-test keeps its virtual environments there."""

    def make(home: Path) -> None:
        found = importlib.util.find_spec("ansible_test")
        assert found and found.submodule_search_locations
        sources = Path(found.submodule_search_locations[0]) / "_internal" / "python_requirements.py"
        version = re.search(r"\bpip='([\d.]+)'", sources.read_text())
        assert version, f"{sources} names no version of pip"
        script = home / ".ansible" / "test" / "cache" / f"get_pip_{version[1].replace('.', '_')}.py"
        script.parent.mkdir(parents=True)
        script.write_text(GET_PIP)
        settings = home / ".config" / "pip" / "pip.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(pip_settings())

    core = run("ansible-test", "--version", folder=CHECKOUT).stdout
    return cache().entry("ansible-test", key([core, sys.version, GET_PIP, pip_settings()]), make)


def test_ansible_test_sanity_passes(unpacked: Path) -> None:
    shutil.copytree(IGNORED, unpacked / "tests" / "sanity", dirs_exist_ok=True)
    home = sanity_home()
    # Real interpreters only: ansible-test tries every python that it finds.
    env = {"HOME": str(home), "PATH": f"{PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    with exclusive(home / "lock"):
        done = run("ansible-test", "sanity", "--local", "--python", PYTHON, "--color", "no", folder=unpacked, env=env)
    assert done.returncode == 0, done.stdout
    ran = set(re.findall(r'^Running sanity test "([a-z0-9-]+)"', done.stdout, re.MULTILINE))
    assert {"ansible-doc", "import", "pep8", "pylint", "validate-modules", "yamllint"} <= ran, done.stdout


def test_sanity_ignores_have_reasons() -> None:
    for path in IGNORED.glob("ignore-*.txt"):
        for line in path.read_text().splitlines():
            _, _, reason = line.partition("#")
            assert len(reason.strip()) > 10, f"{path.name}: {line}"


def test_plugin_documentation_passes_the_linter(unpacked: Path) -> None:
    # It copies kubernetes.core, and by git where that lies in a checkout, which ignores the virtual environment.
    env = {"ANSIBLE_COLLECTIONS_PATH": str(unpacked.parents[2]), "GIT_CEILING_DIRECTORIES": str(CHECKOUT)}
    done = run("antsibull-docs", "lint-collection-docs", "--plugin-docs", str(unpacked), folder=unpacked, env=env)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("command", [["lint"], ["lint-changelog-yaml", "changelogs/changelog.yaml"]], ids=" ".join)
def test_changelog_passes_the_linter(command: list[str]) -> None:
    done = run("antsibull-changelog", *command, folder=CHECKOUT)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
