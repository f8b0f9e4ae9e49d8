# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The backup volume: names of backups, checksum files, manifests, the listing, history and health.

No input or output: text and times are passed in (checksum_file.py asks `os` how file names are encoded), except for
record_folder.py and file_replacement.py, which the programs in pods use. Runs on Python 3.9 without libraries.
"""
