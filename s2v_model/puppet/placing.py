"""Sounds that a text tells, put where they are heard: forced alignment for every language.

In: mono speech at 16 kHz and phones whose times are guesses. Out: the same phones with better times. The most likely
boundaries are found by dynamic programming over the network of `sounds.py`, which hears how open, round or closed the
mouth is: a phone should sound like its shape, last as long as guessed, and lie near where it was guessed. Knows no
text and no language.
Source: explicit-duration hidden Markov models, Levinson, Computer Speech and Language 1(1), 1986.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from s2v_model.contract import SPEECH_RATE_HZ, Float32Array, Phone
from s2v_model.puppet.sounds import CLOSURES, features, network_output
from s2v_model.puppet.visemes import CONTROL_HZ, LEAD_SECONDS, SHAPES, mouth_track, shapes_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_REACH_PER_DOUBT, _REACH = 3.0, (0.3, 1.0)
"""Seconds that a boundary may move from where it was guessed: in proportion to the doubt, within limits."""
_LIKE = 0.30
"""Nineteen of twenty right texts fit their sound so well, and two of five wrong ones."""
_SHORTEST = 2
_DURATION_SPREAD = 0.35
"""Of the logarithm of a phone's length."""
_TRUST = 0.6
"""Of what is heard, against durations and places."""
_CLOSED_ODDS = 1.0
"""Log odds that the network lacks for closed lips of real voices."""
_CHANNELS = np.array([6.0, 2.0, 2.0, 0.0, 0.0, 1.5, 1.0, 0.5])
"""What a squared difference of each mouth channel weighs."""
_CLOSURE_WEIGHT = 0.35
_GAP_SECONDS = 0.05
_PAUSE = 5.0
"""What a pause costs that was not guessed."""


class _Segment(NamedTuple):
    """A part of a phone with one mouth shape, or a pause; times in steps."""

    phone: int
    shape: str
    first: float
    last: float


def placed(speech: Float32Array, phones: Sequence[Phone], *, unsure_seconds: float) -> tuple[Phone, ...] | None:
    """`phones`, in order, moved to where they are heard, on steps of CONTROL_HZ; None where they do not fit the sound.

    unsure_seconds: how far off their times may well be. Phones without a shape are left out.
    """
    segments = _segments(phones)
    count = len(speech) * CONTROL_HZ // SPEECH_RATE_HZ
    if not segments or count < _SHORTEST * len(segments):
        return None
    lead = round(LEAD_SECONDS * CONTROL_HZ)
    heard = network_output(features(speech, count)).astype(float)
    reach = int(np.clip(_REACH_PER_DOUBT * unsure_seconds, *_REACH) * CONTROL_HZ)
    late = np.concatenate([np.repeat(heard[:1], lead, 0), heard])[:count]
    spans = _spans(late, segments, unsure_seconds * CONTROL_HZ, reach)
    if spans is None:
        return None
    edges: dict[int, tuple[int, int]] = {}
    for segment, (first, last) in zip(segments, spans, strict=True):
        edges[segment.phone] = (min(first, edges.get(segment.phone, (first, last))[0]), last)
    moved = tuple(
        Phone(start_seconds=edges[k][0] / CONTROL_HZ, end_seconds=edges[k][1] / CONTROL_HZ, symbol=phone.symbol)
        for k, phone in enumerate(phones)
        if k in edges
    )
    return moved if _likeness(heard, moved) >= _LIKE else None


def _likeness(heard: FloatArray, phones: Sequence[Phone]) -> float:
    """How the mouth of `phones` goes with the one heard: mean correlation of its opening and width while it speaks."""
    meant = mouth_track(phones, len(heard) / CONTROL_HZ)[: len(heard)]
    time = (np.arange(len(meant)) + 0.5) / CONTROL_HZ
    said = (time > phones[0].start_seconds) & (time < phones[-1].end_seconds)
    found = []
    for channel in range(3):
        a, b = heard[: len(meant)][said, channel], meant[said, channel]
        found.append(float(np.corrcoef(a, b)[0, 1]) if min(a.std(), b.std()) > 1e-3 else 0.0)
    return float(np.mean(found))


