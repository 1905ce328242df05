"""What a batch costs around rendering: `bench_batch.py [ROWS] [FOLDER] [NAMES]`, or `bench_batch.py server [ROWS]`.

One-line episodes with a fake renderer in one process, one row after another, then the same table again. FOLDER keeps
its store: a bench that was stopped goes on. NAMES: so many different lines; by default every row has its own.
`server`: on a whole site (tests/cluster.py), by workers of which one is killed every minute.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from flows.batch import produce_order, run_batch, summary
from flows.orders import read_orders
from flows.settings import Settings, load_settings
from flows.wiring import Wiring
from tasks.domain.batch import Order, Outcome
from tests.cluster import children, cluster
from tests.fakes import FlatRenderer
from tests.sleeping import NAME, notes

POOL, NUM_WORKERS, KILL_SECONDS = "rows", 3, 60
PORTRAIT = Path(__file__).parents[2] / "examples/demo/portraits/otto.png"
TEMPLATE = """
schema: episode/1
id: any
title: "Hello {{name}}"
language: en
source: {script: "Otto: Welcome to the club, {{name}}.\\n"}
cast: {otto: {portrait: otto.png, voice: en-us/m3}}
outputs: [{aspect: "16:9", height: 180, captions: [vtt]}]
"""


def write(folder: Path, num_rows: int, num_names: int) -> Path:
    """A table, its template and a portrait."""
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "otto.png").write_bytes(PORTRAIT.read_bytes())
    rows = "".join(f"row-{number},Guest {number % num_names}\n" for number in range(num_rows))
    (folder / "table.csv").write_text(f"id,name\n{rows}")
    return folder / "table.csv"


def run(table: Path) -> None:
    """One row of figures."""
    settings = Settings(store=f"file:{table.parent}/store")
    wiring = Wiring(settings)
    wiring.__dict__["renderer"] = FlatRenderer()
    cpu, wall = time.process_time(), time.monotonic()
    batch = read_orders(str(table), str(table.parent / "template.yaml"), None, settings)
    read = time.monotonic() - wall

    def submit(order: Order) -> Outcome:
        return produce_order(order, wiring=wiring, watch=lambda done, total: None)

    outcomes = run_batch(batch, submit, at_once=1, store=wiring.store, told=lambda outcome: None)
    wiring.close()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    rendered = sum(outcome.rendered for outcome in outcomes)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(outcomes)} rows {json.dumps(summary(batch, outcomes)['counts'])} {rendered} rendered: {wall:.1f} s, "
        f"{wall / len(outcomes):.3f} s a row, {cpu / len(outcomes):.3f} CPU-s a row, table read in {read:.2f} s, "
        f"peak {rss:.0f} MB",
        flush=True,
    )


def on_server(num_rows: int) -> None:
    """A table on three workers; every minute one of them is gone with all that it has begun, and another one comes."""
    folder = Path(tempfile.mkdtemp(prefix="bench-batch-"))
    table = write(folder, num_rows, num_rows)
    more = {"TROUPE_BATCH__POOL": POOL, "TROUPE_POOLS": "{}", "TROUPE_ENGINES__DRAFT": NAME, "SLEEPING_SECONDS": "0.5"}
    with cluster(folder / "site") as site:
        site.deploy("gpu", **more)
        workers = [site.worker(f"w{number}", POOL, **more) for number in range(NUM_WORKERS)]
        command = ["flows.cli", "batch", str(table), "--template", str(folder / "template.yaml")]
        command += ["--store", "s3://videos/batch", "--at-once", str(2 * NUM_WORKERS), "--json"]
        with (folder / "batch.json").open("wb") as output, (folder / "batch.log").open("wb") as log:
            wall = time.monotonic()
            batch = subprocess.Popen(
                [sys.executable, "-m", *command], env=site.environment(POOL, **more), stdout=output, stderr=log
            )
            kills = 0
            while batch.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    batch.wait(KILL_SECONDS)
                    break
                lost = workers.pop(0)
                for pid in (*children(lost.pid), lost.pid):
                    os.kill(pid, signal.SIGKILL)
                kills += 1
                workers.append(site.worker(f"w{NUM_WORKERS + kills}", POOL, **more))
        wall = time.monotonic() - wall
        counts = json.loads((folder / "batch.json").read_text())["counts"]
        wiring = Wiring(load_settings(store="s3://videos/batch", s3=site.s3.options()))
        keys = [found.key for found in wiring.store.list("programmes/")]
        manifests = Counter(key.split("/")[1] for key in keys if key.endswith("/manifest.json"))
        begun = Counter(note["seed"] for note in notes(site.folder / f"{POOL}.notes", "begin"))
        states = {"state": {"type": {"any_": ["CRASHED"]}}}
        crashed = len(site.server.ask("/flow_runs/filter", {"flow_runs": states, "limit": 200}))
    print(
        f"{num_rows} rows, {kills} workers killed: {json.dumps(counts)}, {len(manifests)} programmes, "
        f"{sum(count > 1 for count in manifests.values())} doubled; {crashed} runs crashed, "
        f"{sum(count - 1 for count in begun.values())} clips begun again; {wall:.0f} s, "
        f"load {os.getloadavg()[1]:.1f}",
        flush=True,
    )


def main() -> None:
    """Twice: everything, then nothing."""
    if sys.argv[1:2] == ["server"]:
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # its servers end with it
        on_server(int(sys.argv[2]) if len(sys.argv) > 2 else 150)
        return
    num_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp(prefix="bench-batch-"))
    folder.mkdir(parents=True, exist_ok=True)
    table = write(folder, num_rows, int(sys.argv[3]) if len(sys.argv) > 3 else num_rows)
    for _ in range(2):
        run(table)


if __name__ == "__main__":
    main()
