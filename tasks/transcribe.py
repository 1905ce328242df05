"""Transcribe: a recording, its turns and perhaps a transcript in, utterances out: who says which words when.

Words come from the supplied transcript, or from a transcriber. Where there is an aligner for the language, words get
their own times and sounds. A transcript's names are evidence, not truth: one that matches the cast is used where the
diarizer hears that voice at that time; others only group words. Knows no portraits.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby

import numpy as np
import numpy.typing as npt

from s2v_model.contract import Watch
from tasks.domain.options import EngineId
from tasks.domain.speech import CaptionCue, Phone, Recording, Transcript, Turn, Utterance, Word
from tasks.domain.timing import SPEECH_RATE_HZ, Span, Spans, index_at, seconds
from tasks.engines.aligners import Aligner
from tasks.engines.transcribers import Transcriber
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest
from tasks.media.wav import map_speech

Int16Array = npt.NDArray[np.int16]

REVISION = 3
AROUND = Fraction(3, 20)
"""Seconds of sound that an aligner is given on both sides of a cue: cue times are rough."""
WORDLESS_SECONDS = Fraction(3, 10)
"""A turn without words is kept from this length on: its speaker is heard, so he is seen to speak."""
SHORTEST_RUN = 2
"""A single word between two of somebody else is an error of the diarizer's edges, not a turn."""


@dataclass(frozen=True, slots=True)
class _Passage:
    """A cue with the times of its words."""

    cue: CaptionCue
    words: tuple[Word, ...]
    phones: tuple[tuple[Phone, ...], ...] | None
    """The sounds of each word, where they are known."""


class _Voices:
    """The turns, asked by time."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._turns = turns
        self._spans = Spans(turns, lambda turn: turn.span)

    def over(self, span: Span) -> Counter[str]:
        """Milliseconds for which each voice is heard in `span`."""
        heard: Counter[str] = Counter()
        for turn in self._spans.over(span):
            heard[turn.speaker] += int(turn.span.overlap(span) * 1000)
        return +heard

    def main(self, span: Span) -> str:
        """The voice heard longest within a span; in silence, the nearest one."""
        if heard := self.over(span):
            return heard.most_common(1)[0][0]
        return min(self._turns, key=lambda t: max(t.span.start - span.end, span.start - t.span.end)).speaker


def transcribe(
    recording: Recording,
    turns: tuple[Turn, ...],
    transcript: Transcript | None,
    names: tuple[tuple[str, str], ...],
    language: str,
    by: EngineId,
    *,
    transcriber: Transcriber | None,
    aligner: Aligner,
    workspace: Workspace,
    watch: Watch,
) -> tuple[Utterance, ...]:
    """Utterances in order of start, labelled as the turns are; those without known words have no text.

    names: (name or key, cast key) that a transcript's tags may match. transcriber: None where no engine is set.
    """
    speech = map_speech(workspace.path(recording.voice))
    cues = _cues(speech, transcript, language, transcriber, watch)
    passages = _aligned(speech, cues, language, aligner, watch)
    heard = _Voices(turns)
    tags = _labels_of_tags(cues, heard, {name.casefold(): key for name, key in names})
    worded = [utterance for passage in passages for utterance in _attributed(passage, heard, tags)]
    silent = _wordless(turns, worded)
    ordered = sorted([*worded, *silent], key=lambda u: (u.span.start, u.span.end, u.speaker))
    return tuple(replace(utterance, id=f"u{place:04d}") for place, utterance in enumerate(ordered))


def key(
    recording: Recording,
    turns: tuple[Turn, ...],
    transcript: Transcript | None,
    names: tuple[tuple[str, str], ...],
    language: str,
    by: EngineId,
) -> str:
    """What the utterances depend on."""
    return digest(
        {
            "revision": REVISION,
            "speech": recording.voice.sha256,
            "turns": turns,
            "transcript": transcript,
            "names": names,
            "language": language,
            "by": by,
        }
    )


def transcribe_tracks(
    tracks: tuple[tuple[str, Recording], ...],
    turns: tuple[Turn, ...],
    transcript: Transcript | None,
    language: str,
    by: EngineId,
    *,
    transcriber: Transcriber | None,
    aligner: Aligner,
    workspace: Workspace,
    watch: Watch,
) -> tuple[Utterance, ...]:
    """As `transcribe`, but every speaker has a recording of his own, labelled by his cast key."""
    found: list[Utterance] = []
    heard = _Voices(turns)
    for name, recording in tracks:
        speech = map_speech(workspace.path(recording.voice))
        own = tuple(turn for turn in turns if turn.speaker == name)
        cues = _own_cues(_cues(speech, transcript, language, transcriber, watch), name, own, heard)
        passages = _aligned(speech, cues, language, aligner, watch)
        worded = [_utterance(name, p.words, p.phones, is_sung=p.cue.is_sung) for p in passages if p.words]
        found += [*worded, *_wordless(own, worded)]
    ordered = sorted(found, key=lambda u: (u.span.start, u.span.end, u.speaker))
    return tuple(replace(utterance, id=f"u{place:04d}") for place, utterance in enumerate(ordered))


def tracks_key(
    tracks: tuple[tuple[str, Recording], ...],
    turns: tuple[Turn, ...],
    transcript: Transcript | None,
    language: str,
    by: EngineId,
) -> str:
    """What the utterances of tracks depend on."""
    speech = [(name, recording.voice.sha256) for name, recording in tracks]
    return digest(
        {
            "revision": REVISION,
            "tracks": speech,
            "turns": turns,
            "transcript": transcript,
            "language": language,
            "by": by,
        }
    )


def _cues(
    speech: Int16Array,
    transcript: Transcript | None,
    language: str,
    transcriber: Transcriber | None,
    watch: Watch,
) -> tuple[CaptionCue, ...]:
    if transcript is not None:
        return transcript.cues
    return () if transcriber is None else transcriber.transcribe(speech, language=language, watch=watch)


def _own_cues(cues: Sequence[CaptionCue], name: str, own: Sequence[Turn], heard: _Voices) -> tuple[CaptionCue, ...]:
    """The cues that a track's speaker says: named so, or heard mostly in his turns."""
    kept = []
    for cue in cues:
        tagged = cue.speaker is not None and cue.speaker.casefold() == name.casefold()
        if tagged or (own and heard.main(cue.span) == name):
            kept.append(cue)
    return tuple(kept)


