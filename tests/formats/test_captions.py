# ruff: noqa: E501  # speeches stand in one line, as they are said
"""Captions: what is read, and when."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.editing import Cue, Cut
from tasks.domain.speech import Utterance, Word
from tasks.domain.timing import Span, index_at
from tasks.formats.captions import MAX_CHARACTERS_PER_SECOND, characters, plan_cues
from tasks.formats.phrases import columns, joined, tokens_of

RATE = Fraction(25)
LONG = (
    "The whole theory of modern education is radically unsound. Fortunately in England, at any rate, education produces "
    "no effect whatsoever. If it did, it would prove a serious danger to the upper classes, and probably lead to acts of "
    "violence in Grosvenor Square. What is your income?"
)


def utterance(text: str, start: float, end: float, speaker: str = "anna", **more) -> Utterance:
    span = Span(Fraction(start).limit_denominator(1000), Fraction(end).limit_denominator(1000))
    return Utterance(id=f"{speaker}{start}", speaker=speaker, span=span, text=text, **more)


def cut(start: int, end: int) -> Cut:
    return Cut(start_frame=start, end_frame=end, layout="active", shots=())


def bare(text: str) -> str:
    return "".join(text.split())


def check(cues: tuple[Cue, ...], cuts: tuple[Cut, ...], num_frames: int) -> None:
    """What holds for all captions."""
    for left, right in pairwise(cues):
        assert left.end_frame <= right.start_frame, (left, right)
    for cue in cues:
        assert 0 <= cue.start_frame < cue.end_frame <= num_frames
        assert any(c.start_frame <= cue.start_frame and cue.end_frame <= c.end_frame for c in cuts), cue
        assert 1 <= len(cue.lines) <= 2
        assert all(line and line == line.strip() and columns(line) <= 42 and len(line) <= 42 for line in cue.lines), cue
        seconds = Fraction(cue.end_frame - cue.start_frame) / RATE
        assert cue.is_fast == (characters(cue.lines) > MAX_CHARACTERS_PER_SECOND * seconds)


def test_a_long_speech_reads_in_phrases() -> None:
    """Cues and lines break at ends of sentences, at commas and ahead of conjunctions, and are about equal."""
    spoken = utterance(LONG, 0, 18)
    cues = plan_cues([spoken], [cut(0, 460)], {"anna": "Anna Ruiz"}, RATE, 460)
    check(cues, (cut(0, 460),), 460)
    assert [cue.lines for cue in cues] == [
        ("The whole theory of modern", "education is radically unsound."),
        ("Fortunately in England, at any rate,", "education produces no effect whatsoever."),
        ("If it did, it would prove", "a serious danger to the upper classes,"),
        ("and probably lead to acts of violence", "in Grosvenor Square. What is your income?"),
    ]
    assert {cue.speaker for cue in cues} == {"Anna Ruiz"}


def test_chinese_breaks_between_characters() -> None:
    """Full-width text has at most 18 characters in a line; no closing mark begins one, no address is cut."""
    text = "第二，发件人是“service@bank.example”，那不是银行。我收到一封银行的邮件，说我的账户下午五点会被关闭。"
    cues = plan_cues([utterance(text, 0, 16)], [cut(0, 420)], {}, RATE, 420)
    check(cues, (cut(0, 420),), 420)
    lines = [line for cue in cues for line in cue.lines]
    assert bare("".join(lines)) == text
    assert all(columns(line) <= 36 and line[0] not in "，。”" for line in lines)
    assert any("service@bank.example" in line for line in lines)


def test_arabic_keeps_its_logical_order() -> None:
    """Right-to-left text stays in the order in which it is spoken."""
    text = "أهلا وسهلا بكم في هذا البرنامج الجديد، اليوم نتحدث عن البحر والملح والجبال العالية."
    cues = plan_cues([utterance(text, 0, 6)], [cut(0, 160)], {}, RATE, 160)
    check(cues, (cut(0, 160),), 160)
    assert " ".join(line for cue in cues for line in cue.lines) == text


def test_no_cue_crosses_a_cut() -> None:
    """A speech that goes on over a cut is divided there."""
    cuts = (cut(0, 60), cut(60, 131), cut(131, 460))
    cues = plan_cues([utterance(LONG, 0, 18)], cuts, {}, RATE, 460)
    check(cues, cuts, 460)
    assert bare("".join(line for cue in cues for line in cue.lines)) == bare(LONG)


def test_a_fast_cue_uses_the_pause_after_it() -> None:
    """Words that are said too fast stay on screen into the pause; without a pause they are marked as fast."""
    text = "Thirty characters in a second."
    (slow,) = plan_cues([utterance(text, 0, 1)], [cut(0, 100)], {}, RATE, 100)
    assert not slow.is_fast
    assert slow.end_frame >= 38
    (fast,) = plan_cues([utterance(text, 0, 1)], [cut(0, 25)], {}, RATE, 25)
    assert (fast.is_fast, fast.lines, fast.end_frame) == (True, (text,), 25)


def test_a_fast_cue_may_come_early() -> None:
    """Where no pause follows, the silence before the words is used."""
    (cue,) = plan_cues([utterance("Thirty characters in a second.", 2, 3)], [cut(0, 75)], {}, RATE, 75)
    assert (cue.start_frame, cue.end_frame, cue.is_fast) == (37, 75, False)


def test_word_times_are_followed() -> None:
    """Where words have times, a cue starts with its first word."""
    text = "I came here. Then I saw it all and it was good, and then I went away again with everything."
    texts = text.split()
    starts = [0.0, 0.3, 0.6, *(4 + 0.35 * index for index in range(len(texts) - 3))]
    words = tuple(
        Word(text=text, span=Span(Fraction(s).limit_denominator(100), Fraction(s + 0.25).limit_denominator(100)))
        for text, s in zip(texts, starts, strict=True)
    )
    spoken = utterance(" ".join(texts), 0, 11, words=words)
    cues = plan_cues([spoken], [cut(0, 300)], {}, RATE, 300)
    check(cues, (cut(0, 300),), 300)
    assert cues[0].lines == ("I came here.",)
    assert cues[1].start_frame == index_at(words[3].span.start, RATE)


def test_words_that_differ_from_the_text_do_not_bind() -> None:
    """The text is shown as written, whatever a transcriber made of it."""
    words = (Word(text="hollow", span=Span(Fraction(0), Fraction(1))),)
    (cue,) = plan_cues([utterance("Hello there.", 0, 1, words=words)], [cut(0, 50)], {}, RATE, 50)
    assert cue.lines == ("Hello there.",)


def test_words_alone_are_shown() -> None:
    """An utterance that has words and no text shows its words."""
    words = (
        Word(text="so", span=Span(Fraction(0), Fraction(1))),
        Word(text="it goes", span=Span(Fraction(1), Fraction(2))),
    )
    (cue,) = plan_cues([utterance("", 0, 2, words=words)], [cut(0, 60)], {}, RATE, 60)
    assert cue.lines == ("so it goes",)


def test_joint_lines_name_both_and_songs_have_notes() -> None:
    """A joint line shows both names; what is sung stands between notes."""
    joint = utterance("Until next week!", 0, 2, with_speakers=("ben",))
    (cue,) = plan_cues([joint], [cut(0, 60)], {"anna": "Anna", "ben": "Ben"}, RATE, 60)
    assert cue.speaker == "Anna & Ben"
    (song,) = plan_cues([replace(joint, is_sung=True)], [cut(0, 60)], {}, RATE, 60)
    assert song.lines == ("♪ Until next week! ♪",)


def test_two_who_talk_at_once_are_read_one_after_the_other() -> None:
    """A word thrown into another's speech is shown whole, and no two cues share a frame."""
    both = [
        utterance(LONG, 0, 18),
        utterance("Mhm.", 5.1, 5.4, "ben"),
        utterance("Indeed, yes, I think so too.", 9, 10.5, "ben"),
    ]
    cues = plan_cues(both, [cut(0, 460)], {}, RATE, 460)
    check(cues, (cut(0, 460),), 460)
    assert [cue.lines for cue in cues if cue.speaker == "ben"] == [("Mhm.",), ("Indeed, yes, I think so too.",)]
    assert bare("".join(line for cue in cues if cue.speaker == "anna" for line in cue.lines)) == bare(LONG)


