# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Collections are imported by Ansible's own loader, as in a play.

It must be there before the first of them: a test that imports kubernetes.core as an ordinary package would hide the
collections' filters from the tests of the role in the same process.
"""

from __future__ import annotations

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()
