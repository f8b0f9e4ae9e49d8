# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

"""Odd names of files on a backup volume that are not backups."""

OLD = "postgres-backup-2024-01-01-020000.sql.gz"
FOREIGN = [
    b"$(touch PWNED)",
    b"`touch PWNED`",
    b";touch PWNED;",
    b"' ; touch PWNED ; '",
    b'" ; touch PWNED ; "',
    b"| touch PWNED #",
    b"-rf",
    b"--help",
    b"-exec",
    b" ",
    b"*",
    b"a\nb\n",
    b"\xff\xfe",
    b"tab\there",
    b"back\\slash\\n",
    b"x" * 255,
    f"{OLD} ".encode(),
    f" {OLD}".encode(),
    f"{OLD}\n".encode(),
    f"\n{OLD}".encode(),
    f"{OLD}\n{OLD}".encode(),
    f"{OLD}.bak".encode(),
    f"{OLD}.sha256\n".encode(),
    f"{OLD}:B".encode(),
    f"{OLD}\tB\t1".encode(),
    f"x{OLD}".encode(),
    f"-{OLD}".encode(),
    b"postgres-backup-2024-01-01-02000\xb0.sql.gz",
    b"postgres-backup-2024-01-01-0200000.sql.gz",
    b"postgres-backup-2024-13-01-020000.sql.gz",
    b"postgres-backup-$(touch PWNED).sql.gz",
    b"postgres-backup-$(touch PWNED).sql.gz.sha256",
    b".postgres-backup-my notes.sql.gz.of me.partial",
    b".postgres-backup-other-2024-01-01-020000.sql.gz.pod.partial",
    b".postgres-backup-`touch PWNED`.sql.gz.sha256.x",
]
