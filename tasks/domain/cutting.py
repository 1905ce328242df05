"""Where the picture changes: utterances on programme time in, stretches of the frame grid out. Pure.

A stretch shows one arrangement of speakers. It becomes one `Cut`, and one `Shot` for every speaker in it; so all shots
of a cut fill exactly the cut. Knows no portraits and no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from tasks.domain.speech import Scene, Utterance
from tasks.domain.timing import index_at

LEAD_FRAMES = 3
"""A cut comes so many frames before the first sound, as an editor would place it, where the pause allows."""
SHORTEST_FRAMES = 18
"""A picture that stands for less than 0.7 s is a flicker, not a cut."""
BACKCHANNEL_SECONDS = Fraction(1)
"""Shorter than this, inside somebody else's speech, is a "mhm" that does not take the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """[start_frame, end_frame) with one arrangement of the picture."""

    start_frame: int
    end_frame: int
    speakers: tuple[str, ...]
    """Who is seen, from left to right; empty for a scene."""
    utterances: tuple[str, ...]
    """What is said here by those who are seen."""
    layout: str = "active"
    scene: str | None = None

    @property
    def num_frames(self) -> int:
        """Frames from start to end."""
        return self.end_frame - self.start_frame


def plan_stretches(
    utterances: Sequence[Utterance],
    scenes: Sequence[Scene],
    *,
    num_frames: int,
    rate: Fraction,
    layout: str,
    longest_frames: int,
) -> tuple[Stretch, ...]:
    """Stretches that tile [0, num_frames) without a gap.

    layout: "active", "split", "grid" or "auto" (active, but shared where two talk quickly to and fro).
    longest_frames: a stretch of one speaker is divided at a pause so that it stays below this.
    """
    marks = _holders(utterances, scenes, rate)
    if not marks:
        return ()
    spread = _tile(marks, num_frames)
    if layout == "auto":
        spread = _share_quick_exchanges(spread, rate)
    divided = [part for stretch in spread for part in _divide(stretch, utterances, rate, longest_frames)]
    if layout in ("split", "grid"):
        everyone = tuple(dict.fromkeys(utterance.speaker for utterance in utterances))
        shared = "split" if len(everyone) <= 2 else "grid"
        divided = [_show_all(stretch, everyone, shared) for stretch in divided]
    return tuple(divided)


def _holders(utterances: Sequence[Utterance], scenes: Sequence[Scene], rate: Fraction) -> list[Stretch]:
    """One mark for each run of utterances that holds the picture, and for each scene; ends are not final yet."""
    marks: list[Stretch] = []
    held_until = Fraction(-1)
    events: list[Utterance | Scene] = [*utterances, *scenes]
    for heard in sorted(events, key=lambda event: (event.span.start, event.span.end)):
        if isinstance(heard, Scene):
            marks.append(_scene_mark(heard, rate))
            held_until = max(held_until, heard.span.end)
            continue
        seen = (heard.speaker, *heard.with_speakers)
        previous = marks[-1] if marks else None
        is_aside = heard.span.end <= held_until and heard.span.duration < BACKCHANNEL_SECONDS
        if is_aside and previous is not None and heard.speaker not in previous.speakers:
            continue
        if previous is not None and previous.speakers == seen:
            marks[-1] = replace(previous, utterances=(*previous.utterances, heard.id))
        else:
            marks.append(_speech_mark(heard, seen, _cut_before(heard.span.start, held_until, rate)))
        held_until = max(held_until, heard.span.end)
    return marks


def _speech_mark(heard: Utterance, seen: tuple[str, ...], start: int) -> Stretch:
    layout = "active" if len(seen) == 1 else ("split" if len(seen) == 2 else "grid")
    return Stretch(start_frame=start, end_frame=start, speakers=seen, utterances=(heard.id,), layout=layout)


