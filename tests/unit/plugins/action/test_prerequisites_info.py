# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""Which credentials prerequisites_info uses: those that a task with kubernetes.core.k8s_info would use in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
MODULE = "homelab.postgres_backup.prerequisites_info"
GROUP = "group/kubernetes.core.k8s"
# What kubernetes.core asks for before anything else.
DISCOVERY = {
    "/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {"kind": "APIGroupList", "groups": []},
}


@dataclass
class ApiServer:
    """An API server without objects, which remembers the token of each request for a CronJob, by the CronJob's name."""

    url: str = ""
    tokens: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    server = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            answer = DISCOVERY.get(self.path.rstrip("/"))
            status = 200 if answer else 404
            if "/cronjobs/" in self.path:
                server.tokens[self.path.rpartition("/")[2]] = self.headers.get("Authorization", "")
            text = json.dumps(answer or {"kind": "Status", "message": "not found"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # as http.server has it
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listener.server_port}"
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield server
    listener.shutdown()


def cases(host: str, kubeconfig: Path) -> dict[str, dict[str, Any]]:
    """Parts of a play by its CronJob's name: `module_defaults`, `environment` or the module's own options."""
    return {
        "group-of-kubernetes-core": {"module_defaults": {GROUP: {"host": host, "api_key": "a"}}},
        "own-group": {"module_defaults": {"group/homelab.postgres_backup.k8s": {"host": host, "api_key": "a"}}},
        "k8s-info-over-its-group": {
            "module_defaults": {
                "kubernetes.core.k8s_info": {"api_key": "a"},
                GROUP: {"host": host, "api_key": "other"},
            }
        },
        "variables": {
            "vars": {"address": host, "key": "a"},
            "module_defaults": {
                GROUP: {"host": "{{ address }}", "api_key": "{{ key }}", "context": "{{ nothing | default(omit) }}"}
            },
        },
        "one-variable": {
            "vars": {"login": {"host": host, "api_key": "{{ key }}"}, "key": "a"},
            "module_defaults": {GROUP: "{{ login }}"},
        },
        # Neither the defaults of another module, nor what has nothing to do with credentials.
        "others": {
            "module_defaults": {
                "kubernetes.core.k8s": {"api_key": "other"},
                GROUP: {"host": host, "api_key": "a", "namespace": "other", "wait": True},
            }
        },
        "own-option": {
            "module_defaults": {GROUP: {"host": host, "api_key": "other"}},
            "options": {"api_key": "a"},
        },
        "kubeconfig": {"module_defaults": {GROUP: {"kubeconfig": str(kubeconfig)}}},
        "own-kubeconfig": {"options": {"kubeconfig": str(kubeconfig)}},
        "environment": {"environment": {"K8S_AUTH_HOST": host, "K8S_AUTH_API_KEY": "a"}},
    }


def play(name: str, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    task = {MODULE: {"name": name, "namespace": "data", **(options or {})}}
    return {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task], **more}


def test_the_credentials(api: ApiServer, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": api.url}}],
        "contexts": [context],
        "users": [{"name": "x", "user": {"token": "a"}}],
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    plays = cases(api.url, kubeconfig)
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([play(name, **parts) for name, parts in plays.items()]))
    collections = tmp_path / "collections" / "ansible_collections" / "homelab"
    collections.mkdir(parents=True)
    (collections / "postgres_backup").symlink_to(CHECKOUT)
    elsewhere = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "")
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), playbook],
        cwd=tmp_path,
        env=os.environ
        | {
            "ANSIBLE_COLLECTIONS_PATH": f"{tmp_path / 'collections'}:{elsewhere}".rstrip(":"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "KUBECONFIG": str(tmp_path / "none"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert api.tokens == dict.fromkeys(plays, "Bearer a"), done.stdout
