# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The tools image in a pod with the restrictions that it is made for, and what it sends to real receivers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.support import receivers
from tests.cluster.support.kube import apply, kubectl
from tests.cluster.support.tools_image import tools_image
from tests.receivers.servers import MAIL_PASSWORD, MAIL_USER, NTFY_TOKEN, TOPIC

# Each must work as the image's user, with nothing writable but /tmp.
USE = """
set -eu
test "$(id -u)" = 65532
! touch /etc/here 2>/dev/null
python3 -c 'import json, smtplib, sqlite3, ssl, sys, urllib.request; assert sys.version_info >= (3, 11)'
python3 -c 'import ssl; assert ssl.create_default_context().get_ca_certs()'
apprise --version >/dev/null 2>&1
rclone version | grep -qx 'rclone v1\\.\\(7[5-9]\\|[89][0-9]\\).*'
rclone help flags s3-object-lock-mode | grep -q -e --s3-object-lock-mode
key=$(age-keygen 2>/dev/null)
echo here | age --recipient "$(echo "$key" | sed -n 's/^# public key: //p')" >/tmp/encrypted
echo "$key" | age --decrypt --identity - /tmp/encrypted | grep -qx here
RESTIC_PASSWORD=x restic init --quiet --repo /tmp/restic --no-cache
echo here | gzip | gunzip | awk '{ print $1 }' | grep -qx here
find /tmp -maxdepth 0 -exec sha256sum /etc/hostname ';' >/dev/null
stat -c %s /etc/hostname >/dev/null
curl --fail --silent --show-error --header "Authorization: Bearer $TOKEN" --data-binary 'by curl' "$NTFY"
printf %s "$CA" >/tmp/ca.crt
python3 - <<'PYTHON'
import os, smtplib, ssl
context = ssl.create_default_context(cafile="/tmp/ca.crt")
with smtplib.SMTP_SSL(os.environ["MAIL"], 8080, context=context, timeout=20) as client:
    client.login(os.environ["MAIL_USER"], os.environ["MAIL_PASSWORD"])
    client.sendmail("watch@example.com", ["you@example.com"], "Subject: by Python\\n\\ntext\\n")
PYTHON
apprise --title=data --body='by apprise' "json://$WEB/hook"
curl --fail --silent --show-error --data-binary 'postgres_backup_copies 2
' "$GATEWAY/metrics/job/backup"
"""


# test_watch.py uses the image and the receivers every day.
@pytest.mark.weekly
def test_restricted_pod_reaches_every_receiver(namespace: str) -> None:
    ntfy, web = receivers.ntfy(namespace), receivers.web_server(namespace)
    gateway, mail = receivers.pushgateway(namespace), receivers.mail_server(namespace)
    variables = {
        "TOKEN": NTFY_TOKEN,
        "NTFY": f"{ntfy.url}/{TOPIC}",
        "WEB": f"{web.host}:{web.port}",
        "GATEWAY": gateway.url,
        "MAIL": mail.host,
        "MAIL_USER": MAIL_USER,
        "MAIL_PASSWORD": MAIL_PASSWORD,
        "CA": mail.ca,
    }
    container: dict[str, Any] = {
        "name": "tools",
        "image": tools_image(),
        "command": ["sh", "-c", USE],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "tools", "namespace": namespace},
            "spec": {
                "restartPolicy": "Never",
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        }
    )
    wait = ("wait", "pod/tools", "-n", namespace, "--timeout=90s", "--for=jsonpath={.status.phase}=Succeeded")
    kubectl(*wait, check=False)
    log = kubectl("logs", "tools", "-n", namespace)
    assert kubectl("get", "pod", "tools", "-n", namespace, "-o", "jsonpath={.status.phase}") == "Succeeded", log
    assert [message["message"] for message in ntfy.messages()] == ["by curl"]
    assert [mail["headers"]["subject"] for mail in mail.mails()] == ["by Python"]
    assert ['"message": "by apprise"' in request["body"] for request in web.requests()] == [True]
    assert 'postgres_backup_copies{instance="",job="backup"} 2' in gateway.metrics()
    web.answer(503)
    assert web.files.read("status") == "503"
