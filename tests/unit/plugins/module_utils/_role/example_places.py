# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Places of the copies, one of each kind, with the options that each must have."""

S3 = {"name": "cloud", "kind": "s3", "secret": "s3-keys", "endpoint": "https://s3.example.com", "bucket": "backups"}
SFTP = {"name": "friend", "kind": "sftp", "secret": "ssh", "host": "nas.example.com", "user": "backup"}
NFS = {"name": "nas", "kind": "nfs", "server": "192.168.2.3", "path": "/volume1/copies"}
CLAIM = {"name": "other", "kind": "claim", "claim_name": "copies"}
DEDUP = {**S3, "name": "dedup", "kind": "restic", "repository": "s3"}
PLACES = [S3, SFTP, NFS, CLAIM]
