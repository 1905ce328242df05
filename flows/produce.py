"""The flows: what Prefect runs. `produce` makes the programmes of one episode; its parameters are a form in the UI."""

import logging
import os
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.runtime.flow_run import get_parameters as parameters
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.choices import choices_for
from flows.direct import Direct
from flows.episodes import open_episode
from flows.pipeline import production
from flows.progress import Silent
from flows.record import Record, published
from flows.settings import Settings, load_settings
from flows.steps import Steps
from flows.wiring import Wiring
from tasks.domain.episode import Episode
from tasks.domain.errors import PipelineError


def run_name() -> str:
    """Episode and language of the run at hand; its file's name where that cannot be read."""
    path = str(parameters()["path"])
    try:
        episode = open_episode(path, load_settings())
    except PipelineError:
        return Path(path).name
    return f"{episode.id} {' '.join((episode.language, *episode.languages))}"


@flow(name="produce", flow_run_name=run_name, persist_result=False)
def produce(
    path: Annotated[
        str, Field(title="Episode file", description="As the workers see it, for example `/episodes/welcome.yaml`.")
    ],
    quality: Annotated[
        Literal["draft", "final"] | None,
        Field(title="Quality", description="In place of the episode's own: a draft needs no GPU."),
    ] = None,
    store: Annotated[
        str | None,
        Field(title="Store", description="file:FOLDER or s3://BUCKET/PREFIX, in place of the worker's setting."),
    ] = None,
    budget_gpu_s: Annotated[
        float | None,
        Field(title="Budget", ge=0, description="GPU seconds that are not exceeded. What is done by then is kept."),
    ] = None,
) -> dict[str, Any]:
    """Make the programmes of an episode file."""
    settings = load_settings(store=store)
    episode = open_episode(path, settings, quality)
    record = Record(run=uuid.uuid4().hex)
    wiring = Wiring(settings, quality=episode.render.quality)
    try:
        wiring.prepare()
        choices = choices_for(episode, wiring)
        with Direct(settings, wiring, Silent(), record) as direct:
            steps = Steps(direct, episode.id, budget_gpu_s=budget_gpu_s)
            programmes = production(episode, choices, steps)
        document = published(programmes, record, wiring.workspace)
        steps.reports.done(episode.title, document, record.as_document(), settings.gpu_hour_price)
        return document
    finally:
        wiring.close()


def produce_recorded(
    path: str, episode: Episode, settings: Settings, *, budget_gpu_s: float | None = None
) -> dict[str, Any]:
    """Run one episode in this process as a flow that the configured Prefect API records."""
    _leave_errors_to_the_command()
    threads: Any = ThreadPoolTaskRunner(max_workers=(settings.workers or os.cpu_count() or 1) + 1)
    quality: Any = episode.render.quality
    recorded = produce.with_options(task_runner=threads)
    return recorded(path, quality=quality, store=settings.store, budget_gpu_s=budget_gpu_s)


def _leave_errors_to_the_command() -> None:
    """Prefect prints a failure with its traceback; a person is told by the command, in a sentence, and once.

    The server's record of the run keeps all of it.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: record.levelno < logging.ERROR or not record.name.startswith("prefect."))
