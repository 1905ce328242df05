# ruff: noqa: E501  # files stand in one line, as they are written
"""Transcripts that come with a recording."""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.editing import Cue
from tasks.domain.errors import InputError, ScriptError
from tasks.domain.speech import Transcript
from tasks.domain.timing import Span
from tasks.formats.sidecars import srt_text, transcript_text, vtt_text
from tasks.formats.transcript import read_transcript


def read(text: str | bytes, name: str = "a.vtt", **more) -> Transcript:
    return read_transcript(text if isinstance(text, bytes) else text.encode(), name=name, **more)


def rows(transcript: Transcript) -> list[tuple[float, float, str | None, str]]:
    return [(float(cue.span.start), float(cue.span.end), cue.speaker, cue.text) for cue in transcript.cues]


SAME = [(1.0, 2.5, "Anna", "Hello there."), (3.0, 4.0, "Ben", "Hi & bye."), (4.0, 5.0, "Ben", "More.")]
FORMATS = {
    "a.vtt": "WEBVTT\n\n00:01.000 --> 00:02.500\n<v Anna>Hello\nthere.</v>\n\n00:03.000 --> 00:04.000\n<v.x Ben>Hi &amp; bye.\n\n00:04.000 --> 00:05.000\n<v Ben>More. [Music]\n",
    "a.srt": "1\n00:00:01,000 --> 00:00:02,500\nAnna: Hello\nthere.\n\n2\n00:00:03,000 --> 00:00:04,000\nBen: Hi & bye.\n\n3\n00:00:04,000 --> 00:00:05,000\nMore.\n",
    "a.json": json.dumps(
        {
            "version": "1.0.0",
            "segments": [
                {"speaker": "Anna", "startTime": 1, "endTime": 2.5, "body": "Hello there."},
                {"speaker": "Ben", "startTime": 3.0, "endTime": 4.0, "body": "Hi & bye."},
                {"speaker": "Ben", "startTime": 4.0, "endTime": 5.0, "body": "More."},
            ],
        }
    ),
    "whisper.json": json.dumps(
        [{"speaker": s, "start": a, "end": b, "text": f" {t}"} for a, b, s, t in SAME],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_cues(name: str) -> None:
    """Times, names and words are the same from WebVTT, SRT and JSON."""
    assert rows(read(FORMATS[name], name)) == SAME


def test_times_are_exact() -> None:
    """Milliseconds of JSON floats are exact Fractions."""
    transcript = read('{"segments":[{"startTime":0.1,"endTime":35.804,"body":"x"}]}', "a.json", language="en")
    assert transcript.cues[0].span == Span(Fraction(1, 10), Fraction(8951, 250))
    assert (transcript.language, transcript.cues[0].speaker) == ("en", None)


def test_notes_mark_what_is_sung() -> None:
    """A cue between notes is sung; the notes are no words of it."""
    vtt = "WEBVTT\n\n00:01.000 --> 00:02.000\n♪ la la la ♪\n\n00:02.000 --> 00:03.000\nThank you.\n"
    cues = read(vtt, "a.vtt").cues
    assert [(cue.text, cue.is_sung) for cue in cues] == [("la la la", True), ("Thank you.", False)]


def test_two_voices_in_a_cue_share_its_time() -> None:
    """A cue of two voices becomes two, one after the other."""
    transcript = read("WEBVTT\nLanguage: it\n\n00:00.000 --> 00:04.000\n<v A>abcd</v><v B>efghijkl</v>\n")
    assert transcript.language == "it"
    assert [cue.speaker for cue in transcript.cues] == ["A", "B"]
    assert transcript.cues[0].span.end == transcript.cues[1].span.start == Fraction(4, 3)


def test_cues_that_run_backward_are_left_out() -> None:
    """A cue that ends before it starts is dropped with a warning; the rest is in order of time."""
    transcript = read(
        "WEBVTT\n\n00:05.000 --> 00:06.000\nb\n\n00:03.000 --> 00:02.000\nx\n\n00:01.000 --> 00:02.000\na\n"
    )
    assert [cue.text for cue in transcript.cues] == ["a", "b"]
    assert transcript.warnings == ("a.vtt: 1 cues end before they start and were left out.",)


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        ("just words", "a.txt", "a.txt: this is no transcript with times. Supply WebVTT, SRT or podcast JSON."),
        ("{", "a.json", "a.json: this is no JSON."),
        ('{"a": 1}', "a.json", "the JSON has no list 'segments'."),
        ('{"segments": [3]}', "a.json", "a.json, segment 1: the segment is '3'."),
        ('{"segments": [{"body": "x"}]}', "a.json", "segment 1: startTime is 'None'."),
        ('{"segments": [{"startTime": 0, "endTime": 1, "body": "\\ud800"}]}', "a.json", "this is no JSON"),
        ('{"segments": [{"startTime": NaN, "endTime": 1, "body": "x"}]}', "a.json", "this is no JSON"),
        ('{"segments": [{"startTime": -1, "endTime": 1, "body": "x"}]}', "a.json", "startTime is '-1'."),
        ('{"segments": [{"startTime": 1e99, "endTime": 1, "body": "x"}]}', "a.json", "startTime is '1e+99'."),
        ('{"segments": [{"startTime": 0, "endTime": 90000, "body": "x"}]}', "a.json", "a cue ends at 90,000 s"),
        ('{"segments": [{"startTime": 0, "endTime": 1, "body": 7}]}', "a.json", "body is no text."),
        ('{"segments": []}', "a.json", "the transcript has no words."),
        ("[" * 100_000, "a.json", "this is no JSON"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n[Music]\n", "a.vtt", "the transcript has no words."),
        ("", "a.vtt", "the file is empty"),
    ],
)
def test_what_is_no_transcript_is_refused(content: str, name: str, sentence: str) -> None:
    """Each refusal is a sentence with its place."""
    with pytest.raises(ScriptError) as caught:
        read(content, name)
    assert sentence in str(caught.value)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"WEBVTT\n\n{text}".encode()), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_bytes_give_a_transcript_or_an_input_error(content: bytes, is_json: bool) -> None:
    """Nothing that a file can hold makes any other exception."""
    try:
        transcript = read((b'{"segments":[' if is_json else b"") + content)
    except InputError:
        return
    assert all(cue.text and cue.span.duration > 0 for cue in transcript.cues)


