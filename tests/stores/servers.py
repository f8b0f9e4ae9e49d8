# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""How each server is started, how clients reach it, and what a test sees and changes there behind their back."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

ACCESS_KEY, SECRET_KEY = "the-copies-key", "the+secret/key=of$the copies"
REGION = "us-east-1"
SFTP_USER = "backup"
"""A user that Debian has: sshd that does not run as root accepts only the user that it runs as."""
SFTP_PASSWORD = "the $password 'of the copies'"

# A test must not wait for minutes until rclone gives up.
IMPATIENT = ("--retries=1", "--low-level-retries=1", "--contimeout=5s", "--timeout=20s")

Run = Callable[[Sequence[str], Mapping[str, str], bytes], "subprocess.CompletedProcess[bytes]"]
"""Runs rclone or curl of the tools image: words, environment, standard input."""


def minio(host: str, port: int, folder: str, certificates: str | None = None) -> list[str]:
    """minio; the folder `certificates` has public.crt and private.key."""
    tls = ["--certs-dir", certificates] if certificates else []
    return ["server", "--quiet", "--address", f"{host}:{port}", "--console-address", "127.0.0.1:0", *tls, folder]


MINIO_ENVIRONMENT = {
    "MINIO_ROOT_USER": ACCESS_KEY,
    "MINIO_ROOT_PASSWORD": SECRET_KEY,
    "MINIO_BROWSER": "off",
    "MINIO_UPDATE": "off",
    "TZ": "UTC",
}


def rclone_s3(host: str, port: int, folder: str, certificates: str | None = None) -> list[str]:
    """A server of rclone whose buckets are the folders in `folder`; no versions, no Object Lock."""
    tls = [f"--cert={certificates}/public.crt", f"--key={certificates}/private.key"] if certificates else []
    login = f"--auth-key={ACCESS_KEY},{SECRET_KEY}"
    return ["serve", "s3", f"--addr={host}:{port}", login, "--vfs-cache-mode=off", *tls, folder]


def sshd(host: str, port: int, folder: str, files: str, refused: str = "") -> list[str]:
    """sshd for SFTP alone, with host_key and authorized_keys of the folder `files`; a session begins in `folder`.

    It has a second key, host_ecdsa_key, which clients do not know, and which many would ask for first. `refused` are
    requests of SFTP that it does not know, with commas between them.
    """
    options = {
        "ListenAddress": f"{host}:{port}",
        "HostKey": f"{files}/host_key",
        "AuthorizedKeysFile": f"{files}/authorized_keys",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "Subsystem": "sftp internal-sftp",
        "ForceCommand": f"internal-sftp -d {folder}{f' -P {refused}' if refused else ''}",
    }
    words = [f"-oHostKey={files}/host_ecdsa_key", *(f"-o{name}={value}" for name, value in options.items())]
    return ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *words]


def rclone_sftp(host: str, port: int, folder: str, files: str) -> list[str]:
    """rclone's SFTP server, for a login with a password; with host_key of the folder `files`."""
    login = [f"--user={SFTP_USER}", f"--pass={SFTP_PASSWORD}", f"--key={files}/host_key"]
    return ["serve", "sftp", f"--addr={host}:{port}", *login, "--vfs-cache-mode=off", folder]


