# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The adapter: the only code that talks to the Kubernetes API. Nothing else imports kubernetes or kubernetes.core.

Its libraries may be missing: module_runner.py then fails the module with a message that names them.
"""
