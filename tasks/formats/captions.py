"""What is read on screen, and when: utterances on programme time in, caption cues on the frame grid out. Pure.

At most two lines, never across a cut, never two cues at once, and at most 20 characters a second where the speech
allows it: a cue first uses the pause after it, then a moment of the one before. What stays faster is marked.
Does not know fonts, files or formats of captions (sidecars.py writes them).
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from tasks.domain.editing import Cue, Cut
from tasks.domain.speech import Utterance
from tasks.domain.timing import index_at
from tasks.formats.phrases import MAX_COLUMNS, Token, Widths, break_cost, line_limit, tokens_of

MAX_CHARACTERS_PER_SECOND = 20
SHORTEST_SECONDS = Fraction(1)
"""A cue stands at least so long where there is time."""
LONGEST_SECONDS = 7
LONGEST_SILENCE_SECONDS = 0.7
"""Words across a longer pause rarely share a cue: the second half would be read before it is said."""
TAIL_SECONDS = Fraction(2, 5)
"""A cue stays so long after its last word where nothing follows."""
LEAD_SECONDS = Fraction(1, 2)
"""A cue that would be too fast may come so much ahead of its first word."""
SHORTEST_GAP_FRAMES = 5
"""Two cues that are closer than this follow each other without a gap."""
SENTENCE_WEIGHT, CLAUSE_WEIGHT = 4, 2
"""A full stop lasts as long as so many letters, a comma as long as so many."""
MAX_TOKENS_PER_CUE = 84


@dataclass(frozen=True, slots=True)
class _TimedToken:
    """A token and when it is said, in seconds of programme time."""

    token: Token
    start: Fraction
    end: Fraction


@dataclass(slots=True)
class _Draft:
    """A cue on its way: words and their time are fixed, the frames are not."""

    lines: tuple[str, ...]
    speaker: str
    first: int
    """Frame at which its first word begins."""
    last: int
    """Frame behind its last word."""
    start: int = 0
    end: int = 0

    def frames_needed(self, rate: Fraction) -> int:
        """Frames in which it can be read."""
        return index_at(Fraction(characters(self.lines), MAX_CHARACTERS_PER_SECOND), rate)


def characters(lines: Sequence[str]) -> int:
    """What a reader reads: all characters, a line break as the space that it stands for."""
    return len(" ".join(lines))


def plan_cues(
    utterances: Sequence[Utterance],
    cuts: Sequence[Cut],
    names: Mapping[str, str],
    rate: Fraction,
    num_frames: int,
) -> tuple[Cue, ...]:
    """The captions of a programme, in order of time.

    names: cast key -> name as shown. rate, num_frames: the programme's grid; every cue lies in [0, num_frames).
    """
    starts = [cut.start_frame for cut in cuts] or [0]
    ends = [cut.end_frame for cut in cuts] or [num_frames]
    by_cut: dict[int, list[_Draft]] = {}
    for utterance in utterances:
        speaker = " & ".join(names.get(key, key) for key in (utterance.speaker, *utterance.with_speakers))
        for index, words in _words_by_cut(utterance, starts, rate):
            by_cut.setdefault(index, []).extend(_drafts(words, speaker, rate))
    cues: list[Cue] = []
    spilled: list[_Draft] = []
    for index in range(len(starts)):
        drafts = sorted(spilled + by_cut.get(index, []), key=lambda draft: (draft.first, draft.last))
        room = max(0, min(ends[index], num_frames) - starts[index])
        drafts, spilled = drafts[:room], drafts[room:]
        _place(drafts, starts[index], starts[index] + room, rate)
        cues += [_cue(draft, rate) for draft in drafts]
    return tuple(cues)


def _cue(draft: _Draft, rate: Fraction) -> Cue:
    seconds = Fraction(draft.end - draft.start) / rate
    is_fast = characters(draft.lines) > MAX_CHARACTERS_PER_SECOND * seconds
    return Cue(start_frame=draft.start, end_frame=draft.end, lines=draft.lines, speaker=draft.speaker, is_fast=is_fast)


def _words_by_cut(utterance: Utterance, starts: list[int], rate: Fraction) -> list[tuple[int, list[_TimedToken]]]:
    """The utterance's tokens, by the cut in which the middle of each is said."""

    def cut_of(timed: _TimedToken) -> int:
        frame = index_at((timed.start + timed.end) / 2, rate)
        return max(0, bisect_right(starts, frame) - 1)

    tokens = timed_tokens(utterance)
    return [(index, list(group)) for index, group in groupby(tokens, key=cut_of)]


