# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The adapter: the only code that talks to the Kubernetes API. Nothing else imports kubernetes or kubernetes.core.

Its libraries may be missing: module_support.py then ends the module with a message that says so.
"""
