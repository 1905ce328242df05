"""A receiver of webhooks on this machine."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from flows.settings import Settings
from tasks.webhook import SIGNATURE_HEADER, check_signature

SECRET = "correct horse battery"


class Receiver(HTTPServer):
    """Answers with the first of `statuses`, then with `status`; keeps what it got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status, self.statuses, self.got = 204, [], []  # type: ignore[var-annotated]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def settings(self) -> Settings:
        """That send here."""
        return Settings(webhooks={"url": self.url, "secret": SECRET}, network={"allow": ["127.0.0.1"]})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/hook"

    @property
    def environment(self) -> dict[str, str]:
        """The same settings, for another process."""
        return {
            "TROUPE_WEBHOOKS__URL": self.url,
            "TROUPE_WEBHOOKS__SECRET": SECRET,
            "TROUPE_NETWORK__ALLOW": '["127.0.0.1"]',
        }

    def events(self) -> list[dict[str, Any]]:
        """What it got, each checked for its signature."""
        for headers, body in self.got:
            check_signature(body, headers[SIGNATURE_HEADER], SECRET, now=int(time.time()))
        return [json.loads(body) for _, body in self.got]


class Answer(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Keeps headers and body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""
