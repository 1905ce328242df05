"""What a person who looks a programme over is told of the run that made it, and where its files are."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one run did. Sums are of the whole run, `rendered` and `lost` of one programme's shots."""

    run: str
    started: datetime
    """UTC."""
    quality: str
    seconds: float
    """Of all stages."""
    cpu_seconds: float
    num_retries: int
    gpu_seconds: float = 0.0
    """Of work pools."""
    expected_gpu_seconds: float | None = None
    """Quoted before rendering began."""
    cost: float | None = None
    """By the price of a GPU hour; None without one."""
    rendered: tuple[tuple[str, float | None], ...] = ()
    """(fingerprint, seconds) of clips that this run rendered; None where only the worker knows how long it took."""
    lost: tuple[tuple[str, str], ...] = ()
    """(shot, why) of shots that could not be rendered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """What a page about a programme leads to: relative to the page, or on the web."""

    files: tuple[tuple[str, str], ...]
    """(name of an output, or "manifest.json"; address)."""
    record: str
    """Of the run."""
    portraits: tuple[tuple[str, str], ...] = ()
    """(cast key, address)."""
    languages: tuple[tuple[str, str], ...] = ()
    """(language, address) of the pages of all programmes of the run; the page's own among them."""
    captions: tuple[tuple[str, bytes], ...] = ()
    """(name of an output, its content): within the page, since no browser reads captions from a folder."""
    until: datetime | None = None
    """When the addresses end; None where they do not."""
