# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What a module is doing: events, their rate and estimates, and the line of text that a person sees.

No input or output, except in event_file.py, which appends events to a file. Times are passed in.
"""
