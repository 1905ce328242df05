"""What is said is placed on programme time: whole frames, pauses, overlaps, chapters; and the master holds it there."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tasks import arrange
from tasks.domain.errors import RecordingError, ScriptError
from tasks.domain.speech import Chapter, Phone, Script, ScriptLine, Utterance, Word
from tests.staging import Bench, at, loud

SECOND = 48_000


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def line(name: str, speaker: str = "ANNA", **fields) -> ScriptLine:
    return ScriptLine(id=name, speaker=speaker, text=f"words of {name}", **fields)


def chapter(title: str) -> ScriptLine:
    return ScriptLine(id=title, kind="chapter", text=title)


def arranged(bench: Bench, *lines: ScriptLine, length: float | str = "1", spoken=None):
    """Lines of one second each, by the speaker's name in small letters."""
    said = spoken or tuple(
        bench.spoken(given.id, given.speaker.lower(), Fraction(str(length)), 0.1 + place / 100)
        for place, given in enumerate(lines)
        if given.kind == "speech"
    )
    return bench.run(arrange.arrange_script, Script(lines=lines), said, "Title", "en")


def starts(dialogue) -> list[float]:
    return [float(utterance.span.start) for utterance in dialogue.utterances]


# --- a script's time --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["1", "0.999", "1.0001", "0.0375"])
def test_every_line_starts_on_a_whole_frame(bench, length):
    """However long the lines are: an edit then moves later ones by whole frames."""
    dialogue = arranged(bench, line("a"), line("b", "BEN"), line("c"), length=length)

    assert [(utterance.span.start * 25).denominator for utterance in dialogue.utterances] == [1, 1, 1]
    assert (dialogue.duration * 25).denominator == 1
    assert dialogue.duration - dialogue.utterances[-1].span.end >= arrange.TAIL


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([line("a")], [0.4]),
        ([line("a"), line("b", "BEN")], [0.4, 1.72]),
        ([line("a"), line("b")], [0.4, 1.64]),
        ([line("a", pause_after=Fraction(2)), line("b")], [0.4, 3.4]),
        ([line("a", pause_after=Fraction(0)), line("b", "BEN")], [0.4, 1.4]),
        ([line("a"), ScriptLine(id="p", kind="pause", duration=Fraction(3, 2)), line("b")], [0.4, 2.92]),
        ([line("a"), ScriptLine(id="p", kind="pause", duration=Fraction(1, 10)), line("b", "BEN")], [0.4, 1.72]),
        ([line("a"), ScriptLine(id="x", kind="action", text="He nods."), line("b", "BEN")], [0.4, 1.72]),
        ([line("a"), line("b", "BEN", overlap=Fraction(1, 2))], [0.4, 1.24]),
        ([line("a"), line("b", "BEN", overlap=Fraction(9))], [0.4, 0.44]),
        ([line("a", overlap=Fraction(9))], [0.4]),
        ([line("a"), chapter("II"), line("b", "BEN")], [0.4, 2.32]),
        ([chapter("I"), line("a")], [0.4]),
        (
            [line("a"), ScriptLine(id="s", kind="scene", text="sea", duration=Fraction(3)), line("b", "BEN")],
            [0.4, 4.72],
        ),
        ([line("a"), ScriptLine(id="s", kind="scene", text="sea"), line("b", "BEN")], [0.4, 5.72]),
    ],
    ids=[
        "a head of 0.4 s",
        "0.32 s between two people",
        "0.24 s between lines of one",
        "a pause that is asked for",
        "no pause",
        "a pause of its own",
        "a pause shorter than the usual one",
        "an action takes no time",
        "an overlap",
        "never before the line ahead has begun",
        "nothing to overlap",
        "a chapter is 0.6 s more",
        "but not the first one",
        "a scene",
        "a scene lasts 4 s",
    ],
)
def test_lines_follow_one_another(bench, lines, expected):
    """Lines of one second, placed by the pauses of a conversation and by what the script asks for."""
    assert starts(arranged(bench, *lines)) == pytest.approx(expected, abs=1e-9)


