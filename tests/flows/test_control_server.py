"""The control room of a real Prefect server: what starts runs, what is shown of them, and who is told."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import children, until
from tests.episodes import small_episode
from tests.reading import read_page
from tests.receiver import Receiver
from tests.servers import PrefectServer, S3Server, end, free_ports

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[2]
OURS = ["End runs whose machine is gone", "Tell of productions that were lost"]
"""Automations that no file of schedules names."""


@dataclass
class Room:
    """A server with Troupe's deployments, a worker of pool `cpu`, and a receiver of webhooks."""

    server: PrefectServer
    receiver: Receiver
    folder: Path
    settings: dict[str, str]
    worker: "subprocess.Popen[bytes] | None" = None

    def run(self, *arguments: str | Path, code: int = 0, **others: str) -> str:
        """What a Python module prints, with the room's settings."""
        done = subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            check=False,
            cwd=self.folder,
            env=self.server.environment(**{**self.settings, **others}),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def deployments(self) -> dict[str, dict[str, Any]]:
        """By the name of their flow."""
        made = self.server.ask("/deployments/filter", {})
        return {one["entrypoint"].rpartition(".")[2]: one for one in made}

    def artifacts(self, key: str) -> list[dict[str, Any]]:
        """Those of a key, newest first."""
        return list(self.server.ask("/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}}))


@pytest.fixture(scope="module")
def room(recorder: PrefectServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Deployed twice; the second time has to change nothing."""
    folder, receiver = tmp_path_factory.mktemp("room"), Receiver()
    settings = {
        **receiver.environment,
        "PYTHONPATH": str(ROOT),
        "TROUPE_WORKERS": "2",
        "TROUPE_STORE": s3_server.new_uri(),
        "TROUPE_GPU_HOUR_PRICE": "2.5",
        "TROUPE_LOG_FORMAT": "json",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        **{f"TROUPE_S3__{name.upper()}": value for name, value in s3_server.options().items()},
    }
    made = Room(server=recorder, receiver=receiver, folder=folder, settings=settings)
    for _ in range(2):
        made.run("infra.deployments")
    with (folder / "worker.log").open("wb") as log:
        worker = made.worker = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu"],
            env=recorder.environment(**settings),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        yield made
    finally:
        end(worker, 20)
        receiver.shutdown()
        receiver.server_close()


def is_ready(room: Room, episode: Path) -> None:
    """Say so, as another program would."""
    happened = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "troupe.episode.ready",
        "resource": {"prefect.resource.id": f"episode.{episode.stem}"},
        "payload": {"path": str(episode)},
    }
    room.server.ask("/events", [happened])


def reached(room: Room, name: str, *states: str) -> dict[str, Any]:
    """The run of that name, once it is in one of the states."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = [run for run in room.server.flow_runs(name=[name]) if run["state"]["type"] in states]
        return bool(found)

    until(is_there, 150)
    return found[0]


@pytest.fixture(scope="module")
def by_event(room: Room) -> dict[str, Any]:
    """The run that an event has begun, when it has ended."""
    room.receiver.statuses[:] = [503]
    is_ready(room, small_episode(room.folder / "event", name="event"))
    return reached(room, "event en", "COMPLETED", "FAILED", "CRASHED")


def test_deploying_twice_is_deploying_once(room: Room) -> None:
    """One deployment a flow, one schedule for each that the file has, with its time zone, and one trigger."""
    made = room.deployments()
    schedules = {name: [each["schedule"] for each in one["schedules"]] for name, one in made.items()}
    rules = [each["name"] for each in room.server.ask("/automations/filter", {})]

    assert set(schedules) >= {"produce", "watch_feed", "watch_inbox", "deliver_webhook"}
    assert [(each["cron"], each["timezone"]) for each in schedules["watch_feed"]] == [("30 6 * * 1-5", "Europe/Rome")]
    assert len(schedules["watch_inbox"]) == 1
    assert sorted(rules) == [*OURS[:1], "Produce an episode that is ready", *OURS[1:]]


def test_what_leaves_the_file_leaves_the_server(room: Room) -> None:
    """And what is changed there is changed here; a file that cannot be meant changes nothing, and is told."""
    other = room.folder / "schedules.yaml"
    night = {"slug": "night", "cron": "0 3 * * *", "timezone": "Asia/Tokyo", "parameters": {"inbox": {"id": "a"}}}
    other.write_text(json.dumps({"deployments": [{"name": "watch_inbox", "schedules": [night]}]}))
    room.run("infra.deployments", TROUPE_PRODUCTION__SCHEDULES=str(other))
    changed = room.deployments()
    rules = [each["name"] for each in room.server.ask("/automations/filter", {})]
    other.write_text(other.read_text().replace("Asia/Tokyo", "Asia/Nowhere"))
    told = room.run("infra.deployments", code=2, TROUPE_PRODUCTION__SCHEDULES=str(other))
    room.run("infra.deployments")

    assert [each["slug"] for each in changed["watch_inbox"]["schedules"]] == ["night"]
    assert changed["watch_feed"]["schedules"] == []
    assert sorted(rules) == OURS
    assert "Traceback" not in told
    assert "Asia/Nowhere" in told or "timezone" in told
    assert [each["slug"] for each in room.deployments()["watch_inbox"]["schedules"]] == ["inbox"]


def test_an_event_starts_a_production(by_event: dict[str, Any]) -> None:
    """With the path that the event names; the run is called after the episode, and bears what it did."""
    assert by_event["state"]["type"] == "COMPLETED"
    assert by_event["labels"]["troupe.rendered"] == 2
    assert by_event["labels"]["troupe.reused"] == 0


def test_a_run_shows_what_came_of_it(room: Room, by_event: dict[str, Any]) -> None:
    """Progress, a row for each shot, a summary, and links that a browser opens without an account."""
    (progress,) = room.artifacts("event-progress")
    (table,) = room.artifacts("event-shots")
    (said,) = room.artifacts("event")
    links = [room.artifacts(key) for key in ("event-16x9-en-mp4", "event-review-page")]
    rows = json.loads(table["data"])
    address, review = (link["data"].partition("](")[2].rstrip(")") for (link,) in links)

    assert progress["data"] == 100
    assert [(row["speaker"], row["clip"]) for row in rows] == [("anna", "rendered"), ("ben", "rendered")]
    assert all(float(row["seconds"]) > 0 and " frames " in row["checks"] for row in rows), rows
    assert "2 shots, 2 rendered, 0 reused" in said["data"]
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.read(12)[4:8] == b"ftyp"
    assert f"[Review page](<{review}>)" in said["data"]
    with urllib.request.urlopen(review, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "2 rendered" in read_page(answer.read().decode()).text


def test_a_programme_is_told_and_told_again(room: Room, by_event: dict[str, Any]) -> None:
    """Signed; the receiver was busy first, and got the same message ten seconds later, from a run of its own."""
    until(lambda: len(room.receiver.got) >= 2, 150)
    first, second = room.receiver.events()[:2]

    assert first == second
    assert (first["event"], first["data"]["episode"]) == ("programme.published", "event")
    assert first["data"]["programme"].startswith("s3://")
    assert [one["parameters"]["attempt"] for one in deliveries(room, first["key"])] == [1, 2]


def deliveries(room: Room, key: str) -> list[dict[str, Any]]:
    """The runs that sent a message, in their order."""
    runs = room.server.ask("/flow_runs/filter", {"limit": 200})
    return sorted(
        (one for one in runs if one["parameters"].get("key") == key), key=lambda one: one["parameters"]["attempt"]
    )


def test_a_failure_is_told_and_counted(room: Room, by_event: dict[str, Any]) -> None:
    """Of a run in the command's own process: a message, a line of `troupe status`, a metric with the error's class."""
    port = free_ports()
    metrics = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "metrics"],
        env=room.server.environment(**room.settings, TROUPE_METRICS__PORT=str(port)),
        cwd=room.folder,
    )
    try:
        until(lambda: "troupe_workers" in scraped(port), 60)
        episode = small_episode(room.folder / "wrong", name="wrong")
        os.truncate(episode.with_name("ben.png"), 100)
        room.run("flows.cli", "produce", episode, code=2)
        until(lambda: "wrong" in heard(room), 150)
        (told,) = (one for one in room.receiver.events() if one["data"]["episode"] == "wrong")
        until(lambda: 'troupe_failures_total{error="PortraitError"} 1.0' in scraped(port), 60)
    finally:
        end(metrics)
    said = json.loads(room.run("flows.cli", "status", "--json"))

    assert told["event"] == "programme.failed"
    assert "ben.png" in told["data"]["error"]
    assert [run["name"] for run in said["failed"]][:1] == ["wrong en"]
    assert "ben.png" in said["failed"][0]["message"]
    assert [(pool["name"], pool["online"]) for pool in said["pools"] if pool["name"] == "cpu"] == [("cpu", 1)]


def test_a_run_whose_process_was_killed_is_told(room: Room, by_event: dict[str, Any]) -> None:
    """SIGKILL in the middle: the run is Crashed, and the receiver hears of it."""
    assert room.worker is not None
    is_ready(room, a_long_one(room, "killed"))
    reached(room, "killed en", "RUNNING")
    for process in children(room.worker.pid):
        os.kill(process, signal.SIGKILL)
    reached(room, "killed en", "CRASHED")
    until(lambda: heard(room).get("killed") == "programme.failed", 150)


def test_a_run_that_nobody_attends_is_told(room: Room, by_event: dict[str, Any]) -> None:
    """A process without a worker is lost, and declared dead by an automation: told once; one that is alive is not."""
    teller = room.deployments()["tell_of_loss"]["id"]
    alive = {"parameters": {"run": f"prefect.flow-run.{by_event['id']}"}}
    room.server.ask(f"/deployments/{teller}/create_flow_run", alive)
    episode = a_long_one(room, "lost")
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "produce", str(episode)],
        env=room.server.environment(**room.settings),
        cwd=room.folder,
    )
    lost = reached(room, "lost en", "RUNNING")
    process.kill()
    process.wait()
    silent = {"type": "CRASHED", "message": "No heartbeat."}  # as the automation does
    # SQLite may be busy for a moment.
    until(lambda: bool(room.server.ask(f"/flow_runs/{lost['id']}/set_state", {"state": silent, "force": True})), 30)
    until(lambda: heard(room).get("lost") == "programme.failed", 150)
    until(lambda: {"lost en is lost.", "event en goes on."} <= told_by(room, teller), 150)

    (told,) = (one for one in room.receiver.events() if one["data"]["episode"] == "lost")
    assert (told["data"]["run"], told["data"]["error"]) == (lost["id"], "No heartbeat.")
    assert heard(room)["event"] == "programme.published"


