"""A server on 127.0.0.1 that answers as the Hugging Face and ModelScope hubs do, for a folder of files.

In: a folder. Out: an address. It can cut an answer off, to show that a download goes on where it stopped.
"""

import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME, COMMIT, TAG = "Wan-AI/Wan2.2-S2V-14B", "c" * 40, "v1"


@dataclass
class Hub:
    """One running server."""

    folder: Path
    address: str = ""
    cut_behind: dict[str, int] = field(default_factory=dict)
    """File name -> bytes after which its first answer is cut off."""
    extra: list[dict] = field(default_factory=list)
    """Entries added to ModelScope's listing."""
    ranges: list[str] = field(default_factory=list)
    """Range headers received."""

    def files(self) -> list[str]:
        """Names below the folder."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *ignored) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        """As GET, without a body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Either hub's interface, by its path."""
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        path = urllib.parse.unquote(url.path)
        if path.startswith(f"/api/v1/models/{NAME}/repo"):
            self._modelscope(path, query)
        elif match := re.fullmatch(rf"/api/models/{NAME}/revision/(.+)", path):
            siblings = [{"rfilename": name} for name in self.hub.files()]
            known = match[1] in (COMMIT, TAG)
            self._json({"id": NAME, "modelId": NAME, "sha": COMMIT, "siblings": siblings, "private": False}, known)
        elif match := re.fullmatch(rf"/api/models/{NAME}/tree/[^/]+/?", path):
            self._json([self._entry(name) for name in self.hub.files()])
        elif match := re.fullmatch(rf"/{NAME}/resolve/({COMMIT}|{TAG})/(.+)", path):
            self._file(match[2])
        else:
            self._json({"error": "Repository not found"}, found=False, code="RepoNotFound")

    def _entry(self, name: str) -> dict:
        content = (self.hub.folder / name).read_bytes()
        return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

    def _modelscope(self, path: str, query: dict[str, str]) -> None:
        if query.get("Revision") not in (COMMIT, TAG):
            self._json({"Code": 10010205001, "Data": None, "Message": "revision not found"})
        elif path.endswith("/files"):
            files = [
                {
                    "Path": name, "Type": "blob", "Size": (self.hub.folder / name).stat().st_size,
                    "Sha256": hashlib.sha256((self.hub.folder / name).read_bytes()).hexdigest(),
                }
                for name in self.hub.files()
            ]  # fmt: skip
            folders = [{"Path": "google", "Type": "tree", "Size": 0}]
            self._json({"Code": 200, "Data": {"Files": folders + files + self.hub.extra}})
        else:
            self._file(query["FilePath"])

    def _json(self, value, found: bool = True, code: str = "RevisionNotFound") -> None:
        body = json.dumps(value).encode()
        self.send_response(200 if found else 404)
        if not found:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _file(self, name: str) -> None:
        content = (self.hub.folder / name).read_bytes()
        asked = self.headers.get("Range")
        start = 0
        if asked and self.command == "GET":
            self.hub.ranges.append(asked)
            start = int(re.match(r"bytes=(\d+)-", asked)[1])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command != "GET":
            return
        cut = self.hub.cut_behind.pop(Path(name).name, None)
        self.wfile.write(content[start : None if cut is None else start + cut])
        if cut is not None:
            self.close_connection = True


@contextmanager
def serve(folder: Path) -> Iterator[Hub]:
    """A hub for `folder`, until the context ends."""
    hub = Hub(folder=folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {"hub": hub}))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
