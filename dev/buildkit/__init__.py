# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What dev/cluster, dev/nfs and the tests share: a cache of things that take long to make, Debian in folders, commands.

It knows nothing of the cluster. It needs Python's standard library only.
"""
