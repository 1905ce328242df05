"""What a person sees of a run in Prefect's control room: how far it is, its shots, and what came out of it.

In: plans, clips and the run's document. Out: artifacts, and labels of the run for programs (flows/metrics.py). Texts of
episodes are escaped: an artifact is Markdown, and a title must not become a link.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
from prefect import runtime
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging.handlers import APILogHandler

from flows.estimate import Quote, expected_of, price_of
from flows.logs import log_in_run
from flows.settings import Settings
from tasks.domain.editing import Clip, Shot
from tasks.domain.errors import EngineError
from tasks.domain.timing import PROGRAMME_RATE
from tasks.formats.review import clock

log = logging.getLogger(__name__)

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")
_MAX_ROWS = 1000
PROGRESS_SECONDS = 2.0
"""The server is told no more often: a clip may take milliseconds."""
RENDERED, REUSED, GPU_SECONDS = "troupe.rendered", "troupe.reused", "troupe.gpu_seconds"
"""Labels of a producing run: clips, and seconds."""


class Reports:
    """The artifacts of one run. They are for people: where the server does not take one, the run goes on."""

    def __init__(self, episode: str) -> None:
        self._key = re.sub(r"[^a-z0-9]+", "-", episode.casefold()).strip("-") or "episode"
        self._progress: Any = None
        self._told_at = float("-inf")

    def progress(self, share: float) -> None:
        """How much of the rendering is done, 0 to 1."""
        if share < 1 and time.monotonic() - self._told_at < PROGRESS_SECONDS:
            return
        self._told_at = time.monotonic()
        percent = round(100 * share, 1)
        if self._progress is None:
            self._progress = self._made(
                create_progress_artifact, progress=percent, key=f"{self._key}-progress", description="Clips rendered"
            )
        else:
            self._made(update_progress_artifact, self._progress, progress=percent)

    def quote(self, quote: Quote) -> None:
        """What rendering will cost, before it begins."""
        text = f"{quote.gpu_seconds:.0f} GPU seconds, {quote.finish_seconds:.0f} s on {quote.workers} workers"
        said = f"{text}, {quote.price:.2f} by the price of a GPU hour" if quote.price else text
        self._made(create_markdown_artifact, markdown=f"{said}\n", key=f"{self._key}-quote", description="Quote")

    def shots(self, rows: Sequence[dict[str, Any]]) -> None:
        """The table of a programme's shots (`shot_rows`)."""
        self._made(create_table_artifact, table=list(rows), key=f"{self._key}-shots", description="Shots")

    def done(
        self,
        title: str,
        document: dict[str, Any],
        record: dict[str, Any],
        gpu_hour_price: float,
        links: Sequence[tuple[str, str]],
    ) -> None:
        """The summary of a run. links: (name, web address or path) of what was delivered, and of the review pages."""
        text = summary(title, document, record, gpu_hour_price, links)
        self._made(create_markdown_artifact, markdown=text, key=self._key, description="What came out")
        for name, address in links:
            if not _is_web(address):
                continue
            key = f"{self._key}-{re.sub(r'[^a-z0-9]+', '-', name.casefold())}"
            self._made(create_link_artifact, address, link_text=name, key=key, description="Holds for a week")
        counted = {RENDERED: record["rendered"], REUSED: record["reused"]}
        self._made(_label_run, {**counted, GPU_SECONDS: float(record.get("gpu_seconds", 0.0))})

    def _made(self, make: Callable[..., Any], *values: Any, **named: Any) -> Any:
        try:
            return make(*values, **named)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            log.warning("a report was not taken by the server: %s", error)
            return None


