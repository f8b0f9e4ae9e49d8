# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The servers that receive messages in tests refuse what real ones refuse, and show what they got."""

from __future__ import annotations

import smtplib
import ssl
import urllib.error
import urllib.request

import pytest

from tests.receivers import loopback
from tests.receivers.servers import MAIL_PASSWORD, MAIL_USER, NTFY_TOKEN, TOPIC


def post(url: str, body: bytes, **headers: str) -> int:
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - the test's own
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_ntfy_wants_the_token() -> None:
    with loopback.ntfy() as ntfy:
        url = f"{ntfy.url}/{TOPIC}"
        assert post(url, b"no") == 403
        assert post(url, b"no", Authorization=f"Bearer {NTFY_TOKEN[:-1]}x") == 401
        assert post(url, "zu spät".encode(), Authorization=f"Bearer {NTFY_TOKEN}", Title="data") == 200
        (message,) = ntfy.messages()
        assert (message["title"], message["message"]) == ("data", "zu spät")


def test_web_server_records_and_answers_as_wanted() -> None:
    with loopback.web_server() as web:
        assert post(f"{web.url}/hook?a=1", b"one") == 200
        web.answer(503)
        assert post(f"{web.url}/hook", b"two", X="y") == 503
        one, two = web.requests()
        assert (one["method"], one["path"], one["body"]) == ("POST", "/hook?a=1", "one")
        assert (two["headers"]["x"], two["body"]) == ("y", "two")


def test_pushgateway_shows_what_was_pushed() -> None:
    with loopback.pushgateway() as gateway:
        assert post(f"{gateway.url}/metrics/job/backup", b"postgres_backup_copies 2\n") == 200
        assert 'postgres_backup_copies{instance="",job="backup"} 2' in gateway.metrics()
        assert post(f"{gateway.url}/metrics/job/backup", b"not metrics\n") == 400


@pytest.mark.parametrize("tls", ["from the first byte", "STARTTLS"])
def test_mail_server_wants_tls_and_a_login(tls: str) -> None:
    with loopback.mail_server() as server:
        context = ssl.create_default_context(cadata=server.ca)
        if tls == "STARTTLS":
            with (
                smtplib.SMTP(server.host, server.starttls_port, timeout=10) as plain,
                pytest.raises(smtplib.SMTPException),
            ):
                plain.sendmail("a@example.com", ["b@example.com"], "Subject: no\n\n")
            client = smtplib.SMTP(server.host, server.starttls_port, timeout=10)
            client.starttls(context=context)
        else:
            client = smtplib.SMTP_SSL(server.host, server.port, context=context, timeout=10)
        with client:
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail("a@example.com", ["b@example.com"], "Subject: no\n\n")
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login(MAIL_USER, "another")
            client.login(MAIL_USER, MAIL_PASSWORD)
            client.sendmail("a@example.com", ["b@example.com"], "Subject: yes\n\nThe text\n")
        (mail,) = server.mails()
        assert (mail["sender"], mail["recipients"]) == ("a@example.com", ["b@example.com"])
        assert (mail["headers"]["subject"], mail["body"].strip()) == ("yes", "The text")
