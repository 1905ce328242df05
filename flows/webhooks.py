"""Webhooks: a flow of its own for each message, so that no production waits for a receiver.

Told of are programmes and failures of the flow `produce`, of batch rows, and of feeds and inboxes; a run that no server
records tells nobody.

A try that fails for now schedules the next one as a new run of the same deployment: nothing sits in a worker for
hours, and a worker that is restarted loses none. Address and secret are settings of the worker that sends; they stand
in no parameter.
"""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.states import Completed
from pydantic import Field

from flows.settings import Settings, load_settings
from tasks.domain.errors import EngineError
from tasks.media.deliver import post
from tasks.webhook import Event, failed, headers, published

log = logging.getLogger(__name__)

DEPLOYMENT = "deliver_webhook/cpu"
AGAIN_AFTER_SECONDS = (10, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800)
"""Before the second, third ... try: a day in all."""


@flow(name="deliver_webhook", flow_run_name="{key} try {attempt}", persist_result=False)
def deliver_webhook(
    key: str, body: str, attempt: Annotated[int, Field(ge=1, le=len(AGAIN_AFTER_SECONDS) + 1)] = 1
) -> State:
    """Send one message to the receiver that settings name.

    Args:
        key: What makes it one message, however often it is sent.
        body: The message, JSON.
        attempt: Which try this is.

    """
    settings = load_settings()
    event = Event(key=key, body=body.encode())
    try:
        status = deliver(event, settings)
    except EngineError as error:
        if attempt > len(AGAIN_AFTER_SECONDS) or runtime.deployment.id is None:
            raise
        delay = AGAIN_AFTER_SECONDS[attempt - 1]
        _start(event, attempt + 1, datetime.now(UTC) + timedelta(seconds=delay))
        return Completed(name="Again", message=f"{error} Try {attempt + 1} follows in {delay} s.")
    return Completed(message=f"the receiver answered {status}.")


def deliver(event: Event, settings: Settings) -> int:
    """One try; the receiver's status. Raises SettingsError or EngineError (`tasks.media.deliver.post`)."""
    hook = settings.webhooks
    signed = headers(event, hook.secret.get_secret_value(), now=int(time.time()))
    return post(hook.url, event.body, signed, allow=settings.network.allow)


def announce_programme(episode: str, made: dict[str, Any], settings: Settings) -> None:
    """Tell of a programme. made: `programme`, its address, and what else a document of `troupe produce` says of it."""
    revision = made["programme"].rstrip("/").rpartition("/")[2]
    announce(published(episode, {"revision": revision, **made}, at=_now()), settings)


def announce_failure(episode: str, run: str, error: str, settings: Settings) -> None:
    """Tell of a run that has ended without a programme. run: the id of the run."""
    announce(failed(episode, run, error, at=_now()), settings)


def announce_outcome(
    episode: str, run: str, programme: str, error: str, settings: Settings, others: Sequence[str] = ()
) -> None:
    """Tell what came of a row or a feed's item: its programme and `others`, or without one its error."""
    if not programme:
        announce_failure(episode, run, error, settings)
        return
    for made in (programme, *others):
        announce_programme(episode, {"programme": made}, settings)


def announce(event: Event, settings: Settings) -> bool:
    """Hand a message to the flow above and go on; whether it was taken. Never raises: a programme is there without."""
    if not settings.webhooks.url:
        return False
    try:
        _start(event, 1, None)
    except Exception as error:  # noqa: BLE001 - whatever keeps a message from being sent, the run goes on
        log.warning("the webhook %s could not be handed over: %s", event.key, error)
        return False
    return True


def _start(event: Event, attempt: int, at: datetime | None) -> None:
    run_deployment(
        DEPLOYMENT,
        parameters={"key": event.key, "body": event.body.decode(), "attempt": attempt},
        scheduled_time=at,
        timeout=0,
        idempotency_key=f"webhook/{event.key}/{attempt}",
        as_subflow=False,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
