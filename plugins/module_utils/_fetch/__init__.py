# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Files and transfers: a backup is received into a local file, which is verified before it gets its final name.

Reads and writes local files, with threads and a child process; knows no cluster: the source of bytes is passed in.
"""
