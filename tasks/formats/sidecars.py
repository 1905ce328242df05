"""Captions and transcript beside a programme: WebVTT, SubRip, and JSON as the podcast namespace has it. Text out.

In: a plan's cues, on its grid. Knows no files.
Sources: W3C WebVTT 1.0; Podcasting 2.0, transcripts/transcripts.md.
"""

import json
from collections.abc import Sequence
from fractions import Fraction

from tasks.domain.editing import Cue


def vtt_text(cues: Sequence[Cue], rate: Fraction, language: str) -> str:
    """A WebVTT file with voice tags."""
    head = f"WEBVTT\nLanguage: {language}\n"
    return head + "".join(
        f"\n{_clock(cue.start_frame, rate, '.')} --> {_clock(cue.end_frame, rate, '.')}\n{_voiced(cue)}\n"
        for cue in cues
    )


def srt_text(cues: Sequence[Cue], rate: Fraction) -> str:
    """A SubRip file."""
    return "\n".join(
        f"{number}\n{_clock(cue.start_frame, rate, ',')} --> {_clock(cue.end_frame, rate, ',')}\n{_lines(cue)}\n"
        for number, cue in enumerate(cues, start=1)
    )


def transcript_text(cues: Sequence[Cue], rate: Fraction) -> str:
    """The words with times and speakers, as JSON."""
    segments = [
        {
            "speaker": cue.speaker,
            "startTime": round(float(cue.start_frame / rate), 3),
            "endTime": round(float(cue.end_frame / rate), 3),
            "body": " ".join(cue.lines),
        }
        for cue in cues
    ]
    return json.dumps({"version": "1.0.0", "segments": segments}, ensure_ascii=False, indent=1) + "\n"


def _voiced(cue: Cue) -> str:
    body = _escaped(_lines(cue))
    # A voice tag ends at ">", and no escape is allowed within its annotation but entities.
    return f"<v {_escaped(' '.join(cue.speaker.split()))}>{body}" if cue.speaker else body


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _lines(cue: Cue) -> str:
    """The cue's lines; none empty, since an empty line ends a cue."""
    return "\n".join(" ".join(line.split()) for line in cue.lines if line.strip())


def _clock(frame: int, rate: Fraction, point: str) -> str:
    milliseconds = round(frame / rate * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
