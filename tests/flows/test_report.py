"""What the control room shows: escaped, complete."""

from dataclasses import replace

import pytest

from flows.report import escaped, shot_rows, summary
from tests.publishing import a_plan, a_shot, some_clips

DOCUMENT = {
    "programme": "s3://videos/p/programmes/x/1",
    "shots": 3,
    "rendered": 2,
    "reused": 1,
    "seconds": 12.3456,
    "cpu_seconds": 4.0,
    "others": [{"programme": "https://host/a", "shots": 1, "rendered": 1, "reused": 0}],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[x](javascript:alert(1))", r"\[x\]\(javascript:alert\(1\)\)"),
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert\(1\)\>"),
        ("a | b\n# c", r"a \| b \# c"),
        ("Züge – 東京", "Züge – 東京"),
    ],
)
def test_text_of_an_episode_stays_text(text: str, expected: str) -> None:
    """A title or a name cannot become a link, a picture, a heading or a column."""
    assert escaped(text) == expected


def test_the_table_says_what_was_done_with_each_shot() -> None:
    """Speaker, span and whether the clip was there."""
    shots = [replace(a_shot(1, 0, 30), fingerprint="a" * 64), replace(a_shot(2, 30, 1530), fingerprint="b" * 64)]
    clips = [
        replace(clip, fingerprint=shot.fingerprint) for shot, clip in zip(shots, some_clips(a_plan()), strict=False)
    ]
    size = [f"{clip.num_frames} frames 320x180" for clip in clips]
    rows = shot_rows(shots, clips, {"a" * 64: 3.21})
    assert [(row["from"], row["to"], row["clip"], row["seconds"], row["checks"]) for row in rows] == [
        ("0:00.00", "0:01.20", "rendered", "3.2", f"{size[0]}, mouth 0.91"),
        ("0:01.20", "1:01.20", "reused", "0", f"{size[1]}, mouth 0.91"),
    ]


def test_the_summary_says_where_and_how_much() -> None:
    """Programmes, GPU seconds and their price; only web addresses are links."""
    record = {"gpu_seconds": 1800.0, "retries": 2, "quotes": [{"gpu_seconds": 1700.04}]}
    text = summary("Welcome [aboard]", DOCUMENT, record, 2.5, [("16x9.en.mp4", "https://host/a.mp4?X=1&Y=2")])
    assert r"# Welcome \[aboard\]" in text
    assert "`s3://videos/p/programmes/x/1`" in text
    assert "<https://host/a>" in text
    assert r"[16x9.en.mp4](<https://host/a.mp4?X=1&Y=2>)" in text
    assert "| GPU seconds | 1800.0 |\n| GPU seconds expected | 1700.0 |" in text
    assert "| cost | 1.25 |" in text


def test_the_summary_names_pages_of_a_folder() -> None:
    """A review page on the web is a link, one in a folder a path: a browser opens no file from a page of the web."""
    links = [("Review page", "https://host/runs/1.html"), ("Review page x.it", "/store/programmes/x.it/1/runs/1.html")]
    text = summary("Welcome", DOCUMENT, {}, 0.0, links)
    assert "* [Review page](<https://host/runs/1.html>)" in text
    assert r"* Review page x.it: `/store/programmes/x.it/1/runs/1.html`" in text
