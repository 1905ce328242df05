"""Texts that we write, kept to the letter. A kept text says which REVISIONs made it; neither changes without the other.

    python -m tests.golden.texts NAME

writes one anew (`make golden NAME=...`), and refuses where the text has changed and no REVISION has. Its first line is
`made_with` and the digest of all that follows; a text that was edited by hand does not fit it.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from unittest import mock

from flows import commands
from flows.settings import Settings
from tasks import composite, diarize, plan, publish
from tasks.domain.editing import Cue, Cut, NameTag
from tasks.domain.speech import Turn, Utterance, Word
from tasks.domain.timing import Span
from tasks.engines.workspace import Workspace
from tasks.formats.captions import plan_cues
from tasks.formats.manifest import manifest_text
from tasks.formats.overlay import Card, Stage, overlay_text
from tasks.formats.rttm import write_rttm
from tasks.formats.sidecars import srt_text, transcript_text, vtt_text
from tests.fakes import HummingVoice, MemoryStore
from tests.productions import TinyWiring, write_episode
from tests.publishing import a_cast, a_composition, a_plan, some_clips, some_options

FOLDER = Path(__file__).parent
RATE = Fraction(25)
NUM_FRAMES = 700
CUTS = (
    Cut(start_frame=0, end_frame=210, layout="active", shots=()),
    Cut(start_frame=210, end_frame=400, layout="active", shots=()),
    Cut(start_frame=400, end_frame=NUM_FRAMES, layout="active", shots=()),
)
SAID = (
    ("anna", 0.4, 8.0, "Good morning, Ben & all of you; this is <one> long sentence, and it is said over a cut so "
                       "that a cue has to end there. Is it?"),
    ("ben", 8.5, 9.3, "It certainly is, and nobody could ever have said it more quickly than this."),
    ("anna", 10.0, 13.0, "مرحبا بكم في البرنامج."),
    ("zoe", 16.5, 21.0, "午後の会議は三時に始まります。資料を忘れないでください。"),
    ("ben", 22.0, 24.0, "{\\an8}No tag, a_b \\N no break."),
)  # fmt: skip
NAMES = {"anna": "Anna Ruiz", "ben": "Ben", "zoe": "Zoë <3"}


@dataclass(frozen=True)
class Golden:
    """A text, and the stages whose REVISION has to change with it."""

    make: Callable[[Path], str]
    """Given an empty folder."""
    revisions: tuple[str, ...]


def cues() -> tuple[Cue, ...]:
    """The captions of SAID."""
    utterances = []
    for place, (speaker, start, end, text) in enumerate(SAID):
        words = text.split() if speaker != "zoe" else list(text)
        step = (Fraction(str(end)) - Fraction(str(start))) / len(words)
        first = Fraction(str(start))
        timed = tuple(
            Word(text=word, span=Span(first + at * step, first + (at + 1) * step)) for at, word in enumerate(words)
        )
        span = Span(first, Fraction(str(end)))
        utterances.append(Utterance(id=f"u{place}", speaker=speaker, span=span, text=text, words=timed))
    return plan_cues(utterances, CUTS, NAMES, RATE, NUM_FRAMES)


def rttm(folder: Path) -> str:
    """Turns of two speakers, one with a blank in his name."""
    turns = (("S1", 0, 12.345), ("The guest", 12, 13.5), ("S1", 3600, 3600.015))
    spans = ((name, Fraction(str(start)), Fraction(str(end))) for name, start, end in turns)
    return write_rttm([Turn(speaker=name, span=Span(start, end)) for name, start, end in spans], "talk of the town")


def burned(size: tuple[int, int]) -> str:
    """Captions, names, the label and a card, for letters that are all equally wide."""
    names = (
        NameTag(start_frame=6, end_frame=94, name="Anna Ruiz"),
        NameTag(start_frame=216, end_frame=304, name="Dr. Benedict Featherstonehaugh of the Institute", place=0),
    )
    stages = (
        Stage(start_frame=0, floor=size[1], clear=size[0] // 2),
        Stage(
            start_frame=210,
            floor=size[1] * 3 // 4,
            seam=size[1] // 2,
            panels=((0, 0, size[0], size[1] // 2), (0, size[1] // 2, *size)),
        ),
    )
    return overlay_text(
        replace(a_plan(), num_frames=NUM_FRAMES, cuts=CUTS, shots=(), cues=cues(), names=names),
        size,
        is_captioned=True,
        label="AI-generated",
        cards=(Card(start_frame=400, end_frame=410, text="The harbour, that evening"),),
        stages=stages,
        measure=lambda line, px: 0.5 * px * len(line),
    )


def manifest(folder: Path) -> str:
    """Of a programme that nobody rendered."""
    composition = a_composition(Workspace(MemoryStore(), folder))
    delivery = publish.manifest_of(a_plan(), some_clips(a_plan()), a_cast(), composition, some_options())
    return manifest_text(delivery).decode()


def quoted(folder: Path) -> str:
    """`troupe plan EPISODE --workers 2 --json`, on a voice that hums: fingerprints and all."""
    wiring = TinyWiring(Settings(scratch=str(folder)), MemoryStore())
    wiring.__dict__["voices"] = HummingVoice(rate_hz=48_000)
    episode = write_episode(folder)
    with (
        mock.patch.object(commands, "Wiring", return_value=wiring),
        mock.patch.object(commands, "load_settings", return_value=wiring.settings),
    ):
        document = commands.plan_episode(str(episode), store=None, quality=None, workers=2)
    document.pop("text")
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


GOLDENS: dict[str, Golden] = {
    "turns.rttm": Golden(rttm, ("diarize",)),
    "captions.vtt": Golden(lambda folder: vtt_text(cues(), RATE, "en"), ("plan", "composite")),
    "captions.srt": Golden(lambda folder: srt_text(cues(), RATE), ("plan", "composite")),
    "transcript.json": Golden(lambda folder: transcript_text(cues(), RATE), ("plan", "composite")),
    "captions.16x9.ass": Golden(lambda folder: burned((1280, 720)), ("plan", "composite")),
    "captions.9x16.ass": Golden(lambda folder: burned((720, 1280)), ("plan", "composite")),
    "manifest.json": Golden(manifest, ("publish",)),
    "plan.json": Golden(quoted, ("plan",)),
}
REVISIONS: Mapping[str, Callable[[], int]] = {
    "diarize": lambda: diarize.REVISION,
    "plan": lambda: plan.REVISION,
    "composite": lambda: composite.REVISION,
    "publish": lambda: publish.REVISION,
}


def made(name: str) -> str:
    """The text as this code writes it."""
    with tempfile.TemporaryDirectory() as folder:
        return GOLDENS[name].make(Path(folder))


def made_with(name: str) -> str:
    """The REVISIONs of this code that a text depends on."""
    return ", ".join(f"{stage} {REVISIONS[stage]()}" for stage in GOLDENS[name].revisions)


def head(name: str, text: str) -> str:
    """The first line of a kept text."""
    return f"made by `make golden NAME={name}` with REVISION of {made_with(name)}; {_digest(text)}"


def kept(name: str, folder: Path = FOLDER) -> tuple[str, str]:
    """(first line, text) of what is kept; two empty ones where nothing is."""
    path = folder / name
    if not path.exists():
        return "", ""
    first, _, text = path.read_text("utf-8").partition("\n")
    return first, text


def fault(name: str, folder: Path = FOLDER) -> str:
    """What is wrong between the kept text and this code, and what to do; "" where they agree."""
    (first, old), new = kept(name, folder), made(name)
    stages = " or ".join(GOLDENS[name].revisions)
    is_same_revision = f"REVISION of {made_with(name)};" in first
    if not first.endswith(_digest(old)):
        return f"{name} was edited by hand: its digest does not fit. Restore it, or delete it and make it anew."
    if old != new and is_same_revision:
        return f"{name} has changed and no REVISION has: bump that of {stages}, then `make golden NAME={name}`."
    if old != new or not is_same_revision:
        return f"{name} was made with another REVISION: `make golden NAME={name}`, and look at the difference."
    return ""


def rewrite(name: str, folder: Path = FOLDER) -> str:
    """Write a text anew. Returns what keeps it from being written, "" where it was."""
    first, old = kept(name, folder)
    new = made(name)
    if first and old != new and f"REVISION of {made_with(name)};" in first:
        return fault(name, folder)
    (folder / name).write_text(f"{head(name, new)}\n{new}", "utf-8")
    return ""


def _digest(text: str) -> str:
    return f"sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in GOLDENS:
        sys.exit(f"Name one of: {', '.join(GOLDENS)}.")
    sys.exit(rewrite(sys.argv[1]))
