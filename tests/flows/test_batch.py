"""A batch: rows isolated, bounded, in their order of urgency; a summary whatever happens."""

import csv
import io
import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from flows import direct
from flows.batch import Rows, as_csv, produce_order, run_batch, summary, summary_key
from flows.cli import main
from flows.commands import _Told
from flows.orders import Batch, open_order, read_orders
from flows.settings import Settings
from flows.wiring import Wiring
from s2v_model.contract import Chunks, RenderError, Stopped, Take, UInt8Array, Watch
from tasks.domain.batch import Order, Outcome, told_state
from tasks.domain.errors import EngineError, EngineMissing, EpisodeError
from tests.fakes import FlatRenderer, Forgetful, MemoryStore
from tests.productions import TinyWiring, write_episode
from tests.reading import read_page

TEMPLATE = """
schema: episode/1
id: any
title: Hello
language: en
source: {script: "Anna: Welcome, {{name}}.\\n"}
cast: {anna: {portrait: anna.png}}
outputs: [{aspect: "16:9", height: 180, captions: [vtt]}]
"""


def orders(folder: Path, table: str, template: str | None = "t.yaml") -> Batch:
    """The orders of a table in `folder`, with the template beside it."""
    (folder / "t.yaml").write_text(TEMPLATE)
    (folder / "table.csv").write_text(table)
    return read_orders(str(folder / "table.csv"), template and str(folder / template), None, Settings())


def many(num: int) -> Batch:
    """A batch of orders that only fakes can produce."""
    made = tuple(Order(id=f"e{number}", document="", folder="/") for number in range(num))
    return Batch(name="many", orders=made, refused=(), ids=tuple(order.id for order in made))


def done(order: Order) -> Outcome:
    """A row that went well."""
    return Outcome(id=order.id, state="done", programme=f"/p/{order.id}", finished="2026-01-01T00:00:00+00:00")


def ignored(outcome: Outcome) -> None:
    """Nobody listens."""


def test_urgent_rows_go_first_and_a_wrong_row_stays_alone(tmp_path: Path) -> None:
    """Priority, then deadline, then the table's order; a row without its words is refused, the others are orders."""
    table = "id,name,priority,deadline\na,Ada,,\nb,Bo,low,\nc,Cy,high,\nd,,,\ne,Eve,,2026-01-02\nf,Flo,,2026-01-01\n"
    batch = orders(tmp_path, table)

    assert [order.id for order in batch.orders] == ["c", "f", "e", "a", "b"]
    assert [(outcome.id, outcome.state) for outcome in batch.refused] == [("d", "wrong")]
    assert "line 5 (d): the template asks for {{name}}" in batch.refused[0].error
    assert batch.ids == ("a", "b", "c", "d", "e", "f")


@pytest.mark.parametrize(
    ("table", "template", "said"),
    [
        ("id,name\na,b\n", None, "no row has a template"),
        ("id,name,titel\na,b,c\n", "t.yaml", "nothing asks for the column 'titel'"),
        ("id,name,template\na,b,../other.yaml\n", None, "leads out of"),
        ("id,name,template\na,b,gone.yaml\n", None, "no file 'gone.yaml'"),
        ("id,name,brand\na,b,gone.yaml\n", "t.yaml", "no file 'gone.yaml'"),
    ],
)
def test_a_table_that_cannot_be_run_is_refused_as_a_whole(
    tmp_path: Path, table: str, template: str | None, said: str
) -> None:
    """What concerns the table, its templates or its brands is told before anything starts."""
    with pytest.raises(EpisodeError, match=said):
        orders(tmp_path, table, template)


def test_an_order_opens_as_the_episode_it_says(tmp_path: Path) -> None:
    """Paths of a row start at the template's folder, and the table's own is open to it; faults name the row."""
    order = orders(tmp_path, "id,name,quality\na,Ada,final\n").orders[0]

    assert (order.folder, order.roots, order.quality) == (str(tmp_path), (str(tmp_path),), "final")
    assert "Welcome, Ada." in order.document