def escaped(text: str) -> str:
    """Text as Markdown shows it, and nothing else: no link, no picture, no table, no HTML, one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def log_run(settings: Settings) -> None:
    """Our log goes to the run's page, as Prefect's own does."""
    handler = APILogHandler()
    # A thread that belongs to no run, or a process between two of them, has nowhere to write to.
    handler.addFilter(lambda record: FlowRunContext.get() is not None or TaskRunContext.get() is not None)
    log_in_run(settings, handler)


def _label_run(labels: Mapping[str, int | float]) -> None:
    with get_client(sync_client=True) as client:
        client.update_flow_run_labels(runtime.flow_run.id, dict(labels))


def shot_rows(
    shots: Sequence[Shot], clips: Sequence[Clip | EngineError], rendered: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """A row for each shot: who, when, what was done, and what was measured.

    clips: an error for a shot that is shown as a still. rendered: seconds of the clips that were not in the store, by
    fingerprint; where they are None, the expected seconds are shown, with a "~".
    """
    return [
        {
            "shot": shot.id,
            "speaker": escaped(shot.speaker or ""),
            "from": clock(shot.start_frame, PROGRAMME_RATE),
            "to": clock(shot.end_frame, PROGRAMME_RATE),
            "clip": _done(clip, rendered),
            "seconds": _spent(shot, clip, rendered),
            "checks": _checks(clip),
            "fingerprint": shot.fingerprint[:12],
        }
        for shot, clip in list(zip(shots, clips, strict=True))[:_MAX_ROWS]
    ]


def _done(clip: Clip | EngineError, rendered: Mapping[str, float | None]) -> str:
    if isinstance(clip, EngineError):
        return "still"
    return "rendered" if clip.fingerprint in rendered else "reused"


def _checks(clip: Clip | EngineError) -> str:
    """What was counted and measured on a clip, or why there is none."""
    if isinstance(clip, EngineError):
        return escaped(str(clip))
    counted = f"{clip.num_frames} frames {clip.width}x{clip.height}"
    return ", ".join((counted, *(f"{escaped(name)} {escaped(value)}" for name, value in clip.checks)))


def _spent(shot: Shot, clip: Clip | EngineError, rendered: Mapping[str, float | None]) -> str:
    if isinstance(clip, Clip) and clip.fingerprint not in rendered:
        return "0"
    measured = rendered.get(shot.fingerprint)
    return f"~{shot.cost_seconds:.1f}" if measured is None else f"{measured:.1f}"


def summary(
    title: str,
    document: dict[str, Any],
    record: dict[str, Any],
    gpu_hour_price: float,
    links: Sequence[tuple[str, str]] = (),
) -> str:
    """What came out, as Markdown: where it is, what was done, what it cost."""
    gpu_seconds = float(record.get("gpu_seconds", 0.0))
    lines = [f"# {escaped(title)}", ""]
    for made in (document, *document["others"]):
        lines.append(f"* programme: {_place(made['programme'])}")
        lines.append(f"  ({made['shots']} shots, {made['rendered']} rendered, {made['reused']} reused)")
    lines += [f"* {linked(name, address)}" for name, address in links]
    lines += ["", "| what | how much |", "| --- | --- |"]
    lines.append(f"| seconds | {document['seconds']:.1f} |")
    lines.append(f"| CPU seconds | {document['cpu_seconds']:.1f} |")
    lines.append(f"| GPU seconds | {gpu_seconds:.1f} |")
    if (expected := expected_of(record)) is not None:
        lines.append(f"| GPU seconds expected | {expected:.1f} |")
    if cost := price_of(gpu_seconds, gpu_hour_price):
        lines.append(f"| cost | {cost:.2f} |")
    lines.append(f"| attempts repeated | {record.get('retries', 0)} |")
    return "\n".join(lines) + "\n"


def linked(name: str, address: str) -> str:
    """A link, as Markdown, where the address is on the web; else the name with the path, "" where there is none."""
    if _is_web(address):
        return f"[{escaped(name)}](<{address}>)"
    return f"{escaped(name)}: {_place(address)}" if address else ""


def _place(uri: str) -> str:
    """Only web addresses become links."""
    return f"<{uri}>" if _is_web(uri) else f"`{uri.replace('`', '')}`"


def _is_web(address: str) -> bool:
    return re.fullmatch(r"https?://[^\s<>]+", address) is not None
