# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The PostgreSQL servers among the objects of a cluster, and which one an installation backs up (docs/servers.md).

Pure functions of objects as the Kubernetes API has them. No input or output, no Ansible, no Kubernetes client.
"""