@pytest.mark.parametrize(("column", "quality"), [("quality", None), ("name", "final")])
def test_a_template_without_sense_is_told_by_the_row(tmp_path: Path, column: str, quality: str | None) -> None:
    """Options of the row, or of the command line, cannot be laid over what is no mapping."""
    (tmp_path / "t.yaml").write_text(f"{TEMPLATE}render: words\n")
    (tmp_path / "table.csv").write_text("id,name,quality\na,Ada,draft\n" if column == "quality" else "id,name\na,Ada\n")
    batch = read_orders(str(tmp_path / "table.csv"), str(tmp_path / "t.yaml"), quality, Settings())

    with pytest.raises(EpisodeError, match="line 2 \\(a\\): render must be a mapping"):
        open_order(batch.orders[0])


def test_no_more_rows_run_at_once_than_allowed() -> None:
    """Concurrency is bounded, and the outcomes are in the table's order."""
    lock, now, most = threading.Lock(), 0, 0

    def submit(order: Order) -> Outcome:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return done(order)

    batch = many(40)
    outcomes = run_batch(batch, submit, at_once=4, store=MemoryStore(), told=ignored)

    assert most == 4
    assert tuple(outcome.id for outcome in outcomes) == batch.ids


def test_a_row_that_raises_fails_alone() -> None:
    """Whatever a submit raises is the outcome of that row."""

    def submit(order: Order) -> Outcome:
        if order.id == "e1":
            raise RuntimeError("lost")
        return done(order)

    store, batch = MemoryStore(), many(3)
    outcomes = run_batch(batch, submit, at_once=2, store=store, told=ignored)
    kept = json.loads(store.read(summary_key(batch, "summary.json")) or b"")

    assert [outcome.state for outcome in outcomes] == ["done", "failed", "done"]
    assert outcomes[1].error == "RuntimeError: lost"
    assert kept["counts"] == {"done": 2, "failed": 1, "wrong": 0, "waiting": 0}


def test_an_interrupted_batch_leaves_a_summary() -> None:
    """Rows that were not begun are waiting there."""

    def submit(order: Order) -> Outcome:
        if order.id == "e2":
            raise Stopped
        return done(order)

    store, batch = MemoryStore(), many(5)
    with pytest.raises(Stopped):
        run_batch(batch, submit, at_once=1, store=store, told=ignored)
    rows = list(csv.DictReader(io.StringIO((store.read(summary_key(batch)) or b"").decode())))

    assert [row["state"] for row in rows] == ["done", "done", "waiting", "waiting", "waiting"]


def test_rows_go_on_while_the_summary_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away for a moment costs a summary that is renewed later, and no row."""
    monkeypatch.setattr("flows.batch.SUMMARY_EVERY_SECONDS", 0.0)
    store, batch = MemoryStore(), many(4)
    store.fail_at = 1
    outcomes = run_batch(batch, done, at_once=1, store=store, told=ignored)

    assert [outcome.state for outcome in outcomes] == ["done"] * 4
    assert store.read(summary_key(batch)) is not None


def test_what_ends_a_batch_is_told_though_the_store_is_away() -> None:
    """The summary that cannot be written hides nothing."""
    store, batch = MemoryStore(), many(2)
    store.fail_at = 1

    def submit(order: Order) -> Outcome:
        raise Stopped

    with pytest.raises(Stopped):
        run_batch(batch, submit, at_once=1, store=store, told=ignored)


class Poisoned(FlatRenderer):
    """Renders one shot, and no other."""

    num_left = 1

    def frames(self, take: Take, *, watch: Watch, chunks: Chunks) -> Iterator[UInt8Array]:
        """Frames of the first take."""
        if not self.num_left:
            raise RenderError("the card was lost")
        self.num_left -= 1
        yield from super().frames(take, watch=watch, chunks=chunks)


def test_a_row_with_stills_is_done_with_stills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a row's template allows stills, its outcome counts them, and nobody is told a bare "done"."""
    monkeypatch.setattr(direct, "BACKOFF_SECONDS", (0.0,))
    template = write_episode(tmp_path, script="ANNA: Hello, {{name}}.\nBEN: Hi.", render={"on_failure": "still"})
    (tmp_path / "table.csv").write_text("id,name\na,Ada\n")
    batch = read_orders(str(tmp_path / "table.csv"), str(template), None, Settings())
    wiring = TinyWiring(Settings(store=f"file:{tmp_path / 'store'}", scratch=str(tmp_path / "scratch")))
    wiring.__dict__["renderer"] = Poisoned()
    outcome = produce_order(batch.orders[0], wiring=wiring, watch=lambda done, total: None)
    document = summary(batch, [outcome])
    _Told(1, False, Settings())(outcome)

    assert (outcome.state, outcome.shots, outcome.rendered, outcome.stills) == ("done", 2, 1, 1), outcome.error
    row = next(csv.DictReader(io.StringIO(as_csv(document["rows"]))))
    assert (row["stills"], Path(row["review"]).parent.parent) == ("1", Path(row["programme"]))
    assert "1 rendered, 1 still" in read_page(Path(row["review"]).read_text()).text
    assert capsys.readouterr().err.startswith("1/1 a done with 1 still: 1 rendered, 0 reused")
    assert [told_state("done", number) for number in (0, 2)] == ["done", "done with 2 stills"]