def a_long_one(room: Room, name: str) -> Path:
    """An episode that is being produced for a while."""
    lines = tuple(f"Line {number} of a talk that goes on for a while, and then some." for number in range(60))
    return small_episode(room.folder / name, name=name, lines=lines)


def told_by(room: Room, deployment: str) -> set[str]:
    """What the runs of a deployment say of themselves."""
    runs = room.server.ask("/flow_runs/filter", {"deployments": {"id": {"any_": [deployment]}}})
    return {str(run["state"]["message"]) for run in runs}


def scraped(port: int) -> str:
    """What a scraper reads."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def test_rows_of_a_table_are_told(room: Room, by_event: dict[str, Any]) -> None:
    """`troupe batch` tells of each row, of one that went wrong too."""
    template = small_episode(room.folder / "rows", name="row")
    template.write_text(template.read_text().replace("Hello there.", "Hello {{name}}."))
    table = template.with_name("table.csv")
    table.write_text("id,name\nrow-1,Ann\nrow-2,\n")
    room.run("flows.cli", "batch", table, "--template", template, code=1)
    told = {"row-1": "programme.published", "row-2": "programme.failed"}
    until(lambda: told.items() <= heard(room).items(), 150)


def heard(room: Room) -> dict[str, str]:
    """What the receiver was told of each episode."""
    return {one["data"]["episode"]: one["event"] for one in room.receiver.events()}


def test_no_server_is_one_sentence(room: Room) -> None:
    """`troupe status` where nothing listens, and where nothing is configured."""
    away = room.run("flows.cli", "status", code=1, PREFECT_API_URL="http://127.0.0.1:1/api")
    none = room.run("flows.cli", "status", code=2, PREFECT_API_URL="")

    assert away.count("\n") == none.count("\n") == 1
    assert "does not answer" in away
    assert "no Prefect server" in none
