"""PostgreSQL and Redis for tests, from Debian's packages, on 127.0.0.1; skips where they are missing."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from infra.running import SERVER_ENVIRONMENT
from tests.servers import end, free_ports, program, wait_until

_POSTGRES = "/usr/lib/postgresql"


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL whose files may be lost; gives the address of a database as Prefect takes it."""
    found = sorted(Path(_POSTGRES).glob("*/bin/postgres")) if Path(_POSTGRES).is_dir() else []
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    binaries, port = found[-1].parent, free_ports()
    home = Path(tempfile.mkdtemp(prefix="troupe-pg-"))
    owner: dict[str, Any] = {}
    if os.getuid() == 0:  # it refuses to run as root
        owner = {"user": "postgres", "group": "postgres"}
        shutil.chown(home, "postgres", "postgres")
    data, log = home / "data", folder / "postgres.log"
    folder.mkdir(parents=True, exist_ok=True)
    command = [binaries / "initdb", "-D", data, "-U", "prefect", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(list(map(str, command)), check=True, capture_output=True, cwd="/", **owner)
    # No fsync: a test's database dies with the test, and a loaded disk must not look like a fault.
    flags = ("fsync=off", "full_page_writes=off", "listen_addresses=127.0.0.1", f"unix_socket_directories={home}")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(data), "-p", str(port), *(p for f in flags for p in ("-c", f))],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            **owner,
        )
    try:
        wait_until(lambda: b"ready to accept connections" in log.read_bytes(), process, log)
        make = [binaries / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "prefect", "prefect"]
        subprocess.run(list(map(str, make)), check=True, capture_output=True)
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
    finally:
        end(process, 10)
        with suppress(OSError):
            shutil.rmtree(home)


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """A Redis that keeps nothing on disk; gives its port."""
    binary, port = program("redis-server"), free_ports()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "redis.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, process, log)
        yield port
    finally:
        end(process)


def production_settings(database: str, redis_port: int) -> dict[str, str]:
    """How a Prefect server is set for production: PostgreSQL, and Redis for messages, tasks and leases."""
    pytest.importorskip("prefect_redis", reason="prefect-redis is not installed")
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
        "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
        "PREFECT_REDIS_MESSAGING_HOST": "127.0.0.1",
        "PREFECT_REDIS_MESSAGING_PORT": str(redis_port),
        "PREFECT_REDIS_MESSAGING_DB": "0",
        "PREFECT_SERVER_DOCKET_URL": f"redis://127.0.0.1:{redis_port}/1",
        **SERVER_ENVIRONMENT,
    }
