# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What rclone's messages mean. Each was seen of a real server: tests/script/test_copy_faults.py makes most of them."""

from __future__ import annotations

import errno
import os

import pytest

from plugins.module_utils._copy.faults import SCRATCH, VOLUME, fault, restic_fault, scratch_fault, volume_fault
from plugins.module_utils._copy.scratch import names_scratch

S3 = "operation error S3: PutObject, https response error StatusCode: 400, RequestID: 18EC, HostID: dc4b, "


@pytest.mark.parametrize(
    ("message", "found", "is_lasting"),
    [
        (f"{S3}InvalidRequest: Bucket is missing ObjectLockConfiguration", "the store answered InvalidRequest", True),
        (f"{S3}api error AccessDenied: Access Denied.", "the store answered AccessDenied. Allow", True),
        (f"{S3}api error SlowDown: Please reduce your request rate.", "the store answered SlowDown", False),
        (f"{S3}api error TooManyRequests: Too Many Requests", "set the place's bandwidth", False),
        ("StatusCode: 429, RequestID: , HostID: , deserialization failed, failed to decode", "TooManyRequests", False),
        ("StatusCode: 413, RequestID: , HostID: , deserialization failed, failed to decode", "raise its limit", True),
        (f"{S3}api error InsufficientStorage: Insufficient Storage", "The store is full", True),
        ('Object in GLACIER, restore first: bucket="b", key="k"', "the store has archived the object", True),
        ("The operation is not valid for the object's storage class", "let no lifecycle rule archive", True),
        (f"{S3}api error RequestTimeTooSkewed: The difference is too large.", "The clocks of this node", True),
        (f"{S3}api error XMinioStorageFull: Storage backend has reached its minimum free drive.", "is full", True),
        ("dial tcp: lookup nas on 10.43.0.10:53: no such host", "the host is unknown", False),
        ("dial tcp 127.0.0.1:9: connect: connection refused", "the server refused the connection", False),
        ("dial tcp 10.0.0.1:443: i/o timeout", "the server did not answer in time", False),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "ca.crt", True),
        ("http: server gave HTTP response to HTTPS client", "does not use TLS", True),
        ("ssh: handshake failed: knownhosts: key mismatch", "host key is another one", True),
        (
            "ssh: handshake failed: ssh: no common algorithm for host key; we offered: [ssh-ed25519], peer offered: "
            "[ecdsa-sha2-nistp256]",
            "host key is another one",
            True,
        ),
        ("ssh: handshake failed: knownhosts: key is unknown", "key known_hosts, as ssh-keyscan", True),
        ("failed to parse private key file: this private key is passphrase protected", "without a passphrase", True),
        ("ssh: handshake failed: ssh: unable to authenticate, attempted methods [none publickey]", "user or key", True),
        ("NewFs: error receiving version packet from server: packet too long", "speak SFTP", True),
        ("NewFs: ssh: subsystem request failed", "the server does not speak SFTP. Allow", True),
        ("write /places/0/x: no space left on device", "the place is full", True),
        ("open /places/0/x: read-only file system", "read-only", True),
        ("open /places/0/x: permission denied", "access was refused", True),
        ("https response error StatusCode: 403, HostID: x, api error Forbidden: Forbidden", "Allow these keys", True),
        (f"{S3}api error BadDigest: The Content-Md5 you specified did not match.", "changed on its way", False),
        (f"{S3}api error InternalError: We encountered an internal error.", "InternalError. Is its disk full?", False),
        (f"{S3}api error PermanentRedirect: Use another endpoint.", "Correct the region", True),
        (f"{S3}api error RequestEntityTooLarge: Request Entity Too Large", "raise its limit", True),
        (
            "https response error StatusCode: 400, RequestID: , HostID: , deserialization failed, failed to copy error "
            "response body, read tcp 127.0.0.1:35764->127.0.0.1:48631: read: connection reset by peer",
            "the store answered BadRequest. Does the server use TLS",
            False,
        ),
        (
            "https response error StatusCode: 503, RequestID: , HostID: , deserialization failed, failed to copy error "
            "response body, read tcp 127.0.0.1:51990->127.0.0.1:44153: use of closed network connection",
            "the store answered ServiceUnavailable. If it lasts",
            False,
        ),
        ("corrupted on transfer: sizes differ src(/backups) 20000 vs dst(S3 bucket) 0", "did not keep", True),
        ("attempted methods [none password], no supported methods remain", "SSH user or password", True),
        ("Put mkParentDir failed: mkdir dirExists failed: is a file not a directory", "the folder is a file", True),
        ("Source is a directory and destination is a file", "the folder is a file", True),
        ('Update ReadFrom failed: sftp: "Failure" (SSH_FX_FAILURE)', "without a reason (SSH_FX_FAILURE)", False),
        ("Update ReadFrom failed: connection lost", "the connection was cut off", False),
        ("write tcp 127.0.0.1:1->127.0.0.1:2: use of closed network connection", "the connection was cut off", False),
        ("write tcp 127.0.0.1:1->127.0.0.1:2: write: broken pipe", "the connection was cut off", False),
        ("curl: (28) Operation timed out after 60001 milliseconds", "did not answer in time", False),
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


def test_a_connection_that_rclone_ends() -> None:
    """It has waited for its --timeout: the server was silent."""
    assert "did not answer in time" in str(fault("write: use of closed network connection", 1, is_silent=True))
    assert "connection refused" not in str(fault("i/o timeout", 1, is_silent=True))


@pytest.mark.parametrize("status", [3, 4])
def test_absence(status: int) -> None:
    """rclone's exit statuses for a folder and a file that do not exist."""
    assert fault("error in ListJSON: directory not found", status).is_absence


PACK = "c1e3c61c3aabb165c0fbe8cc6133f56044218da412d8f7f3be3288a615d40f85"


@pytest.mark.parametrize(
    ("messages", "status", "found", "is_lasting"),
    [
        ("Fatal: wrong password or no key found", 12, "does not open the restic repository", True),
        ("Fatal: unable to create lock: repository is already locked", 11, "has locked the restic repository", False),
        ("Fatal: repository does not exist: unable to open config file", 10, "there is no restic repository", True),
        (
            f"pack {PACK}: does not exist\nFatal: repository contains errors",
            1,
            "the restic repository is damaged",
            True,
        ),
        (f"Fatal: cannot dump file: open /places/0/{PACK}: no such file or directory", 1, "is damaged", True),
        ("Fatal: cannot dump file: blob from pack failed: ciphertext verification failed", 1, "is damaged", True),
        ("Post request rcat error: no space left on device\nFatal: unable to save snapshot", 1, "is full", True),
        ("Fatal: cannot dump file: dial tcp 10.0.0.1:443: i/o timeout", 1, "did not answer in time", False),
        ("Fatal: cannot dump file: unexpected HTTP response (500)", 1, "restic failed: Fatal: cannot dump file", False),
        ("", 3, "restic failed: it ended with the exit status 3", False),
    ],
)
def test_messages_of_restic(messages: str, status: int, found: str, is_lasting: bool) -> None:
    error = restic_fault(messages, status)
    assert found in str(error)
    assert error.is_lasting == is_lasting


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("write /backups/.x.partial: no space left on device", "the backup volume is full. Add space"),
        ("preallocate: file too big for remaining disk space", "the backup volume is full. Add space"),
        ("close /backups/.x.partial: disk quota exceeded", "the backup volume is full: its quota is used up"),
        ("open /backups/.x.partial: read-only file system", "the backup volume is mounted read-only"),
        ("dial tcp 127.0.0.1:9: connect: connection refused", "the server refused the connection"),
    ],
)
def test_a_backup_that_is_brought_back_is_written_to_the_volume(message: str, expected: str) -> None:
    assert str(fault(message, 1, target=VOLUME)).startswith(expected)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "the backup volume is full. Add space"),
        (errno.EDQUOT, "the backup volume is full: its quota is used up"),
        (errno.EROFS, "the backup volume is mounted read-only"),
        (errno.EACCES, "the backup volume cannot be written: Permission denied"),
        (errno.EIO, "the backup volume cannot be written: Input/output error"),
    ],
)
def test_an_error_of_the_operating_system_at_the_volume(number: int, expected: str) -> None:
    error = volume_fault(OSError(number, os.strerror(number), "/backups/.x.partial"))
    assert str(error).startswith(expected) and error.is_lasting
    assert "/backups" not in str(error) and "Errno" not in str(error)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "the temporary folder of the pod (/tmp) is full. It is on the disk of the node"),
        (errno.EDQUOT, "the temporary folder of the pod (/tmp) is full. It is on the disk of the node"),
        (
            errno.EROFS,
            "the temporary folder of the pod (/tmp) cannot be written: Read-only file system. Check the disk",
        ),
        (errno.EACCES, "the temporary folder of the pod (/tmp) cannot be written: Permission denied. Check the disk"),
    ],
)
def test_an_error_of_the_operating_system_in_the_temporary_folder(number: int, expected: str) -> None:
    error = scratch_fault(OSError(number, os.strerror(number), "/tmp/copy-x/place"))
    assert str(error).startswith(expected) and error.is_lasting


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/tmp/restic-temp-pack-1", "the temporary folder of the pod"), ("/places/0/data/1", "the place is full")],
)
def test_the_path_in_a_message_of_restic(path: str, expected: str) -> None:
    message = f"Fatal: unable to save snapshot: Write: write {path}: no space left on device"
    target = SCRATCH if names_scratch(message, {"TMPDIR": "/tmp/"}) else "the place"
    assert str(restic_fault(message, 1, target=target)).startswith(expected)
