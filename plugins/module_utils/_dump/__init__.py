# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What is in a backup file: gzip, SQL text, and the contents of a dump, read from the text alone.

No input or output: streams and chunks are passed in. Runs on Python 3.9 without libraries.
"""
