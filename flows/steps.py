"""Runs the pipeline on Prefect: each stage a task by its policy, each clip a task with its own state.

The work itself is `Direct`'s, so that both ways make equal programmes: only retries and states are Prefect's here.
Values do not travel through Prefect: a task is given a label, and its result stays in this process and in the store.
Prefect's own caching and persistence stay off: the store is the one memory.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import as_completed
from prefect.states import Completed
from prefect.tasks import Task

import tasks.render
from flows.direct import Direct, cost_of
from flows.distribute import Distribution
from flows.memory import identity
from flows.policy import BACKOFF_SECONDS, POLICY, Policy, Stage, may_pass
from flows.record import Tally
from flows.report import Reports, shot_rows
from s2v_model.contract import Stopped
from tasks.domain.editing import Clip, Shot
from tasks.domain.errors import EngineError


class Steps:
    """A `Run` (flows/pipeline.py) inside a flow run."""

    def __init__(self, direct: Direct, episode: str, *, budget_gpu_s: float | None = None) -> None:
        """episode: its id, by which runs in work pools are called. budget_gpu_s: what those may cost, for all of it."""
        self.direct, self.episode, self.budget_gpu_s = direct, episode, budget_gpu_s
        self.reports = Reports(episode)

    def __call__(self, stage: Stage, *values: Any) -> Any:
        """One task, called what the stage does."""
        with self.direct.record.tally(stage.__name__) as tally:
            return self._tasks(stage, [values], [POLICY[stage].title], tally)[0]

    def each(self, stage: Stage, items: Sequence[tuple[Any, ...]], *, lenient: bool = False) -> list[Any]:
        """One task for each piece of work; clips longest first, as many at once as the flow's task runner allows.

        Shots whose renderer has a work pool go there, as one task that waits for all of them.
        """
        title = POLICY[stage].title
        with self.direct.record.tally(stage.__name__, len(items)) as tally:
            pools = self._pools(items) if stage is tasks.render.render else {}
            here = [place for place in range(len(items)) if place not in pools]
            told = [f"{title}: {_label(items[place], place)}" for place in here]
            done = dict(
                zip(here, self._tasks(stage, [items[place] for place in here], told, tally, lenient), strict=True)
            )
            for pool, renderer in sorted({(pools[place], items[place][0].renderer) for place in pools}):
                own = [place for place in pools if items[place][0].renderer == renderer]
                clips = self._on_pool(pool, [items[place][0] for place in own], f"{title} on {pool}", tally, lenient)
                done |= dict(zip(own, clips, strict=True))
            if stage is tasks.render.render:
                shots, clips = [shot for (shot,) in items], [done[place] for place in range(len(items))]
                self.reports.shots(shot_rows(shots, clips, tally.clips))
            return [done[place] for place in range(len(items))]

    def _pools(self, items: Sequence[tuple[Any, ...]]) -> dict[int, str]:
        """The work pool of each shot that has one, by the setting `pools`."""
        named = self.direct.wiring.settings.pools
        return {place: named[shot.renderer] for place, (shot,) in enumerate(items) if shot.renderer in named}

    def _on_pool(
        self, pool: str, shots: Sequence[Shot], title: str, tally: Tally, lenient: bool
    ) -> list[Clip | EngineError]:
        """The clips of shots of one renderer."""
        record, notes = self.direct.record, self.direct.record.notes
        spent = notes.get("gpu_seconds", 0.0)
        left = None if self.budget_gpu_s is None else self.budget_gpu_s - spent
        away = Distribution(
            direct=self.direct,
            pool=pool,
            traits=self.direct.wiring.traits_of(shots[0].renderer),
            episode=self.episode,
            budget_gpu_s=left,
            lenient=lenient,
        )
        away.told = partial(self._tell, away)

        def wait() -> None:
            away.render(shots)  # not a parameter of the task: Prefect would look through every value

        try:
            task(name=title, task_run_name=title, cache_policy=NO_CACHE, persist_result=False)(wait)()
        finally:
            tally.remembered += away.num_reused
            tally.retries += away.num_retries
            notes["gpu_seconds"] = round(spent + away.gpu_seconds, 3)
            if away.quoted is not None:
                notes["quotes"] = [*notes.get("quotes", ()), away.quoted.as_document()]
            tally.clips |= dict.fromkeys(away.clips.keys() - away.reused)
        return [
            away.clips.get(shot.fingerprint) or record.failed(tally, shot.id, EngineError(away.lost[shot.fingerprint]))
            for shot in shots
        ]

    def _tell(self, away: Distribution, share: float) -> None:
        """Progress of a pool; at its beginning, what it will cost."""
        if share == 0 and away.quoted is not None:
            self.reports.quote(away.quoted)
        self.reports.progress(share)

    def _tasks(
        self,
        stage: Stage,
        items: Sequence[tuple[Any, ...]],
        told: Sequence[str],
        tally: Tally,
        lenient: bool = False,
    ) -> list[Any]:
        """Each piece of work as a task in this process."""
        policy = POLICY[stage]
        names = [identity(stage, item) or str(place) for place, item in enumerate(items)]
        work = dict(zip(names, items, strict=True))
        labels = dict(zip(names, told, strict=True))
        calls: list[Tally] = []
        done: dict[str, Any] = {}
        lost: dict[str, EngineError] = {}
        """The last error of a piece of work that may yet be tried again."""

        def step(label: str, name: str) -> State:
            own = Tally(stage=stage.__name__)
            calls.append(own)
            try:
                done[name] = self.direct.once(stage, work[name], own)
            except EngineError as error:
                lost[name] = error
                raise
            return Completed(name="Reused", message="It was in the store.") if own.remembered else Completed()

        ordered = _as_task(step, policy)
        try:
            if policy.in_processes:
                order = sorted(work, key=lambda name: -cost_of(work[name]))
                begun = [ordered.submit(labels[name], name) for name in order]
                for num_done, future in enumerate(as_completed(begun), 1):
                    future.result(raise_on_failure=not lenient)
                    if self.direct.is_stopped:
                        raise Stopped
                    self.reports.progress(num_done / len(order))
            else:
                for name in work:
                    ordered.submit(labels[name], name).result()
        except BaseException:
            self.direct.request_stop()
            raise
        finally:
            tally.remembered += len(items) - len(work) + sum(own.remembered for own in calls)
            tally.retries += max(0, len(calls) - len(work))
            tally.cpu_seconds += sum(own.cpu_seconds for own in calls)
            for own in calls:
                tally.clips |= own.clips
        for name in [name for name in work if name not in done]:  # only where lenient
            if not may_pass(lost[name]):
                raise lost[name]
            done[name] = self.direct.record.failed(tally, work[name][0].id, lost[name])
        return [done[name] for name in names]


def _as_task(step: Callable[..., Any], policy: Policy) -> Task[Any, Any]:
    return task(
        name=policy.title,
        task_run_name="{label}",
        retries=policy.retries,
        retry_delay_seconds=list(BACKOFF_SECONDS[: policy.retries]) if policy.retries else None,
        retry_condition_fn=_may_pass,
        timeout_seconds=None,  # a thread cannot be stopped from outside: `watch` does it
        cache_policy=NO_CACHE,
        persist_result=False,
    )(step)


def _may_pass(ended: Task[Any, Any], run: TaskRun, state: State) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, BaseException) and may_pass(error)


def _label(values: tuple[Any, ...], place: int) -> str:
    """What tells one call from the others: a shot's id and speaker, an entry's key, a line's speaker, or a number."""
    first = values[0] if values else None
    named = getattr(first, "id", None) or getattr(first, "key", None) or (first if isinstance(first, str) else None)
    speaker = getattr(first, "speaker", None)
    return " ".join(str(part) for part in (named or place + 1, speaker) if part)
