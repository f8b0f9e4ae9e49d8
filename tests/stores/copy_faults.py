# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The faults of the places: how each is caused, on which stores, what is seen, and what to do.

copy_page.py generates docs/copy-faults.md from this table; tests/script/test_copy_faults.py causes each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.stores import copy_causes as causes
from tests.stores.copy_bench import FOLDER, MINIO, RCLONE, S3_STORES, SERVERS, SFTP, STORES
from tests.stores.http_proxy import answer, answer_page

# How a run with the fault ends: everything is copied; with a message as its error; with a finding, and the place is
# mended; it is killed; its window closes.
COPIED, FAILED, FOUND, KILLED, CLOSED = "copied", "failed", "found", "killed", "window closed"


@dataclass(frozen=True)
class Fault:
    """`made` describes how the test causes the fault, `advice` what an operator can do about it.

    `message` is in the error or in a finding, `…` stands for names in it; a run that copies everything has it in its
    log, if it has one. `points` are where the fault occurs, each tested separately. `variant` is that of the server
    (copy_bench.serve).
    """

    made: str
    cause: causes.Cause
    stores: tuple[str, ...]
    ends: str
    message: str = ""
    advice: str = ""
    points: tuple[str, ...] = ("",)
    variant: str = ""


_LIST, _COPY, _DELETE = "could not list the files: ", "could not copy …: ", "could not delete …: "
_READ = "could not read … back: "
_PROXY = "fake: a proxy answers in place of the server"
_DENIED = "minio's access management plugin denies it"
_NOT_LISTED = ("no longer there, though not deleted by retention",)
_RENAME_BACK = "rename it back, or let the backups be copied again"
_NOTHING = "nothing"
_KEYS = "correct the keys in its Secret"
_MODE = "a folder of another user with the mode 0555"
_READ_ONLY = "a mount that is read-only"
_SMALL = "a file system of 24 MiB with other files"
_WHO = "find out what changed it; it is mended from the volume"
_EVERY_MIB = ("0.01", "1", "2", "3", "4", "5", "6")

