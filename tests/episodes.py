"""A small whole episode for tests of flows: two lines, two drawn faces, a small picture; seconds to produce."""

from pathlib import Path
from typing import Any

import yaml

from tests.synthetic import portrait_like, write_picture

LINES = ("Hello there.", "Good to see you.")
SPEAKERS = ("anna", "ben")
VOICES = {"anna": "en-us/f2", "ben": "en-us/m3"}


def small_episode(
    folder: Path, *, name: str = "small", lines: tuple[str, ...] = LINES, quality: str = "draft", **render: str
) -> Path:
    """The file of an episode whose `lines` two speakers say in turn. render: more of what it says of rendering."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, speaker in enumerate(SPEAKERS):
        if not (folder / f"{speaker}.png").exists():
            write_picture(folder / f"{speaker}.png", portrait_like(seed, size=256))
    said = "".join(f"{SPEAKERS[place % 2].upper()}: {line}\n" for place, line in enumerate(lines))
    document = {
        "schema": "episode/1",
        "id": name,
        "title": "A small one",
        "language": "en",
        "source": {"script": said},
        "cast": {speaker: {"portrait": f"{speaker}.png", "voice": VOICES[speaker]} for speaker in SPEAKERS},
        "render": {"quality": quality, "seed": 7, **render},
        "outputs": [{"aspect": "16:9", "height": 180, "captions": ["vtt"]}],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def essence(document: dict[str, Any]) -> dict[str, Any]:
    """What makes two programmes equal."""
    return {
        "revision": document["revision"],
        "shots": [(shot["fingerprint"], shot["start_frame"], shot["end_frame"]) for shot in document["shots"]],
        "streams": [output.get("stream_sha256") for output in document["outputs"]],
    }
