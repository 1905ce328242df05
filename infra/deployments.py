"""Everything that a Prefect server is told of Troupe: work pools, deployments, what starts them, what ends lost runs.

`python -m infra.deployments` (and `troupe serve`) brings a server up to this state; running it again changes nothing.
Pools of renderers come from the setting `pools`, schedules and event triggers from schedules.yaml.
"""

import logging
import sys
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.types.entrypoint import EntrypointType

from flows.produce import produce, tell_of_loss
from flows.render_shots import NO_HEARTBEAT, render_shots
from flows.rows import produce_row
from flows.settings import Settings, load_settings
from flows.status import server
from flows.watching import watch_feed, watch_inbox
from flows.webhooks import deliver_webhook
from infra.schedules import Starts, read_schedules
from infra.warm_worker import WarmWorker
from tasks.domain.errors import InputError, PipelineError

log = logging.getLogger(__name__)

CPU_POOL = "cpu"
ZOMBIES = "End runs whose machine is gone"
SILENCE_SECONDS = 90
"""Three heartbeats: a run that was silent for so long has lost its machine."""
LOST = "Tell of productions that were lost"
SURE_SECONDS = 30
"""A run that was only taken for dead is revived within this (flows/distribute.py)."""
_FINAL_EVENTS = ("Completed", "Failed", "Cancelled", "Crashed", "AwaitingRetry", "Refused")


ON_CPU: dict[Flow[Any, Any], str] = {
    produce: "Makes the programmes of one episode file.",
    watch_feed: "Makes each new episode of a podcast feed, once. Meant for a schedule.",
    watch_inbox: "Makes each new episode file of a folder or bucket, once. Meant for a schedule.",
    deliver_webhook: "Tells a receiver of a programme. Begun by other runs, not by hand.",
    tell_of_loss: "Tells a receiver of a production whose machine is gone. Begun by an automation, not by hand.",
}
"""Flows of the pool `cpu`, and what they are for."""


def deploy(settings: Settings, *, silence_seconds: float = SILENCE_SECONDS) -> None:
    """Bring the configured server up to date. Raises SettingsError for a file of schedules that is wrong."""
    starts = read_schedules(settings.production.schedules, frozenset(flow.name for flow in ON_CPU))
    with get_client(sync_client=True) as client:
        _pool(CPU_POOL, "process", {}, client)
        for pool in sorted({*settings.pools.values(), settings.batch.pool} - {CPU_POOL}):
            _pool(pool, WarmWorker.type, WarmWorker.get_default_base_job_template(), client)
    made = {
        flow: _deployment(flow, CPU_POOL, description, starts.get(flow.name, Starts()))
        for flow, description in ON_CPU.items()
    }
    by_batches = "Makes the programmes of one row of a table. Begun by `troupe batch`, not by hand."
    _deployment(produce_row, settings.batch.pool, by_batches, Starts())
    for pool in sorted(set(settings.pools.values())):
        _deployment(render_shots, pool, "Renders a shard of shots. Begun by producing runs, not by hand.", Starts())
    _automation(_zombies(silence_seconds))
    _automation(_losses(made[tell_of_loss]))


def _pool(name: str, kind: str, template: dict[str, Any], client: SyncPrefectClient) -> None:
    """A pool that is there stays as somebody has set it."""
    try:
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template))
    except ObjectAlreadyExists:
        log.info("work pool %s is there", name)


def _deployment(flow: Flow[Any, Any], pool: str, description: str, starts: Starts) -> UUID:
    # A module entry point: a file's would import the flow anew for each run, and load a second model.
    made: Any = flow.to_deployment(
        pool,
        work_pool_name=pool,
        description=description,
        tags=["troupe"],
        entrypoint_type=EntrypointType.MODULE_PATH,
        schedules=list(starts.schedules),
        triggers=list(starts.triggers),
    )
    deployment: UUID = made.apply()
    # Prefect renews the schedules that it is given, and leaves all others.
    kept = {schedule.slug for schedule in starts.schedules}
    with get_client(sync_client=True) as client:
        for schedule in client.read_deployment_schedules(deployment):
            if schedule.slug not in kept:
                client.delete_deployment_schedule(deployment, schedule.id)
    return deployment


def _zombies(silence_seconds: float) -> Automation:
    """A run that had heartbeats and has none any more is Crashed; its producing run then begins another."""
    return Automation(
        name=ZOMBIES,
        description="A flow run without a heartbeat has lost its process or its machine.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.heartbeat", *(f"prefect.flow-run.{name}" for name in _FINAL_EVENTS)},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silence_seconds),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=NO_HEARTBEAT)],
    )


def _losses(teller: UUID) -> Automation:
    """A production that crashed is told to webhooks: no hook runs where the process is gone."""
    return Automation(
        name=LOST,
        description="A production whose process or machine was lost tells nobody itself.",
        trigger=EventTrigger(
            expect={"prefect.flow-run.Crashed"},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": ["flow"], "prefect.resource.name": [produce.name]}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[
            RunDeployment(
                deployment_id=teller,
                # `{{ flow_run.id }}` would be a UUID, which the server cannot put into a run's parameters.
                parameters={"run": "{{ event.resource.id }}"},
                schedule_after=timedelta(seconds=SURE_SECONDS),
            )
        ],
    )


def _automation(wanted: Automation) -> None:
    """Bring the server's automation of that name to this."""
    try:
        known: Any = Automation.read(name=wanted.name)
    except ValueError:
        wanted.create()
        return
    wanted.id = known.id
    wanted.update()


def main() -> int:
    """The command: exit codes and sentences as those of `troupe`."""
    try:
        with server():
            deploy(load_settings())
    except PipelineError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, InputError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