def test_silence_has_no_captions() -> None:
    """No utterances, no words, no frames: no cues."""
    assert plan_cues([], [cut(0, 10)], {}, RATE, 10) == ()
    assert plan_cues([utterance("  ", 0, 1)], [cut(0, 30)], {}, RATE, 30) == ()


def test_without_cuts_the_programme_is_one() -> None:
    """Where no cuts are given, the whole programme bounds the cues."""
    assert len(plan_cues([utterance("Hello.", 0, 1)], [], {}, RATE, 30)) == 1


texts = st.lists(
    st.sampled_from(["word", "and", "a", "Sentence.", "clause,", "银行。", "邮件", "https://example.org/a/very/long/address/that/goes/on", "é̂", "مرحبا", "…", "x" * 90]),
    min_size=1,
    max_size=60,
)  # fmt: skip


@given(st.lists(st.tuples(texts, st.integers(5, 400), st.integers(-30, 60)), min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_captions_keep_every_rule(speeches: list[tuple[list[str], int, int]], data: st.DataObject) -> None:
    """Whatever is said, at whatever speed, over whatever cuts: two short lines, no overlap, no crossing, every word."""
    at, spoken = 0, []
    for index, (words, length, gap) in enumerate(speeches):
        start = max(0, at + gap)
        span = Span(Fraction(start, 25), Fraction(start + length, 25))
        spoken.append(Utterance(id=str(index), speaker=str(index), span=span, text=" ".join(words)))
        at = start + length
    num_frames = max(index_at(each.span.end, RATE) for each in spoken) + data.draw(st.integers(0, 50))
    inner = sorted(data.draw(st.sets(st.integers(18, num_frames + 18), max_size=6)))
    bounds = [0, *(frame for frame in inner if frame < num_frames), num_frames]
    cuts = tuple(cut(left, right) for left, right in pairwise(bounds))
    cues = plan_cues(spoken, cuts, {}, RATE, num_frames)
    check(cues, cuts, num_frames)
    shown = sum(len(bare("".join(cue.lines))) for cue in cues)
    assert shown == sum(len(bare(each.text)) for each in spoken) or num_frames < 10 * len(cues)


@given(st.text(max_size=120), st.sampled_from([36, 42]))
@settings(max_examples=100, deadline=None)
def test_tokens_hold_all_of_a_text(text: str, limit: int) -> None:
    """Tokens lose nothing but white space, and none is wider than a line."""
    tokens = tokens_of(text, limit)
    assert bare(joined(tokens)) == bare(text)
    assert all(token.columns <= limit for token in tokens)


def test_a_long_programme_is_planned_in_seconds() -> None:
    """An hour of talk costs little: planning captions is no stage of its own."""
    num = 400
    spoken = [utterance(LONG[: 40 + index * 37 % 120], index * 9, index * 9 + 8.5) for index in range(num)]
    cuts = tuple(cut(index * 225, (index + 1) * 225) for index in range(num))
    cues = plan_cues(spoken, cuts, {}, RATE, num * 225)
    check(cues, cuts, num * 225)
    assert not any(cue.is_fast for cue in cues)
