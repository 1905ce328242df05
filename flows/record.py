"""What one run did: stages, seconds, CPU, what was remembered and what was done again. Becomes `runs/<run id>.json`."""

import logging
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flows.estimate import expected_of, price_of
from flows.wiring import Wiring
from tasks.domain.editing import Programme
from tasks.domain.errors import EngineError, StoreError
from tasks.domain.reviewing import Account
from tasks.engines.stores import Store
from tasks.publish import add_record
from tasks.review import add_review, web_address

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """One stage call, or one fan-out of a stage."""

    stage: str
    items: int = 1
    remembered: int = 0
    retries: int = 0
    failed: int = 0
    """Items that could not be computed, though the run goes on."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    clips: dict[str, float | None] = field(default_factory=dict)
    """Seconds that each clip took which was made for this call, by fingerprint; None where only its worker knows."""
    lost: dict[str, str] = field(default_factory=dict)
    """Why shots could not be rendered, by their ids."""

    @property
    def done(self) -> int:
        """Items that were really computed."""
        return self.items - self.remembered - self.failed


@dataclass(slots=True)
class Record:
    """All tallies of a run, in order."""

    run: str
    tallies: list[Tally] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    notes: dict[str, Any] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    """Keys of the review pages, that of the episode's own language first."""

    @contextmanager
    def tally(self, stage: str, items: int = 1) -> Iterator[Tally]:
        """Time one call. CPU is this process and the children it has waited for; a pool adds its own."""
        entry = Tally(stage=stage, items=items)
        wall, cpu = time.monotonic(), _cpu_seconds()
        try:
            yield entry
        finally:
            entry.seconds += time.monotonic() - wall
            entry.cpu_seconds += _cpu_seconds() - cpu
            self.tallies.append(entry)

    def failed(self, tally: Tally, name: str, error: EngineError) -> EngineError:
        """A shot that failed at every try, in a run that goes on: counted, and said. Returns the error."""
        log.warning("shot %s could not be rendered, its portrait stands still: %s", name, error)
        tally.failed += 1
        tally.lost[name] = str(error)
        self.notes["stills"] = [*self.notes.get("stills", ()), {"shot": name, "error": str(error)}]
        return error

    def of(self, stage: str) -> list[Tally]:
        """The tallies of one stage, in order."""
        return [entry for entry in self.tallies if entry.stage == stage]

    def as_document(self) -> dict[str, Any]:
        """For the store and for `--json`."""
        renders = self.of("render")
        return {
            "schema": "run/1",
            "run": self.run,
            "started": round(self.started, 3),
            "rendered": sum(entry.done for entry in renders),
            "reused": sum(entry.remembered for entry in renders),
            "seconds": round(sum(entry.seconds for entry in self.tallies), 3),
            "cpu_seconds": round(sum(entry.cpu_seconds for entry in self.tallies), 3),
            "retries": sum(entry.retries for entry in self.tallies),
            "stages": [
                {
                    "stage": entry.stage,
                    "items": entry.items,
                    "remembered": entry.remembered,
                    "retries": entry.retries,
                    "failed": entry.failed,
                    "seconds": round(entry.seconds, 3),
                    "cpu_seconds": round(entry.cpu_seconds, 3),
                }
                for entry in self.tallies
            ],
            **self.notes,
        }


def published(programmes: Sequence[Programme], record: Record, wiring: Wiring) -> dict[str, Any]:
    """Put the run's record and review page beside each programme, and say what was made: of `troupe produce`."""
    document = record.as_document()
    made = []
    for programme, tally in zip(programmes, record.of("render"), strict=True):
        page = _page(programme, _account(record, document, tally, wiring), programmes, record, wiring)
        add_record(programme, record.run, {**document, "review": page}, workspace=wiring.workspace)
        made.append(
            {
                "programme": programme.uri,
                "revision": programme.revision,
                "shots": programme.num_shots,
                "rendered": tally.done,
                "reused": tally.remembered,
                "stills": tally.failed,
            }
        )
    return {
        **made[0],
        "seconds": document["seconds"],
        "cpu_seconds": document["cpu_seconds"],
        "others": made[1:],
        "text": [one["programme"] for one in made],
        "aside": [f"review: {shown_at(wiring.store, key)}" for key in record.pages],
    }


def shown_at(store: Store, key: str) -> str:
    """Where a person opens an object: on the web for a week, or a path."""
    return web_address(store, key) or store.address(key)


def _page(
    programme: Programme, account: Account, programmes: Sequence[Programme], record: Record, wiring: Wiring
) -> str | None:
    """The page's file name beside the record. A programme that is there does not fail for want of a page about it."""
    try:
        key = add_review(programme, account, programmes, workspace=wiring.workspace, now=datetime.now(UTC))
    except StoreError as error:
        log.warning("%s has no review page of this run: %s", programme.uri, error)
        return None
    record.pages.append(key)
    return key.rpartition("/")[2]


def _account(record: Record, document: dict[str, Any], tally: Tally, wiring: Wiring) -> Account:
    """What a person is told of the run, for the programme whose clips `tally` counts."""
    gpu_seconds = float(document.get("gpu_seconds", 0.0))
    return Account(
        run=record.run,
        started=datetime.fromtimestamp(record.started, UTC),
        quality=wiring.quality,
        seconds=document["seconds"],
        cpu_seconds=document["cpu_seconds"],
        num_retries=document["retries"],
        gpu_seconds=gpu_seconds,
        expected_gpu_seconds=expected_of(document),
        cost=price_of(gpu_seconds, wiring.settings.gpu_hour_price) or None,
        rendered=tuple(tally.clips.items()),
        lost=tuple(tally.lost.items()),
    )


def _cpu_seconds() -> float:
    usage = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in usage)
