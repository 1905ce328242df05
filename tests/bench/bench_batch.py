"""What a batch costs around rendering: `bench_batch.py [ROWS] [FOLDER] [NAMES]`.

One-line episodes with a fake renderer in one process, one row after another, then the same table again. FOLDER keeps
its store: a bench that was stopped goes on. NAMES: so many different lines; by default every row has its own.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from flows.batch import produce_order, read_orders, run_batch, summary
from flows.settings import Settings
from flows.wiring import Wiring
from tasks.domain.batch import Order, Outcome
from tests.fakes import FlatRenderer

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


def main() -> None:
    """Twice: everything, then nothing."""
    num_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp(prefix="bench-batch-"))
    folder.mkdir(parents=True, exist_ok=True)
    table = write(folder, num_rows, int(sys.argv[3]) if len(sys.argv) > 3 else num_rows)
    for _ in range(2):
        run(table)


if __name__ == "__main__":
    main()
