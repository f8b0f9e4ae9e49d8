# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The options of every module that accesses the cluster, in addition to those of kubernetes.core."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespace:
    description:
      - The namespace of the CronJob.
    type: str
    default: data
  name:
    description:
      - The name of the CronJob.
    type: str
    default: postgres-backup
  directory:
    description:
      - The folder in the CronJob's pods that contains the backups. Only needed for a CronJob that was not created by
        the role and mounts more than one volume.
    type: str
  startup_timeout:
    description:
      - How long a pod may fail to start for a known reason, such as a missing Secret, an unavailable storage server, or
        an image that cannot be pulled.
      - A pod that waits for a node (cordoned, full, or not ready yet) may wait ten times as long. A pod that only reads
        the volume may wait at most 5 minutes in total.
      - M(homelab.postgres_backup.backup_job) waits up to its O(homelab.postgres_backup.backup_job#module:wait_timeout)
        for a reason that may resolve itself.
      - A duration such as V(30s) or V(5m).
    type: str
    default: 30s
    aliases: [stuck_timeout]
requirements:
  - kubernetes >= 31
  - kubernetes.core >= 6.2
"""
