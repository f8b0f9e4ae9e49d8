# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Real servers to which backups are copied: minio (S3 with Object Lock), rclone's S3 server, and OpenSSH's SFTP server.

They run on this machine's loopback address (loopback.py) or as pods (tests/cluster/support/stores.py). fault_proxy.py
stands between them and their clients.
"""
