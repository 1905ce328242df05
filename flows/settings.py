"""Settings: the only reader of the environment and of settings files.

In: variables TROUPE_*, a file (`troupe.toml` in the working folder, or the one that TROUPE_SETTINGS names), and what
the command line overrides. Out: one frozen `Settings`. Knows no engine: names are text until wiring loads them.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as UnreadableSettings

from tasks.domain.errors import SettingsError

MIN_SECRET_CHARACTERS = 16


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Engines(_Group):
    """Which engine plays which role."""

    draft: str = Field("puppet", description="Renderer of `quality: draft`.")
    final: str = Field("wan-s2v", description="Renderer of `quality: final`.")
    diarizer: str = Field("embedded", description="`embedded` or `pyannote`.")
    transcriber: str = Field("none", description="`none` (a transcript must be supplied for words) or `whisper`.")
    voice: str = Field("espeak", description="Engine of voices whose name has no ENGINE: in front.")
    whisper_model: str = Field("", description="Folder or name of a Whisper model.")
    pyannote_model: str = Field("", description="Folder of a pyannote pipeline (community-1).")
    wan_checkpoint: str = Field("", description="Folder, Hugging Face id or ModelScope id of Wan2.2-S2V-14B.")
    scene: str = Field(
        "card", description="Of a script's scenes at `quality: final`: `card` (their words), `wan-scene`."
    )
    wan_scene: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Options of `wan-scene`: checkpoint, image_checkpoint and others."
    )
    wan: dict[str, str | int | float | bool] = Field(default_factory=dict, description="Options of `wan-s2v`.")


class Sound(_Group):
    """Programme sound."""

    loudness_lufs: float = Field(-16.0, ge=-31, le=-9, description="Integrated loudness of a programme.")
    true_peak_dbtp: float = Field(-1.0, ge=-9, le=-0.1, description="Highest true peak of the decoded programme.")


class Marking(_Group):
    """How a generated likeness is marked."""

    label: str = Field("AI-generated", max_length=60, description="Seen in every frame.")
    unmarked: bool = Field(False, description="Publish without the label; the manifest records it.")


class Network(_Group):
    """What may be fetched."""

    allow: tuple[str, ...] = Field((), description="Private hosts or addresses that podcasts may be fetched from.")
    max_bytes: int = Field(4 << 30, gt=0, description="Largest download.")


class Inputs(_Group):
    """Where inputs may lie, and how large they may be."""

    roots: tuple[str, ...] = Field((), description="Folders beside an episode's own that its paths may lead to.")
    max_hours: int = Field(12, gt=0, le=100, description="Longest recording.")


class Batches(_Group):
    """Tables of episodes."""

    at_once: int = Field(0, ge=0, le=256, description="Rows produced at once; 0 for one a core, or 16 on a server.")
    pool: str = Field("cpu", description="Work pool of rows on a server; any other than `cpu` keeps its processes.")


class Webhooks(_Group):
    """Who is told of programmes."""

    url: str = Field("", description="http(s) address that is told of programmes; empty for nobody.")
    secret: SecretStr = Field(SecretStr(""), description="Signs what is sent: HMAC-SHA256.")

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.url and len(self.secret.get_secret_value()) < MIN_SECRET_CHARACTERS:
            raise ValueError(f"a secret of at least {MIN_SECRET_CHARACTERS} characters goes with webhooks.url")
        return self


class Gc(_Group):
    """What nobody needs any more."""

    grace_days: int = Field(14, ge=2, le=3650, description="Days without use after which `troupe gc` may remove.")


class S3(_Group):
    """Credentials and manners of an S3-compatible service. The bucket is part of the store's URI."""

    endpoint: str = Field("", description="http(s)://host:port of the service.")
    access_key: SecretStr = Field(SecretStr(""), description="Access key.")
    secret_key: SecretStr = Field(SecretStr(""), description="Secret key.")
    region: str = Field("us-east-1", description="Region to sign for.")
    public_endpoint: str = Field("", description="Address that presigned links are signed for, where it differs.")


class Production(_Group):
    """How shots are handed to work pools."""

    shard_seconds: float = Field(300.0, ge=1, le=7200, description="Longest shard, in seconds of GPU.")
    poll_seconds: float = Field(3.0, ge=0.1, le=60, description="How often a producing run asks how its shards are.")
    schedules: str = Field("", description="File of schedules and event triggers; empty for `infra/schedules.yaml`.")
    drain_seconds: float = Field(0.0, ge=0, le=3600, description="A worker that stops lets its run go on for so long.")