def test_no_cell_of_the_summary_is_a_formula() -> None:
    """A spreadsheet that opens it runs nothing that came out of a table or an error."""
    batch = replace(many(1), orders=())
    document = summary(batch, [Outcome(id="e0", state="failed", error='=HYPERLINK("http://x")')])

    assert "'=HYPERLINK" in as_csv(document["rows"])


def test_a_row_that_ended_after_its_deadline_is_late() -> None:
    """Also one that has not ended while its deadline has passed."""
    batch = many(3)
    deadlines = ("2026-01-02T00:00:00+00:00", "2025-12-31T00:00:00+00:00", None)
    timed = tuple(replace(order, deadline=at) for order, at in zip(batch.orders, deadlines, strict=True))
    rows = summary(replace(batch, orders=timed), [done(order) for order in timed])["rows"]

    assert [row["late"] for row in rows] == [False, True, False]


class Unequipped(Wiring):
    """A machine without the renderer that is asked for."""

    @property
    def renderer(self) -> FlatRenderer:  # type: ignore[override]
        """Never."""
        raise EngineMissing("Install the extra: pip install 'troupe[wan]'.")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_ends_a_batch_though_its_exception_is_lost() -> None:
    """Python drops a KeyboardInterrupt that is raised in a `__del__`: no further row is begun all the same."""

    def told(outcome: Outcome) -> None:
        if outcome.id == "e1":
            Forgetful()

    store, batch = MemoryStore(), many(6)
    with pytest.raises(KeyboardInterrupt):
        run_batch(batch, done, at_once=1, store=store, told=told)

    rows = list(csv.DictReader(io.StringIO((store.read(summary_key(batch)) or b"").decode())))

    assert [row["state"] for row in rows] == ["done", "done", *["waiting"] * 4]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.data
def test_rows_become_programmes_and_cost_nothing_again(tmp_path: Path, shared_data: Path) -> None:
    """Each row is a programme, a second submission renders nothing; a missing engine is the row's failure."""
    (tmp_path / "anna.png").write_bytes((shared_data / "portraits/synth_woman_80.jpg").read_bytes())
    batch = orders(tmp_path, "id,name,title\na,Ada,=1+1\nb,Bo,\nc,Ada,\n")
    settings = Settings(store=f"file:{tmp_path}/store")
    wiring = Wiring(settings)
    wiring.__dict__["renderer"] = FlatRenderer()

    def submit(order: Order) -> Outcome:
        return produce_order(order, wiring=wiring, watch=lambda done, total: None)

    first = run_batch(batch, submit, at_once=1, store=wiring.store, told=ignored)
    again = run_batch(batch, submit, at_once=1, store=wiring.store, told=ignored)
    wiring.close()
    final = Unequipped(settings, quality="final")
    missing = produce_order(batch.orders[0], wiring=final, watch=lambda done, total: None)
    final.close()

    assert [(o.state, o.rendered, o.reused) for o in first] == [("done", 1, 0), ("done", 1, 0), ("done", 0, 1)]
    assert [(o.state, o.rendered) for o in again] == [("done", 0)] * 3
    assert [o.revision for o in first] == [o.revision for o in again]
    assert (missing.state, "pip install" in missing.error) == ("failed", True)


