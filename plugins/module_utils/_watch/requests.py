# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The requests of the channels that are reached by HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from .changes import ALARM
from .configuration import NTFY, Channel
from .messages import Message, cut

_JSON = "application/json"
# ntfy's message is at most 4,096 bytes, Discord's 2,000 characters.
_NTFY_LIMIT, _DISCORD_LIMIT = 4000, 1900
START, SUCCESS, FAIL, LOG = "start", "", "fail", "log"


class SecretError(Exception):
    """A channel's Secret does not have what the channel needs. The message has no value of it."""


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request; `url`, `headers` and `body` may hold secrets."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def message_request(channel: Channel, secrets: Mapping[str, str], message: Message) -> HttpRequest:
    """The request that sends a message through a channel of the kind ntfy or webhook.

    `secrets` has the values of the channel's Secret by their keys. Raises SecretError.
    """
    url = _url(channel, secrets)
    authorization = _authorization(secrets)
    if channel.kind == NTFY:
        return HttpRequest(
            "POST",
            urlunsplit(url),
            {**_ntfy_headers(channel, message), **authorization},
            cut(message.text, _NTFY_LIMIT).encode(),
        )
    template = channel.options.get("template") or "json"
    if template == "matrix":
        # The same transaction id twice gives one message (Matrix client-server API, PUT …/send/{eventType}/{txnId}).
        path = f"{url.path.rstrip('/')}/{quote(message.identity, safe='')}"
        return HttpRequest(
            "PUT",
            urlunsplit(url._replace(path=path)),
            {"Content-Type": _JSON, **authorization},
            _json({"msgtype": "m.text", "body": f"{message.title}\n\n{message.text}"}),
        )
    if template == "body":
        kind = str(channel.options.get("content_type") or _JSON)
        body = _filled(str(channel.options["body"]), message, is_json="json" in kind).encode()
        return HttpRequest("POST", urlunsplit(url), {"Content-Type": kind, **authorization}, body)
    return HttpRequest(
        "POST", urlunsplit(url), {"Content-Type": _JSON, **authorization}, _json(_CONTENTS[template](message))
    )


def ping_request(channel: Channel, secrets: Mapping[str, str], event: str, text: str) -> HttpRequest:
    """A ping (healthchecks.io, "Pinging API"): START, SUCCESS, FAIL, or LOG, which changes nothing."""
    url = _url(channel, secrets)
    path = url.path.rstrip("/") + (f"/{event}" if event else "")
    return HttpRequest("POST", urlunsplit(url._replace(path=path)), _authorization(secrets), text.encode())


def push_request(
    channel: Channel, secrets: Mapping[str, str], path: str, text: str, *, method: str = "PUT"
) -> HttpRequest:
    """A request to a Pushgateway; `path` is that of the group."""
    url = _url(channel, secrets)
    headers = {"Content-Type": "text/plain; version=0.0.4", **_authorization(secrets)}
    return HttpRequest(method, urlunsplit(url._replace(path=url.path.rstrip("/") + path)), headers, text.encode())


def secret_value(channel: Channel, secrets: Mapping[str, str], key: str) -> str:
    """The value of a key without the white space around it; raises SecretError if there is none."""
    value = secrets.get(key, "").strip()
    if not value:
        raise SecretError(f"expected the key {key} in the Secret {channel.secret}, found none, or no value")
    return value


def _url(channel: Channel, secrets: Mapping[str, str]) -> SplitResult:
    """The URL of the Secret without user and password; raises SecretError."""
    text = secret_value(channel, secrets, "url")
    try:
        url = urlsplit(text)
        is_usable = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        is_usable = False
    if not is_usable or url.username is not None or any(character <= " " or character > "~" for character in text):
        raise SecretError(
            f"expected an http or https URL without a user in the key url of the Secret {channel.secret}, found "
            "another text"
        )
    return url


def _authorization(secrets: Mapping[str, str]) -> dict[str, str]:
    token, user = secrets.get("token", "").strip(), secrets.get("user", "").strip()
    if token:
        return {"Authorization": f"Bearer {_one_line(token)}"}
    if user:
        pair = f"{user}:{secrets.get('password', '').strip()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _one_line(text: str) -> str:
    if any(character <= " " or character > "~" for character in text):
        raise SecretError("expected a token of visible ASCII characters in the key token of the Secret, found others")
    return text


def _ntfy_headers(channel: Channel, message: Message) -> dict[str, str]:
    is_alarm = message.kind == ALARM
    priority = channel.options.get("priority") or ("high" if is_alarm else "default")
    return {"Title": message.title, "Tags": "rotating_light" if is_alarm else "floppy_disk", "Priority": str(priority)}


def _filled(template: str, message: Message, *, is_json: bool) -> str:
    """A user's template with the message's values in place of ${title}, ${text}, ${kind} and ${id}."""
    values = {"title": message.title, "text": message.text, "kind": message.kind, "id": message.identity}
    if is_json:
        values = {name: json.dumps(value)[1:-1] for name, value in values.items()}
    return Template(template).safe_substitute(values)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode()


def _plain(message: Message) -> dict[str, Any]:
    return {"title": message.title, "text": message.text, "kind": message.kind, "id": message.identity}


def _slack(message: Message) -> dict[str, Any]:
    # Slack reads <!channel> as a command, and & < > as markup ("Formatting text for app surfaces").
    text = f"{message.title}\n{message.text}"
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _discord(message: Message) -> dict[str, Any]:
    text = f"{message.title}\n{message.text}"
    return {"content": cut(text, _DISCORD_LIMIT), "allowed_mentions": {"parse": []}}


def _teams(message: Message) -> dict[str, Any]:
    blocks = [
        {"type": "TextBlock", "text": message.title, "weight": "Bolder", "wrap": True},
        *({"type": "TextBlock", "text": line, "wrap": True} for line in message.text.splitlines() if line),
    ]
    card = {"type": "AdaptiveCard", "version": "1.4", "body": blocks}
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


_CONTENTS = {"json": _plain, "slack": _slack, "discord": _discord, "teams": _teams}
