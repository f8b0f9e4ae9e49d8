# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A mail server: `mail_server.py HOST TLS_PORT STARTTLS_PORT FOLDER CERTIFICATES`.

The folder CERTIFICATES has tls.crt and tls.key.

Mail is accepted after a login only, as the user and with the password of the environment variables MAIL_USER and
MAIL_PASSWORD, and never without TLS: from the first byte on TLS_PORT, after STARTTLS on STARTTLS_PORT. Each mail is
appended to FOLDER/mails.jsonl. It runs in the image `receivers`, which has aiosmtpd.
"""

from __future__ import annotations

import email
import json
import os
import ssl
import sys
import threading
import time
from email import policy
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller  # type: ignore[import-not-found, unused-ignore]
from aiosmtpd.smtp import AuthResult, LoginPassword  # type: ignore[import-not-found, unused-ignore]


class Recorder:
    """What becomes of a mail."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.touch()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        """Record it."""
        message = email.message_from_bytes(envelope.content, policy=policy.default)
        body = message.get_body(("plain", "html"))
        mail = {
            "time": time.time(),
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "body": body.get_content() if body else "",
        }
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(mail) + "\n")
        return "250 accepted"


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    """Whether these are the user and the password."""
    expected = LoginPassword(os.environ["MAIL_USER"].encode(), os.environ["MAIL_PASSWORD"].encode())
    # Not handled: the library still has to answer.
    return AuthResult(success=data == expected, handled=False)


def main() -> None:
    """Serve until the process is ended."""
    host, tls_port, starttls_port, folder, certificates = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(certificates, "tls.crt"), Path(certificates, "tls.key"))
    recorder = Recorder(Path(folder, "mails.jsonl"))
    login = {"authenticator": authenticate, "auth_required": True, "hostname": host, "data_size_limit": 1 << 20}
    # With TLS from the first byte the library does not know that there is any.
    implicit = Controller(recorder, port=int(tls_port), **login, ssl_context=tls, auth_require_tls=False)
    explicit = Controller(recorder, port=int(starttls_port), **login, tls_context=tls, require_starttls=True)
    implicit.start()
    explicit.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
