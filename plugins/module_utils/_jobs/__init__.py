# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Jobs and their outcomes: which Job does what, and what its status, log and result mean.

No input or output: objects of the API and lines are passed in.
"""