def test_an_edit_moves_later_lines_by_whole_frames(bench):
    """A longer second line leaves the first in its place and the samples of the third as they are."""
    lines = line("a"), line("b", "BEN"), line("c")
    before, after = (
        [bench.spoken(x.id, x.speaker.lower(), n) for x, n in zip(lines, (1, n, 1), strict=False)] for n in (1, 1.37)
    )
    first, second = (arranged(bench, *lines, spoken=tuple(said)) for said in (before, after))
    moved = [b - a for a, b in zip(starts(first), starts(second), strict=True)]

    assert moved == pytest.approx([0, 0, 0.4])
    third = [
        bench.samples(dialogue.master)[int(dialogue.utterances[2].span.start * SECOND) :][:SECOND]
        for dialogue in (first, second)
    ]
    np.testing.assert_array_equal(*third)


def test_the_master_holds_each_line_where_it_is_placed(bench):
    """To the sample: silence around it, overlapping lines added, and the whole exactly as long as the dialogue."""
    dialogue = arranged(bench, line("a"), line("b", "BEN", overlap=Fraction(1, 2)))
    samples = bench.samples(dialogue.master)
    first, second = (int(utterance.span.start * SECOND) for utterance in dialogue.utterances)

    assert len(samples) == dialogue.duration * SECOND
    assert not samples[:first].any()
    assert samples[
        [first, second - 1, second, first + SECOND - 1, first + SECOND, second + SECOND - 1]
    ] == pytest.approx([0.1, 0.1, 0.21, 0.21, 0.11, 0.11], abs=1e-4)
    assert not samples[second + SECOND :].any()


def test_a_line_keeps_what_the_script_and_its_sound_say(bench):
    """Directions, singing and words; times of words and sounds move with the line."""
    words = (Word(text="so", span=at(0.1, 0.5)),)
    phones = (Phone(symbol="s", span=at(0.1, 0.2)),)
    said = bench.spoken("a", "anna", 1, words=words, phones=phones)
    dialogue = arranged(bench, line("a", directions=("wryly",), is_sung=True), spoken=(said,))
    (utterance,) = dialogue.utterances

    assert (utterance.id, utterance.speaker, utterance.text) == ("a", "anna", "words of a")
    assert (utterance.directions, utterance.is_sung) == (("wryly",), True)
    assert [(word.text, word.span) for word in utterance.words] == [("so", at(0.5, 0.9))]
    assert [(phone.symbol, phone.span) for phone in utterance.phones] == [("s", at(0.5, 0.6))]


def test_a_joint_line_lasts_as_long_as_its_slowest_voice(bench):
    """Both speak at once; each has a stem of his own, and the line has both speakers."""
    said = bench.spoken("a", "anna", 1), bench.spoken("a", "ben", 1.5, 0.2)
    dialogue = arranged(bench, line("a", "ANNA & BEN"), spoken=said)
    (utterance,) = dialogue.utterances

    assert (utterance.speaker, utterance.with_speakers) == ("anna", ("ben",))
    assert utterance.span == at(0.4, 1.9)
    assert [(stem.speaker, [piece.span for piece in stem.pieces]) for stem in dialogue.stems] == [
        ("anna", [at(0.4, 1.4)]),
        ("ben", [at(0.4, 1.9)]),
    ]


def test_a_stem_is_what_one_speaker_says(bench):
    """Each speaker's lines where they lie, by their own speech and not by the mix."""
    lines = line("a"), line("b", "BEN"), line("c")
    said = tuple(bench.spoken(x.id, x.speaker.lower(), 1, 0.1 + n / 10) for n, x in enumerate(lines))
    anna, ben = arranged(bench, *lines, spoken=said).stems

    assert [(piece.span.start, piece.speech) for piece in anna.pieces] == [
        (Fraction(2, 5), said[0].speech),
        (Fraction(76, 25), said[2].speech),
    ]
    assert [piece.speech for piece in ben.pieces] == [said[1].speech]


def test_chapters_begin_before_their_first_line(bench):
    """The first one where the programme does, the others where the line ahead of them has had its pause."""
    dialogue = arranged(bench, chapter("I"), line("a"), chapter("II"), line("b", "BEN"))

    assert [(float(c.start), c.title) for c in dialogue.chapters] == [(0.0, "I"), (1.72, "II")]


def test_a_scene_has_its_span_and_no_sound(bench):
    """It lies on whole frames, and the master is silent there."""
    scene = ScriptLine(id="s", kind="scene", text="the sea", duration=Fraction(201, 100))
    dialogue = arranged(bench, line("a"), scene, line("b", "BEN"))
    span = dialogue.scenes[0].span

    assert (dialogue.scenes[0].id, dialogue.scenes[0].text, span) == ("s", "the sea", at(1.72, 3.76))
    assert not bench.samples(dialogue.master)[int(span.start * SECOND) : int(span.end * SECOND)].any()


