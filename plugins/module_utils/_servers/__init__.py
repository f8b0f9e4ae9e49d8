# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The rules for the role's variables, for what it needs in the cluster, and for the objects that it makes.

Pure functions, whose faces are the filters in plugins/filter. No input or output, no Ansible, no Kubernetes client.
"""
