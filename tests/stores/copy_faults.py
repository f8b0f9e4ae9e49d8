# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The faults of the places: how each is caused, on which stores, what is seen, and what follows.

copy_page.py generates docs/copy-faults.md from this table; tests/script/test_copy_faults.py causes each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.stores import copy_causes as causes
from tests.stores.copy_bench import FOLDER, MINIO, RCLONE, S3_STORES, SERVERS, SFTP, STORES
from tests.stores.http_proxy import answer, answer_page

# How a run with the fault ends: everything is copied; with a message as its error; the same in the record only, since
# the place was mended; it was killed; its window closed.
COPIED, FAILED, FOUND, KILLED, CLOSED = "copied", "failed", "found", "killed", "window closed"


@dataclass(frozen=True)
class Fault:
    """`made` describes how the test causes the fault, `advice` what an operator can do about it.

    `message` is what the error, or the finding, has and that of no other fault has; empty without one. `points` are
    where it occurs, each tested separately. `variant` is that of the server (copy_bench.serve). Until the fault is
    removed, a file that somebody has changed may lie there where `is_kept`.
    """

    title: str
    made: str
    cause: causes.Cause
    stores: tuple[str, ...]
    ends: str
    message: str = ""
    advice: str = ""
    points: tuple[str, ...] = ("",)
    variant: str = ""
    is_fake: bool = False
    is_kept: bool = False