def timed_tokens(utterance: Utterance) -> list[_TimedToken]:
    """The utterance's tokens with their times: those of its words where they fit the text, else by length."""
    text = " ".join(utterance.text.split()) or " ".join(word.text for word in utterance.words)
    tokens = tokens_of(text, MAX_COLUMNS)
    if utterance.is_sung and tokens:
        tokens = _as_song(tokens)
    if not tokens:
        return []
    marks = _marks_of_words(utterance, tokens) or _marks_by_length(utterance, tokens)
    return [_TimedToken(token, start, end) for token, (start, end) in zip(tokens, marks, strict=True)]


def _as_song(tokens: list[Token]) -> list[Token]:
    """Song is shown between notes."""
    note = "♪"
    return [
        Token(note, is_spaced=False),
        Token(tokens[0].text, is_spaced=True),
        *tokens[1:],
        Token(note, is_spaced=True),
    ]


_Marks = list[tuple[Fraction, Fraction]]


def _marks_of_words(utterance: Utterance, tokens: list[Token]) -> _Marks | None:
    """Start and end of each token from the words that hold its letters, or None where words and text differ."""
    if not utterance.words:
        return None
    ends: list[int] = []
    letters = ""
    for word in utterance.words:
        letters += _letters(word.text)
        ends.append(len(letters))
    if letters != "".join(_letters(token.text) for token in tokens):
        return None
    marks: _Marks = []
    at = 0
    for token in tokens:
        length = len(_letters(token.text))
        start, end = _instant(utterance, ends, at), _instant(utterance, ends, at + length, is_end=True)
        if length == 0:  # punctuation or a note of its own is no longer than nothing
            start = end = marks[-1][1] if marks else utterance.words[0].span.start
        marks.append((start, max(start, end)))
        at += length
    return marks


def _instant(utterance: Utterance, ends: list[int], at: int, *, is_end: bool = False) -> Fraction:
    """When the letter at index `at` begins (or the one before it ends): within a word, by length."""
    index = bisect_right(ends, at - 1 if is_end else at)
    index = min(index, len(ends) - 1)
    first = ends[index - 1] if index else 0
    span = utterance.words[index].span
    return span.start + span.duration * Fraction(at - first, max(1, ends[index] - first))


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _marks_by_length(utterance: Utterance, tokens: list[Token]) -> _Marks:
    """Times in proportion to letters; sentences and clauses are followed by a breath."""
    weights = [_weight(token) for token in tokens]
    total = sum(weight + breath for weight, breath in weights)
    marks: _Marks = []
    at = 0
    for weight, breath in weights:
        start = utterance.span.start + utterance.span.duration * Fraction(at, total)
        marks.append((start, start + utterance.span.duration * Fraction(weight, total)))
        at += weight + breath
    return marks


def _weight(token: Token) -> tuple[int, int]:
    length = max(1, token.columns)
    following = Token("x", is_spaced=True)
    cost = break_cost(token, following)
    return length, SENTENCE_WEIGHT if cost == 0 else (CLAUSE_WEIGHT if cost == 1 else 1)


def _drafts(words: list[_TimedToken], speaker: str, rate: Fraction) -> list[_Draft]:
    """The words in cues, cut where it costs least."""
    tokens = [word.token for word in words]
    limit = line_limit("".join(token.text for token in tokens))
    widths = Widths(tokens, max(limit, *(token.columns for token in tokens)))
    bounds = _partition(words, widths)
    drafts: list[_Draft] = []
    for start, end in bounds:
        first = index_at(words[start].start, rate)
        last = max(first + 1, index_at(words[end - 1].end, rate))
        drafts.append(_Draft(lines=widths.lines(start, end), speaker=speaker, first=first, last=last))
    return drafts