_ANSWERS = {
    "the store has an internal error, once": Fault(
        _PROXY, causes.answers(answer(500, "InternalError"), times=1), S3_STORES, COPIED, "", _NOTHING
    ),
    "the store has internal errors": Fault(
        _PROXY,
        causes.answers(answer(500, "InternalError")),
        S3_STORES,
        FAILED,
        f"{_COPY}the store answered InternalError",
        "read the log of the store; its disk may be full",
    ),
    "the store is not available, once": Fault(
        _PROXY, causes.answers(answer(503, "ServiceUnavailable"), times=1), S3_STORES, COPIED, "", _NOTHING
    ),
    "the store is not available": Fault(
        _PROXY,
        causes.answers(answer(503, "ServiceUnavailable")),
        S3_STORES,
        FAILED,
        f"{_COPY}the store answered ServiceUnavailable",
        "wait, or read the log of the store",
    ),
    "the store limits the rate of requests": Fault(
        _PROXY,
        causes.answers(answer(503, "SlowDown")),
        S3_STORES,
        FAILED,
        f"{_COPY}the store answered SlowDown",
        "set the `bandwidth` of the place, or another `window`",
    ),
    "the store allows fewer requests": Fault(
        _PROXY,
        causes.answers(answer(429, "TooManyRequests")),
        S3_STORES,
        FAILED,
        f"{_COPY}the store answered TooManyRequests",
        "set the `bandwidth` of the place, or another `window`",
    ),
    "the store has no space left": Fault(
        _PROXY,
        causes.answers(answer(507, "InsufficientStorage")),
        S3_STORES,
        FAILED,
        f"{_COPY}the store answered InsufficientStorage",
        "add space, or keep fewer backups there",
    ),
    "a lifecycle rule archives what was copied": Fault(
        _PROXY,
        causes.answers(answer(403, "InvalidObjectState"), "GET", r"\.gz\b"),
        S3_STORES,
        FAILED,
        "could not read … back: the store has archived the object",
        "restore the object there, and change the rule",
    ),
    "a reverse proxy reaches no server": Fault(
        _PROXY,
        causes.answers(answer_page(502), ""),
        S3_STORES,
        FAILED,
        f"{_LIST}the store answered BadGateway",
        "start the store behind the proxy",
    ),
    "a reverse proxy accepts no upload of this size": Fault(
        _PROXY,
        causes.answers(answer_page(413)),
        S3_STORES,
        FAILED,
        f"{_COPY}the store answered RequestEntityTooLarge",
        "raise the proxy's limit",
    ),
    "the endpoint is that of a web server": Fault(
        _PROXY,
        causes.answers(answer_page(200), ""),
        S3_STORES,
        FAILED,
        f"{_COPY}the server did not keep what it was sent",
        "correct the `endpoint`",
    ),
    "the bucket is in another region": Fault(
        _PROXY,
        causes.answers(answer(301, "PermanentRedirect"), ""),
        S3_STORES,
        FAILED,
        f"{_LIST}the store answered PermanentRedirect",
        "correct the `region` or the `endpoint`",
    ),
    "the account has no quota left": Fault(
        _PROXY,
        causes.answers(answer(403, "QuotaExceeded")),
        S3_STORES,
        FAILED,
        f"{_COPY}the store answered QuotaExceeded",
        "raise the quota, or keep fewer backups there",
    ),
    "the clocks of node and store differ by two hours": Fault(
        "a proxy sets the time of the requests back; the store refuses them",
        causes.clock_skew,
        (MINIO,),
        FAILED,
        f"{_LIST}the store answered RequestTimeTooSkewed",
        "set both clocks by NTP",
    ),
    "a byte is changed on its way to the store": Fault(
        "a proxy changes it; the store refuses the upload",
        causes.changed_on_the_way,
        S3_STORES,
        FAILED,
        f"{_COPY}the store answered BadDigest",
        "check the network, and the memory of the node",
    ),
}
_RIGHTS = {
    "the secret key is wrong": Fault(
        "another key in the Secret",
        causes.secret({"secret_access_key": "wrong"}),
        S3_STORES,
        FAILED,
        f"{_LIST}the store answered SignatureDoesNotMatch",
        _KEYS,
    ),
    "the access key does not exist": Fault(
        "another key in the Secret",
        causes.secret({"access_key_id": "nobody"}),
        S3_STORES,
        FAILED,
        f"{_LIST}the store answered InvalidAccessKeyId",
        _KEYS,
    ),
    "the Secret lacks the secret key": Fault(
        "an empty value in the Secret",
        causes.secret({"secret_access_key": ""}),
        S3_STORES,
        FAILED,
        "expected the key secret_access_key in the place's Secret",
        "add it to the Secret",
    ),
    "the keys may not list": Fault(
        _DENIED,
        causes.denied("s3:ListBucket"),
        (MINIO,),
        FAILED,
        f"{_LIST}the store answered AccessDenied",
        "allow `ListBucket`",
    ),
    "the keys may not write": Fault(
        _DENIED,
        causes.denied("s3:PutObject"),
        (MINIO,),
        FAILED,
        f"{_COPY}the store answered AccessDenied",
        "allow `PutObject`",
    ),
    "the keys may not read": Fault(
        _DENIED,
        causes.denied("s3:GetObject"),
        (MINIO,),
        FAILED,
        "could not read the checksum files: the store answered Forbidden",
        "allow `GetObject`",
    ),
    "the keys may not delete": Fault(
        _DENIED,
        causes.denied("s3:DeleteObject"),
        (MINIO,),
        FAILED,
        f"{_DELETE}the store answered AccessDenied",
        "allow `DeleteObject`",
    ),
    "the keys may not list multipart uploads": Fault(
        _DENIED,
        causes.denied("s3:ListBucketMultipartUploads"),
        (MINIO,),
        COPIED,
        "parts of interrupted uploads may remain there: the store answered AccessDenied",
        "allow `ListBucketMultipartUploads` and `AbortMultipartUpload`, or let a rule of the bucket abort them",
    ),
    "the user may not write": Fault(
        _MODE, causes.not_writable(), (SFTP,), FAILED, f"{_COPY}access was refused", "correct its owner or mode"
    ),
    "the user may not delete": Fault(
        _MODE,
        causes.not_writable(deletes=True),
        (SFTP,),
        FAILED,
        f"{_DELETE}access was refused",
        "correct the owner or the mode of the folder",
    ),
    "the share is read-only": Fault(
        _READ_ONLY,
        causes.not_writable(),
        (FOLDER,),
        FAILED,
        f"{_COPY}the place is mounted read-only",
        "correct its export, or its mount options",
    ),
    "the share is read-only when retention deletes": Fault(
        _READ_ONLY,
        causes.not_writable(deletes=True),
        (FOLDER,),
        FAILED,
        f"{_DELETE}the place is mounted read-only",
        "correct its export, or its mount options",
    ),
    "the server does not accept the SSH key": Fault(
        "another private key in the Secret",
        causes.other_private_key,
        (SFTP,),
        FAILED,
        f"{_LIST}the server refused the SSH user or key",
        "check `user`, and `authorized_keys` there",
    ),
    "the private key cannot be read": Fault(
        "another text in the Secret",
        causes.secret({"private_key": "not a key"}),
        (SFTP,),
        FAILED,
        f"{_LIST}the key private_key cannot be read",
        "create the Secret with the file that `ssh-keygen` has written",
    ),
    "the password is wrong": Fault(
        "another password in the Secret",
        causes.secret({"password": "wrong"}),
        (SFTP,),
        FAILED,
        f"{_LIST}the server refused the SSH user or password",
        "check `user`, and the password in the Secret",
        variant="password",
    ),
    "the Secret has neither key nor password": Fault(
        "an empty value in the Secret",
        causes.secret({"private_key": ""}),
        (SFTP,),
        FAILED,
        "expected the key password in the place's Secret",
        "add `private_key` or `password` to the Secret",
    ),
    "the server has another host key than before": Fault(
        "another key of the server in `known_hosts`",
        causes.other_host_key,
        (SFTP,),
        FAILED,
        f"{_LIST}the server's SSH host key is another one",
        "compare it with that of the server, then correct `known_hosts`",
        points=("known",),
    ),
    "the host key is not known": Fault(
        "a `known_hosts` of another server",
        causes.other_host_key,
        (SFTP,),
        FAILED,
        f"{_LIST}the server's SSH host key is not known",
        "compare it with that of the server, then add it to `known_hosts`",
        points=("unknown",),
    ),
    "known_hosts cannot be read": Fault(
        "another text in the Secret",
        causes.secret({"known_hosts": "nas ssh-ed25519 AAAA\n"}),
        (SFTP,),
        FAILED,
        f"{_LIST}the key known_hosts cannot be read",
        "write it as `ssh-keyscan` does",
    ),
    "the Secret lacks known_hosts": Fault(
        "an empty value in the Secret",
        causes.secret({"known_hosts": ""}),
        (SFTP,),
        FAILED,
        "expected the key known_hosts in the place's Secret",
        "add it to the Secret",
    ),
}
_OPTIONS = {
    "the bucket does not exist": Fault(
        "another name in the options",
        causes.options({"bucket": "none"}),
        S3_STORES,
        FAILED,
        f"{_LIST}the store answered NoSuchBucket",
        "create the bucket, or correct `bucket`",
    ),
    "the folder is a file": Fault(
        "a file of its name",
        causes.a_file_as_folder,
        (SFTP, FOLDER),
        FAILED,
        f"{_COPY}the folder is a file",
        "correct `folder`",
    ),
    "the place is the backup volume under another name": Fault(
        "the volume is mounted once more",
        causes.the_backup_volume,
        (FOLDER,),
        FAILED,
        "expected another folder than that of the backups, found the backup volume itself",
        "give it another share, claim or folder",
    ),
    "the TLS certificate is not trusted": Fault(
        "a Secret without `ca.crt`",
        causes.secret({"ca.crt": ""}),
        S3_STORES,
        FAILED,
        f"{_LIST}the server's TLS certificate is not trusted",
        "add the authority to the Secret as `ca.crt`",
        variant="tls",
    ),
    "the server does not use TLS": Fault(
        "an endpoint with https",
        causes.without_tls,
        S3_STORES,
        FAILED,
        f"{_LIST}the server does not use TLS",
        "let the server use TLS, or correct the `endpoint`",
    ),
    "the server uses TLS, and the endpoint does not": Fault(
        "an endpoint with http",
        causes.with_tls,
        S3_STORES,
        FAILED,
        f"{_LIST}the store answered BadRequest",
        "correct the `endpoint`",
        variant="tls",
    ),
}
_NETWORK = {
    "the server is not running": Fault(
        "a port on which nothing listens",
        causes.refused,
        SERVERS,
        FAILED,
        f"{_LIST}the server refused the connection",
        "start it, or correct host and port",
    ),
    "the name of the server is not known": Fault(
        "a name that does not exist",
        causes.unknown_host,
        SERVERS,
        FAILED,
        f"{_LIST}the host is unknown",
        "correct the name, or the cluster's DNS",
    ),
    "the server accepts connections and does not respond": Fault(
        "a port whose connections nobody accepts",
        causes.silent,
        (RCLONE, SFTP),
        FAILED,
        f"{_LIST}the server did not answer in time",
        "check the server, the network and `postgres_backup_copy_egress`",
        points=("", "as in a pod"),
    ),
    "each upload stalls": Fault(
        "a proxy forwards nothing of it after 2 MiB",
        causes.stalled,
        SERVERS,
        FAILED,
        f"{_COPY}the server did not answer in time",
        "check the server, and the MTU of the network",
    ),
    "each connection is cut during an upload": Fault(
        "a proxy cuts it, at every MiB of 6",
        causes.cut("upload"),
        SERVERS,
        FAILED,
        f"{_COPY}the connection was cut off",
        "check the network",
        points=_EVERY_MIB,
    ),
    "one connection is cut during an upload": Fault(
        "a proxy cuts it",
        causes.cut("upload"),
        SERVERS,
        COPIED,
        "",
        _NOTHING,
        points=("3 once",),
    ),
    "each connection is cut while a copy is read back": Fault(
        "a proxy cuts it",
        causes.cut("download"),
        SERVERS,
        FAILED,
        f"{_READ}the connection was cut off",
        "check the network",
        points=("1",),
    ),
    "the connection is cut within the manifest": Fault(
        "a proxy cuts it after half of the file",
        causes.cut_text(r"\.json"),
        S3_STORES,
        FAILED,
        "could not write ….json: the connection was cut off",
        "check the network",
    ),
    "the connection is cut within the checksum file": Fault(
        "a proxy cuts it after half of the file",
        causes.cut_text(r"\.sha256"),
        S3_STORES,
        FAILED,
        "could not write ….sha256: the connection was cut off",
        "check the network",
    ),
}
_SPACE = {
    "the store is full": Fault(
        _SMALL,
        causes.full,
        (MINIO,),
        FAILED,
        f"{_COPY}the store answered XMinioStorageFull",
        "add space, or keep fewer backups there",
        variant="24m",
    ),
    "the store is full, and has no answer for it": Fault(
        _SMALL,
        causes.full,
        (RCLONE,),
        FAILED,
        f"{_COPY}the store answered InternalError",
        "add space, or keep fewer backups there",
        variant="24m",
    ),
    "the disk of the SFTP server is full": Fault(
        _SMALL,
        causes.full,
        (SFTP,),
        FAILED,
        f"{_COPY}the server refused it without a reason (SSH_FX_FAILURE)",
        "add space, or keep fewer backups there",
        variant="24m",
    ),
    "the share is full": Fault(
        _SMALL,
        causes.full,
        (FOLDER,),
        FAILED,
        f"{_COPY}the place is full",
        "add space, or keep fewer backups there",
    ),
    "the bucket has no quota left": Fault(
        "a quota of 1 MiB",
        causes.quota,
        (MINIO,),
        FAILED,
        f"{_COPY}the store answered XMinioAdminBucketQuotaExceeded",
        "raise the quota of the bucket, or keep fewer backups there",
    ),
}
_LOCKS = {
    "the bucket has no Object Lock": Fault(
        "such a bucket, and `lock_days`",
        causes.no_lock,
        (MINIO,),
        FAILED,
        f"{_COPY}the store answered InvalidRequest",
        "create the bucket with Object Lock, or set `lock_days` to 0",
    ),
    "the store accepts a lock and does not lock": Fault(
        "rclone's S3 server does so",
        causes.no_lock,
        (RCLONE,),
        FOUND,
        "is not locked as wanted",
        "use a store with Object Lock, or set `lock_days` to 0",
    ),
    "the keys may not lock": Fault(
        _DENIED,
        causes.denied("s3:PutObjectRetention", lock_days=3),
        (MINIO,),
        FAILED,
        f"{_COPY}the store answered AccessDenied…, and with lock_days to set its retention",
        "allow `PutObjectRetention`",
    ),
    "the keys may not read the lock": Fault(
        _DENIED,
        causes.denied("s3:GetObjectRetention", lock_days=3),
        (MINIO,),
        FAILED,
        "could not read the lock of …: the store answered AccessDenied",
        "allow `GetObjectRetention`",
    ),
    "retention would delete a copy that is locked": Fault(
        "a smaller policy", causes.locked, (MINIO,), COPIED, "", "nothing: it is deleted after the end of its lock"
    ),
}
_CHANGES = {
    "a copy is deleted": Fault(
        "a deletion", causes.behind(causes.delete("")), STORES, FOUND, *_NOT_LISTED, "find out what deleted it"
    ),
    "the folder is renamed": Fault(
        "another name", causes.behind(causes.rename_folder), STORES, FOUND, *_NOT_LISTED, _RENAME_BACK
    ),
    "the bucket is renamed": Fault(
        "another bucket", causes.behind(causes.rename_bucket), S3_STORES, FOUND, *_NOT_LISTED, _RENAME_BACK
    ),
    "a copy is changed": Fault(
        "other bytes, the same size",
        causes.behind(causes.reverse),
        STORES,
        FOUND,
        "is damaged or was changed: expected the sha256 …, found …",
        _WHO,
    ),
    "a copy is truncated": Fault(
        "its last 100 bytes are gone",
        causes.behind(causes.shorten),
        STORES,
        FOUND,
        "is damaged or was changed: expected … bytes, found …",
        _WHO,
    ),
    "a checksum file is deleted": Fault(
        "a deletion",
        causes.behind(causes.delete(".sha256")),
        STORES,
        FOUND,
        ".sha256 was deleted there: the copy is read again, and gets a new one",
        _WHO,
    ),
    "a checksum file is changed": Fault(
        "another hash",
        causes.lying,
        STORES,
        FOUND,
        "differs from the backup of this name on the volume",
        "give each installation a `folder`. If only this one copies there, delete the checksum file: the copy is "
        "read again, and gets a new one",
    ),
    "a manifest is deleted": Fault(
        "a deletion",
        causes.behind(causes.delete(".json")),
        STORES,
        FOUND,
        ".json was deleted: it is written again",
        _WHO,
    ),
    "a manifest is changed": Fault(
        "another text",
        causes.behind(causes.change_manifest),
        STORES,
        FOUND,
        ".json is another one than on the volume: it is written again",
        _WHO,
    ),
    "other files lie in the folder": Fault(
        "a text, a backup of another installation, half a backup without a checksum file",
        causes.foreign_files,
        STORES,
        COPIED,
        "",
        "nothing: they are kept; half a backup of this installation is replaced",
    ),
    "an upload is changed before it is proven": Fault(
        "other bytes",
        causes.changed_meanwhile,
        SERVERS,
        COPIED,
        "was changed right after it had been copied",
        "find out what changed it; it is copied again",
    ),
    "an upload is damaged on the disk before it is proven": Fault(
        "other bytes, the same size and time",
        causes.damaged_meanwhile,
        (RCLONE, SFTP),
        COPIED,
        "was read back differently: expected …",
        "check the storage there; it is copied again",
    ),
    "the store computes other hashes than the ETags of S3": Fault(
        "rclone's server has the md5 of an object that was sent in parts; `read_back` is `false`",
        causes.other_hashes,
        (RCLONE,),
        FOUND,
        "has another hash in the store than was sent: expected the ETag …, found …",
        "nothing: the copy is read back. Set `read_back: true`",
    ),
    "an upload is deleted before it is proven": Fault(
        "a deletion",
        causes.changed_meanwhile,
        SERVERS,
        COPIED,
        "was deleted right after it had been copied",
        "find out what deleted it; it is copied again",
        points=("deleted",),
    ),
    "a copy is deleted while it gets its checksum file": Fault(
        "a deletion",
        causes.harmed_after_the_proof,
        STORES,
        COPIED,
        "was deleted right after it had been copied",
        "find out what deleted it; it is copied again",
        points=("deleted",),
    ),
    "a copy is changed while it gets its checksum file": Fault(
        "other bytes, the same size",
        causes.harmed_after_the_proof,
        STORES,
        COPIED,
        "was changed right after it had been copied",
        "find out what changed it; it is copied again",
    ),
    "the folder is renamed while a backup is copied": Fault(
        "another name before the manifest is written",
        causes.renamed_meanwhile,
        STORES,
        COPIED,
        "was deleted right after it had been copied",
        _RENAME_BACK,
    ),
}
_PODS = {
    "two installations copy the same backups to one folder": Fault(
        "two programs at the same time",
        causes.two_copiers,
        STORES,
        COPIED,
        "",
        "give each a `folder`",
        points=("at once", "while this one reads back"),
    ),
    "two installations copy different backups of one name to one folder": Fault(
        "two programs at the same time; afterwards this one has a separate folder",
        causes.different_copiers,
        STORES,
        FAILED,
        "differs from the backup of this name on the volume",
        "give each a `folder`",
    ),
    "the pod is killed between two steps": Fault(
        "SIGKILL " + ", ".join(causes.STEPS), causes.killed, STORES, KILLED, "", _NOTHING, points=tuple(causes.STEPS)
    ),
    "the pod is killed during an upload": Fault(
        "SIGKILL after 1, 3 and 5 MiB", causes.killed_in_upload, STORES, KILLED, "", _NOTHING, points=("1", "3", "5")
    ),
    "the pod is killed during a deletion": Fault(
        "SIGKILL before each file of a copy is deleted, and before the next copy is",
        causes.killed_in_deletion,
        STORES,
        KILLED,
        "",
        _NOTHING,
        points=(".sha256", ".json", "", "before the second copy"),
    ),
    "the window closes during an upload": Fault(
        "a window of 5 seconds",
        causes.window_closes,
        STORES,
        CLOSED,
        "",
        "make the window longer than the upload of one backup takes",
    ),
}
GROUPS = {
    "Answers of a store": _ANSWERS,
    "Keys and rights": _RIGHTS,
    "Options": _OPTIONS,
    "Network": _NETWORK,
    "Space": _SPACE,
    "Object Lock": _LOCKS,
    "Files that somebody changes": _CHANGES,
    "The pod": _PODS,
}
FAULTS = {name: fault for faults in GROUPS.values() for name, fault in faults.items()}
