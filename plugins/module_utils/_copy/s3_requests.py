# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Requests of the S3 API that rclone does not make: curl sends and signs them."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from .faults import PlaceError, fault

_SECONDS = 60
_BYTES = 65536
# More than a list of 1,000 uploads, the longest one that a store sends.
_LIST_BYTES = 4 << 20
# curl's exit status (https://curl.se/docs/manpage.html#EXIT).
_TOO_LARGE = 63
_DATE = re.compile(r"<RetainUntilDate>([0-9T:-]{19})[0-9.]*Z</RetainUntilDate>")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_UPLOAD = re.compile(r"<Upload>(.*?)</Upload>", re.DOTALL)
_FIELD = re.compile(r"<(Key|UploadId|Initiated)>([^<]*)</")
_ETAG = re.compile(r'^etag: *(?:W/)?"?([^"\r\n]*)', re.IGNORECASE | re.MULTILINE)
# The store has no lock for this object, or none at all.
_UNLOCKED = ("NoSuchObjectLockConfiguration", "InvalidRequest", "ObjectLockConfigurationNotFoundError")


@dataclass(frozen=True)
class MultipartUpload:
    """An upload in parts that has not ended: of an object `path` of the bucket, begun at the time `began`."""

    path: str
    id: str
    began: str


class S3Requests:
    """Requests for the objects of one place.

    `options` and `secrets` are those of the place, `authority` is a file with certificates that are trusted. Paths are
    the bucket and the name of an object.
    """

    def __init__(self, options: Mapping[str, object], secrets: Mapping[str, str], authority: str | None) -> None:
        region = str(options.get("region") or "us-east-1")
        self._endpoint = str(options.get("endpoint") or f"https://s3.{region}.amazonaws.com").rstrip("/")
        self._settings = {
            "user": f"{secrets['access_key_id'].strip()}:{secrets['secret_access_key'].strip()}",
            "aws-sigv4": f"aws:amz:{region}:s3",
            **({"cacert": authority} if authority else {}),
        }

    def read_lock(self, path: str) -> datetime | None:
        """The end of the lock of an object, None if it has none. Raises PlaceError.

        rclone shows the headers that it has sent with an upload, also of a store that keeps them and locks nothing
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html).
        """
        # A store that knows no locks may send the object.
        answer = self._send(path, "--max-filesize", str(_BYTES), query="?retention=")
        date, code = _DATE.search(answer), _CODE.search(answer)
        if date:
            return datetime.fromisoformat(f"{date[1]}+00:00")
        if code and code[1] not in _UNLOCKED:
            raise fault(f"api error {code[1]}:", 0)
        return None

    def read_etag(self, path: str) -> str | None:
        """The hash that the store has of an object, None if it shows none. Raises PlaceError.

        rclone does not show it (https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html).
        """
        found = _ETAG.search(self._send(path, "--head"))
        return found[1].strip().lower() if found else None

    def multipart_uploads(self, bucket: str, prefix: str) -> list[MultipartUpload]:
        """The first 1,000 of the objects whose paths begin with the prefix. Raises PlaceError.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html. MinIO shows those of one object
        alone, whose path is the prefix; it removes them itself after a day.
        """
        query = f"?prefix={quote(prefix, safe='')}&uploads="
        answer = self._checked(self._send(bucket, "--max-filesize", str(_LIST_BYTES), query=query))
        fields = [dict(_FIELD.findall(upload)) for upload in _UPLOAD.findall(answer)]
        return [
            MultipartUpload(html.unescape(each["Key"]), html.unescape(each["UploadId"]), each["Initiated"])
            for each in fields
            if len(each) == len(MultipartUpload.__dataclass_fields__)
        ]

    def abort(self, bucket: str, upload: MultipartUpload) -> None:
        """End an upload: the store deletes its parts. Raises PlaceError."""
        query = f"?uploadId={quote(upload.id, safe='')}"
        self._checked(self._send(f"{bucket}/{upload.path}", "--request", "DELETE", query=query))

    @staticmethod
    def _checked(answer: str) -> str:
        code = _CODE.search(answer)
        if code:
            raise fault(f"api error {code[1]}:", 0)
        return answer

    def _send(self, path: str, *options: str, query: str = "") -> str:
        """The answer; empty if it is too large."""
        settings = {"url": f"{self._endpoint}/{quote(path)}{query}", **self._settings}
        # Through standard input, since other processes can see arguments.
        lines = [f'{key} = "{_escaped(value)}"\n' for key, value in settings.items()]
        command = ["curl", "--silent", "--show-error", "--globoff", "--max-time", str(_SECONDS), *options]
        try:
            done = subprocess.run(
                [*command, "--config", "-"], input="".join(lines).encode(), capture_output=True, check=False
            )
        except FileNotFoundError:
            raise PlaceError(
                "expected the command curl in the image (postgres_backup_copy_image), found none", is_lasting=True
            ) from None
        if done.returncode == _TOO_LARGE:
            return ""
        if done.returncode:
            raise fault(done.stderr.decode("utf-8", "replace"), done.returncode)
        return done.stdout.decode("utf-8", "replace")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
