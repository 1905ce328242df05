"""Dub: a written line and a voice in, speech with word and phone times out.

One call a line, so that an edited line is the only one that is spoken again. Knows no timeline: `arrange` places lines.
"""

from fractions import Fraction
from math import gcd

import numpy as np
from scipy.signal import resample_poly

from tasks.domain.assets import Asset
from tasks.domain.errors import ScriptError
from tasks.domain.options import EngineId
from tasks.domain.speech import SpokenLine
from tasks.domain.timing import MASTER_RATE_HZ, SPEECH_RATE_HZ
from tasks.engines.voices import Float32Array, Voice
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest
from tasks.media.wav import write_wav

REVISION = 1
LEVEL_DBFS = -23.0
"""Every line is brought to this level over its loud parts: voices differ by 10 dB, people at one table do not."""
LOUD_PART = 0.5
"""The louder half of the 20 ms blocks counts as the loud part."""
CEILING = 0.89
"""No sample above -1 dBFS, however peaky the voice."""


def dub(
    line: str, speaker: str, text: str, voice: str, language: str, by: EngineId, *, voices: Voice, workspace: Workspace
) -> SpokenLine:
    """Speak `text` in `voice` ("ENGINE:NAME", of the engine `by`).

    Raises ScriptError for a text without a word, EngineError where the engine fails.
    """
    spoken = voices.speak(text, voice.partition(":")[2], language=language)
    if not len(spoken.speech):
        raise ScriptError(
            f"{text[:60]!r} (speaker {speaker}) holds nothing that can be said.",
            remedy="Write words, or [PAUSE 1 s] for a silence.",
        )
    level = _level(spoken.speech, spoken.rate_hz)
    duration = Fraction(-(-len(level) * SPEECH_RATE_HZ // spoken.rate_hz), SPEECH_RATE_HZ)
    return SpokenLine(
        line=line,
        speaker=speaker,
        sound=_kept(level, spoken.rate_hz, MASTER_RATE_HZ, duration, workspace),
        speech=_kept(level, spoken.rate_hz, SPEECH_RATE_HZ, duration, workspace),
        duration=duration,
        words=spoken.words,
        phones=spoken.phones,
    )


def key(line: str, speaker: str, text: str, voice: str, language: str, by: EngineId) -> str:
    """What a line's sound depends on."""
    return digest(
        {
            "revision": REVISION,
            "line": line,
            "speaker": speaker,
            "text": text,
            "voice": voice,
            "language": language,
            "by": by,
        }
    )


def _level(speech: Float32Array, rate_hz: int) -> Float32Array:
    """Bring the loud parts to LEVEL_DBFS without clipping."""
    block = max(1, rate_hz // 50)
    power = np.square(speech[: len(speech) // block * block].reshape(-1, block)).mean(1)
    loud = np.sort(power)[int(len(power) * (1 - LOUD_PART)) :]
    rms = float(np.sqrt(loud.mean())) if len(loud) else 0.0
    if rms <= 1e-6:
        return speech
    gain = 10 ** (LEVEL_DBFS / 20) / rms
    peak = float(np.abs(speech).max()) * gain
    return (speech * (gain * min(1.0, CEILING / peak))).astype(np.float32)


def _kept(speech: Float32Array, from_hz: int, to_hz: int, duration: Fraction, workspace: Workspace) -> Asset:
    common = gcd(from_hz, to_hz)
    samples = resample_poly(speech.astype(np.float64), to_hz // common, from_hz // common)
    whole = np.zeros(int(duration * to_hz))
    length = min(len(whole), len(samples))
    whole[:length] = samples[:length]
    path = workspace.new(".wav")
    write_wav(path, np.rint(np.clip(whole, -1, 32767 / 32768) * 32768).astype(np.int16), to_hz)
    return workspace.keep(path)
