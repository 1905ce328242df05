"""Server and workers of Prefect as processes: `troupe worker POOL`, and `troupe serve` for all of it on one machine.

Prefect reads its settings once, when it is imported: what its processes are given is decided here, outside of them.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import httpx

from flows.settings import Settings, inherited, prefect_api_url
from tasks.domain.errors import SettingsError

HEARTBEAT_SECONDS = 30
"""The least that Prefect takes."""
WORKER_ENVIRONMENT = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
    # Waits of 2, 4 ... 128 s: a server that is away for four minutes costs nothing.
    "PREFECT_CLIENT_MAX_RETRIES": "7",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""What every process that runs flows is given, unless its environment says otherwise."""
SERVER_ENVIRONMENT = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # A shard that waits for a GPU is not late, and need not be looked at each 20 s for a parent that was cancelled.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "300",
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "60",
}
"""What a server is given: here, in compose.yaml and in k8s/server-values.yaml."""
START_SECONDS = 150
STOP_SECONDS = 45
"""Longer than a worker takes to give its runs back."""


def run_worker(pool: str) -> int:
    """A worker of a pool, of the type that the pool has, until it is stopped. Returns its exit code."""
    if not prefect_api_url():
        raise SettingsError(
            "there is no Prefect server to work for: PREFECT_API_URL is not set.",
            remedy="Set it, or run `troupe serve`, which starts a server and its workers.",
        )
    return _attend([_worker(pool, str(prefect_api_url()))])


def serve(settings: Settings, *, host: str, port: int) -> int:
    """A server, what it has to know of Troupe, and a worker for each pool, until it is stopped."""
    url = f"http://{host}:{port}/api"
    _check_port(host, port)
    _heed_termination()
    processes = [_prefect(["server", "start", "--host", host, "--port", str(port)], inherited(**SERVER_ENVIRONMENT))]
    try:
        _await_server(url, processes[0])
        told = subprocess.run([sys.executable, "-m", "infra.deployments"], env=_environment(url), check=False)
        if told.returncode:  # it has said why
            _stop(processes)
            return told.returncode
        processes += [_worker(pool, url) for pool in sorted({"cpu", settings.batch.pool, *settings.pools.values()})]
        if settings.metrics.port:
            processes.append(_started([sys.executable, "-m", "flows.cli", "metrics"], _environment(url)))
    except BaseException:
        _stop(processes)
        raise
    sys.stderr.write(f"Prefect's control room: http://{host}:{port}\n")
    return _attend(processes)


def _check_port(host: str, port: int) -> None:
    """Raises SettingsError where somebody listens: that server would answer for ours, and be given our flows."""
    with suppress(OSError), socket.create_connection((host, port), timeout=5):
        raise SettingsError(
            f"port {port} of {host} is taken.", remedy="Stop what runs there, or name another: `troupe serve --port`."
        )


def _environment(url: str) -> dict[str, str]:
    """What is set already wins."""
    return {**WORKER_ENVIRONMENT, **inherited(PREFECT_API_URL=url)}


def _worker(pool: str, url: str) -> "subprocess.Popen[bytes]":
    return _prefect(["worker", "start", "--pool", pool], _environment(url))


def _prefect(arguments: Sequence[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    # A session of its own: Ctrl-C comes from here alone, once. Signals as a program expects them: a process that was
    # begun in the background of a script ignores the interrupt by which Prefect ends its workers.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return _started([sys.executable, "-m", "prefect", *arguments], environment)


def _started(command: Sequence[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _await_server(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        time.sleep(0.5)
    raise SettingsError(f"Prefect's server did not start at {url}.", remedy="Is its port taken? See its log above.")


def _attend(processes: Sequence["subprocess.Popen[bytes]"]) -> int:
    """Until one ends, or this process is told to; then all end."""
    _heed_termination()
    try:
        while all(process.poll() is None for process in processes):
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(processes)
    return max((process.returncode for process in processes), default=0)


def _heed_termination() -> None:
    """Be ended by SIGTERM as by Ctrl-C: what was started lives in sessions of its own, and would go on."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _stop(processes: Sequence["subprocess.Popen[bytes]"]) -> None:
    """Workers first: they give their runs back to a server that is still there."""
    for process in reversed(processes):
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
