"""Runs the pipeline on Prefect: each stage a task by its policy, each clip a task with its own state.

The work itself is `Direct`'s, so that both ways make equal programmes: only retries and states are Prefect's here.
Values do not travel through Prefect: a task is given a label, and its result stays in this process and in the store.
Prefect's own caching and persistence stay off: the store is the one memory.
"""

from collections.abc import Callable, Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.futures import as_completed
from prefect.states import Completed
from prefect.tasks import Task

from flows.direct import Direct, cost_of
from flows.memory import identity
from flows.policy import BACKOFF_SECONDS, POLICY, Policy, Stage, may_pass
from flows.record import Tally


class Steps:
    """A `Run` (flows/pipeline.py) inside a flow run."""

    def __init__(self, direct: Direct) -> None:
        self.direct = direct

    def __call__(self, stage: Stage, *values: Any) -> Any:
        """One task, called what the stage does."""
        return self._each(stage, [values], [POLICY[stage].title])[0]

    def each(self, stage: Stage, items: Sequence[tuple[Any, ...]]) -> list[Any]:
        """One task for each piece of work; clips longest first, as many at once as the flow's task runner allows."""
        title = POLICY[stage].title
        return self._each(stage, items, [f"{title}: {_label(item, place)}" for place, item in enumerate(items)])

    def _each(self, stage: Stage, items: Sequence[tuple[Any, ...]], told: Sequence[str]) -> list[Any]:
        policy = POLICY[stage]
        names = [identity(stage, item) or str(place) for place, item in enumerate(items)]
        work = dict(zip(names, items, strict=True))
        calls: list[Tally] = []
        done: dict[str, Any] = {}

        def step(label: str, name: str) -> State:
            own = Tally(stage=stage.__name__)
            calls.append(own)
            done[name] = self.direct.once(stage, work[name], own)
            return Completed(name="Reused", message="It was in the store.") if own.remembered else Completed()

        ordered = _as_task(step, policy)
        with self.direct.record.tally(stage.__name__, len(items)) as tally:
            try:
                labels = dict(zip(names, told, strict=True))
                if policy.in_processes:
                    order = sorted(work, key=lambda name: -cost_of(work[name]))
                    for future in as_completed([ordered.submit(labels[name], name) for name in order]):
                        future.result()
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