class Fragile:
    """A pool whose workers die under some orders, as often as a test says."""

    deaths: ClassVar[dict[str, int]] = {}
    made: ClassVar[list[tuple[str, int]]] = []
    """(quality, size) of every pool."""

    def __init__(self, settings: Settings, quality: str, size: int) -> None:
        self.made.append((quality, size))

    def call(self, stage: object, values: tuple[Order]) -> tuple[Outcome, float]:
        """The order, or the end of the worker."""
        (order,) = values
        if self.deaths.get(order.id, 0):
            self.deaths[order.id] -= 1
            raise EngineError("a render process died")
        return done(order), 0.0

    def close(self, *, stop: bool = False) -> None:
        """Nothing to end."""


def test_a_worker_that_dies_costs_no_other_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was beside a death is made alone; one that kills its worker again has failed. Final rows go singly."""
    monkeypatch.setattr("flows.batch.Pool", Fragile)
    monkeypatch.setattr(Fragile, "deaths", {"e1": 1, "e2": 9})
    monkeypatch.setattr(Fragile, "made", [])
    batch = many(4)
    batch = replace(batch, orders=(*batch.orders[:3], replace(batch.orders[3], quality="final")))
    rows = Rows(Settings(), 3)
    outcomes = run_batch(batch, rows, at_once=3, store=MemoryStore(), told=ignored)
    rows.close()

    assert [outcome.state for outcome in outcomes] == ["done", "done", "failed", "done"]
    assert outcomes[2].error == "a render process died"
    assert sorted(Fragile.made) == [("draft", 1), ("draft", 1), ("draft", 3), ("final", 1)]


def test_a_row_that_is_about_to_begin_hinders_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for the workers of another quality while those that are there are ended."""

    class Slow(Fragile):
        def close(self, *, stop: bool = False) -> None:
            rows._pool("final")

    monkeypatch.setattr("flows.batch.Pool", Slow)
    rows = Rows(Settings(), 1)
    rows._pool("draft")
    rows.close(stop=True)

    with pytest.raises(Stopped):
        rows(many(1).orders[0])


def troupe(*arguments: str) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_the_command_says_how_the_batch_went(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """0 where every row is done, 1 where one is not, 2 where the table is wrong and nothing has begun."""
    monkeypatch.setattr("flows.batch.Pool", Fragile)
    orders(tmp_path, "id,name\na,Ada\nb,\n")
    (tmp_path / "good.csv").write_text("id,name\na,Ada\n")
    (tmp_path / "twice.csv").write_text("id,name\na,Ada\nA,Bo\n")
    more = ("--template", str(tmp_path / "t.yaml"), "--store", f"file:{tmp_path}/store")
    failed = troupe("batch", str(tmp_path / "table.csv"), *more)
    said = capsys.readouterr()
    good = troupe("batch", str(tmp_path / "good.csv"), *more, "--json")
    document = json.loads(capsys.readouterr().out)
    wrong = troupe("batch", str(tmp_path / "twice.csv"), *more)
    refused = capsys.readouterr()

    assert (failed, good, wrong) == (1, 0, 2)
    assert "1 done, 1 wrong; summary: " in said.out
    assert "b: " in said.err
    assert (document["counts"]["done"], document["rows"][0]["programme"]) == (1, "/p/a")
    assert Path(document["summary"]).read_text().startswith("id,state,programme")
    assert "the id 'A' stands in line 2 already" in refused.err
    assert len(list((tmp_path / "store/batches").iterdir())) == 2


def test_of_a_thousand_rows_none_is_lost_and_none_doubled(tmp_path: Path) -> None:
    """Each is submitted once, whatever fails beside it; the summary has every row, in the table's order."""
    batch = orders(tmp_path, "id,name\n" + "".join(f"e{number},Guest {number}\n" for number in range(1000)))
    submitted: list[str] = []

    def submit(order: Order) -> Outcome:
        submitted.append(order.id)
        if order.id.endswith("7"):
            raise RuntimeError("lost")
        return done(order)

    store = MemoryStore()
    outcomes = run_batch(batch, submit, at_once=8, store=store, told=ignored)
    kept = json.loads(store.read(summary_key(batch, "summary.json")) or b"")

    assert sorted(submitted) == sorted(batch.ids)
    assert tuple(outcome.id for outcome in outcomes) == batch.ids
    assert kept["counts"] == {"done": 900, "failed": 100, "wrong": 0, "waiting": 0}
    assert [row["id"] for row in kept["rows"]] == list(batch.ids)
