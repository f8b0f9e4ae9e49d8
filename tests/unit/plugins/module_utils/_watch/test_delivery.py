# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Messages through real connections on this machine, to servers that accept, refuse, redirect and keep silent."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from plugins.module_utils._watch import delivery
from plugins.module_utils._watch.configuration import Channel
from plugins.module_utils._watch.delivery import DeliveryError, send_message, send_request, within
from plugins.module_utils._watch.messages import Message
from plugins.module_utils._watch.requests import FAIL, START, SUCCESS, ping_request, push_request
from tests.receivers.listeners import HOST, Post, Web, post, server_context, web

from .volume import channel

TOKEN = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"
MESSAGE = Message("alarm-7-20261122030000", "alarm", "data/postgres-backup: PROBLEM age", 'A "quoted" line\n<b>ä & $x')


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as found:
        yield found


def with_secrets(tmp_path: Path, kind: str, secrets: dict[str, str], **options: object) -> Channel:
    """A channel whose Secret is a folder, as the kubelet makes it."""
    folder = tmp_path / "secret"
    (folder / "..data").mkdir(parents=True)
    for key, value in secrets.items():
        (folder / "..data" / key).write_text(value)
        (folder / key).symlink_to(f"..data/{key}")
    return channel("phone", kind, str(folder), **options)


def test_ntfy(server: Web, tmp_path: Path) -> None:
    send_message(with_secrets(tmp_path, "ntfy", {"url": server.url("/backups\n"), "token": f"{TOKEN}\n"}), MESSAGE)
    [request] = server.received
    assert (request.method, request.path, request.body.decode()) == ("POST", "/backups", MESSAGE.text)
    assert request.headers["Title"] == MESSAGE.title and request.headers["Priority"] == "high"
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"


def test_user_and_password(server: Web, tmp_path: Path) -> None:
    secrets = {"url": server.url("/x"), "user": "me", "password": "söcret:1\n"}
    send_message(with_secrets(tmp_path, "ntfy", secrets), MESSAGE)
    kind, _, value = server.received[0].headers["Authorization"].partition(" ")
    assert (kind, b64decode(value).decode()) == ("Basic", "me:söcret:1")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("json", {"title": MESSAGE.title, "text": MESSAGE.text, "kind": "alarm", "id": MESSAGE.identity}),
        ("slack", {"text": f'{MESSAGE.title}\nA "quoted" line\n&lt;b&gt;ä &amp; $x'}),
        ("discord", {"content": f"{MESSAGE.title}\n{MESSAGE.text}", "allowed_mentions": {"parse": []}}),
    ],
)
def test_webhook(server: Web, tmp_path: Path, template: str, expected: dict[str, object]) -> None:
    send_message(with_secrets(tmp_path, "webhook", {"url": server.url("/hook")}, template=template), MESSAGE)
    [request] = server.received
    assert (request.method, request.headers["Content-Type"]) == ("POST", "application/json")
    assert json.loads(request.body) == expected


def test_teams(server: Web, tmp_path: Path) -> None:
    send_message(with_secrets(tmp_path, "webhook", {"url": server.url("/hook?sig=x")}, template="teams"), MESSAGE)
    [request] = server.received
    [attachment] = json.loads(request.body)["attachments"]
    assert [block["text"] for block in attachment["content"]["body"]] == [MESSAGE.title, *MESSAGE.text.splitlines()]
    assert request.path == "/hook?sig=x"


def test_matrix_gives_one_message_for_one_identity(server: Web, tmp_path: Path) -> None:
    path = f"/_matrix/client/v3/rooms/{quote('!room:home', safe='')}/send/m.room.message"
    target = with_secrets(tmp_path, "webhook", {"url": server.url(path), "token": TOKEN}, template="matrix")
    send_message(target, MESSAGE)
    send_message(target, MESSAGE)
    assert {(request.method, request.path) for request in server.received} == {("PUT", f"{path}/{MESSAGE.identity}")}
    assert json.loads(server.received[0].body)["msgtype"] == "m.text"


def test_own_template(server: Web, tmp_path: Path) -> None:
    body = '{"summary": "${title}", "details": "${text}", "price": "$5 ${other}"}'
    send_message(with_secrets(tmp_path, "webhook", {"url": server.url()}, template="body", body=body), MESSAGE)
    content = json.loads(server.received[0].body)
    assert content == {"summary": MESSAGE.title, "details": MESSAGE.text, "price": "$5 ${other}"}


