# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The options of every module that decrypts a backup in the cluster."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  identity:
    description:
      - The private key of one of the recipients of an encrypted backup, as C(age-keygen) prints it
        (C(AGE-SECRET-KEY-1…)), or a private key of OpenSSH without a passphrase.
      - For this call, a Secret in the namespace of the CronJob has it. Only the container that decrypts mounts it, and
        Kubernetes deletes it with the Job. This needs the right to create Secrets.
      - A backup that is not encrypted needs none.
      - If the manifest names other recipients, no file is uploaded, and no copy is brought back from another place.
    type: str
    version_added: 1.1.0
  identity_file:
    description:
      - A file with O(identity) on the host where the module runs.
    type: path
    version_added: 1.1.0
"""
