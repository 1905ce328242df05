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
from prefect.states import Completed
from prefect.tasks import Task

from flows.direct import Direct
from flows.policy import BACKOFF_SECONDS, POLICY, Policy, Stage, may_pass


class Steps:
    """A `Run` (flows/pipeline.py) inside a flow run."""

    def __init__(self, direct: Direct) -> None:
        self.direct = direct

    def __call__(self, stage: Stage, *values: Any) -> Any:
        """One task."""
        return self.each(stage, [values], in_turn=True)[0]

    def each(self, stage: Stage, items: Sequence[tuple[Any, ...]], *, in_turn: bool = False) -> list[Any]:
        """One task for each set of values, as many at once as the flow's task runner allows."""
        policy = POLICY[stage]
        with self.direct.record.tally(stage.__name__, len(items)) as tally:
            results: dict[int, Any] = {}

            def step(label: str, place: int) -> State:
                before = tally.remembered
                results[place] = self.direct.once(stage, items[place], tally)
                return Completed(name="Reused") if tally.remembered > before else Completed()

            ordered = _as_task(step, stage, policy)
            if in_turn or not policy.in_processes:
                for place, item in enumerate(items):
                    ordered.submit(_label(item, place), place).result()
            else:
                futures = [ordered.submit(_label(item, place), place) for place, item in enumerate(items)]
                for future in futures:
                    future.result()
            return [results[place] for place in range(len(items))]


def _as_task(step: Callable[..., Any], stage: Stage, policy: Policy) -> Task[Any, Any]:
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
    """What a person sees of one call: a shot's id and speaker, an entry's key, a line's speaker, or a number."""
    first = values[0] if values else None
    named = getattr(first, "id", None) or getattr(first, "key", None) or (first if isinstance(first, str) else None)
    speaker = getattr(first, "speaker", None)
    return " ".join(str(part) for part in (named or place + 1, speaker) if part)