def _aligned(
    speech: Int16Array, cues: Sequence[CaptionCue], language: str, aligner: Aligner, watch: Watch
) -> list[_Passage]:
    """Every cue with times for its words."""
    passages = []
    for place, cue in enumerate(cues):
        watch(place, len(cues))
        if words := tuple(cue.text.split()):
            passages.append(_passage(speech, cue, words, language, aligner))
    return passages


def _passage(speech: Int16Array, cue: CaptionCue, words: tuple[str, ...], language: str, aligner: Aligner) -> _Passage:
    """One cue. Sounds count as known where most words were found in the sound, not only spread over it."""
    origin = max(Fraction(0), cue.span.start - AROUND)
    first = index_at(origin, SPEECH_RATE_HZ)
    pcm = speech[first : index_at(cue.span.end + AROUND, SPEECH_RATE_HZ)]
    told = tuple(word.span.shifted(-origin) for word in cue.words) if _has_times(cue, words) else None
    aligned = aligner.align(pcm.astype(np.float32) * np.float32(1 / 32768), words, language=language, times=told)
    is_measured = 2 * sum(word.is_measured for word in aligned) > len(aligned)
    if not is_measured:
        return _spread(cue, words)
    return _Passage(
        cue,
        tuple(Word(text=word.text, span=word.span.shifted(origin)) for word in aligned),
        tuple(tuple(Phone(symbol=p.symbol, span=p.span.shifted(origin)) for p in word.phones) for word in aligned),
    )


def _has_times(cue: CaptionCue, words: tuple[str, ...]) -> bool:
    return tuple(word.text for word in cue.words) == words


