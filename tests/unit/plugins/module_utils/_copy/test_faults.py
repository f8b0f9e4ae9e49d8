# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What rclone's messages mean. Each was seen of a real server: tests of the program make most of them again."""

from __future__ import annotations

import pytest

from plugins.module_utils._copy.faults import fault

S3 = "operation error S3: PutObject, https response error StatusCode: 400, RequestID: 18EC, HostID: dc4b, "


@pytest.mark.parametrize(
    ("message", "found", "is_lasting"),
    [
        (f"{S3}InvalidRequest: Bucket is missing ObjectLockConfiguration", "the store answered InvalidRequest", True),
        (f"{S3}api error AccessDenied: Access Denied.", "the store answered AccessDenied. Allow", True),
        (f"{S3}api error SlowDown: Please reduce your request rate.", "the store answered SlowDown", False),
        (f"{S3}api error RequestTimeTooSkewed: The difference is too large.", "The clocks of this node", True),
        (f"{S3}api error XMinioStorageFull: Storage backend has reached its minimum free drive.", "is full", True),
        ("dial tcp: lookup nas on 10.43.0.10:53: no such host", "the host is unknown", False),
        ("dial tcp 127.0.0.1:9: connect: connection refused", "the server refused the connection", False),
        ("dial tcp 10.0.0.1:443: i/o timeout", "the server did not answer in time", False),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "ca.crt", True),
        ("http: server gave HTTP response to HTTPS client", "does not use TLS", True),
        ("ssh: handshake failed: knownhosts: key mismatch", "host key is another one", True),
        ("ssh: handshake failed: knownhosts: key is unknown", "host key is not known", True),
        ("ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]", "user or key", True),
        ("write /places/0/x: no space left on device", "the place is full", True),
        ("open /places/0/x: read-only file system", "read-only", True),
        ("open /places/0/x: permission denied", "access was refused", True),
        ("read: connection reset by peer", "the connection was cut off", False),
        ("unexpected EOF", "the connection was cut off", False),
        ("something new\nin two lines", "something new in two lines", False),
        ("", "rclone ended with the exit status 1", False),
    ],
)
def test_meaning(message: str, found: str, is_lasting: bool) -> None:
    error = fault(message, 1)
    assert found in str(error)
    assert error.is_lasting == is_lasting
    assert not error.is_absence


@pytest.mark.parametrize("status", [3, 4])
def test_absence(status: int) -> None:
    """rclone's exit statuses for a folder and a file that do not exist."""
    assert fault("error in ListJSON: directory not found", status).is_absence
