# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
"""A web server for webhooks and pings: `web_server.py HOST PORT FOLDER`.

It appends each request to FOLDER/requests.jsonl, and answers with the status in FOLDER/status, 200 without that file.
It runs in the image `receivers` and imports the standard library only.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Records what it gets."""

    folder: Path

    def _record(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = {
            "time": time.time(),
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body.decode("utf-8", "backslashreplace"),
        }
        with (self.folder / "requests.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(request) + "\n")
        wanted = self.folder / "status"
        self.send_response(int(wanted.read_text()) if wanted.exists() else 200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"OK\n")

    do_GET = do_HEAD = do_POST = do_PUT = _record  # noqa: N815 - the names that the library calls

    def log_message(self, format: str, *args: object) -> None:
        """Keep the log empty."""


def main() -> None:
    """Serve until the process is ended."""
    host, port, folder = sys.argv[1:]
    Handler.folder = Path(folder)
    (Handler.folder / "requests.jsonl").touch()
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
