# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The watch: a second CronJob that judges the backup volume and reports when its state changes.

A look goes through three steps, each a pure function of its input: judgement.py (what is wrong now), changes.py (what
is new since the last look) and messages.py (what to say). outbox.py remembers which channel still lacks which message,
so that a message is sent at least once, and requests.py makes the requests of the channels. Files, processes, the
network and the clock are in delivery.py and program.py only.

Runs on Python 3.11 without libraries, from a ConfigMap with these files (postgres_backup_watch).
"""