@pytest.mark.parametrize("lines", [[], [chapter("I")], [line("a")]], ids=["no line", "no speech", "no sound"])
def test_a_script_in_which_nobody_speaks_is_refused(bench, lines):
    """By its title, with a line to write."""
    with pytest.raises(ScriptError, match=r"Title: nobody speaks in it\. Write at least one line as NAME: words\."):
        bench.run(arrange.arrange_script, Script(lines=tuple(lines)), (), "Title", "en")


# --- recordings and tracks --------------------------------------------------------------------------------------------


def said(speaker: str, start: float, end: float) -> Utterance:
    return Utterance(id=f"u{start}", speaker=speaker, span=at(start, end))


def test_a_recording_is_its_own_master_and_everybodys_stem(bench):
    """Nothing is copied or moved; the end is the first whole frame after the last sample."""
    recording = bench.recording(loud(2.01), warnings=("it hums.",))
    utterances = said("anna", 0, 1), said("ben", 1, 2), said("anna", 2, 2.01)
    chapters = (Chapter(start=Fraction(1), title="II"),)
    dialogue = bench.run(arrange.arrange_recording, recording, utterances, "T", "en", chapters)

    assert (dialogue.master, dialogue.duration, dialogue.chapters) == (recording.master, Fraction(51, 25), chapters)
    assert [stem.speaker for stem in dialogue.stems] == ["anna", "ben"]
    assert {piece.speech for stem in dialogue.stems for piece in stem.pieces} == {recording.speech}
    assert (dialogue.utterances, dialogue.warnings) == (utterances, ("it hums.",))


def test_tracks_are_mixed_and_stay_stems(bench):
    """The master is their sum, as long as the longest; each speaker's lips follow his own track."""
    anna, ben = (bench.recording(loud(n, (0, n), level=0.05, seed=n), warnings=(f"w{n}",)) for n in (1, 2))
    tracks = ("anna", anna), ("ben", ben)
    dialogue = bench.run(arrange.arrange_tracks, tracks, (said("anna", 0, 1),), "T", "en")
    mixed, first, second = (bench.samples(asset) for asset in (dialogue.master, anna.master, ben.master))

    assert dialogue.duration == 2
    assert mixed[:SECOND] == pytest.approx(first + second[:SECOND], abs=2e-4)
    assert mixed[SECOND:] == pytest.approx(second[SECOND:], abs=2e-4)
    assert [(stem.speaker, stem.pieces[0].speech) for stem in dialogue.stems] == [
        ("anna", anna.speech),
        ("ben", ben.speech),
    ]
    assert dialogue.warnings == ("w1", "w2")


def test_silence_is_no_dialogue(bench):
    """A recording and tracks without an utterance are refused."""
    recording = bench.recording(loud(1))
    for stage, source in (
        (arrange.arrange_recording, recording),
        (arrange.arrange_tracks, (("anna", recording),)),
    ):
        with pytest.raises(RecordingError, match=r"T: nobody speaks in it\. Supply a recording with speech\."):
            bench.run(stage, source, (), "T", "en")


def test_keys_change_with_every_value(bench):
    """Of a script and of tracks: whatever the dialogue depends on."""
    script, recording = Script(lines=(line("a"),)), bench.recording(loud(1))
    spoken, tracks, utterances = (bench.spoken("a", "anna", 1),), (("anna", recording),), (said("anna", 0, 1),)
    ofs = arrange.script_key(script, spoken, "T", "en")
    oft = arrange.tracks_key(tracks, utterances, "T", "en")
    changed = [
        arrange.script_key(replace(script, title="x"), spoken, "T", "en"),
        arrange.script_key(script, (), "T", "en"),
        arrange.script_key(script, spoken, "U", "en"),
        arrange.script_key(script, spoken, "T", "it"),
        arrange.tracks_key((("ben", recording),), utterances, "T", "en"),
        arrange.tracks_key(tracks, (), "T", "en"),
        arrange.tracks_key(tracks, utterances, "U", "en"),
        arrange.tracks_key(tracks, utterances, "T", "it"),
    ]

    assert len({ofs, oft, *changed}) == 10
    assert ofs == arrange.script_key(script, spoken, "T", "en")