@pytest.mark.parametrize(("event", "path"), [(START, "/u-1/start"), (SUCCESS, "/u-1"), (FAIL, "/u-1/fail")])
def test_ping(server: Web, tmp_path: Path, event: str, path: str) -> None:
    target = with_secrets(tmp_path, "ping", {"url": server.url("/u-1")})
    send_request(target, lambda secrets: ping_request(target, secrets, event, "age: too old"))
    assert [(request.method, request.path, request.body) for request in server.received] == [
        ("POST", path, b"age: too old")
    ]


def test_pushgateway(server: Web, tmp_path: Path) -> None:
    target = with_secrets(tmp_path, "pushgateway", {"url": server.url("/base/")})
    send_request(target, lambda secrets: push_request(target, secrets, "/metrics/job/x", "a 1\n"))
    assert [(request.method, request.path) for request in server.received] == [("PUT", "/base/metrics/job/x")]


def test_tls_needs_the_authority_of_the_secret(tmp_path: Path) -> None:
    context = server_context(tmp_path)
    with web(context) as server:
        secrets = {"url": server.url("/x")}
        with pytest.raises(DeliveryError, match=r"TLS: self-signed certificate.*ca.crt of the Secret"):
            send_message(with_secrets(tmp_path / "a", "ntfy", secrets), MESSAGE)
        assert server.received == []
        send_message(
            with_secrets(tmp_path / "b", "ntfy", {**secrets, "ca.crt": (tmp_path / "ca.crt").read_text()}), MESSAGE
        )
        assert server.paths() == ["/x"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, "the server answered 401 Unauthorized. Check the token, or user and password"),
        (404, "the server answered 404 Not Found. Check the URL"),
        (500, "the server answered 500 Internal Server Error"),
        (302, "the server answered 302 Found. Redirects are not followed: use the URL of the other server"),
    ],
)
def test_an_answer_that_is_not_success(server: Web, tmp_path: Path, status: int, expected: str) -> None:
    server.answers["/topic"] = status
    server.headers["Location"] = server.url("/other")
    server.body = TOKEN.encode()
    with pytest.raises(DeliveryError) as error:
        send_message(with_secrets(tmp_path, "ntfy", {"url": server.url("/topic"), "token": TOKEN}), MESSAGE)
    assert str(error.value) == expected
    assert server.paths() == ["/topic"], "no other request, and no token elsewhere"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, "expected the key url in the Secret phone-secret, found none, or no value"),
        ("", "expected the key url in the Secret phone-secret, found none, or no value"),
        ("file:///etc/passwd", "expected an http or https URL"),
        ("ftp://host/x", "expected an http or https URL"),
        ("http://user:sesame@host/x", "expected an http or https URL without a user"),
        ("http://ho st/x", "expected an http or https URL"),
        ("http://host:99999/x", "expected an http or https URL"),
        ("http://ho\nst/x", "expected an http or https URL"),
        ("http://[::1/sesame", "expected an http or https URL"),
    ],
)
def test_a_url_that_is_not_one(tmp_path: Path, url: str | None, expected: str) -> None:
    with pytest.raises(DeliveryError) as error:
        send_message(with_secrets(tmp_path, "ntfy", {} if url is None else {"url": url}), MESSAGE)
    assert str(error.value).startswith(expected)
    assert "sesame" not in str(error.value) and "passwd" not in str(error.value)


def test_no_secret_in_the_error_of_a_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        url = f"http://{HOST}:{unused.getsockname()[1]}/very-secret-topic?auth={TOKEN}"
        with pytest.raises(DeliveryError) as error:
            send_message(with_secrets(tmp_path, "ntfy", {"url": url}), MESSAGE)
    assert str(error.value) == "Connection refused. Check the host, and postgres_backup_watch_egress"


def test_a_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(delivery, "_SECONDS", 0.5)
    with web(silent=True) as server:
        began = time.monotonic()
        with pytest.raises(DeliveryError, match=r"no answer in time"):
            send_message(with_secrets(tmp_path, "ntfy", {"url": server.url("/x")}), MESSAGE)
        assert time.monotonic() - began < 5


MAIL = {"host": HOST, "from": "backup@home.example", "to": ["me@home.example", "you@home.example"]}