def _spread(cue: CaptionCue, words: tuple[str, ...]) -> _Passage:
    """Words at the times that came with the cue, else by their length, on a grid of 10 ms; sounds stay unknown."""
    if _has_times(cue, words):
        return _Passage(cue, cue.words, None)
    lengths = [len(word) + 1 for word in words]
    total = sum(lengths)
    edges = [
        cue.span.start + seconds(cue.span.duration * Fraction(sum(lengths[:place]), total), grid=100)
        for place in range(len(words))
    ]
    spans = zip(edges, [*edges[1:], cue.span.end], strict=True)
    return _Passage(cue, tuple(Word(text=w, span=Span(*s)) for w, s in zip(words, spans, strict=True)), None)


def _labels_of_tags(cues: Sequence[CaptionCue], heard: _Voices, keys: dict[str, str]) -> dict[str, str]:
    """Which diarized voice each matching tag goes with, judged for each member of the cast over the whole recording."""
    tags = {cue.speaker for cue in cues if cue.speaker is not None}
    named = {tag: keys[tag.casefold()] for tag in tags if tag.casefold() in keys}
    together: dict[str, Counter[str]] = {key: Counter() for key in named.values()}
    for cue in cues:
        if cue.speaker in named:
            together[named[cue.speaker]].update(heard.over(cue.span))
    return {tag: voices.most_common(1)[0][0] for tag, key in named.items() if (voices := together[key])}


def _attributed(passage: _Passage, heard: _Voices, tags: dict[str, str]) -> list[Utterance]:
    """A passage as utterances of the voices that the diarizer hears."""
    cue = passage.cue
    label = tags.get(cue.speaker or "")
    if label is not None and label in heard.over(cue.span):
        return [_utterance(label, passage.words, passage.phones, is_sung=cue.is_sung)]
    if cue.speaker is not None:
        return [_utterance(heard.main(cue.span), passage.words, passage.phones, is_sung=cue.is_sung)]
    return _by_word(passage, heard)


def _by_word(passage: _Passage, heard: _Voices) -> list[Utterance]:
    """An untagged passage, divided where the voice changes."""
    labels = _steadied([heard.main(word.span) for word in passage.words])
    found = []
    for label, run in groupby(range(len(labels)), key=lambda place: labels[place]):
        places = list(run)
        words = tuple(passage.words[place] for place in places)
        phones = None if passage.phones is None else tuple(passage.phones[place] for place in places)
        found.append(_utterance(label, words, phones, is_sung=passage.cue.is_sung))
    return found


def _steadied(labels: list[str]) -> list[str]:
    """Runs shorter than SHORTEST_RUN take the label on their left, or right at the start."""
    runs = [(label, len(list(run))) for label, run in groupby(labels)]
    steady: list[str] = []
    for place, (label, length) in enumerate(runs):
        is_short = length < SHORTEST_RUN and len(runs) > 1
        neighbour = steady[-1] if steady else runs[min(place + 1, len(runs) - 1)][0]
        steady += [neighbour if is_short else label] * length
    return steady


def _utterance(
    label: str, words: tuple[Word, ...], phones: tuple[tuple[Phone, ...], ...] | None, *, is_sung: bool
) -> Utterance:
    return Utterance(
        id="",
        speaker=label,
        span=Span(words[0].span.start, max(word.span.end for word in words)),
        text=" ".join(word.text for word in words),
        words=words,
        phones=None if phones is None else tuple(phone for word in phones for phone in word),
        is_sung=is_sung,
    )


def _wordless(turns: Sequence[Turn], worded: Sequence[Utterance]) -> list[Utterance]:
    """Turns, or parts of them, in which the same voice says no known word."""
    found = []
    said = Spans(worded, lambda utterance: utterance.span)
    for turn in turns:
        free = [turn.span]
        for utterance in said.over(turn.span):
            if utterance.speaker == turn.speaker:
                free = [part for span in free for part in _without(span, utterance.span)]
        found += [
            Utterance(id="", speaker=turn.speaker, span=span) for span in free if span.duration >= WORDLESS_SECONDS
        ]
    return found


def _without(span: Span, taken: Span) -> list[Span]:
    """What is left of `span` outside `taken`."""
    if span.overlap(taken) == 0:
        return [span]
    left = [Span(span.start, taken.start)] if taken.start > span.start else []
    right = [Span(taken.end, span.end)] if taken.end < span.end else []
    return left + right