@pytest.mark.data
def test_transcripts_of_the_feed_are_read_whole(shared_data: Path) -> None:
    """Every segment of the shared podcast transcripts is there, with its speaker and its time."""
    paths = sorted((shared_data / "feed").glob("*.transcript.json"))
    assert paths
    for path in paths:
        segments = json.loads(path.read_text())["segments"]
        transcript = read(path.read_bytes(), path.name)
        assert len(transcript.cues) == len(segments)
        for cue, segment in zip(
            transcript.cues, sorted(segments, key=lambda s: (s["startTime"], s["endTime"])), strict=True
        ):
            assert (cue.speaker, cue.text) == (segment["speaker"], segment["body"])
            assert abs(float(cue.span.start) - segment["startTime"]) < 0.001
        assert transcript.warnings == ()


def test_what_is_written_beside_a_programme_reads_back() -> None:
    """Captions written as WebVTT, SRT and JSON give the same words, names and times when they are read."""
    cues = (
        Cue(start_frame=0, end_frame=40, lines=("Hello <b>there</b> &", "a --> b."), speaker="Dr. <Rao> & Ben"),
        Cue(start_frame=41, end_frame=90, lines=("你好。",), speaker="主持人"),
    )
    rate = Fraction(25)
    vtt = read(vtt_text(cues, rate, "en"), "a.vtt")
    assert [cue.text for cue in vtt.cues] == ["Hello <b>there</b> & a --> b.", "你好。"]
    assert [cue.speaker for cue in vtt.cues] == ["Dr. <Rao> & Ben", "主持人"]
    assert (vtt.language, vtt.cues[1].span) == ("en", Span(Fraction(41, 25), Fraction(90, 25)))
    assert rows(read(transcript_text(cues, rate), "a.json")) == rows(vtt)
    assert [cue.span for cue in read(srt_text(cues, rate), "a.srt").cues] == [cue.span for cue in vtt.cues]
