# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Debian's Prometheus: promtool, prometheus and node_exporter, and the exposition format as a value."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from dev.buildkit import commands
from dev.buildkit.cache import Cache, key

PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
}
# Names as the text format has them, and the escapes in the value of a label.
_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} (\S+)')
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"')

Labels = frozenset[tuple[str, str]]


def program(name: str) -> Path:
    """A program of Debian's package, which is only unpacked: it would start a server that the network can reach."""

    def make(folder: Path) -> None:
        download = ["apt-get", "--quiet", "-o", "APT::Sandbox::User=root", "download", PACKAGES[name]]
        if commands.attempt(download, directory=folder).returncode != 0:
            commands.run(["apt-get", "--quiet", "update"])
            commands.run(download, directory=folder)
        for package in folder.glob("*.deb"):
            commands.run(["dpkg-deb", "--extract", package, folder])
            package.unlink()

    package = PACKAGES[name]
    return Cache().entry(package, key([package, Path("/etc/os-release")]), make) / "usr/bin" / name


def check_metrics(text: str) -> None:
    """promtool finds nothing wrong with the metrics, nor with their names."""
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b""), checked.stderr + checked.stdout


def samples(text: str) -> dict[str, dict[Labels, float]]:
    """The values of each metric by the labels; strictly: only comments and samples, and no series twice."""
    found: dict[str, dict[Labels, float]] = {}
    for line in text.split("\n")[:-1]:
        if line.startswith("# "):
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, f"not a sample: {line!r}"
        labels = frozenset((name, _unescaped(value)) for name, value in _LABEL.findall(sample[2]))
        series = found.setdefault(sample[1], {})
        assert labels not in series, f"twice: {line!r}"
        series[labels] = float(sample[3])
    return found


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], value)


def number_of_series(text: str) -> int:
    return sum(len(series) for series in samples(text).values())


def value(text: str, metric: str, **labels: str) -> float:
    """The value of the one series of that metric which has these labels."""
    wanted = set(labels.items())
    (found,) = [number for series, number in samples(text).get(metric, {}).items() if wanted <= series]
    return found
