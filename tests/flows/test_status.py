"""The configured Prefect server, where it is none: each command says so in a sentence."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.episodes import open_episode
from flows.produce import produce_recorded
from flows.rows import ServerRows
from flows.settings import Settings
from flows.status import show_status
from flows.wiring import Wiring
from tasks.domain.errors import PipelineError
from tests.productions import write_episode


class Answering(BaseHTTPRequestHandler):
    """Says one thing to every request."""

    status, said = 200, b""

    def do_GET(self) -> None:
        """The status, and what a test says."""
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    def do_POST(self) -> None:
        """The same."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture(params=[(401, b"{}", "wants other credentials"), (404, b"{}", "answers 404"),
                        (200, b"<html>", "no Prefect server"), (0, b"", "does not answer")])  # fmt: skip
def said(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What a person is told of an odd server; it is up for one test."""
    status, body, told = request.param
    kind = type("Odd", (Answering,), {"status": status, "said": body})
    odd = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    url = f"http://127.0.0.1:{odd.server_port}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    if status:
        threading.Thread(target=odd.serve_forever, daemon=True).start()
    else:
        odd.server_close()
    with temporary_settings({PREFECT_API_URL: url}):
        yield told
    if status:
        odd.shutdown()
        odd.server_close()


def test_a_status_of_no_server_is_one_sentence(said: str) -> None:
    """Wrong credentials, another program, or nobody."""
    with pytest.raises(PipelineError, match=said):
        show_status()


def test_a_run_without_its_server_is_told_before_it_starts(said: str, tmp_path: Path) -> None:
    """Not by what Prefect makes of it half-way."""
    path, settings = write_episode(tmp_path), Settings(store=f"file:{tmp_path}/store")

    with pytest.raises(PipelineError, match=said):
        produce_recorded(str(path), open_episode(str(path), settings), settings)


def test_a_batch_without_its_server_is_told_before_it_starts(said: str, tmp_path: Path) -> None:
    """Where the server says 404, it knows no deployment."""
    settings = Settings(store=f"file:{tmp_path}/store", scratch=str(tmp_path))

    with pytest.raises(PipelineError, match="has no deployment" if "404" in said else said):
        ServerRows(settings, Wiring(settings))
