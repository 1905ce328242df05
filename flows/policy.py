"""One row a stage, in pipeline order: how often, and what it remembers. Read by both ways of running."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tasks.arrange
import tasks.cast
import tasks.composite
import tasks.diarize
import tasks.dub
import tasks.ingest
import tasks.plan
import tasks.publish
import tasks.render
import tasks.still
import tasks.transcribe
from tasks.domain.errors import EngineError, EngineMissing, OutOfMemory, StoreError

Stage = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one stage is run."""

    title: str
    """What a person sees: a verb and its object."""
    retries: int = 0
    """After a failure whose class may pass (`may_pass`)."""
    key: Callable[..., str | None] | None = None
    """What the stage's result depends on, from its values; None, or a key that is None: nothing is remembered."""
    in_processes: bool = False
    """Whether `each` spreads it over the cores; the others take milliseconds, or threads of their own."""


POLICY: dict[Stage, Policy] = {
    tasks.ingest.ingest: Policy(title="read the source", retries=2, key=tasks.ingest.key),
    tasks.diarize.diarize: Policy(title="tell the speakers apart", retries=1, key=tasks.diarize.key),
    tasks.diarize.listen: Policy(title="find the speech in the tracks", retries=1, key=tasks.diarize.listen_key),
    tasks.transcribe.transcribe: Policy(title="find the words", retries=1, key=tasks.transcribe.key),
    tasks.transcribe.transcribe_tracks: Policy(
        title="find the words of the tracks", retries=1, key=tasks.transcribe.tracks_key
    ),
    tasks.cast.portray: Policy(title="prepare the portraits", key=tasks.cast.portray_key),
    tasks.cast.recognise: Policy(title="recognise the voices"),
    tasks.cast.cast: Policy(title="cast the speakers"),
    tasks.dub.dub: Policy(title="speak the lines", retries=2, key=tasks.dub.key),
    tasks.arrange.arrange_script: Policy(title="arrange the lines", key=tasks.arrange.script_key),
    tasks.arrange.arrange_recording: Policy(title="arrange the recording"),
    tasks.arrange.arrange_tracks: Policy(title="arrange the tracks", key=tasks.arrange.tracks_key),
    tasks.plan.plan: Policy(title="plan the shots"),
    tasks.render.render: Policy(title="render the clips", retries=2, in_processes=True),
    tasks.still.still: Policy(title="hold portraits still"),
    tasks.composite.composite: Policy(title="put the programme together", retries=1, key=tasks.composite.key),
    tasks.publish.publish: Policy(title="publish", retries=5),
}

BACKOFF_SECONDS = (1.0, 4.0, 15.0, 60.0, 180.0)
"""Before the first, second ... retry."""


def may_pass(error: BaseException) -> bool:
    """Whether the same order could succeed a little later."""
    if isinstance(error, OutOfMemory | EngineMissing):
        return False
    return isinstance(error, EngineError | StoreError)
