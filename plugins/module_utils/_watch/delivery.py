# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Sends messages. Every error is a sentence without a secret, and nothing takes longer than its limit."""

from __future__ import annotations

import http.client
import smtplib
import ssl
import subprocess
import threading
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
)

from ..secret_files import read_secrets
from .configuration import APPRISE, MAIL, Channel
from .messages import Message
from .redaction import redacted
from .requests import HttpRequest, SecretError, message_request, secret_value

# For one message through one channel, and for one step of it.
_SECONDS, _STEP_SECONDS = 45, 20
_ERROR_CHARACTERS = 300
_ADVICE = {
    401: "Check the token, or user and password",
    403: "Check the token, or user and password",
    404: "Check the URL",
    413: "The server does not accept a message of this size",
    429: "The server accepts fewer messages",
}
_IMPLICIT_TLS_PORT, _SUBMISSION_PORT, _SMTP_PORT = 465, 587, 25

Result = TypeVar("Result")


class DeliveryError(Exception):
    """Something could not be sent; the message has no secret."""


def within(seconds: float, function: Callable[[], Result]) -> Result:
    """The function's result; raises TimeoutError after that time. Then the function may continue in its thread.

    A timeout of a socket is for each step, so a slow server would remain below it, and a read of a network file system
    has none.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # it is raised below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def send_message(channel: Channel, message: Message) -> None:
    """Send a message; raises DeliveryError."""
    send = {MAIL: _mail, APPRISE: _apprise}.get(channel.kind, _http_message)
    _guarded(channel, lambda secrets: send(channel, secrets, message))


def send_request(channel: Channel, make: Callable[[Mapping[str, str]], HttpRequest]) -> None:
    """Make a request from the channel's secrets, and send it; raises DeliveryError."""
    _guarded(channel, lambda secrets: _http(make(secrets), secrets.get("ca.crt", "")))


def _guarded(channel: Channel, send: Callable[[Mapping[str, str]], None]) -> None:
    secrets: dict[str, str] = {}

    def work() -> None:
        secrets.update(read_secrets(channel.folder))
        send(secrets)

    try:
        within(_SECONDS, work)
    except (DeliveryError, SecretError) as error:
        text = str(error)
    except Exception as error:
        text = _cause(error)
    else:
        return
    # The name of a user may be a word of any sentence.
    hidden = [value for key, value in secrets.items() if key not in ("ca.crt", "user")]
    raise DeliveryError(" ".join(redacted(text, hidden).split())[:_ERROR_CHARACTERS])


def _http_message(channel: Channel, secrets: Mapping[str, str], message: Message) -> None:
    _http(message_request(channel, secrets, message), secrets.get("ca.crt", ""))


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would send the token to another server."""

    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None


def _opener(certificates: str) -> OpenerDirector:
    return build_opener(ProxyHandler({}), HTTPHandler(), HTTPSHandler(context=_tls(certificates)), _NoRedirects())


def _tls(certificates: str) -> ssl.SSLContext:
    """The rules of TLS, with the certificate authorities of the image and those of the Secret (`ca.crt`)."""
    context = ssl.create_default_context()
    if certificates.strip():
        # Since Python 3.13, an authority without keyUsage is refused, as many that people make themselves are.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        try:
            context.load_verify_locations(cadata=certificates)
        except ssl.SSLError:
            raise DeliveryError(
                "expected certificates in PEM in the key ca.crt of the Secret, found another text"
            ) from None
    return context


def _http(request: HttpRequest, certificates: str) -> None:
    http_request = Request(request.url, data=request.body, method=request.method)  # noqa: S310 - requests.py: http(s)
    for name, value in {"User-Agent": "homelab.postgres_backup", **request.headers}.items():
        # Unlike a header of the request, such a one is never sent to another server.
        http_request.add_unredirected_header(name, value)
    try:
        with _opener(certificates).open(http_request, timeout=_STEP_SECONDS) as response:
            response.read(_ERROR_CHARACTERS)
    except HTTPError as error:
        raise DeliveryError(_status(error.code)) from None


def _status(code: int) -> str:
    name = http.client.responses.get(code, "")
    advice = (
        "Redirects are not followed: use the URL of the other server" if code // 100 == 3 else _ADVICE.get(code, "")
    )
    return f"the server answered {code} {name}".rstrip() + (f". {advice}" if advice else "")


def _mail(channel: Channel, secrets: Mapping[str, str], message: Message) -> None:
    options = channel.options
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.title, options["from"], ", ".join(options["to"])
    mail["Date"] = formatdate()
    # The same each time, so that mail programs can recognise a message that was sent twice.
    mail["Message-ID"] = f"<{message.identity}.{channel.name}@{options['from'].rpartition('@')[2] or 'localhost'}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    tls = options.get("tls") or "starttls"
    port = options.get("port") or {"tls": _IMPLICIT_TLS_PORT, "starttls": _SUBMISSION_PORT}.get(tls, _SMTP_PORT)
    context = _tls(secrets.get("ca.crt", ""))
    if tls == "tls":
        client: smtplib.SMTP = smtplib.SMTP_SSL(options["host"], port, timeout=_STEP_SECONDS, context=context)
    else:
        client = smtplib.SMTP(options["host"], port, timeout=_STEP_SECONDS)
    with client:
        if tls == "starttls":
            client.starttls(context=context)
        if secrets.get("user", "").strip():
            client.login(secrets["user"].strip(), secret_value(channel, secrets, "password"))
        refused = client.send_message(mail)
    if refused:
        raise DeliveryError(f"the server refused {len(refused)} of {len(options['to'])} recipients")


def _apprise(channel: Channel, secrets: Mapping[str, str], message: Message) -> None:
    """Through the command apprise. It reads its URLs from the file of the Secret, since arguments are visible."""
    secret_value(channel, secrets, "url")
    command = ["apprise", f"--config={channel.folder}/url", f"--title={message.title}", "--input-format=text"]
    try:
        result = subprocess.run(
            command,
            input=message.text.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS - 1,
            check=False,
        )
    except FileNotFoundError:
        raise DeliveryError(
            "expected the command apprise in the image (postgres_backup_watch_image), found none"
        ) from None
    if result.returncode:
        raise DeliveryError(f"apprise ended with the exit status {result.returncode}: at least one of its URLs failed")


def _cause(error: BaseException) -> str:
    """An error in words. Its own text is used where it is that of the operating system or of a server."""
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return _cause(error.reason)
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return words(error)
    return f"unexpected error: {type(error).__name__}"


def _answer(error: Any) -> str:
    text = error.smtp_error
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


_CHECK_HOST = "Check the host, and postgres_backup_watch_egress"
# The first that fits: later ones are more general.
_CAUSES: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (subprocess.TimeoutExpired, lambda _error: "apprise did not end in time"),
    (TimeoutError, lambda _error: f"no answer in time. {_CHECK_HOST}"),
    (
        ssl.SSLCertVerificationError,
        lambda error: f"TLS: {error.verify_message}. Is the certificate authority in the key ca.crt of the Secret?",
    ),
    (ssl.SSLError, lambda error: f"TLS: {error.reason or 'failed'}"),
    (smtplib.SMTPNotSupportedError, lambda error: f"the mail server does not support it: {error}"),
    (smtplib.SMTPResponseException, lambda error: f"the mail server answered {error.smtp_code}: {_answer(error)}"),
    (
        smtplib.SMTPRecipientsRefused,
        lambda error: f"the mail server refused all {len(error.recipients)} recipients",
    ),
    (OSError, lambda error: f"{error.strerror or type(error).__name__}. {_CHECK_HOST}"),
)