@dataclass(frozen=True)
class Store:
    """A running server, and rclone's settings for it.

    Paths begin with the bucket or, of SFTP, in the folder where a session begins.
    """

    host: str
    port: int
    run: Run = field(repr=False)
    data: str = field(default="", kw_only=True)
    """The folder of this machine with its files, where it runs here and keeps them as they are."""
    disk: str = field(default="", kw_only=True)
    """The folder of this machine on whose file system it keeps its files."""

    def settings(self) -> dict[str, str]:
        """The options of the remote in rclone's configuration; the same as environment: `environment`."""
        raise NotImplementedError

    def environment(self, name: str = "store") -> dict[str, str]:
        """Variables with which rclone knows the server as NAME:, without a configuration file."""
        settings = {f"RCLONE_CONFIG_{name.upper()}_{key.upper()}": value for key, value in self.settings().items()}
        return {"RCLONE_CONFIG": "/dev/null", **settings}

    def rclone(self, *words: str, stdin: bytes = b"", check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run rclone of the tools image where the server can be reached; `store:` is the server."""
        done = self.run(["rclone", *IMPATIENT, *words], self.environment(), stdin)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done

    def files(self, path: str = "") -> dict[str, int]:
        """The size of each file below a path, by its path from there."""
        return {item["Path"]: item["Size"] for item in self.listing(path)}

    def listing(self, path: str = "", *options: str) -> list[dict[str, Any]]:
        """The fields of `rclone lsjson` for each file: `-M` adds Metadata and `--hash` adds Hashes."""
        found: list[dict[str, Any]] = json.loads(
            self.rclone("lsjson", "-R", "--files-only", *options, f"store:{path}").stdout
        )
        return found

    def read(self, path: str) -> bytes:
        return self.rclone("cat", f"store:{path}").stdout

    def write(self, path: str, content: bytes) -> None:
        self.rclone("rcat", f"store:{path}", stdin=content)

    def delete(self, path: str) -> None:
        self.rclone("deletefile", f"store:{path}")


@dataclass(frozen=True)
class S3Store(Store):
    """An S3 server. With `ca`, the PEM of the certificate that clients have to trust, it speaks TLS."""

    provider: str = "Minio"
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    ca: str = ""
    ca_file: str = ""
    """A file with `ca`, for programs that can reach the server."""

    @property
    def url(self) -> str:
        return f"{'https' if self.ca else 'http'}://{self.host}:{self.port}"

    def settings(self) -> dict[str, str]:
        return {
            "type": "s3",
            "provider": self.provider,
            "endpoint": self.url,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
            "region": REGION,
        }

    def environment(self, name: str = "store") -> dict[str, str]:
        ca = {"RCLONE_CA_CERT": self.ca_file} if self.ca_file else {}
        return {**super().environment(name), **ca}

    def with_key(self, access_key: str, secret_key: str) -> S3Store:
        """The same server for a client that uses this key."""
        return replace(self, access_key=access_key, secret_key=secret_key)

    def through(self, port: int) -> S3Store:
        """The same server behind a proxy on this machine."""
        return replace(self, port=port)

    def make_bucket(self, name: str, *, locked: bool = False) -> None:
        """A bucket; a locked one has versions and Object Lock, without a retention of each new object."""
        self.rclone("mkdir", *(["--s3-bucket-object-lock-enabled"] if locked else []), f"store:{name}")

    def versions(self, bucket: str) -> list[tuple[str, str]]:
        """Path and version of each object and each delete marker, also of those that were replaced or deleted."""
        text = self.api("GET", f"/{bucket}?versions=").stdout.decode()
        return [
            (part.split("</Key>")[0], part.split("<VersionId>")[1].split("</VersionId>")[0])
            for part in text.split("<Key>")[1:]
        ]

    def delete_version(self, bucket: str, path: str, version: str, *, bypass: bool = False) -> int:
        """Delete one version for good; returns the status. `bypass` ends a lock of the mode GOVERNANCE."""
        return self._status("DELETE", f"/{bucket}/{path}?versionId={version}", b"", *_bypass(bypass))

    def retention(self, bucket: str, path: str) -> tuple[str, datetime] | None:
        """Mode and end of the lock of the newest version; None if it has none."""
        text = self.api("GET", f"/{bucket}/{path}?retention=").stdout.decode()
        if "<Mode>" not in text:
            return None
        mode, end = (text.split(f"<{tag}>")[1].split("<")[0] for tag in ("Mode", "RetainUntilDate"))
        return mode, datetime.fromisoformat(end.replace("Z", "+00:00"))

    def set_retention(self, bucket: str, path: str, mode: str, end: datetime, *, bypass: bool = False) -> int:
        """Lock the newest version, or change its lock; returns the status."""
        date = end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{date}</RetainUntilDate></Retention>".encode()
        return self._status("PUT", f"/{bucket}/{path}?retention=", body, *_bypass(bypass))

    def set_default_retention(self, bucket: str, mode: str, days: int) -> int:
        """Lock each new object of a locked bucket for some days; returns the status."""
        rule = f"<Rule><DefaultRetention><Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention></Rule>"
        enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
        body = f"<ObjectLockConfiguration>{enabled}{rule}</ObjectLockConfiguration>".encode()
        return self._status("PUT", f"/{bucket}?object-lock=", body)

    def api(
        self, method: str, path: str, body: bytes = b"", *headers: str, status: bool = False
    ) -> subprocess.CompletedProcess[bytes]:
        """A request of the S3 API: path and query, encoded. With `status`, the answer's status follows its body."""
        words = ["curl", "--silent", "--show-error", "--max-time", "20", "--request", method, "--globoff"]
        words += ["--aws-sigv4", f"aws:amz:{REGION}:s3", "--user", f"{self.access_key}:{self.secret_key}"]
        if body:
            digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            words += ["--data-binary", "@-", "--header", f"Content-MD5: {digest}"]
        words += [word for header in headers for word in ("--header", header)]
        words += ["--cacert", self.ca_file] if self.ca_file else []
        words += ["--write-out", "\n%{http_code}"] if status else []
        done = self.run([*words, self.url + path], {}, body)
        assert done.returncode == 0, done.stderr.decode()
        return done

    def _status(self, method: str, path: str, body: bytes, *headers: str) -> int:
        return int(self.api(method, path, body, *headers, status=True).stdout.rpartition(b"\n")[2])


def _bypass(bypass: bool) -> list[str]:
    return ["x-amz-bypass-governance-retention: true"] if bypass else []


@dataclass(frozen=True)
class SftpStore(Store):
    """An SFTP server that accepts one key pair, or one password."""

    private_key: str = field(default="", repr=False)
    """As OpenSSH writes it."""
    host_key: str = ""
    """The public key that the server has: type and key, as in known_hosts."""
    known_hosts_file: str = ""
    """A file with `known_hosts`, for programs that can reach the server."""
    user: str = SFTP_USER
    password: str = field(default="", repr=False)

    @property
    def known_hosts(self) -> str:
        """The line of a file known_hosts."""
        name = self.host if self.port == 22 else f"[{self.host}]:{self.port}"
        return f"{name} {self.host_key}\n"

    def settings(self) -> dict[str, str]:
        # The key in one line, the password not readable at a glance, as rclone wants them.
        login = {"key_pem": self.private_key.replace("\n", "\\n")}
        if self.password:
            obscured = self.run(["rclone", "obscure", "-"], {}, self.password.encode())
            login = {"pass": obscured.stdout.decode().strip()}
        return {
            "type": "sftp",
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            **login,
            "known_hosts_file": self.known_hosts_file,
            "host_key_algorithms": self.host_key.split()[0],
            "shell_type": "none",
        }

    def through(self, port: int) -> SftpStore:
        """The same server behind a proxy on this machine; the host key is not checked by `rclone` then."""
        return replace(self, port=port, known_hosts_file="")
