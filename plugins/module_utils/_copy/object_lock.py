# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Until when a store refuses to delete an object: asked with the S3 API, by curl, which signs the request.

rclone shows the headers that it has sent with an upload, also of a store that keeps them and locks nothing
(https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

from .faults import PlaceError, fault

_SECONDS = 60
_BYTES = 65536
# curl's exit status (https://curl.se/docs/manpage.html#EXIT).
_TOO_LARGE = 63
_DATE = re.compile(r"<RetainUntilDate>([0-9T:-]{19})[0-9.]*Z</RetainUntilDate>")
_CODE = re.compile(r"<Code>(\w+)</Code>")
# The store has no lock for this object, or none at all.
_UNLOCKED = ("NoSuchObjectLockConfiguration", "InvalidRequest", "ObjectLockConfigurationNotFoundError")


def read_lock(
    options: Mapping[str, object], secrets: Mapping[str, str], path: str, authority: str | None
) -> datetime | None:
    """The end of the lock of an object, None if it has none. Raises PlaceError.

    `path` is the bucket and the name of the object, `authority` a file with certificates that are trusted.
    """
    region = str(options.get("region") or "us-east-1")
    endpoint = str(options.get("endpoint") or f"https://s3.{region}.amazonaws.com").rstrip("/")
    settings = {
        "url": f"{endpoint}/{quote(path)}?retention=",
        "user": f"{secrets['access_key_id'].strip()}:{secrets['secret_access_key'].strip()}",
        "aws-sigv4": f"aws:amz:{region}:s3",
        **({"cacert": authority} if authority else {}),
    }
    # Through standard input, since other processes can see arguments.
    lines = [f'{name} = "{_escaped(value)}"\n' for name, value in settings.items()]
    command = ["curl", "--silent", "--show-error", "--globoff", "--max-time", str(_SECONDS)]
    # A store that knows no locks may send the object.
    command += ["--max-filesize", str(_BYTES), "--config", "-"]
    try:
        done = subprocess.run(command, input="".join(lines).encode(), capture_output=True, check=False)
    except FileNotFoundError:
        raise PlaceError(
            "expected the command curl in the image (postgres_backup_copy_image), found none", is_lasting=True
        ) from None
    if done.returncode == _TOO_LARGE:
        return None
    if done.returncode:
        raise fault(done.stderr.decode("utf-8", "replace"), done.returncode)
    answer = done.stdout.decode("utf-8", "replace")
    date, code = _DATE.search(answer), _CODE.search(answer)
    if date:
        return datetime.fromisoformat(f"{date[1]}+00:00")
    if code and code[1] not in _UNLOCKED:
        raise fault(f"api error {code[1]}:", 0)
    return None


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
