"""Diarization error rate, exact: no collar, overlapping speech scored, speakers mapped one to one at best.

Source: NIST RT-09 evaluation plan, section 6.1. Elementary intervals between all boundaries stand in for frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from tasks.domain.speech import Turn
from tasks.domain.timing import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Seconds of each kind, and of speech in the reference."""

    speech: float
    missed: float
    false_alarm: float
    confused: float
    num_found: int
    num_true: int

    @property
    def rate(self) -> float:
        """Errors over speech; 0.08 is 8 %."""
        return (self.missed + self.false_alarm + self.confused) / max(self.speech, 1e-9)


def diarization_errors(reference: Sequence[Turn], found: Sequence[Turn], scored: Sequence[Span] = ()) -> Errors:
    """Errors of `found` against `reference`, within the spans `scored` (default: everywhere)."""
    spans = [turn.span for turn in (*reference, *found)] + list(scored)
    edges = np.unique([float(edge) for span in spans for edge in (span.start, span.end)])
    if len(edges) < 2:
        return Errors(speech=0, missed=0, false_alarm=0, confused=0, num_found=0, num_true=0)
    lengths, middles = np.diff(edges), (edges[:-1] + edges[1:]) / 2
    if scored:
        inside = [(middles >= float(span.start)) & (middles < float(span.end)) for span in scored]
        lengths = lengths * np.any(inside, axis=0)
    true, guess = _activity(reference, middles), _activity(found, middles)
    together = (true * lengths) @ guess.T
    rows, columns = linear_sum_assignment(-together)
    right = sum((true[row] & guess[column]) * 1.0 for row, column in zip(rows, columns, strict=True))
    num_true, num_guess = true.sum(axis=0), guess.sum(axis=0)
    return Errors(
        speech=float(num_true @ lengths),
        missed=float(np.maximum(num_true - num_guess, 0) @ lengths),
        false_alarm=float(np.maximum(num_guess - num_true, 0) @ lengths),
        confused=float((np.minimum(num_true, num_guess) - right) @ lengths),
        num_found=int((guess @ lengths > 0).sum()),
        num_true=int((true @ lengths > 0).sum()),
    )


def _activity(turns: Sequence[Turn], middles: np.ndarray) -> np.ndarray:
    """(speakers, intervals), whether each speaks."""
    speakers = sorted({turn.speaker for turn in turns})
    active = np.zeros((max(1, len(speakers)), len(middles)), bool)
    for turn in turns:
        first, last = np.searchsorted(middles, [float(turn.span.start), float(turn.span.end)])
        active[speakers.index(turn.speaker), first:last] = True
    return active
