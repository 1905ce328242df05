"""`python -m tests.run_worker POOL NAME`: a warm worker, also where the package's entry points are not installed."""

import signal
import sys

from prefect.cli import app

import infra.warm_worker  # noqa: F401 - registers the worker's type

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Prefect ends its workers by it
    pool, name = sys.argv[1:]
    sys.argv = ["prefect", "worker", "start", "--pool", pool, "--name", name]
    app()
