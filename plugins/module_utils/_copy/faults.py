# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""What goes wrong at a place, in words: what was found, and what to do about it.

rclone's own messages are for people. What is recognised in them are the error codes of the S3 protocol
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), the words of the operating system's errors, and
those of Go's TLS and SSH libraries.
"""

from __future__ import annotations

import re

# Where a file is written: a copy to the place, one that is brought back, or a temporary file.
PLACE, VOLUME, SCRATCH = "the place", "the backup volume", "the temporary folder of the pod"
# rclone's exit statuses (https://rclone.org/docs/#exit-code).
NO_FOLDER, NO_FILE = 3, 4
# restic's exit statuses (https://restic.readthedocs.io/en/stable/075_scripting.html#exit-codes).
_NO_REPOSITORY, LOCKED, _WRONG_PASSWORD = 10, 11, 12
# In the messages of the AWS SDK for Go: before the message of the server.
_CODE = re.compile(r"(?:\bapi error |\bHostID: [^,]*, )([A-Z]\w+):")
_STATUS = re.compile(r"\bStatusCode: (\d+)\b")
_CHARACTERS = 300


class PlaceError(Exception):
    """A place did not do what it should; the message has no secret.

    `is_lasting` where another attempt after a pause cannot help. `is_absence` where what was read does not exist.
    `code` is that of the S3 protocol.
    """

    def __init__(
        self, message: str, *, is_lasting: bool = False, is_absence: bool = False, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.is_lasting = is_lasting
        self.is_absence = is_absence


class BackupFaultError(PlaceError):
    """One backup cannot be copied; the place does what it should."""


class WindowClosedError(Exception):
    """The place's window closed meanwhile."""


