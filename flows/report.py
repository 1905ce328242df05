"""What a person sees of a run in Prefect's control room: how far it is, its shots, and what came out of it.

In: plans, clips and the run's document. Out: artifacts. Texts of episodes are escaped: an artifact is Markdown, and a
title must not become a link.
"""

import re
from collections.abc import Sequence
from typing import Any

from tasks.domain.editing import Shot

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")
_MAX_ROWS = 1000


def escaped(text: str) -> str:
    """Text as Markdown shows it, and nothing else: no link, no picture, no table, no HTML, one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def shot_rows(shots: Sequence[Shot], reused: frozenset[str]) -> list[dict[str, Any]]:
    """A row for each shot: who, when, what was done. reused: fingerprints whose clips were in the store."""
    return [
        {
            "shot": shot.id,
            "speaker": escaped(shot.speaker or ""),
            "from": _clock(shot.start_frame),
            "to": _clock(shot.end_frame),
            "clip": "reused" if shot.fingerprint in reused else "rendered",
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
