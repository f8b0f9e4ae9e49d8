# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""The watch on a real cluster: it reports of a fault once, of its recovery once, and can do nothing else."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.support import receivers
from tests.cluster.support.ansible_runs import Ansible
from tests.cluster.support.kube import NAME, create, get, job_ends, kubectl, must_get, run_cronjob, run_in_volume
from tests.cluster.support.tools_image import tools_image
from tests.receivers.servers import MAIL_PASSWORD, MAIL_USER, NTFY_TOKEN, TOPIC

WATCH = f"{NAME}-watch"
HOOK, SWITCH = "/hooks/kZ8sWvT2", "/b7c91a4e-switch"
# Everything that another pod, as the same user, could do to harm the backups or to learn something.
HARM = """
touch /backups/x 2>/dev/null && echo wrote
rm -f /backups/*.gz 2>/dev/null || true
ls /backups/*.gz >/dev/null || echo deleted
ls /var/run/secrets/kubernetes.io 2>/dev/null && echo token
env | grep -i -e PGPASSWORD -e token && echo environment
touch /watch/x && rm /watch/x && echo may write its folder
"""


def secret(namespace: str, name: str, **values: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    keys = {key.replace("_", "."): value for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": keys}


class Looks:
    """Jobs of the watch, one after the other, and everything that they printed."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.texts: list[str] = []

    def look(self, times: int = 1, state: str = "Complete") -> dict[str, Any]:
        """The result of the last one."""
        for _time in range(times):
            job = f"look-{len(self.texts)}"
            kubectl("create", "job", f"--from=cronjob/{WATCH}", job, "-n", self.namespace)
            assert job_ends(job, self.namespace) == state, kubectl("logs", f"job/{job}", "-n", self.namespace)
            self.texts.append(kubectl("logs", f"job/{job}", "-n", self.namespace))
        result: dict[str, Any] = json.loads(self.texts[-1].splitlines()[-1])
        return result


def test_a_watched_installation(ansible: Ansible, role_variables: dict[str, Any], namespace: str) -> None:
    ntfy, web = receivers.ntfy(namespace), receivers.web_server(namespace)
    mail, pushgateway = receivers.mail_server(namespace), receivers.pushgateway(namespace)
    create(
        secret(namespace, "phone", url=f"{ntfy.url}/{TOPIC}", token=NTFY_TOKEN),
        secret(namespace, "chat", url=f"{web.url}{HOOK}"),
        secret(namespace, "post", user=MAIL_USER, password=MAIL_PASSWORD, ca_crt=mail.ca),
        secret(namespace, "switch", url=f"{web.url}{SWITCH}"),
        secret(namespace, "series", url=pushgateway.url),
        secret(namespace, "rest", url=f"ntfy://{NTFY_TOKEN}@{ntfy.host}:{ntfy.port}/{TOPIC}"),
    )
    address = {"from": "backup@home.example", "to": ["me@home.example"]}
    watched = {
        **role_variables,
        "watch": True,
        "watch_image": tools_image(),
        # The test looks itself.
        "watch_schedule": "0 0 1 1 *",
        "watch_channels": [
            {"name": "phone", "kind": "ntfy", "secret": "phone"},
            {"name": "chat", "kind": "webhook", "secret": "chat", "template": "slack"},
            {
                "name": "post",
                "kind": "mail",
                "secret": "post",
                "host": mail.host,
                "port": mail.starttls_port,
                **address,
            },
            {"name": "rest", "kind": "apprise", "secret": "rest"},
            {"name": "switch", "kind": "ping", "secret": "switch"},
            {"name": "series", "kind": "pushgateway", "secret": "series"},
        ],
        "watch_egress": [{"namespace": namespace, "port": port} for port in (receivers.PORT, receivers.STARTTLS_PORT)],
    }
    installed = ansible.site(**watched)
    assert installed.status == 0, installed.output
    assert ansible.site(**watched).changed == 0

    looks = Looks(namespace)
    assert looks.look(3)["problems"] == ["backup"]
    assert len(ntfy.messages()) == 2, "through ntfy itself, and through apprise"
    chats = [request for request in web.requests() if request["path"] == HOOK]
    assert len(chats) == len(mail.mails()) == 1
    assert "Command: ansible-playbook homelab.postgres_backup.backup_now" in chats[0]["body"]
    assert [request["path"] for request in web.requests() if SWITCH in request["path"]] == [
        f"{SWITCH}/start", SWITCH, f"{SWITCH}/start", f"{SWITCH}/fail", f"{SWITCH}/start", f"{SWITCH}/fail"
    ]  # fmt: skip
    assert f'postgres_backup_watch_healthy{{backup_namespace="{namespace}"' in pushgateway.metrics()

    backup = run_cronjob(namespace)["backup"]
    assert looks.look(3)["problems"] == []
    assert len(ntfy.messages()) == 4 and len(mail.mails()) == 2
    assert "healthy again" in mail.mails()[1]["headers"]["subject"]

    web.answer(503)
    info = ansible.module("backup_info", namespace=namespace)
    assert info["healthy"] and info["last_watch"]["state"] == "healthy"
    assert looks.look(state="Failed")["reason"].startswith("the channel switch (ping): the server answered 503")
    info = ansible.module("backup_info", namespace=namespace)
    assert [problem["check"] for problem in info["problems"]] == ["watch"]
    assert "switch (ping) works, found: the server answered 503" in info["problems"][0]["message"]

    tested = ansible("homelab.postgres_backup.notify_test", postgres_backup_namespace=namespace)
    assert tested.status != 0
    lines = [" ".join(line.split()) for line in tested.summary]
    assert lines[1:] == [
        "phone ntfy works -",
        "chat webhook failed the server answered 503 Service Unavailable",
        "post mail works -",
        "rest apprise works -",
        "switch ping failed the server answered 503 Service Unavailable",
        "series pushgateway works -",
    ]
    web.answer(200)
    tested = ansible("homelab.postgres_backup.notify_test", postgres_backup_namespace=namespace)
    assert tested.status == 0, tested.output
    assert web.requests()[-1]["path"] == f"{SWITCH}/log"

    pod = json.dumps(must_get("cronjob", WATCH, namespace))
    config = json.dumps(must_get("configmap", WATCH, namespace))
    records = run_in_volume(namespace, f"cat /backups/{NAME}.watch/*.json")
    told = json.dumps([web.requests()[0]["body"], mail.mails(), ntfy.messages()])
    for hidden in (NTFY_TOKEN, MAIL_PASSWORD, HOOK[7:], SWITCH[1:]):
        for text in (pod, config, records, *looks.texts, tested.output, told):
            assert hidden not in text

    assert run_in_volume(namespace, HARM, cronjob=WATCH).split("\n") == ["may write its folder", ""]
    assert backup in run_in_volume(namespace, "ls /backups")

    removed = ansible.site(**role_variables)
    assert removed.status == 0, removed.output
    for kind in ("cronjob", "configmap", "networkpolicy"):
        assert get(kind, WATCH, namespace) is None
    assert ansible.module("backup_info", namespace=namespace)["healthy"]
