"""The flows: what Prefect runs. `produce` makes the programmes of one episode; its parameters are a form in the UI."""

import logging
import os
import uuid
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.direct import Direct
from flows.episodes import choices_for, open_episode
from flows.pipeline import production
from flows.progress import Silent
from flows.record import Record, published
from flows.settings import Settings, load_settings
from flows.steps import Steps
from flows.wiring import Wiring
from tasks.domain.episode import Episode


@flow(name="produce", flow_run_name="{path}", persist_result=False)
def produce(path: str, store: str | None = None, quality: str | None = None) -> dict[str, Any]:
    """Make the programmes of an episode file.

    Args:
        path: The episode file, as this worker sees it.
        store: file:FOLDER or s3://BUCKET/PREFIX, in place of the worker's setting.
        quality: draft or final, in place of the episode's own.

    """
    settings = load_settings(store=store)
    episode = open_episode(path, settings, quality)
    record = Record(run=uuid.uuid4().hex)
    wiring = Wiring(settings, quality=episode.render.quality)
    try:
        wiring.prepare()
        choices = choices_for(episode, wiring)
        with Direct(settings, wiring, Silent(), record) as direct:
            programmes = production(episode, choices, Steps(direct, episode.id))
        return published(programmes, record, wiring.workspace)
    finally:
        wiring.close()


def produce_recorded(path: str, episode: Episode, settings: Settings) -> dict[str, Any]:
    """Run one episode in this process as a flow that the configured Prefect API records."""
    _leave_errors_to_the_command()
    threads: Any = ThreadPoolTaskRunner(max_workers=(settings.workers or os.cpu_count() or 1) + 1)
    recorded = produce.with_options(flow_run_name=f"{episode.id} {episode.language}", task_runner=threads)
    return recorded(path, settings.store, episode.render.quality)


def _leave_errors_to_the_command() -> None:
    """Prefect prints a failure with its traceback; a person is told by the command, in a sentence, and once.

    The server's record of the run keeps all of it.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: record.levelno < logging.ERROR or not record.name.startswith("prefect."))
