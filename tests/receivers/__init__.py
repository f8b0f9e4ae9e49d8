# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Real servers that receive messages and metrics: ntfy, a Pushgateway, a mail server, and a web server for webhooks.

They are in the image `receivers` of dev/cluster, and run on this machine's loopback address (loopback.py) or as pods
(tests/cluster/support/receivers.py).
"""