def _partition(words: list[_TimedToken], widths: Widths) -> list[tuple[int, int]]:
    """The cheapest way to cut words into cues that fit two lines (dynamic programming over the cuts)."""
    costs = [0.0] + [float("inf")] * len(words)
    back = [0] * (len(words) + 1)
    starts = [float(word.start) for word in words]
    ends = [float(word.end) for word in words]
    for end in range(1, len(words) + 1):
        next_start = starts[end] if end < len(words) else ends[-1]
        at_end = break_cost(words[end - 1].token, words[end].token) if end < len(words) else 0.0
        at_end = max(0.0, at_end - 4 * min(1.0, max(0.0, next_start - ends[end - 1])))
        silence = 0.0
        for start in range(end - 1, max(-1, end - 1 - MAX_TOKENS_PER_CUE), -1):
            if not widths.fits(start, end):
                break
            if start + 1 < end:
                silence += max(0.0, starts[start + 1] - ends[start] - LONGEST_SILENCE_SECONDS)
            length = widths.total[end] - widths.total[start]
            cost = costs[start] + at_end + 8 * silence
            cost += _cue_cost(length, next_start - starts[start], ends[end - 1] - starts[start])
            if cost < costs[end]:
                costs[end], back[end] = cost, start
    bounds: list[tuple[int, int]] = []
    end = len(words)
    while end > 0:
        bounds.append((back[end], end))
        end = back[end]
    return bounds[::-1]


def _cue_cost(length: int, seconds: float, spoken_seconds: float) -> float:
    """What is wrong with a cue of so many columns that may stand so many seconds: too fast, too short, too long."""
    too_fast = max(0.0, length / MAX_CHARACTERS_PER_SECOND - seconds) * 8
    too_short = max(0.0, 1.2 - seconds) * 5 + (2.0 if length < 14 else 0.0)
    too_long = max(0.0, spoken_seconds - LONGEST_SECONDS) * 3
    return 2.0 + too_fast + too_short + too_long


def _place(drafts: list[_Draft], start_frame: int, end_frame: int, rate: Fraction) -> None:
    """Give the cues of one cut their frames, in order, none over another, all within [start_frame, end_frame)."""
    if not drafts:
        return
    shortest = min(index_at(SHORTEST_SECONDS, rate), (end_frame - start_frame) // len(drafts))
    _set_starts(drafts, start_frame, end_frame, max(1, shortest), rate)
    tail = index_at(TAIL_SECONDS, rate)
    for index, draft in enumerate(drafts):
        limit = drafts[index + 1].start if index + 1 < len(drafts) else end_frame
        wanted = max(draft.last, draft.start + draft.frames_needed(rate), draft.start + shortest)
        wanted = max(wanted, min(limit, draft.last + tail))
        draft.end = min(limit, wanted)
        if limit - draft.end < SHORTEST_GAP_FRAMES and index + 1 < len(drafts):
            draft.end = limit
    _lead_in(drafts, start_frame, rate)


def _set_starts(drafts: list[_Draft], start_frame: int, end_frame: int, shortest: int, rate: Fraction) -> None:
    """Each cue starts with its first word, unless the one before needs that time and it can spare it."""
    at = start_frame
    for index, draft in enumerate(drafts):
        latest = end_frame - shortest * (len(drafts) - index)
        draft.start = min(max(draft.first, at), latest)
        following = drafts[index + 1].first if index + 1 < len(drafts) else end_frame
        at = max(draft.start + shortest, min(following, end_frame))
        if index + 1 < len(drafts):
            lack = draft.start + draft.frames_needed(rate) - at
            at += max(0, min(lack, _spare(drafts, index + 1, at, end_frame, rate)))


def _spare(drafts: list[_Draft], index: int, start: int, end_frame: int, rate: Fraction) -> int:
    """Frames by which a cue may start later and still be read; at most a second."""
    draft = drafts[index]
    following = drafts[index + 1].first if index + 1 < len(drafts) else end_frame
    end = max(draft.last, min(following, end_frame))
    return min(index_at(Fraction(1), rate), end - start - draft.frames_needed(rate))


def _lead_in(drafts: list[_Draft], start_frame: int, rate: Fraction) -> None:
    """A cue that is still too fast comes a moment early, into the silence before it."""
    free = start_frame
    for draft in drafts:
        lack = draft.frames_needed(rate) - (draft.end - draft.start)
        if lack > 0:
            draft.start = max(free, draft.start - min(lack, index_at(LEAD_SECONDS, rate)))
        free = draft.end