ACCESS_DENIED = "AccessDenied"
_CREDENTIALS = "Check the keys of its Secret"
_RIGHTS = "Allow these keys to list the bucket, and to read, write and delete objects in it"
_RATE = "It limits the rate of requests: set the place's bandwidth, or another window"
_REGION = "Correct the region of the place, or its endpoint"
# By error code of S3; all last until somebody does something.
_CODES = {
    ACCESS_DENIED: _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "AuthorizationHeaderMalformed": _REGION,
    "AccountProblem": "Check the account with the provider",
    "BucketQuotaExceeded": "The bucket is full: raise its quota, or keep fewer backups there",
    "EntityTooLarge": "The store accepts no object of this size",
    "Forbidden": _RIGHTS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InsufficientStorage": "The store is full: add space, or keep fewer backups there",
    "InvalidBucketState": "The bucket has no Object Lock: create it with Object Lock, or set lock_days to 0",
    "InvalidRequest": "With lock_days, the bucket must have been created with Object Lock",
    "MovedPermanently": _REGION,
    "NoSuchBucket": "Create the bucket, or correct the place's bucket",
    "ObjectLockConfigurationNotFoundError": "Create the bucket with Object Lock, or set lock_days to 0",
    "PermanentRedirect": _REGION,
    "QuotaExceeded": "The store is full: raise its quota, or keep fewer backups there",
    "RequestEntityTooLarge": "A proxy in front of the store accepts no upload of this size: raise its limit",
    "RequestTimeTooSkewed": "The clocks of this node and of the store differ: set both by NTP",
    "SignatureDoesNotMatch": _CREDENTIALS,
    "XMinioAdminBucketQuotaExceeded": "The bucket is full: raise its quota, or keep fewer backups there",
    "XMinioStorageFull": "The store is full: add space, or keep fewer backups there",
}
# Those that may pass.
_PASSING_CODES = {
    "BadRequest": "Does the server use TLS, and the place's endpoint begin with http://?",
    "BadDigest": "The data was changed on its way there: check the network",
    "BadGateway": "Is the store running behind its reverse proxy?",
    "GatewayTimeout": "Is the store running behind its reverse proxy?",
    "InternalError": "Is its disk full? If it lasts, read its log",
    "RequestTimeout": "Check the network",
    "ServiceUnavailable": "If it lasts, read its log",
    "SlowDown": _RATE,
    "TooManyRequests": _RATE,
}
# Where an answer has no code of the protocol, as that of a proxy.
_CODE_OF_STATUS = {
    "400": "BadRequest",
    "413": "RequestEntityTooLarge",
    "429": "TooManyRequests",
    "500": "InternalError",
    "502": "BadGateway",
    "503": "ServiceUnavailable",
    "504": "GatewayTimeout",
    "507": "InsufficientStorage",
}
_NETWORK = "Check the network and postgres_backup_copy_egress"
_AUTHORITY = "Is its authority in the key ca.crt of the Secret?"
_PRIVATE_KEY = "It must be an OpenSSH private key without a passphrase"
_HOST_KEY = "Add it to the key known_hosts, as ssh-keyscan -p PORT HOST shows it"
_OTHER_KEY = "the server's SSH host key is another one"
_NO_SFTP = "the server does not speak SFTP"
_SFTP = "Allow SFTP for this user. If the user has a shell, it must print nothing"
_LATE, _CUT = "the server did not answer in time", "the connection was cut off"
_ARCHIVED = "the store has archived the object, and cannot read it"
_ARCHIVE = "Restore it there, and let no lifecycle rule archive objects of the place's folder"
_SPACE = "Add space, or keep fewer backups there"
_QUOTA, _EXPORT = "Raise the quota", "Check the share's export"
_FULL, _OVER_QUOTA = "the place is full", "the place is full: its quota is used up"
_READ_ONLY = "the place is mounted read-only"
_NODE_SPACE = "It is on the disk of the node: add free space there"
# What is meant, and what to do, where the file is not written to the place. The temporary folder is an emptyDir.
_ELSEWHERE = {
    VOLUME: {
        _FULL: ("the backup volume is full", _SPACE),
        _OVER_QUOTA: ("the backup volume is full: its quota is used up", _QUOTA),
        _READ_ONLY: ("the backup volume is mounted read-only", _EXPORT),
    },
    SCRATCH: {
        _FULL: ("the temporary folder of the pod (/tmp) is full", _NODE_SPACE),
        _OVER_QUOTA: ("the temporary folder of the pod (/tmp) is full", _NODE_SPACE),
    },
}
# By words in the message, the first that fits: what is meant, what to do, and whether it lasts.
_WORDS: tuple[tuple[str, str, str, bool], ...] = (
    ("no such host", "the host is unknown", "Check the host, and the cluster's DNS", False),
    ("connection refused", "the server refused the connection", "Is the server running? Check host and port", False),
    ("no route to host", "the server cannot be reached", _NETWORK, False),
    ("network is unreachable", "the server cannot be reached", _NETWORK, False),
    ("i/o timeout", _LATE, _NETWORK, False),
    ("context deadline exceeded", _LATE, _NETWORK, False),
    ("timeout awaiting response headers", _LATE, _NETWORK, False),
    ("timed out", _LATE, _NETWORK, False),
    ("certificate", "the server's TLS certificate is not trusted", _AUTHORITY, True),
    ("server gave HTTP response to HTTPS client", "the server does not use TLS", "Correct the place's endpoint", True),
    ("knownhosts: key mismatch", _OTHER_KEY, "Check it, then known_hosts", True),
    ("no common algorithm for host key", _OTHER_KEY, "Check it, then known_hosts", True),
    ("knownhosts: key is unknown", "the server's SSH host key is not known", _HOST_KEY, True),
    ("parse known_hosts_file", "the key known_hosts cannot be read", "Write it as ssh-keyscan does", True),
    ("failed to parse private key", "the key private_key cannot be read", _PRIVATE_KEY, True),
    ("attempted methods [none password", "the server refused the SSH user or password", _CREDENTIALS, True),
    ("unable to authenticate", "the server refused the SSH user or key", _CREDENTIALS, True),
    ("packet too long", _NO_SFTP, _SFTP, True),
    ("subsystem request failed", _NO_SFTP, _SFTP, True),
    ("is a file not a directory", "the folder is a file", "Correct the place's folder", True),
    ("destination is a file", "the folder is a file", "Correct the place's folder", True),
    ("object in glacier", _ARCHIVED, _ARCHIVE, True),
    ("not valid for the object's storage class", _ARCHIVED, _ARCHIVE, True),
    ("corrupted on transfer", "the server did not keep what it was sent", "Is the endpoint that of a store?", True),
    ("no space left on device", _FULL, _SPACE, True),
    ("file too big for remaining disk space", _FULL, _SPACE, True),
    ("disk quota exceeded", _OVER_QUOTA, _QUOTA, True),
    ("SSH_FX_FAILURE", "the server refused it without a reason (SSH_FX_FAILURE)", "Is its disk full?", False),
    ("read-only file system", _READ_ONLY, _EXPORT, True),
    ("permission denied", "access was refused", "Allow this user to write to the folder", True),
    ("connection reset", _CUT, "Check the network", False),
    ("broken pipe", _CUT, "Check the network", False),
    ("use of closed network connection", _CUT, "Check the network", False),
    ("connection lost", _CUT, "Check the network", False),
    ("EOF", _CUT, "Check the network", False),
)


