# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A local backup against what the user expects of it.

Reads the one file that it is given, and its checksum file and manifest (verification.py), and the file of an identity
(identity_file.py); writes nothing, and knows no cluster. Runs on Python 3.9 without libraries.
"""