def _segments(phones: Sequence[Phone]) -> list[_Segment]:
    found: list[_Segment] = []
    clock = phones[0].start_seconds if phones else 0.0
    for k, phone in enumerate(phones):
        shapes = shapes_of(phone.symbol)
        start, end = max(phone.start_seconds, clock), max(phone.end_seconds, clock)
        if not shapes:
            continue
        if start > clock + _GAP_SECONDS:
            found.append(_Segment(-1, "sil", clock * CONTROL_HZ, start * CONTROL_HZ))
        else:
            start = clock
        edges = np.linspace(start, end, len(shapes) + 1) * CONTROL_HZ
        found += [_Segment(k, s, float(a), float(b)) for s, a, b in zip(shapes, edges[:-1], edges[1:], strict=True)]
        clock = end
    return found


def _unlikeness(heard: FloatArray, shape: str) -> FloatArray:
    """(n,): how little each step sounds like `shape`."""
    wanted = np.array(SHAPES.get(shape, SHAPES["schwa"]), float)
    cost = ((heard - wanted) ** 2 * _CHANNELS).sum(1)
    for channel in CLOSURES:
        odds = heard[:, channel] + _CLOSED_ODDS
        cost += _CLOSURE_WEIGHT * np.logaddexp(0, -odds if wanted[channel] else odds)
    return np.asarray(cost)


def _spans(heard: FloatArray, segments: list[_Segment], unsure: float, reach: int) -> list[tuple[int, int]] | None:
    """Steps at which each segment begins and ends; None where there is no way."""
    kinds = {"sil", *(segment.shape for segment in segments)}
    passed = {kind: _TRUST * np.r_[0, np.cumsum(_unlikeness(heard, kind))] for kind in sorted(kinds)}
    silence = passed["sil"]
    places = np.arange(-reach, reach + 1)
    at = round(segments[0].first) + places
    # What lies before the first phone and behind the last is silence.
    cost = _off(at, segments[0].first, unsure, len(heard)) + _at(silence, at)
    ways: list[tuple[IntArray, IntArray, IntArray, IntArray]] = []
    for segment in segments:
        goal = round(segment.last) + places
        total = cost[:, None] + _at(passed[segment.shape], goal)[None] - _at(passed[segment.shape], at)[:, None]
        total += _lasting(segment, goal[None] - at[:, None])
        best = total.argmin(0)
        cost = total[best, np.arange(len(goal))] + _off(goal, segment.last, unsure, len(heard))
        cost, pause = _paused(cost, _at(silence, goal))
        ways.append((at, best, goal, pause))
        at = goal
    cost = cost + silence[-1] - _at(silence, at)
    if not np.isfinite(cost).any():
        return None
    place, spans = int(cost.argmin()), []
    for starts, best, ends, pause in reversed(ways):
        place = int(pause[place])
        end, place = int(ends[place]), int(best[place])
        spans.append((int(starts[place]), end))
    return spans[::-1]


def _paused(cost: FloatArray, silence: FloatArray) -> tuple[FloatArray, IntArray]:
    """The cost at each boundary when there may be a pause before it, and the boundary at which that began."""
    here = np.arange(len(cost))
    ahead = np.where(np.isfinite(cost), cost - silence, np.inf)
    lowest = np.minimum.accumulate(ahead)
    began = np.maximum.accumulate(np.where(ahead <= lowest, here, 0))
    paused = lowest + silence + _PAUSE
    return np.minimum(cost, paused), np.where(paused < cost, began, here)


def _lasting(segment: _Segment, length: IntArray) -> FloatArray:
    """What it costs that a segment takes so many steps."""
    is_pause = segment.phone < 0
    usual = max(segment.last - segment.first, 1.0)
    stretch = np.log(np.maximum(length, 1) / usual) / _DURATION_SPREAD
    cost = 0.5 * stretch**2 * (0.1 if is_pause else 1.0)
    return np.where(length < (0 if is_pause else _SHORTEST), np.inf, cost)


def _at(sums: FloatArray, steps: IntArray) -> FloatArray:
    return np.asarray(sums[np.clip(steps, 0, len(sums) - 1)])


def _off(at: IntArray, guessed: float, unsure: float, count: int) -> FloatArray:
    """What boundaries cost for being away from their guess; infinite outside the speech."""
    cost = 0.5 * ((at - guessed) / max(unsure, 0.5)) ** 2
    return np.where((at < 0) | (at > count), np.inf, cost)
