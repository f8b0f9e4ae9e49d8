# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The rules of the role's variables and objects, as pure functions: no I/O, no Ansible, no Kubernetes client."""
