"""The one memory, as both ways of running look it up: a stage's result by its key, a clip by its fingerprint.

The store decides alone what is reused (DESIGN, section 4). Knows no Prefect and no processes.
"""

from functools import cache
from typing import Any, get_type_hints

import tasks.render
from flows.policy import POLICY, Stage
from tasks.engines.workspace import Workspace


def recall(stage: Stage, values: tuple[Any, ...], workspace: Workspace) -> Any | None:
    """What the stage made of these values before; None where it has no memory of them."""
    if stage is tasks.render.render:
        return workspace.clip(values[0].fingerprint)
    name = identity(stage, values)
    return None if name is None else workspace.recall(stage.__name__, name, result_type(stage))


def remember(stage: Stage, values: tuple[Any, ...], result: Any, workspace: Workspace) -> None:
    """Keep the stage's result. A clip names itself when it is rendered."""
    name = identity(stage, values)
    if name is not None and stage is not tasks.render.render:
        workspace.remember(stage.__name__, name, result)


def identity(stage: Stage, values: tuple[Any, ...]) -> str | None:
    """What makes two calls one piece of work; None where a stage has no memory, or none of these values."""
    if stage is tasks.render.render:
        return str(values[0].fingerprint)
    key = POLICY[stage].key
    return None if key is None else key(*values)


@cache
def result_type(stage: Stage) -> Any:
    """The type that a stage returns."""
    return get_type_hints(stage)["return"]
