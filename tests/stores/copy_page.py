# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Generates docs/copy-faults.md from copy_faults.py: `python -m tests.stores.copy_page [--write]`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.stores.copy_bench import FOLDER, MINIO, RCLONE, SFTP
from tests.stores.copy_faults import CLOSED, COPIED, FAILED, FOUND, GROUPS, KILLED, Fault

PAGE = Path(__file__).resolve().parents[2] / "docs" / "copy-faults.md"
_HEAD = """<!-- SPDX-License-Identifier: GPL-3.0-or-later -->
# What faults do to the copies

Observed behaviour of [the copies at other places](copies.md) when a store, the network or the pod fails, or when
somebody changes files there. `tests/stores/copy_faults.py` contains the faults, and
`tests/script/test_copy_faults.py` causes each of them at real stores: minio, rclone's S3 server, OpenSSH's SFTP server,
and a mounted folder. This page is generated from the table: do not edit it.

**In all cases**, no part of a backup is called a copy: what has a checksum file at the place, or is in the record of
the place, has the sha256 of the backup on the volume. The next run without the fault copies what is missing. The tests
check this after each fault. A fault that is marked "fake" cannot be caused at these stores.

Errors that may pass are tried again after 5 and 30 seconds. If the fault lasts, the run fails with the message, and
[the watch](notifications.md) reports a place that lacks a backup for longer than its `max_delay`. A finding is reported
at once. `…` stands for names.
"""
_STORES = {RCLONE: "S3 (rclone)", MINIO: "S3 (minio)", SFTP: "SFTP", FOLDER: "share"}


def page() -> str:
    """The text of the page."""
    parts = [_HEAD]
    for title, faults in GROUPS.items():
        parts += [f"## {title}", ""]
        parts += [_row("fault", "how the test causes it", "stores", "what is seen", "what to do"), _row(*["---"] * 5)]
        parts += [
            _row(name, fault.made, ", ".join(_STORES[store] for store in fault.stores), _seen(fault), fault.advice)
            for name, fault in faults.items()
        ]
        parts.append("")
    return "\n".join(parts)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _seen(fault: Fault) -> str:
    message = f"`{fault.message}`"
    if fault.ends == COPIED:
        return f"copied at the second try; in the log {message}" if fault.message else "no message"
    return {
        FAILED: message,
        FOUND: f"a finding: {message}",
        KILLED: "continues at the next time of the schedule",
        CLOSED: "continues in the next window",
    }[fault.ends]


def main() -> None:
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page())
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main()