def _cut_before(start: Fraction, held_until: Fraction, rate: Fraction) -> int:
    """The frame at which the picture goes to somebody who starts to speak at `start`."""
    first = index_at(start, rate)
    if held_until < 0:
        return first
    pause_frames = max(0, first - index_at(held_until, rate))
    return max(0, first - min(LEAD_FRAMES, pause_frames // 2))


def _scene_mark(scene: Scene, rate: Fraction) -> Stretch:
    start, end = index_at(scene.span.start, rate), index_at(scene.span.end, rate)
    return Stretch(start_frame=start, end_frame=end, speakers=(), utterances=(), layout="card", scene=scene.id)


def _tile(marks: list[Stretch], num_frames: int) -> list[Stretch]:
    """Give every mark its end (the next one's start) and drop those that would only flicker."""
    kept: list[Stretch] = []
    for given in marks:
        # A scene ends where it was put; what follows is there at once.
        is_after_scene = bool(kept) and kept[-1].scene is not None
        mark = replace(given, start_frame=kept[-1].end_frame) if is_after_scene else given
        if kept and mark.scene is None and kept[-1].scene is None and mark.start_frame - kept[-1].start_frame < 1:
            kept[-1] = replace(kept[-1], utterances=(*kept[-1].utterances, *mark.utterances))
            continue
        kept.append(mark)
    steady: list[Stretch] = []
    for position, mark in enumerate(kept):
        end = kept[position + 1].start_frame if position + 1 < len(kept) else num_frames
        start = mark.start_frame if steady else 0
        if mark.scene is None and end - start < SHORTEST_FRAMES and steady and steady[-1].scene is None:
            steady[-1] = replace(steady[-1], end_frame=end, utterances=_added(steady[-1], mark))
            continue
        if steady and steady[-1].speakers == mark.speakers and mark.scene is None and steady[-1].scene is None:
            steady[-1] = replace(steady[-1], end_frame=end, utterances=(*steady[-1].utterances, *mark.utterances))
            continue
        steady.append(replace(mark, start_frame=start, end_frame=end))
    return steady


def _added(stretch: Stretch, mark: Stretch) -> tuple[str, ...]:
    """Utterances of `stretch` after a flicker was folded into it: only what its own speakers say is theirs."""
    own = set(mark.speakers) <= set(stretch.speakers)
    return (*stretch.utterances, *mark.utterances) if own else stretch.utterances


QUICK_TURNS = 4
QUICK_SECONDS = Fraction(9)


def _share_quick_exchanges(stretches: list[Stretch], rate: Fraction) -> list[Stretch]:
    """Show two people side by side where they answer each other too quickly for cuts to be comfortable."""
    shared = list(stretches)
    limit = index_at(QUICK_SECONDS, rate)
    position = 0
    while position + QUICK_TURNS <= len(shared):
        window = shared[position : position + QUICK_TURNS]
        pair = tuple(dict.fromkeys(speaker for stretch in window for speaker in stretch.speakers))
        length = window[-1].end_frame - window[0].start_frame
        if len(pair) == 2 and length <= limit and all(len(stretch.speakers) == 1 for stretch in window):
            ordered = tuple(sorted(pair, key=lambda key: _first_seen(stretches, key)))
            for offset, stretch in enumerate(window):
                shared[position + offset] = replace(stretch, speakers=ordered, layout="split")
            position += QUICK_TURNS
        else:
            position += 1
    return shared


def _first_seen(stretches: Sequence[Stretch], speaker: str) -> int:
    return min((s.start_frame for s in stretches if speaker in s.speakers), default=0)


def _show_all(stretch: Stretch, everyone: tuple[str, ...], layout: str) -> Stretch:
    return stretch if stretch.scene is not None else replace(stretch, speakers=everyone, layout=layout)


def _divide(stretch: Stretch, utterances: Sequence[Utterance], rate: Fraction, longest_frames: int) -> list[Stretch]:
    """Divide a stretch that is too long for one clip, at the longest pause near the middle of what is left."""
    if stretch.num_frames <= longest_frames or stretch.scene is not None:
        return [stretch]
    own = [u for u in utterances if u.id in set(stretch.utterances)]
    parts: list[Stretch] = []
    start = stretch.start_frame
    while stretch.end_frame - start > longest_frames:
        end = _best_break(own, start, min(start + longest_frames, stretch.end_frame - SHORTEST_FRAMES), rate)
        parts.append(_part(stretch, own, start, end, rate))
        start = end
    parts.append(_part(stretch, own, start, stretch.end_frame, rate))
    return parts


def _best_break(own: Sequence[Utterance], start: int, latest: int, rate: Fraction) -> int:
    """The frame in the later half of [start, latest] with the longest silence around it, else `latest`."""
    earliest = start + (latest - start) // 2
    words = sorted((w.span for u in own for w in (u.words or ())), key=lambda span: span.start)
    spans = words or sorted((u.span for u in own), key=lambda span: span.start)
    best, longest = latest, Fraction(-1)
    for left, right in pairwise(spans):
        frame = index_at((left.end + right.start) / 2, rate)
        silence = right.start - left.end
        if earliest <= frame <= latest and silence >= longest:
            best, longest = frame, silence
    return best


def _part(stretch: Stretch, own: Sequence[Utterance], start: int, end: int, rate: Fraction) -> Stretch:
    said = tuple(u.id for u in own if index_at(u.span.start, rate) < end and index_at(u.span.end, rate) > start)
    return replace(stretch, start_frame=start, end_frame=end, utterances=said)
