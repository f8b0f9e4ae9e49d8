# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Run one benchmark and print its figures."""

from __future__ import annotations

import argparse
import sys

from . import backup, copies, databases, deduplication, drill, encryption, fetch, large, modules, progress, role, verify
from .figures import NotMeasuredError, as_json, as_table

BENCHMARKS = {
    "backup": backup.measure,
    "copies": copies.measure,
    "databases": databases.measure,
    "deduplication": deduplication.measure,
    "drill": drill.measure,
    "encryption": encryption.measure,
    "fetch": fetch.measure,
    "large": large.measure,
    "modules": modules.measure,
    "progress": progress.measure,
    "role": role.measure,
    "verify": verify.measure,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="dev/bench", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    arguments = parser.parse_args()
    try:
        figures = BENCHMARKS[arguments.name](lambda text: print(text, file=sys.stderr, flush=True))
    except NotMeasuredError as error:
        raise SystemExit(f"dev/bench {arguments.name}: {error}") from error
    print(as_json(figures) if arguments.json else as_table(figures))
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
