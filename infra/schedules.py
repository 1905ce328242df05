"""When deployments run by themselves: schedules.yaml, read as Prefect reads a prefect.yaml.

In: the file. Out: for each deployment's flow, schedules and triggers as Prefect's own values. Knows no server.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.events import DeploymentEventTrigger
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.domain.errors import SettingsError

PACKAGED = Path(__file__).with_name("schedules.yaml")
MAX_BYTES = 1 << 20


class _Scheduled(BaseModel):
    model_config = ConfigDict(extra="forbid")

    slug: str = Field(pattern="^[a-z0-9-]{1,60}$")
    cron: str
    timezone: str = Field(min_length=1)
    """Asked for: a time without a place is somebody else's night."""
    active: bool = True
    parameters: dict[str, Any] = {}


class _Trigger(DeploymentEventTrigger):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    schedules: list[_Scheduled] = []
    triggers: list[_Trigger] = []


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    deployments: list[_Entry] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """What starts runs of one deployment."""

    schedules: tuple[DeploymentScheduleCreate, ...] = ()
    triggers: tuple[DeploymentEventTrigger, ...] = ()


def read_schedules(path: str, known: frozenset[str]) -> dict[str, Starts]:
    """What starts each deployment, by the name of its flow.

    path: the file; "" for the one that comes with Troupe. known: flows that may stand in it. Raises SettingsError.
    """
    file = Path(path) if path else PACKAGED
    try:
        read = _File.model_validate(_document(file))
        starts = {entry.name: _starts(entry) for entry in read.deployments}
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(str(part) for part in found["loc"])
        raise SettingsError(f"{place}: {found['msg']}.", where=str(file), remedy="Mend the file.") from error
    unknown = [entry.name for entry in read.deployments if entry.name not in known]
    if unknown or len(starts) < len(read.deployments):
        said = f"there is no deployment {unknown[0]!r}." if unknown else "a deployment stands there twice."
        raise SettingsError(said, where=str(file), remedy=f"Name each of {', '.join(sorted(known))} once at most.")
    return starts


def _document(file: Path) -> Any:
    try:
        with file.open("rb") as stream:
            return yaml.safe_load(stream.read(MAX_BYTES)) or {}
    except OSError as error:
        said = f"it cannot be read: {error.strerror}."
        raise SettingsError(said, where=str(file), remedy="Correct production.schedules.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a day such as 2026-99-99 is a ValueError
        raise SettingsError("it is no YAML.", where=str(file), remedy="Mend the file.") from error


def _starts(entry: _Entry) -> Starts:
    return Starts(
        schedules=tuple(
            DeploymentScheduleCreate(
                schedule=CronSchedule(cron=each.cron, timezone=each.timezone),
                active=each.active,
                parameters=each.parameters,
                slug=each.slug,
            )
            for each in entry.schedules
        ),
        triggers=tuple(entry.triggers),
    )
