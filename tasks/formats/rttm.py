"""RTTM and UEM: who spoke when, and which stretches are scored. Text in, values out, and back.

Source: NIST, The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan, appendix A and section 7.
Only SPEAKER lines count: ten fields, of which file, onset, duration and speaker are read.
"""

import re
from collections.abc import Iterable
from fractions import Fraction

from tasks.domain.errors import RecordingError
from tasks.domain.speech import Turn
from tasks.domain.timing import Span

MAX_LINES = 1_000_000
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?")
_BLANK = re.compile(r"\s+")


def read_rttm(text: str, *, where: str = "RTTM") -> tuple[Turn, ...]:
    """The turns of an RTTM text, in order of start; lines of other types and comments (";;") are passed over.

    where: named in messages. Raises RecordingError, with the line, for a SPEAKER line that cannot be read.
    """
    turns = []
    for row, line in enumerate(_lines(text, where), 1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise RecordingError(
                f"a SPEAKER line has {len(fields)} fields; at least 8 are needed.",
                where=f"{where}, line {row}",
                remedy="Write type, file, channel, onset, duration, <NA>, <NA>, speaker.",
            )
        start, duration = (_seconds(field, f"{where}, line {row}") for field in fields[3:5])
        turns.append(Turn(speaker=fields[7], span=Span(start, start + duration)))
    return tuple(sorted(turns, key=lambda turn: (turn.span.start, turn.span.end, turn.speaker)))


def write_rttm(turns: Iterable[Turn], recording: str) -> str:
    """One SPEAKER line per turn, times to 10 ms; "" for no turn.

    recording: the second field; blanks in it and in names become "_", for the format has no quotes.
    """
    name = _field(recording)
    return "".join(
        f"SPEAKER {name} 1 {float(turn.span.start):.2f} {float(turn.span.duration):.2f} <NA> <NA> "
        f"{_field(turn.speaker)} <NA> <NA>\n"
        for turn in turns
    )


def read_uem(text: str, *, where: str = "UEM") -> tuple[Span, ...]:
    """The stretches to score: lines of file, channel, start, end."""
    spans = []
    for row, line in enumerate(_lines(text, where), 1):
        fields = line.split()
        if not fields or line.startswith(";;"):
            continue
        if len(fields) < 4:
            raise RecordingError(
                f"a line has {len(fields)} fields; 4 are needed.",
                where=f"{where}, line {row}",
                remedy="Write file, channel, start, end.",
            )
        start, end = (_seconds(field, f"{where}, line {row}") for field in fields[2:4])
        spans.append(Span(start, max(start, end)))
    return tuple(spans)


def _lines(text: str, where: str) -> list[str]:
    lines = text.removeprefix("\ufeff").splitlines()
    if len(lines) > MAX_LINES:
        raise RecordingError(f"{len(lines)} lines are too many; {MAX_LINES} are allowed.", where=where)
    return lines


def _field(text: str) -> str:
    return _BLANK.sub("_", "".join(c for c in text.strip() if c.isprintable() or c.isspace())) or "_"


def _seconds(field: str, where: str) -> Fraction:
    if not _NUMBER.fullmatch(field):
        raise RecordingError(f"{field[:40]!r} is no time.", where=where, remedy="Write seconds, such as 12.34.")
    return Fraction(field)