_PROXY = "a proxy answers in place of the server"
_EVERY_MIB = ("0.01", "1", "2", "3", "4", "5", "6")
FAULTS: dict[str, Fault] = {
    # Answers of the store
    "error 500 once": Fault(
        "The store has an internal error, once",
        _PROXY,
        causes.answers(answer(500, "InternalError"), times=1),
        S3_STORES,
        COPIED,
        is_fake=True,
    ),
    "error 500": Fault(
        "The store has internal errors",
        _PROXY,
        causes.answers(answer(500, "InternalError")),
        S3_STORES,
        FAILED,
        "the store answered InternalError",
        is_fake=True,
    ),
    "error 503 once": Fault(
        "The store is not available, once",
        _PROXY,
        causes.answers(answer(503, "ServiceUnavailable"), times=1),
        S3_STORES,
        COPIED,
        is_fake=True,
    ),
    "error 503": Fault(
        "The store is not available",
        _PROXY,
        causes.answers(answer(503, "ServiceUnavailable")),
        S3_STORES,
        FAILED,
        "the store answered ServiceUnavailable",
        is_fake=True,
    ),
    "slow down": Fault(
        "The store limits the rate of requests",
        _PROXY,
        causes.answers(answer(503, "SlowDown")),
        S3_STORES,
        FAILED,
        "the store answered SlowDown",
        is_fake=True,
    ),
    "bad gateway": Fault(
        "A reverse proxy has no server behind it",
        _PROXY,
        causes.answers(answer_page(502), ""),
        S3_STORES,
        FAILED,
        "the store answered BadGateway",
        is_fake=True,
    ),
    "web page": Fault(
        "The endpoint is that of a web server",
        _PROXY,
        causes.answers(answer_page(200), ""),
        S3_STORES,
        FAILED,
        "is not an S3 store",
        is_fake=True,
    ),
    "too large": Fault(
        "A reverse proxy accepts no request of this size",
        _PROXY,
        causes.answers(answer_page(413)),
        S3_STORES,
        FAILED,
        "accepts no object of this size",
        is_fake=True,
    ),
    "other region": Fault(
        "The bucket is in another region",
        _PROXY,
        causes.answers(answer(301, "PermanentRedirect"), ""),
        S3_STORES,
        FAILED,
        "the store answered PermanentRedirect",
        is_fake=True,
    ),
    "quota answer": Fault(
        "The quota of the account is used up",
        _PROXY,
        causes.answers(answer(403, "QuotaExceeded")),
        S3_STORES,
        FAILED,
        "the store answered QuotaExceeded",
        is_fake=True,
    ),
    "clock skew": Fault(
        "The clocks of the node and of the store differ by two hours",
        "a proxy changes the time in the requests",
        causes.clock_skew,
        S3_STORES,
        FAILED,
        "the store answered RequestTimeTooSkewed",
    ),
    # Keys and rights
    "wrong secret key": Fault(
        "The secret key is wrong",
        "another value in the Secret",
        causes.secret({"secret_access_key": "wrong"}),
        S3_STORES,
        FAILED,
        "the store answered SignatureDoesNotMatch",
    ),
    "unknown access key": Fault(
        "The access key does not exist",
        "another value in the Secret",
        causes.secret({"access_key_id": "nobody"}),
        S3_STORES,
        FAILED,
        "the store answered InvalidAccessKeyId",
    ),
    "no secret key": Fault(
        "The Secret lacks a key",
        "an empty value in the Secret",
        causes.secret({"secret_access_key": ""}),
        S3_STORES,
        FAILED,
        "expected the key secret_access_key in the place's Secret",
    ),
    "no right to list": Fault(
        "The keys may not list",
        "minio's access management plugin denies it",
        causes.denied("s3:ListBucket"),
        (MINIO,),
        FAILED,
        "AccessDenied to list",
    ),
    "no right to write": Fault(
        "The keys or the user may not write",
        "minio's access management plugin denies it; a folder with the mode 0555",
        causes.denied("s3:PutObject"),
        (MINIO,),
        FAILED,
        "AccessDenied",
    ),
    "no right to read": Fault(
        "The keys may not read",
        "minio's access management plugin denies it",
        causes.denied("s3:GetObject"),
        (MINIO,),
        FAILED,
        "AccessDenied",
    ),
    "no right to delete": Fault(
        "The keys may not delete",
        "minio's access management plugin denies it",
        causes.denied("s3:DeleteObject"),
        (MINIO,),
        FAILED,
        "AccessDenied",
    ),
    "no right to lock": Fault(
        "The keys may not lock",
        "minio's access management plugin denies it",
        causes.denied("s3:PutObjectRetention", lock_days=3),
        (MINIO,),
        FAILED,
        "AccessDenied",
    ),
    "no right to read the lock": Fault(
        "The keys may not read the lock",
        "minio's access management plugin denies it",
        causes.denied("s3:GetObjectRetention", lock_days=3),
        (MINIO,),
        FAILED,
        "AccessDenied",
    ),
    "folder not writable": Fault(
        "The user may not write to the folder",
        "a folder of root with the mode 0555",
        causes.not_writable(),
        (SFTP,),
        FAILED,
        "access was refused",
    ),
    "folder read-only to deletion": Fault(
        "The user may not delete",
        "a folder of root with the mode 0555",
        causes.not_writable(deletes=True),
        (SFTP,),
        FAILED,
        "access was refused",
    ),
    "read-only": Fault(
        "The share is mounted read-only",
        "a read-only mount",
        causes.not_writable(),
        (FOLDER,),
        FAILED,
        "the place is mounted read-only",
    ),
    "read-only deletion": Fault(
        "The share is mounted read-only when retention deletes",
        "a read-only mount",
        causes.not_writable(deletes=True),
        (FOLDER,),
        FAILED,
        "the place is mounted read-only",
    ),
    "wrong SSH key": Fault(
        "The server does not accept the SSH key",
        "another private key in the Secret",
        causes.other_private_key,
        (SFTP,),
        FAILED,
        "the server refused the SSH user or key",
    ),
    "unreadable SSH key": Fault(
        "The private key is not one",
        "another value in the Secret",
        causes.secret({"private_key": "not a key"}),
        (SFTP,),
        FAILED,
        "the key private_key cannot be read",
    ),
    "wrong password": Fault(
        "The server does not accept the password",
        "another value in the Secret",
        causes.secret({"password": "wrong"}),
        (SFTP,),
        FAILED,
        "the server refused the SSH user or password",
        variant="password",
    ),
    "host key changed": Fault(
        "The server has another host key than before",
        "another key in known_hosts",
        causes.other_host_key,
        (SFTP,),
        FAILED,
        "the server's SSH host key is another one",
        points=("known",),
    ),
    "host key unknown": Fault(
        "The host key of the server is not known",
        "known_hosts of another server",
        causes.other_host_key,
        (SFTP,),
        FAILED,
        "the server's SSH host key is not known",
        points=("unknown",),
    ),
    "known_hosts unreadable": Fault(
        "known_hosts cannot be read",
        "another value in the Secret",
        causes.secret({"known_hosts": "nas ssh-ed25519 AAAA\n"}),
        (SFTP,),
        FAILED,
        "the key known_hosts cannot be read",
    ),
    # Options
    "bucket missing": Fault(
        "The bucket does not exist",
        "another name in the options",
        causes.options({"bucket": "none"}),
        S3_STORES,
        FAILED,
        "the store answered NoSuchBucket",
    ),
    "folder missing": Fault(
        "The folder cannot be made",
        "a folder in one that does not exist and is root's",
        causes.options({"folder": "/nowhere/copies"}),
        (SFTP,),
        FAILED,
        "access was refused",
    ),
    "a file as folder": Fault(
        "The folder is a file",
        "a file of its name",
        causes.a_file_as_folder,
        (SFTP, FOLDER),
        FAILED,
        "is a file",
    ),
    "certificate not trusted": Fault(
        "The TLS certificate is not trusted",
        "the key ca.crt is removed",
        causes.secret({"ca.crt": ""}),
        S3_STORES,
        FAILED,
        "the server's TLS certificate is not trusted",
        variant="tls",
    ),
    "server without TLS": Fault(
        "The server does not use TLS",
        "an endpoint with https",
        causes.without_tls,
        S3_STORES,
        FAILED,
        "the server does not use TLS",
    ),
    "server with TLS": Fault(
        "The server uses TLS, the endpoint does not",
        "an endpoint with http",
        causes.with_tls,
        S3_STORES,
        FAILED,
        "the server uses TLS",
        variant="tls",
    ),
    # Network
    "connection refused": Fault(
        "The server is not running",
        "a port on which nothing listens",
        causes.refused,
        SERVERS,
        FAILED,
        "the server refused the connection",
    ),
    "host unknown": Fault(
        "The name of the server is not known",
        "a name that does not exist",
        causes.unknown_host,
        SERVERS,
        FAILED,
        "the host is unknown",
    ),
    "server silent": Fault(
        "The server accepts connections and does not respond",
        "a port whose connections nobody accepts",
        causes.silent,
        (RCLONE, SFTP),
        FAILED,
        "the server did not answer in time",
        points=("", "as in a pod"),
    ),
    "network stalls": Fault(
        "The network loses everything during an upload",
        "a proxy that forwards nothing after 2 MiB",
        causes.stalled,
        SERVERS,
        FAILED,
        "no answer",
    ),
    "upload cut": Fault(
        "Each connection is cut during an upload",
        "a proxy, after each MiB",
        causes.cut("upload"),
        SERVERS,
        FAILED,
        "the connection was cut off",
        points=_EVERY_MIB,
    ),
    "upload cut once": Fault(
        "One connection is cut during an upload",
        "a proxy",
        causes.cut("upload"),
        SERVERS,
        COPIED,
        points=("3 once",),
    ),
    "read-back cut": Fault(
        "Each connection is cut while a copy is read back",
        "a proxy",
        causes.cut("download"),
        SERVERS,
        FAILED,
        "was read back: the connection was cut off",
        points=("1",),
    ),
    "manifest cut": Fault(
        "The connection is cut in the manifest",
        "a proxy",
        causes.cut_text(r"\.json"),
        S3_STORES,
        FAILED,
        "manifest",
    ),
    "checksum file cut": Fault(
        "The connection is cut in the checksum file",
        "a proxy",
        causes.cut_text(r"\.sha256"),
        S3_STORES,
        FAILED,
        "checksum file",
    ),
    "changed on the way": Fault(
        "A byte is changed on its way to the store",
        "a proxy",
        causes.changed_on_the_way,
        S3_STORES,
        FAILED,
        "x",
    ),
    # Space
    "full": Fault(
        "The place is full",
        "a file system of 24 MiB with other files",
        causes.full,
        STORES,
        FAILED,
        "full",
        variant="24m",
    ),
    "quota": Fault(
        "The quota of the bucket is used up",
        "a quota of 1 MiB in minio",
        causes.quota,
        (MINIO,),
        FAILED,
        "XMinioAdminBucketQuotaExceeded",
    ),
    # Object Lock
    "bucket without Object Lock": Fault(
        "lock_days, and a bucket without Object Lock",
        "such a bucket",
        causes.no_lock,
        (MINIO,),
        FAILED,
        "the store answered InvalidRequest",
    ),
    "store ignores locks": Fault(
        "The store accepts locks and does not lock",
        "rclone's S3 server does so",
        causes.no_lock,
        (RCLONE,),
        FOUND,
        "is not locked as wanted",
    ),
    "still locked": Fault(
        "Retention would delete a copy that is still locked",
        "a smaller policy",
        causes.locked,
        (MINIO,),
        COPIED,
    ),
    # Behind our back
    "copy deleted": Fault(
        "Somebody deletes a copy", "a deletion", causes.behind(causes.delete("")), STORES, FOUND, "no longer there"
    ),
    "copy changed": Fault(
        "Somebody changes a copy",
        "other bytes, the same size",
        causes.behind(causes.reverse),
        STORES,
        FOUND,
        "is damaged or was changed: expected the sha256",
    ),
    "copy truncated": Fault(
        "Somebody truncates a copy",
        "without its last 100 bytes",
        causes.behind(causes.shorten),
        STORES,
        FOUND,
        "bytes, found",
    ),
    "checksum file deleted": Fault(
        "Somebody deletes a checksum file", "a deletion", causes.behind(causes.delete(".sha256")), STORES, COPIED
    ),
    "checksum file changed": Fault(
        "Somebody changes a checksum file",
        "another hash",
        causes.behind(causes.lie),
        STORES,
        FOUND,
        "differs from the backup of this name on the volume",
        is_kept=True,
    ),
    "manifest deleted": Fault(
        "Somebody deletes a manifest",
        "a deletion",
        causes.behind(causes.delete(".json")),
        STORES,
        FOUND,
        "the manifest of",
    ),
    "manifest changed": Fault(
        "Somebody changes a manifest",
        "another text",
        causes.behind(causes.change_manifest),
        STORES,
        FOUND,
        "the manifest of",
    ),
    "folder renamed": Fault(
        "Somebody renames the folder", "a renaming", causes.behind(causes.rename_folder), STORES, FOUND, "no longer there"
    ),
    "bucket renamed": Fault(
        "Somebody renames the bucket",
        "another bucket",
        causes.behind(causes.rename_bucket),
        S3_STORES,
        FOUND,
        "no longer there",
    ),
    "foreign files": Fault(
        "Other files lie in the folder",
        "notes, another installation's backup, half a backup",
        causes.foreign_files,
        STORES,
        COPIED,
    ),
    "changed before its proof": Fault(
        "Somebody changes an upload before it is proven",
        "other bytes",
        causes.changed_meanwhile,
        SERVERS,
        FAILED,
        "was read back differently",
    ),
    "deleted before its proof": Fault(
        "Somebody deletes an upload before it is proven",
        "a deletion",
        causes.changed_meanwhile,
        SERVERS,
        FAILED,
        "no file",
        points=("deleted",),
    ),
    "deleted after its proof": Fault(
        "Somebody deletes an upload right after its proof",
        "a deletion",
        causes.deleted_after_the_proof,
        STORES,
        FAILED,
        "was deleted right after it had been copied",
    ),
    "renamed while it copies": Fault(
        "Somebody renames the folder while it copies",
        "a renaming",
        causes.renamed_meanwhile,
        STORES,
        FAILED,
        "was deleted right after",
    ),
    # The copier
    "two copiers": Fault(
        "Two installations copy the same backups to one folder",
        "two programs at once",
        causes.two_copiers,
        STORES,
        COPIED,
        points=("at once", "while the other one reads"),
    ),
    "killed": Fault(
        "The pod is killed",
        "SIGKILL before a step",
        causes.killed,
        STORES,
        KILLED,
        points=tuple(causes.STEPS),
    ),
    "killed in an upload": Fault(
        "The pod is killed during an upload",
        "SIGKILL after some MiB",
        causes.killed_in_upload,
        STORES,
        KILLED,
        points=("1", "3", "5"),
    ),
    "killed in a deletion": Fault(
        "The pod is killed during a deletion",
        "SIGKILL before each file",
        causes.killed_in_deletion,
        STORES,
        KILLED,
        points=(".sha256", "", ".json"),
    ),
    "window closes": Fault(
        "The window closes during an upload",
        "a window of 5 seconds",
        causes.window_closes,
        STORES,
        CLOSED,
    ),
}
