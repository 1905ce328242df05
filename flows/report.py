"""What a person sees of a run in Prefect's control room: how far it is, its shots, and what came out of it.

In: plans, clips and the run's document. Out: artifacts. Texts of episodes are escaped: an artifact is Markdown, and a
title must not become a link.
"""

import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectHTTPStatusError

from tasks.domain.editing import Shot

log = logging.getLogger(__name__)

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")
_MAX_ROWS = 1000


class Reports:
    """The artifacts of one run. They are for people: where the server does not take one, the run goes on."""

    def __init__(self, episode: str) -> None:
        self._key = re.sub(r"[^a-z0-9]+", "-", episode.casefold()).strip("-") or "episode"
        self._progress: Any = None

    def progress(self, share: float) -> None:
        """How much of the rendering is done, 0 to 1."""
        percent = round(100 * share, 1)
        if self._progress is None:
            self._progress = self._made(
                create_progress_artifact, progress=percent, key=f"{self._key}-progress", description="Clips rendered"
            )
        else:
            self._made(update_progress_artifact, self._progress, progress=percent)

    def shots(self, shots: Sequence[Shot], reused: frozenset[str], stills: frozenset[str] = frozenset()) -> None:
        """The table of a programme's shots."""
        rows = shot_rows(shots, reused, stills)
        self._made(create_table_artifact, table=rows, key=f"{self._key}-shots", description="Shots")

    def done(self, title: str, document: dict[str, Any], record: dict[str, Any], gpu_hour_price: float) -> None:
        """The summary of a run."""
        text = summary(title, document, record, gpu_hour_price)
        self._made(create_markdown_artifact, markdown=text, key=self._key, description="What came out")

    def _made(self, make: Callable[..., Any], *values: Any, **named: Any) -> Any:
        try:
            return make(*values, **named)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            log.warning("a report was not taken by the server: %s", error)
            return None


def escaped(text: str) -> str:
    """Text as Markdown shows it, and nothing else: no link, no picture, no table, no HTML, one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def shot_rows(
    shots: Sequence[Shot], reused: frozenset[str], stills: frozenset[str] = frozenset()
) -> list[dict[str, Any]]:
    """A row for each shot: who, when, what was done.

    reused: fingerprints whose clips were in the store. stills: ids of shots that could not be rendered.
    """
    return [
        {
            "shot": shot.id,
            "speaker": escaped(shot.speaker or ""),
            "from": _clock(shot.start_frame),
            "to": _clock(shot.end_frame),
            "clip": "still" if shot.id in stills else "reused" if shot.fingerprint in reused else "rendered",
            "expected seconds": round(shot.cost_seconds, 1),
            "fingerprint": shot.fingerprint[:12],
        }
        for shot in shots[:_MAX_ROWS]
    ]


def _clock(frame: int) -> str:
    """A programme frame as m:ss.ff."""
    seconds, left = divmod(frame, 25)
    return f"{seconds // 60}:{seconds % 60:02d}.{left:02d}"


def summary(title: str, document: dict[str, Any], record: dict[str, Any], gpu_hour_price: float) -> str:
    """What came out, as Markdown: where it is, what was done, what it cost."""
    gpu_seconds = float(record.get("gpu_seconds", 0.0))
    lines = [f"# {escaped(title)}", ""]
    for made in (document, *document["others"]):
        lines.append(f"* programme: {_place(made['programme'])}")
        lines.append(f"  ({made['shots']} shots, {made['rendered']} rendered, {made['reused']} reused)")
    lines += ["", "| what | how much |", "| --- | --- |"]
    lines.append(f"| seconds | {document['seconds']:.1f} |")
    lines.append(f"| CPU seconds | {document['cpu_seconds']:.1f} |")
    lines.append(f"| GPU seconds | {gpu_seconds:.1f} |")
    if gpu_hour_price and gpu_seconds:
        lines.append(f"| cost | {gpu_seconds / 3600 * gpu_hour_price:.2f} |")
    lines.append(f"| attempts repeated | {record.get('retries', 0)} |")
    return "\n".join(lines) + "\n"


def _place(uri: str) -> str:
    """Only web addresses become links."""
    return f"<{uri}>" if re.fullmatch(r"https?://[^\s<>]+", uri) else f"`{uri.replace('`', '')}`"