def test_mail_with_starttls_and_login(tmp_path: Path) -> None:
    with post(server_context(tmp_path)) as server:
        secrets = {"user": "me", "password": "sesame\n", "ca.crt": (tmp_path / "ca.crt").read_text()}
        send_message(with_secrets(tmp_path, "mail", secrets, **MAIL, port=server.port), MESSAGE)
        [mail] = server.mails
        assert mail["Subject"] == MESSAGE.title and mail["To"] == "me@home.example, you@home.example"
        assert mail.get_content().replace("\r\n", "\n").strip() == MESSAGE.text
        assert mail["Message-ID"] == f"<{MESSAGE.identity}.phone@home.example>"
        assert server.used_tls == [True]
        assert b64decode(server.logins[0].split()[1]) == b"\0me\0sesame"


def test_mail_with_tls_from_the_beginning(tmp_path: Path) -> None:
    with post(server_context(tmp_path), implicit=True) as server:
        secrets = {"ca.crt": (tmp_path / "ca.crt").read_text()}
        send_message(with_secrets(tmp_path, "mail", secrets, **MAIL, port=server.port, tls="tls"), MESSAGE)
        assert server.used_tls == [True] and server.logins == []


def test_mail_without_tls_only_if_that_is_configured(tmp_path: Path) -> None:
    with post() as server:
        with pytest.raises(DeliveryError, match=r"does not support it: STARTTLS"):
            send_message(
                with_secrets(tmp_path / "a", "mail", {"user": "me", "password": "x"}, **MAIL, port=server.port), MESSAGE
            )
        assert server.logins == [] and server.mails == []
        send_message(with_secrets(tmp_path / "b", "mail", {}, **MAIL, port=server.port, tls="none"), MESSAGE)
        assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("command", "answer", "expected"),
    [
        ("AUTH", "535 sesame is wrong", "the mail server answered 535: *** is wrong"),
        ("RCPT", "550 unknown", "the mail server refused all 2 recipients"),
        ("DATA", "552 too large", "the mail server answered 552: too large"),
        ("MAIL", "553 not you", "the mail server answered 553: not you"),
    ],
)
def test_mail_that_is_refused(tmp_path: Path, command: str, answer: str, expected: str) -> None:
    with post() as server:
        server.refuses[command] = answer
        target = with_secrets(
            tmp_path, "mail", {"user": "me", "password": "sesame"}, **MAIL, port=server.port, tls="none"
        )
        with pytest.raises(DeliveryError) as error:
            send_message(target, MESSAGE)
        assert str(error.value) == expected


APPRISE = """\
#!/bin/sh
printf '%s\\n' "$@" >"$SEEN/arguments"
cat >"$SEEN/text"
cat /proc/$$/cmdline | tr '\\0' ' ' >"$SEEN/cmdline"
exit ${STATUS:-0}
"""


def test_apprise_gets_its_urls_from_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "apprise"
    program.parent.mkdir()
    program.write_text(APPRISE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SEEN", str(tmp_path))
    target = with_secrets(tmp_path, "apprise", {"url": f"gotify://host/{TOKEN}"})
    send_message(target, MESSAGE)
    assert (tmp_path / "text").read_text() == MESSAGE.text
    arguments = (tmp_path / "arguments").read_text()
    assert f"--config={target.folder}/url" in arguments and MESSAGE.title in arguments
    assert TOKEN not in (tmp_path / "cmdline").read_text()
    monkeypatch.setenv("STATUS", "1")
    with pytest.raises(DeliveryError, match="apprise ended with the exit status 1"):
        send_message(target, MESSAGE)


def test_an_image_without_apprise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeliveryError, match=r"expected the command apprise in the image"):
        send_message(with_secrets(tmp_path, "apprise", {"url": f"gotify://host/{TOKEN}"}), MESSAGE)


def test_within_gives_results_errors_and_limits() -> None:
    assert within(5, lambda: 7) == 7
    with pytest.raises(ValueError, match="x"):
        within(5, lambda: int("x"))
    ended = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, ended.wait)
    ended.set()


def test_posts_are_recorded_as_they_are(tmp_path: Path) -> None:
    """The mail server of these tests: a line that begins with a dot arrives."""
    with post() as server:
        message = Message("x", "test", "t", ".dot\n..two")
        send_message(with_secrets(tmp_path, "mail", {}, **MAIL, port=server.port, tls="none"), message)
        assert _lines(server) == [".dot", "..two"]


def _lines(server: Post) -> list[str]:
    return str(server.mails[0].get_content()).split()
