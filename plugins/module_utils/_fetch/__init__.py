# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Files and transfers: what is received becomes a local file, proven and then given its name.

Reads and writes local files, with threads and a child process; knows no cluster: the source of bytes is passed in.
"""
