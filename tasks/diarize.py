"""Diarize: a recording in, turns out: who spoke when. Knows no words, no names and no portraits."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from tasks.domain.errors import RecordingError
from tasks.domain.options import EngineId
from tasks.domain.speech import Recording, Turn
from tasks.domain.timing import SPEECH_RATE_HZ, Span
from tasks.engines.diarizers import Diarizer
from tasks.engines.diarizers.activity import VoiceActivity
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest
from tasks.media.wav import map_speech

REVISION = 1
BLOCK_SAMPLES = SPEECH_RATE_HZ // 50
"""Levels of tracks are compared over 20 ms."""
BLEED_DB = 6.0
"""A track that is so much further below its own usual level than another one hears that other speaker."""
CLOSED_PAUSE = Fraction(3, 10)
SHORTEST = Fraction(1, 5)
"""Seconds; shorter speech in a track is a click or what is left of a bleed."""


def diarize(
    recording: Recording,
    num_speakers: int | None,
    by: EngineId,
    *,
    diarizer: Diarizer,
    workspace: Workspace,
    watch: Watch,
) -> tuple[Turn, ...]:
    """Turns in order of start, labelled by the engine `by`.

    num_speakers: a hint, None where nobody knows. Raises RecordingError where nobody speaks.
    """
    speech = map_speech(workspace.path(recording.voice))
    turns = diarizer.turns(speech, num_speakers=num_speakers, watch=watch)
    if not turns:
        raise no_speech(recording)
    return turns


def key(recording: Recording, num_speakers: int | None, by: EngineId) -> str:
    """What the turns depend on."""
    return digest({"revision": REVISION, "speech": recording.voice.sha256, "speakers": num_speakers, "by": by})


def speech_seconds(recording: Recording, *, activity: VoiceActivity, workspace: Workspace) -> float:
    """For how long somebody speaks, to 10 ms; 0.0 where nobody does."""
    spans = activity.spans(map_speech(workspace.path(recording.voice)))
    return round(sum(end - start for start, end in spans) / SPEECH_RATE_HZ, 2)


def no_speech(recording: Recording) -> RecordingError:
    """The error of a recording in which nobody speaks."""
    where = recording.title or "recording"
    return RecordingError("there is no speech in it.", where=where, remedy="Supply a recording with speech.")


def listen(
    tracks: tuple[tuple[str, Recording], ...],
    by: EngineId,
    *,
    activity: VoiceActivity,
    workspace: Workspace,
    watch: Watch,
) -> tuple[Turn, ...]:
    """Turns of tracks that start together, labelled by cast key; what bleeds from one into another is ignored.

    Raises RecordingError where nobody speaks in any of them.
    """
    sounds = [map_speech(workspace.path(recording.voice)) for _, recording in tracks]
    length = max(len(sound) for sound in sounds) // BLOCK_SAMPLES
    levels = np.stack([_levels(sound, length) for sound in sounds])
    spoken = np.zeros_like(levels, dtype=bool)
    for place, sound in enumerate(sounds):
        for start, end in activity.spans(sound, watch=watch):
            spoken[place, start // BLOCK_SAMPLES : -(-end // BLOCK_SAMPLES)] = True
    usual = np.array([_usual(level, mask) for level, mask in zip(levels, spoken, strict=True)])
    above = levels - usual[:, None]
    own = spoken & (above >= above.max(axis=0) - BLEED_DB)
    turns = [turn for place, (name, _) in enumerate(tracks) for turn in _turns(name, own[place])]
    if not turns:
        raise no_speech(tracks[0][1])
    return tuple(sorted(turns, key=lambda turn: (turn.span.start, turn.span.end)))


def listen_key(tracks: tuple[tuple[str, Recording], ...], by: EngineId) -> str:
    """What the turns of tracks depend on."""
    speech = [(name, recording.voice.sha256) for name, recording in tracks]
    return digest({"revision": REVISION, "tracks": speech, "by": by})


def _levels(sound: npt.NDArray[np.int16], num_blocks: int) -> npt.NDArray[np.float64]:
    """Level of each block in dB; a track that ends early goes on in silence."""
    whole = sound[: len(sound) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)[:num_blocks]
    power = np.full(num_blocks, 1e-3)
    power[: len(whole)] += np.square(whole.astype(np.float32)).mean(axis=1)
    return np.asarray(10 * np.log10(power))


def _usual(level: npt.NDArray[np.float64], spoken: npt.NDArray[np.bool_]) -> float:
    """A track's own speaking level: bleed is below it, so the louder part counts."""
    return float(np.percentile(level[spoken], 75)) if spoken.any() else 0.0


def _turns(name: str, own: npt.NDArray[np.bool_]) -> list[Turn]:
    """Runs of blocks as turns: short pauses closed, then short runs dropped."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], own.astype(np.int8), [0]])))
    spans: list[Span] = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        span = Span(_instant(int(first)), _instant(int(last)))
        if spans and span.start - spans[-1].end < CLOSED_PAUSE:
            spans[-1] = Span(spans[-1].start, span.end)
        else:
            spans.append(span)
    return [Turn(speaker=name, span=span) for span in _long_enough(spans)]


def _long_enough(spans: Sequence[Span]) -> list[Span]:
    return [span for span in spans if span.duration >= SHORTEST]


def _instant(block: int) -> Fraction:
    return Fraction(block * BLOCK_SAMPLES, SPEECH_RATE_HZ)
