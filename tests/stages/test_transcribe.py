"""Who says which words when: words of a transcript or an engine, given to the voices that the diarizer hears."""

from dataclasses import replace
from fractions import Fraction

import pytest

from tasks import transcribe
from tasks.domain.options import EngineId
from tasks.domain.speech import CaptionCue, Transcript, Word
from tests.fakes import EvenAligner, KnownWords
from tests.staging import Bench, at, loud, turn

BY = EngineId(role="transcriber", name="known", version="1")
TWO = (turn("S1", 0, 2), turn("S2", 2, 4))
NAMES = (("anna", "anna"), ("Anna Ruiz", "anna"), ("ben", "ben"))


def cue(start: float, end: float, text: str, speaker: str | None = None, words: tuple[Word, ...] = ()) -> CaptionCue:
    return CaptionCue(span=at(start, end), text=text, speaker=speaker, words=words)


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path, aligner=EvenAligner(is_measured=False), transcriber=None)


def said(bench: Bench, turns, *cues: CaptionCue, length: float = 4, transcript: bool = True):
    recording = bench.recording(loud(length))
    given = Transcript(cues=cues) if transcript else None
    return bench.run(transcribe.transcribe, recording, turns, given, NAMES, "en", BY)


def told(utterances) -> list[tuple[str, str]]:
    return [(u.speaker, u.text) for u in utterances]


@pytest.mark.parametrize(
    ("cues", "expected"),
    [
        ([cue(0, 2, "a b c"), cue(2, 4, "d e")], [("S1", "a b c"), ("S2", "d e")]),
        ([cue(0, 4, "aa bb cc dd")], [("S1", "aa bb"), ("S2", "cc dd")]),
        ([cue(1, 3, "aa bb cc dd", "Narrator")], [("S1", ""), ("S1", "aa bb cc dd"), ("S2", "")]),
        ([cue(0, 2.5, "aa bb cc dd ee")], [("S1", "aa bb cc dd ee"), ("S2", "")]),
        ([cue(0, 2, "a b", "Anna Ruiz"), cue(1.8, 2.8, "c d", "ANNA")], [("S1", "a b"), ("S1", "c d"), ("S2", "")]),
        ([cue(0, 2, "a b", "anna"), cue(2, 4, "c d", "anna")], [("S1", "a b"), ("S2", "c d")]),
    ],
    ids=[
        "each cue to its voice",
        "an untagged cue is divided where the voice changes",
        "a tag of nobody in the cast groups words",
        "one word of the next voice is an edge, not a turn",
        "a tag of the cast is used where that voice is heard",
        "a tag does not overrule the diarizer",
    ],
)
def test_words_go_to_the_voice_that_is_heard(bench, cues, expected):
    """By time; names of a transcript are evidence."""
    assert told(said(bench, TWO, *cues)) == expected


def test_what_a_transcript_marks_as_sung_is_sung(bench):
    """With or without a voice's name, and however it is divided."""
    turns = (turn("S1", 0, 2), turn("S2", 2, 4))
    sung = [replace(cue(0, 1, "la la"), is_sung=True), replace(cue(1, 2, "la la", "anna"), is_sung=True)]

    found = said(bench, turns, *sung, cue(2, 4, "thank you"))
    assert [(u.text, u.is_sung) for u in found] == [("la la", True), ("la la", True), ("thank you", False)]


def test_a_word_in_silence_goes_to_the_nearest_voice(bench):
    """Whatever the diarizer missed was said by somebody."""
    turns = (turn("S1", 0, 1), turn("S2", 3.5, 4))

    assert told(said(bench, turns, cue(2.8, 3.2, "well well")))[1] == ("S2", "well well")


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0.0, 2.0)], []),
        ([(0.0, 1.7)], [(1.7, 2.0)]),
        ([(0.0, 1.71)], []),
        ([(0.5, 1.5)], [(0.0, 0.5), (1.5, 2.0)]),
        ([(0.4, 0.8), (0.9, 1.9)], [(0.0, 0.4)]),
        ([], [(0.0, 2.0)]),
    ],
)
def test_a_turn_without_words_is_kept(bench, spans, expected):
    """Somebody who is heard for 0.3 s and more is seen to speak, though nobody knows his words."""
    found = said(bench, (turn("S1", 0, 2),), *(cue(start, end, "yes yes") for start, end in spans))
    wordless = [(float(u.span.start), float(u.span.end)) for u in found if not u.text]

    assert wordless == expected


def test_measured_words_have_their_own_times_and_sounds(bench):
    """An aligner hears 150 ms around a cue; its times are moved to the recording's, its sounds are kept."""
    bench.engines["aligner"] = aligner = EvenAligner()
    (utterance,) = said(bench, (turn("S1", 1, 2),), cue(1.15, 1.85, "go on"))

    assert aligner.lengths == [16_000]
    assert [(word.text, word.span) for word in utterance.words] == [("go", at(1, 1.5)), ("on", at(1.5, 2))]
    assert [(phone.symbol, phone.span.start) for phone in utterance.phones] == [("g", 1), ("o", Fraction(3, 2))]
    assert utterance.span == at(1, 2)