# In restic's messages: data that cannot be decrypted, or is missing.
_DAMAGE = (
    "ciphertext verification failed",
    "repository contains errors",
    "no such file or directory",
    "does not exist",
    "404 Not Found",
    "invalid data returned",
)


def fault(message: str, status: int, *, is_silent: bool = False, target: str = PLACE) -> PlaceError:
    """The error for rclone's last message and its exit status.

    `is_silent` where no byte was transferred before for so long that rclone itself ended the connection. `target` is
    where rclone wrote to.
    """
    text = " ".join(message.split())
    known = _known(text, is_silent=is_silent, target=target)
    if known is not None:
        return known
    code = _CODE.search(text)
    found = f"the store answered {code[1]}" if code else text[:_CHARACTERS]
    return PlaceError(found or f"rclone ended with the exit status {status}", is_absence=status in (NO_FOLDER, NO_FILE))


def volume_fault(error: OSError) -> PlaceError:
    """The error for one of the operating system while a backup was written to the volume."""
    text = error.strerror or str(error)
    return _write_fault(text, VOLUME) or PlaceError(f"{VOLUME} cannot be written: {text}", is_lasting=True)


def scratch_fault(error: OSError) -> PlaceError:
    """The error for one of the operating system while a temporary file was written."""
    text = error.strerror or str(error)
    return _write_fault(text, SCRATCH) or PlaceError(
        f"the temporary folder of the pod (/tmp) cannot be written: {text}. Check the disk of the node", is_lasting=True
    )


def _write_fault(text: str, target: str) -> PlaceError | None:
    entry = _entry_for(text)
    return _known_fault(entry, target) if entry is not None and entry[1] in _ELSEWHERE[target] else None


def _known(text: str, *, is_silent: bool = False, target: str = PLACE) -> PlaceError | None:
    found, status = _CODE.search(text), _STATUS.search(text)
    code = found[1] if found else _CODE_OF_STATUS.get(status[1], "") if status else ""
    if code in _CODES:
        return PlaceError(f"the store answered {code}. {_CODES[code]}", is_lasting=True, code=code)
    if code in _PASSING_CODES:
        return PlaceError(f"the store answered {code}. {_PASSING_CODES[code]}")
    entry = _entry_for(text)
    if entry is None:
        return None
    if entry[1] == _CUT and is_silent:
        return PlaceError(f"{_LATE}. {_NETWORK}")
    return _known_fault(entry, target)


def _entry_for(text: str) -> tuple[str, str, str, bool] | None:
    return next((entry for entry in _WORDS if entry[0].lower() in text.lower()), None)


def _known_fault(entry: tuple[str, str, str, bool], target: str) -> PlaceError:
    _words, meaning, advice, is_lasting = entry
    meaning, advice = _ELSEWHERE.get(target, {}).get(meaning, (meaning, advice))
    return PlaceError(f"{meaning}. {advice}", is_lasting=is_lasting)


def restic_fault(messages: str, status: int, *, target: str = PLACE) -> PlaceError:
    """The error for restic's last messages, one in a line, and its exit status; `target` is where restic wrote to."""
    if status == _WRONG_PASSWORD:
        return PlaceError(
            "the key repository_password does not open the restic repository. Correct it in the place's Secret, or "
            "give the place another folder",
            is_lasting=True,
        )
    if status == LOCKED:
        return PlaceError(
            "another program has locked the restic repository. If none uses it, run `restic unlock` (docs/copies.md)"
        )
    if status == _NO_REPOSITORY:
        return PlaceError("there is no restic repository", is_lasting=True, is_absence=True)
    known = _known(" ".join(messages.split()), target=target)
    if known is not None:
        return known
    if any(words in messages for words in _DAMAGE):
        return BackupFaultError(
            "the restic repository is damaged. Repair it (https://restic.readthedocs.io/en/stable/077_troubleshooting.html)"
            ", or give the place another folder",
            is_lasting=True,
        )
    last = messages.strip().splitlines()[-1:] or [f"it ended with the exit status {status}"]
    return PlaceError(f"restic failed: {last[0][:_CHARACTERS]}")
