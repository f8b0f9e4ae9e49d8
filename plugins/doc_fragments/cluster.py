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
      - How long a pod may fail to start for a known reason, such as a missing Secret, a volume whose server is away, or
        an image that cannot be pulled.
      - A pod that waits for a node (cordoned, full, or not there yet) may wait ten times as long; one that only reads
        the volume, not longer than 5 minutes in total.
      - M(homelab.postgres_backup.backup_job) waits longer for its backup, as long as what the pod waits for may pass by
        itself.
      - A duration such as V(30s) or V(5m).
    type: str
    default: 30s
requirements:
  - kubernetes >= 31
  - kubernetes.core >= 6.2
"""
