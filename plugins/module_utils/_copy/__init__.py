# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Copies: a CronJob that copies the backups of the volume to other places, and proves each copy there.

plan.py decides what is copied, proven again and deleted; copying.py, proof.py and retention.py do it for one place, in
steps (steps.py) through an interface (interface.py). retrieval.py brings a copy back to the volume. Files, processes
and the network are in these files only: process.py runs rclone.py's and restic.py's programs, which move the bytes,
place.py knows how each kind of place is used, restic_place.py a repository there, s3_requests.py asks a store for the
lock and the hash of an object and for interrupted uploads, mirror.py has the script judge what retention keeps at a
place, volume_files.py writes a backup to the volume, scratch.py knows the pod's temporary folder, and program.py is the
process in the pod. etag.py computes the hash that a store should have, known_hosts.py reads what is known of an SFTP
server, copy_list.py has the format of a repository's list of copies, recompression.py makes a backup from its text.

A copy is proven when its bytes have been read back, or compared with the hashes of a store that was configured as
trusted, and its manifest and its checksum file lie there, in this order. What has no checksum file is never a copy.

Runs on Python 3.11 with rclone 1.75 or newer, and restic 0.17 or newer for its places, from a ConfigMap with these
files (postgres_backup_copies).
"""
