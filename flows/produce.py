"""The flows: what Prefect runs. `produce` makes the programmes of one episode; its form is in flows/forms.py."""

import logging
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.runtime.flow_run import get_parameters as parameters
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.choices import choices_for
from flows.direct import Direct
from flows.episodes import open_episode
from flows.forms import AS_WRITTEN, EpisodeForm
from flows.logs import about
from flows.pipeline import production
from flows.progress import Silent
from flows.record import Record, published, shown_at
from flows.report import log_run
from flows.settings import Settings, load_settings
from flows.status import TAG, server
from flows.steps import Steps
from flows.webhooks import announce_failure, announce_programme
from flows.wiring import Wiring
from tasks.domain.editing import Programme
from tasks.domain.episode import Episode
from tasks.domain.errors import PipelineError
from tasks.engines.stores import Store
from tasks.review import web_address


def run_name() -> str:
    """Episode and language of the run at hand; its file's name where that cannot be read."""
    form = EpisodeForm.model_validate(parameters()["episode"])
    try:
        episode = _opened(form, load_settings())
    except PipelineError:
        return Path(form.path).name
    return f"{episode.id} {' '.join((episode.language, *episode.languages))}"


def tell_failure(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A run that has ended without a programme is told to webhooks."""
    settings, form = load_settings(), EpisodeForm.model_validate(flow_run.parameters["episode"])
    try:
        name = _opened(form, settings).id
    except PipelineError:
        name = Path(form.path).stem
    error = None if state.is_crashed() else state.result(raise_on_failure=False)
    said = str(error) if isinstance(error, PipelineError) else state.message or str(state.name)
    announce_failure(name, str(flow_run.id), said, settings)


@flow(
    name="produce",
    flow_run_name=run_name,
    persist_result=False,
    on_failure=[tell_failure],
)
def produce(episode: EpisodeForm) -> dict[str, Any]:
    """Make the programmes of an episode file.

    Args:
        episode: What to make.

    """
    settings = load_settings(store=episode.other_store)
    log_run(settings)
    opened = _opened(episode, settings)
    with about(episode=opened.id):
        return _produced(opened, settings, episode.budget_gpu_s or None)


@flow(name="tell_of_loss", persist_result=False)
def tell_of_loss(run: str) -> State[Any]:
    """Tell a receiver of a production that has lost its process or its machine: nobody is left there who could.

    Args:
        run: The flow run, as events call it. One that is no longer Crashed was only taken for dead.

    """
    with get_client(sync_client=True) as client:
        lost = client.read_flow_run(UUID(run.rpartition(".")[2]))
    if lost.state is None or not lost.state.is_crashed():
        return Completed(message=f"{lost.name} goes on.")
    tell_failure(produce, lost, lost.state)
    return Completed(message=f"{lost.name} is lost.")


def _opened(form: EpisodeForm, settings: Settings) -> Episode:
    return open_episode(form.path, settings, None if form.quality == AS_WRITTEN else form.quality)


def _produced(episode: Episode, settings: Settings, budget_gpu_s: float | None) -> dict[str, Any]:
    record = Record(run=uuid.uuid4().hex)
    wiring = Wiring(settings, quality=episode.render.quality)
    try:
        wiring.prepare()
        choices = choices_for(episode, wiring)
        with Direct(settings, wiring, Silent(), record) as direct:
            steps = Steps(direct, episode.id, budget_gpu_s=budget_gpu_s)
            programmes = production(episode, choices, steps)
        document = published(programmes, record, wiring)
        links = _links(programmes, record, wiring.store)
        steps.reports.done(episode.title, document, record.as_document(), settings.gpu_hour_price, links)
        for made in (document, *document["others"]):
            announce_programme(episode.id, made, settings)
        return document
    finally:
        wiring.close()


def _links(programmes: Sequence[Programme], record: Record, store: Store) -> list[tuple[str, str]]:
    """(name, address) of the review pages and of every delivered file; of a folder, paths of the pages alone.

    A browser opens no file of a folder from a page of the web.
    """
    several = len(record.pages) > 1
    pages = [(f"Review page {key.split('/')[1]}" if several else "Review page", key) for key in record.pages]
    files = [(output.name, f"{made.folder}/{output.name}") for made in programmes for output in made.outputs]
    links = [(name, web_address(store, key)) for name, key in files]
    return [
        *((name, shown_at(store, key)) for name, key in pages),
        *((name, address) for name, address in links if address is not None),
    ]


def produce_recorded(
    path: str, episode: Episode, settings: Settings, *, budget_gpu_s: float | None = None
) -> dict[str, Any]:
    """Run one episode in this process as a flow that the configured Prefect API records.

    Raises EngineError where that API does not answer, before anything starts.
    """
    with server() as client:
        client.api_version()
    _leave_errors_to_the_command()
    threads: Any = ThreadPoolTaskRunner(max_workers=(settings.workers or os.cpu_count() or 1) + 1)
    quality: Any = episode.render.quality
    recorded = produce.with_options(task_runner=threads)
    form = EpisodeForm(path=path, quality=quality, store=settings.store, budget_gpu_s=budget_gpu_s or 0.0)
    with tags(TAG):
        return recorded(form)


def _leave_errors_to_the_command() -> None:
    """Prefect prints a failure with its traceback; a person is told by the command, in a sentence, and once.

    The server's record of the run keeps all of it.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: record.levelno < logging.ERROR or not record.name.startswith("prefect."))
