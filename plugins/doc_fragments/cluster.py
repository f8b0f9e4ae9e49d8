# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The options that every module that meets the cluster has, besides kubernetes.core's own."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespace:
    description:
      - The CronJob's namespace.
    type: str
    default: data
  name:
    description:
      - The CronJob's name.
    type: str
    default: postgres-backup
  directory:
    description:
      - The folder in the CronJob's pods that holds the backups. Needed only for a CronJob of another hand that mounts
        more than one volume.
    type: str
  stuck_timeout:
    description:
      - How long a pod may fail to start for a reason that time does not mend, such as an image that cannot be pulled.
      - A duration such as V(30s) or V(5m).
    type: str
    default: 30s
requirements:
  - kubernetes >= 31
  - kubernetes.core >= 6.2
"""
