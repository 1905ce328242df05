"""Captions and transcript beside a programme, exactly."""

import json
from fractions import Fraction

from tasks.domain.editing import Cue
from tasks.formats.sidecars import srt_text, transcript_text, vtt_text

RATE = Fraction(25)
CUES = (
    Cue(start_frame=0, end_frame=37, lines=("Hello & <welcome>,", "all."), speaker="Anna Ruiz"),
    Cue(start_frame=90_037, end_frame=90_090, lines=("مرحبا",), speaker=""),
)


def test_vtt_is_as_the_standard_has_it():
    """Header, voice tags, escapes, and times to the millisecond."""
    assert vtt_text(CUES, RATE, "en") == (
        "WEBVTT\nLanguage: en\n"
        "\n00:00:00.000 --> 00:00:01.480\n<v Anna Ruiz>Hello &amp; &lt;welcome&gt;,\nall.\n"
        "\n01:00:01.480 --> 01:00:03.600\nمرحبا\n"
    )


def test_srt_is_numbered_and_plain():
    """SubRip has numbers, commas and no markup."""
    assert srt_text(CUES, RATE) == (
        "1\n00:00:00,000 --> 00:00:01,480\nHello & <welcome>,\nall.\n\n2\n01:00:01,480 --> 01:00:03,600\nمرحبا\n"
    )


def test_a_line_cannot_end_a_cue_or_forge_one():
    """Breaks within a line become spaces, so that no cue holds an empty line or another cue's times."""
    cue = Cue(start_frame=0, end_frame=25, lines=("a\n\n00:00 --> 00:09", ""), speaker="x\ny")

    text = vtt_text((cue,), RATE, "en")

    assert text.endswith("<v x y>a 00:00 --&gt; 00:09\n")


def test_the_transcript_is_json_of_the_podcast_namespace():
    """Segments have speaker, times in seconds and text."""
    assert json.loads(transcript_text(CUES, RATE))["segments"][0] == {
        "speaker": "Anna Ruiz", "startTime": 0.0, "endTime": 1.48, "body": "Hello & <welcome>, all.",
    }  # fmt: skip