class Metrics(_Group):
    """Figures of a site, for Prometheus or OpenTelemetry's collector."""

    port: int = Field(0, ge=0, le=65535, description="Port of `troupe metrics` (OpenMetrics); 0 for none.")
    host: str = Field("127.0.0.1", description="Address that it listens at.")


class Settings(BaseSettings):
    """Everything that is set once for a machine, and not in an episode."""

    model_config = SettingsConfigDict(
        env_prefix="TROUPE_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file="troupe.toml"
    )

    store: str = Field("file:store", description="Where programmes go: file:FOLDER or s3://BUCKET/PREFIX.")
    cache: str = Field("~/.cache/troupe", description="Folder of model files; may be deleted at any time.")
    scratch: str = Field("", description="Folder for work in progress; empty for the system's.")
    workers: int = Field(0, ge=0, le=256, description="Clips rendered at once; 0 for one a core, one on a card.")
    require_consent: bool = Field(False, description="A portrait without a consent record is an error.")
    gpu_hour_price: float = Field(0.0, ge=0, description="Price of a GPU hour, for quotes.")
    pools: dict[str, str] = Field(
        default_factory=dict, description='Work pool that renders for a renderer, by its name: `wan-s2v = "gpu"`.'
    )
    log: str = Field("warning", pattern="^(debug|info|warning|error)$", description="Level of the log.")
    log_format: str = Field(
        "text", pattern="^(text|json)$", description="`text`, or `json`: lines with episode, shot and fingerprint."
    )
    engines: Engines = Engines()
    sound: Sound = Sound()
    marking: Marking = Marking()
    network: Network = Network()
    inputs: Inputs = Inputs()
    batch: Batches = Batches()
    webhooks: Webhooks = Webhooks()
    gc: Gc = Gc()
    s3: S3 = S3()
    production: Production = Production()
    metrics: Metrics = Metrics()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line wins over the environment, which wins over the file."""
        file = TomlConfigSettingsSource(settings_cls, os.environ.get("TROUPE_SETTINGS", "troupe.toml"))
        return init_settings, env_settings, file


def load_settings(**overrides: Any) -> Settings:
    """Settings of this process. Raises SettingsError that names the setting and where it was set."""
    named = os.environ.get("TROUPE_SETTINGS")
    if named and not Path(named).is_file():
        raise SettingsError(f"TROUPE_SETTINGS names {named!r}, which is no file.", remedy="Correct or unset it.")
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{error}.", where=named or "troupe.toml", remedy="Mend the file.") from error
    except OSError as error:
        raise SettingsError(f"it cannot be read: {error.strerror}.", where=named or "troupe.toml") from error
    except UnreadableSettings as error:
        remedy = "Write lists and tables there as JSON: TROUPE_NETWORK__ALLOW='[\"10.1.0.0/16\"]'."
        raise SettingsError(f"{error}.", where="environment", remedy=remedy) from error
    except ValidationError as error:
        raise SettingsError(_first(error), where="settings", remedy="README, 'Settings', lists them all.") from error


def _first(error: ValidationError) -> str:
    finding = error.errors()[0]
    name = ".".join(str(part) for part in finding["loc"]) or "?"
    if finding["type"] == "extra_forbidden":
        return f"there is no setting {name!r}."
    return f"{name}: {finding['msg'].lower()}."


def visible_gpus(devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA names them: of CUDA_VISIBLE_DEVICES, else all; "0" without any."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(part.strip() for part in named.split(",") if part.strip())
    found = [device for device in devices.iterdir() if re.fullmatch(r"nvidia\d+", device.name)]
    return tuple(str(number) for number in range(max(1, len(found))))


def inherited(**others: str) -> dict[str, str]:
    """The environment of a child process: this one's, with `others`."""
    return {**os.environ, **others}


def prefect_api_url() -> str | None:
    """The Prefect API that runs are recorded at, from the environment or the active profile; None for none.

    Reads the profile file itself: importing Prefect costs two seconds.
    """
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    path = Path(os.environ.get("PREFECT_PROFILES_PATH", str(home / "profiles.toml")))
    try:
        profiles = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return None
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active"))
    url = profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
    return url if isinstance(url, str) and url else None