def test_the_first_word_is_not_aligned_before_the_recording(bench):
    """At the start there is nothing around a cue: times stay where they were heard."""
    bench.engines["aligner"] = aligner = EvenAligner()
    (utterance, *_) = said(bench, (turn("S1", 0, 1),), cue(0.05, 0.85, "go on"))

    assert aligner.lengths == [16_000]
    assert utterance.words[0].span.start == 0


def test_words_that_were_not_found_are_spread(bench):
    """By their length, over the cue, and their sounds stay unknown: the lips follow the sound itself."""
    (utterance,) = said(bench, (turn("S1", 0, 2),), cue(0, 2, "a abcdefg"))

    assert [(word.text, word.span) for word in utterance.words] == [("a", at(0, 0.4)), ("abcdefg", at(0.4, 2))]
    assert utterance.phones is None


def test_times_that_came_with_the_words_are_used(bench):
    """Where the aligner found nothing, a cue's own word times are better than spreading."""
    words = (Word(text="so", span=at(0.1, 0.2)), Word(text="far", span=at(1.2, 1.9)))
    (utterance, *_) = said(bench, (turn("S1", 0, 2),), cue(0, 2, "so far", words=words))

    assert utterance.words == words
    assert utterance.span == at(0.1, 1.9)


def test_a_supplied_transcript_goes_before_an_engine(bench):
    """The engine's words are used where there is no transcript; without either there are voices and no words."""
    bench.engines["transcriber"] = KnownWords((cue(0, 2, "heard words"),))

    assert told(said(bench, TWO[:1], cue(0, 2, "written words"))) == [("S1", "written words")]
    assert told(said(bench, TWO[:1], transcript=False)) == [("S1", "heard words")]
    bench.engines["transcriber"] = None
    assert told(said(bench, TWO, transcript=False)) == [("S1", ""), ("S2", "")]


def test_utterances_are_numbered_in_order(bench):
    """Ids follow time, not the order of the cues; an utterance with words and one without alike."""
    found = said(bench, TWO, cue(2, 3, "second of all"), cue(0, 2, "first of all"))

    assert [(u.id, u.text) for u in found] == [("u0000", "first of all"), ("u0001", "second of all"), ("u0002", "")]


@pytest.mark.parametrize(
    ("cues", "expected"),
    [
        ([cue(0, 2, "a b"), cue(2, 4, "c d")], [("anna", "a b"), ("ben", "c d")]),
        ([cue(0, 2, "a b", "BEN"), cue(2, 4, "c d", "ben")], [("anna", "a b"), ("ben", "a b"), ("ben", "c d")]),
        ([cue(0, 4, "a b c d e f")], [("anna", "a b c d e f"), ("ben", "")]),
    ],
    ids=["by time", "a name puts words into its own track, too", "a cue is one track's"],
)
def test_each_track_says_its_own_cues(bench, cues, expected):
    """In tracks the speaker is known: a cue is said by who is named, or who is heard longest."""
    tracks = (("anna", bench.recording(loud(4))), ("ben", bench.recording(loud(4, (0, 1)))))
    turns = (turn("anna", 0, 2), turn("ben", 2, 4))
    found = bench.run(transcribe.transcribe_tracks, tracks, turns, Transcript(cues=tuple(cues)), "en", BY)

    assert told(found) == expected
    assert [u.id for u in found] == [f"u{place:04d}" for place in range(len(found))]


def test_a_key_changes_with_what_the_words_depend_on(bench):
    """Sound, turns, transcript, names, language and engine make other keys; a title does not."""
    recording, other = bench.recording(loud(1)), bench.recording(loud(2))
    values = {
        "recording": recording, "turns": TWO, "transcript": None, "names": NAMES, "language": "en", "by": BY,
    }  # fmt: skip
    others = {
        "recording": other, "turns": TWO[:1], "transcript": Transcript(), "names": NAMES[:1], "language": "it",
        "by": replace(BY, weights="1f"),
    }  # fmt: skip
    known = transcribe.key(**values)
    changed = {name: transcribe.key(**{**values, name: value}) for name, value in others.items()}
    tracks = {"tracks": (("anna", recording),), **{name: values[name] for name in others if name not in _RECORDED}}
    other_tracks = {"tracks": (("ben", recording),), **{name: others[name] for name in others if name not in _RECORDED}}
    known_tracks = transcribe.tracks_key(**tracks)
    changed_tracks = {name: transcribe.tracks_key(**{**tracks, name: value}) for name, value in other_tracks.items()}

    assert [name for name, key in changed.items() if key == known] == []
    assert [name for name, key in changed_tracks.items() if key == known_tracks] == []
    assert transcribe.key(**{**values, "recording": replace(recording, title="x")}) == known


_RECORDED = ("recording", "names")
