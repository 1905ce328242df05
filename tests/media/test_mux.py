"""Digests of streams, language tags, fonts."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ImageFont

from tasks.domain.errors import EngineMissing, MediaError
from tasks.media import fonts
from tasks.media.languages import iso639_2
from tasks.media.mux import metadata_text, stream_sha256
from tests.composing import write_clip


def remuxed(path: Path, target: Path, **tags: str) -> Path:
    with av.open(str(path)) as source, av.open(str(target), "w", format="mp4") as made:
        made.metadata.update(tags)
        stream = made.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    return target


def test_the_digest_is_of_the_streams_and_not_of_the_container(tmp_path):
    """Another title alters a file and not its streams' digest; another picture alters both."""
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    write_clip(one, range(12))
    write_clip(other, range(1, 13))
    copy = remuxed(one, tmp_path / "copy.mp4", title="Another")

    assert one.read_bytes() != copy.read_bytes()
    assert stream_sha256(one) == stream_sha256(copy) != stream_sha256(other)


def test_the_digest_of_no_media_is_an_error(tmp_path):
    """What cannot be read has no digest."""
    path = tmp_path / "x.mp4"
    path.write_bytes(b"no film")

    with pytest.raises(MediaError, match=r"x\.mp4 cannot be read"):
        stream_sha256(path)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("en", "eng"), ("pt-BR", "por"), ("zh-Hant", "zho"), ("de_AT", "deu"), ("gsw", "gsw"), ("x-klingon", "und"),
     ("", "und")],
)  # fmt: skip
def test_language_tags_become_three_letters(tag, expected):
    """BCP 47 in, ISO 639-2/T out."""
    assert iso639_2(tag) == expected


def test_metadata_is_one_line_each():
    """A title cannot add a chapter of its own."""
    text = metadata_text("a\n[CHAPTER]\nSTART=1", [], Fraction(25))

    assert text == ";FFMETADATA1\ntitle=a [CHAPTER] START\\=1\n"


def test_widths_are_those_of_the_font():
    """Wide letters are wider than narrow ones, Han is an em, and twice the size is twice the width."""
    assert fonts.text_width("WWW", 40) > 2 * fonts.text_width("iii", 40)
    assert fonts.text_width("日本", 100) == pytest.approx(200 * fonts.EM_OF_SIZE)
    assert fonts.text_width("Anna", 80) == pytest.approx(2 * fonts.text_width("Anna", 40))


def test_missing_fonts_are_named(monkeypatch):
    """Without its fonts nothing is burned in other ones: the error says what is missing."""
    monkeypatch.setattr(fonts, "PACKAGES", ("no_such_fonts",))
    fonts.folders.cache_clear()
    try:
        with pytest.raises(EngineMissing, match="no-such-fonts"):
            fonts.folders()
    finally:
        fonts.folders.cache_clear()


def test_every_script_has_a_glyph(tmp_path):
    """Latin, Greek, Cyrillic, Arabic, Hebrew, Devanagari, Thai and Han can be drawn with the fonts that we name."""
    samples = {"NotoSans[wght].ttf": "aΩЖ", "NotoSansArabic[wght].ttf": "ب", "NotoSansHebrew[wght].ttf": "ש",
               "NotoSansDevanagari[wght].ttf": "न", "NotoSansThai[wght].ttf": "ท",
               "NotoSansCJK-VF.otf.ttc": "日한"}  # fmt: skip
    files = {path.name: path for folder in fonts.folders() for path in folder.iterdir()}
    for name, letters in samples.items():
        font = ImageFont.truetype(str(files[name]), 40, layout_engine=ImageFont.Layout.BASIC)
        missing = np.asarray(font.getmask("\U0010fffe"))
        for letter in letters:
            assert not np.array_equal(np.asarray(font.getmask(letter)), missing), letter
