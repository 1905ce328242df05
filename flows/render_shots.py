"""The flow that renders: one shard of shots, in a process whose model stays loaded from run to run.

In: the digest of a shard that the producing flow kept in the store. Out: clips, named in the store as each is done;
the flow's result only counts them. Knows no programme; what is reused is the store's business alone.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

import tasks.render
from flows.logs import about
from flows.policy import may_pass
from flows.progress import unwatched
from flows.report import log_run
from flows.settings import Settings, load_settings
from flows.shards import Shard
from flows.wiring import Wiring
from tasks.domain.editing import Shot
from tasks.domain.errors import EngineMissing, PipelineError, StoreError
from tasks.plan import fingerprint

log = logging.getLogger(__name__)

REFUSED = "Refused"
"""Name of the state in which a run ends that would fail again anywhere: not begun again."""
NO_HEARTBEAT = "No heartbeat: its machine is gone."
"""Why a run is declared dead from afar. It may be wrong after the server was away: the worker then says so."""
STORE = "shard"
"""Under which a shard is kept in the store's memory."""
STORE_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 120.0)
"""Waits for a store that does not answer: five minutes in all."""

Value = TypeVar("Value")


@dataclass(slots=True)
class Outcome:
    """What one run did."""

    rendered: int = 0
    reused: int = 0
    failures: list[tuple[Shot, PipelineError]] = field(default_factory=list)

    def as_state(self) -> State[Any]:
        """How the run ends: a shot that failed fails it, after all the others were rendered."""
        counts = f"{self.rendered} rendered, {self.reused} reused"
        if not self.failures:
            return Completed(message=counts)
        told = " ".join(f"Shot {shot.id}: {error}" for shot, error in self.failures[:3])
        hopeless = not any(may_pass(error) for _, error in self.failures)
        return Failed(name=REFUSED if hopeless else None, message=f"{told} ({counts}, {len(self.failures)} failed)")


@flow(name="render-shots", persist_result=False)
def render_shots(shard: str, store: str, quality: str = "final", attempt: int = 1) -> State[Any]:
    """Render the shots of a shard.

    Args:
        shard: Digest of the shard, as the producing flow kept it.
        store: file:FOLDER or s3://BUCKET/PREFIX that holds the shard and takes the clips.
        quality: draft or final.
        attempt: How often this shard was begun, this time included.

    """
    wiring = _wired(store, quality)
    log_run(wiring.settings)
    with suppress(StoreError):
        wiring.tidy()  # nobody else does on this machine, and its process stays
    found = patiently(lambda: wiring.workspace.recall(STORE, shard, Shard), wiring)
    if found is None:
        return Failed(name=REFUSED, message=f"There is no shard {shard[:12]} in {store}. Produce the episode again.")
    with about(episode=str(runtime.flow_run.name or "").partition(" ")[0]):
        return render_all(found.shots, wiring, attempt).as_state()


def render_all(shots: Sequence[Shot], wiring: Wiring, attempt: int = 1) -> Outcome:
    """Render what the store does not have; one shot's failure leaves the others alone.

    An attempt that died did so at the first shot that is missing: that one waits until all others are done.
    """
    outcome, queue, suspects = Outcome(), deque(shots), attempt - 1
    while queue:
        shot, started = queue.popleft(), time.monotonic()
        with about(shot=shot.id, fingerprint=shot.fingerprint):
            try:
                if suspects and patiently(partial(wiring.workspace.clip, shot.fingerprint), wiring) is None:
                    suspects -= 1
                    queue.append(shot)
                elif patiently(partial(_is_rendered, shot, wiring), wiring):
                    log.info("clip %s of %s in %.1f s", shot.fingerprint[:12], shot.id, time.monotonic() - started)
                    outcome.rendered += 1
                else:
                    outcome.reused += 1
            except PipelineError as error:
                log.warning("shot %s (%s): %s", shot.id, shot.fingerprint[:12], error)
                outcome.failures.append((shot, error))
    return outcome


def _is_rendered(shot: Shot, wiring: Wiring) -> bool:
    """Whether the shot had to be rendered: after an outage somebody else may have done so."""
    if wiring.workspace.clip(shot.fingerprint) is not None:
        return False
    renderer = wiring.renderers(shot.renderer)
    if fingerprint(shot, renderer.traits()) != shot.fingerprint:
        raise EngineMissing(
            f"this worker's {renderer.traits().name} is not the one that the shots were planned for: its revision, "
            "weights or options differ. Give producers and workers the same settings."
        )
    tasks.render.render(shot, renderers=wiring.renderers, workspace=wiring.workspace, watch=unwatched)
    return True


def patiently(call: Callable[[], Value], wiring: Wiring) -> Value:
    """The call's result; where the store does not answer, it is waited for, so that one outage costs one clip.

    Raises StoreError where the store stays away.
    """
    for pause in STORE_PAUSES_SECONDS:
        try:
            return call()
        except StoreError as error:
            log.warning("the store is waited for: %s", error)
            _until_it_answers(wiring, pause)
    return call()


def _until_it_answers(wiring: Wiring, pause: float) -> None:
    """One wait. The GPU does no work for a clip that could not be kept."""
    end = time.monotonic() + pause
    while time.monotonic() < end:
        time.sleep(min(1.0, pause))
        try:
            wiring.store.check()
        except PipelineError:
            continue
        return


def preload(qualities: Sequence[str]) -> None:
    """Load the renderers of these qualities, before the first run is taken. Raises EngineMissing."""
    for quality in qualities:
        _engines(quality).renderer.traits()


def qualities_of(pool: str, settings: Settings) -> tuple[str, ...]:
    """The qualities whose renderer the setting `pools` gives to a work pool."""
    named = (("draft", settings.engines.draft), ("final", settings.engines.final))
    return tuple(quality for quality, renderer in named if settings.pools.get(renderer) == pool)


@cache
def _engines(quality: str) -> Wiring:
    """Engines stay loaded from run to run: one wiring a process and quality."""
    return Wiring(load_settings(), quality=quality)


@cache
def _wired(store: str, quality: str) -> Wiring:
    """The same engines over another store."""
    wiring = _engines(quality)
    return wiring if wiring.settings.store == store else wiring.over(store)
