# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A module as Ansible starts it on the host: `python run_module.py COLLECTIONS MODULE ARGUMENTS.json`."""

import runpy
import sys

collections, module, arguments = sys.argv[1:]
sys.path.insert(0, collections)
sys.argv = [module, arguments]
runpy.run_module(f"ansible_collections.homelab.postgres_backup.plugins.modules.{module}", run_name="__main__")
