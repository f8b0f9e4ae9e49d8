# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Copies: a CronJob that copies the backups of the volume to other places, and proves each copy there.

program.py is the process in the pod.

Runs on Python 3.11 with rclone 1.75 or newer, from a ConfigMap with these files (postgres_backup_copies).
"""
