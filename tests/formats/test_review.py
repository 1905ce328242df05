"""The review page: complete, harmless, equal for equal values."""

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path

import pytest

from tasks.domain.casting import Cast, Consent
from tasks.domain.editing import STILL, Cue, Cut, FrameChapter, Plan, Programme
from tasks.domain.options import MarkingOptions
from tasks.domain.reviewing import Account, Addresses
from tasks.engines.workspace import Workspace
from tasks.formats.review import review_page
from tasks.publish import publish
from tests.fakes import MemoryStore
from tests.publishing import a_cast, a_composition, a_plan, a_shot, some_clips, some_options
from tests.reading import Page, read_page

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&amp;\x00<!--"
SHOWN = HOSTILE.replace("\x00", "\N{REPLACEMENT CHARACTER}")
ACCOUNT = Account(
    run="0123abcd",
    started=datetime(2026, 11, 22, 21, 4, tzinfo=UTC),
    quality="draft",
    seconds=12.34,
    cpu_seconds=20.0,
    num_retries=2,
    rendered=((f"{1:064x}", 5.16),),
)
ADDRESSES = Addresses(
    files=(
        ("16x9.en.mp4", "../16x9.en.mp4"),
        ("captions.en.vtt", "../captions.en.vtt"),
        ("manifest.json", "../manifest.json"),
    ),
    record="0123abcd.json",
    captions=(("captions.en.vtt", b"WEBVTT\n"),),
)


def programme(tmp_path: Path, plan: Plan | None = None, cast: Cast | None = None, **options: object) -> Programme:
    workspace, plan, cast = Workspace(MemoryStore(), tmp_path), plan or a_plan(), cast or a_cast()
    composition = a_composition(workspace)
    return publish(plan, some_clips(plan), cast, composition, some_options(**options), workspace=workspace)


def page_of(made: Programme, account: Account = ACCOUNT, addresses: Addresses = ADDRESSES) -> Page:
    return read_page(review_page(made, account, addresses))


def long_plan() -> Plan:
    """A line, a shot of two of whom one listens, a scene on a card, and a line at 20 s."""
    shots = (
        a_shot(1, 0, 20),
        a_shot(2, 20, 50, "ben"),
        replace(a_shot(3, 20, 50), is_listening=True),
        a_shot(4, 500, 520, "ben"),
    )
    cuts = (
        Cut(start_frame=0, end_frame=20, layout="active", shots=("s1",)),
        Cut(start_frame=20, end_frame=50, layout="split", shots=("s2", "s3")),
        Cut(start_frame=50, end_frame=500, layout="card", shots=(), text="A harbour at dawn."),
        Cut(start_frame=500, end_frame=520, layout="active", shots=("s4",)),
    )
    cues = (
        Cue(start_frame=0, end_frame=20, lines=("Hello,", "Ben."), speaker="Anna Ruiz"),
        Cue(start_frame=22, end_frame=48, lines=("Good morning.",), speaker="Ben", is_fast=True),
        Cue(start_frame=500, end_frame=520, lines=("Both of us.",), speaker="Anna Ruiz & Ben"),
    )
    chapters = (FrameChapter(start_frame=0, title="Start"), FrameChapter(start_frame=500, title="End"))
    return replace(a_plan(), shots=shots, cuts=cuts, cues=cues, chapters=chapters, num_frames=520)


def test_equal_values_give_equal_pages(tmp_path: Path) -> None:
    """The page is a function of what it is given."""
    first, second = programme(tmp_path / "a"), programme(tmp_path / "b")
    assert review_page(first, ACCOUNT, ADDRESSES) == review_page(second, ACCOUNT, ADDRESSES)


def test_the_page_says_who_says_what_when(tmp_path: Path) -> None:
    """A row for each shot and card: its time, which the player goes to, its speaker, words, and what was done."""
    page = page_of(programme(tmp_path, long_plan()))
    rows = [(row["data-from"], row["data-to"]) for row in page.all("tr") if "data-from" in row]
    assert rows == [
        ("0.000", "0.800"),
        ("0.800", "2.000"),
        ("0.800", "2.000"),
        ("2.000", "20.000"),
        ("20.000", "20.800"),
    ]
    for words in (
        "0:00.00Anna RuizHello, Ben.mouth 0.91rendered 5.2 s",
        "0:00.80BenGood morning.mouth 0.91, captions are fast to read, since the speech isreused",
        "0:00.80Anna Ruizlistensmouth 0.91reused",
        "0:02.00sceneA harbour at dawn.card",
        "0:20.00BenBoth of us.",
        "0:00.00Start",
        "0:20.00End",
    ):
        assert words in page.text
    assert [link["data-at"] for link in page.all("a") if "data-at" in link][:2] == ["0.010", "20.010"]
    assert "Welcome aboard - en - " in page.text


def test_a_still_is_what_a_person_sees_first(tmp_path: Path) -> None:
    """A shot that could not be rendered, a missing label and every warning stand in front, with the reason."""
    plan = long_plan()
    stood = replace(plan.shots[0], renderer=STILL, fingerprint="f" * 64)
    plan = replace(plan, shots=(stood, *plan.shots[1:]))
    cast = replace(a_cast(), warnings=("speaker anna: consent is not recorded.",))
    made = programme(tmp_path, plan, cast, marking=MarkingOptions(label=""))
    page = page_of(made, replace(ACCOUNT, lost=(("s1", "The card was lost."),)))
    assert "Look at this first0:00.00 s1 was not rendered, its portrait stands still. The card was lost." in page.text
    assert "published unmarked, by setting.speaker anna: consent is not recorded." in page.text
    assert "Consent is not recorded" in page.text
    assert "Hello, Ben.mouth 0.91The card was lost.still" in page.text
    assert "clips3 reused, 1 still" in page.text
    assert "Nothing stands out" in page_of(programme(tmp_path)).text


def test_nothing_on_the_page_is_taken_for_markup(tmp_path: Path) -> None:
    """Titles, names, words, consent, chapters, warnings and errors with tags in them are shown as they are."""
    cast = a_cast()
    spoken = replace(
        cast.speakers[0],
        name=HOSTILE,
        voice=HOSTILE,
        consent=Consent(state="recorded", who=HOSTILE, scope=HOSTILE, until=date(2027, 1, 31)),
    )
    cast = replace(cast, speakers=(spoken, *cast.speakers[1:]), warnings=(HOSTILE,))
    plan = long_plan()
    plan = replace(
        plan,
        title=HOSTILE,
        chapters=(FrameChapter(start_frame=0, title=HOSTILE),),
        cues=(Cue(start_frame=0, end_frame=20, lines=(HOSTILE,), speaker=HOSTILE),),
        shots=(*plan.shots[:3], replace(plan.shots[3], renderer=STILL)),
    )
    made = replace(programme(tmp_path, plan, cast), checks=((HOSTILE, HOSTILE),))
    page = page_of(made, replace(ACCOUNT, quality=HOSTILE, lost=(("s4", HOSTILE),)))

    assert page.all("img") == []
    assert len(page.all("script")) == 1
    assert [key for _, attributes in page.elements for key in attributes if key.startswith("on")] == []
    assert page.text.count(SHOWN) >= 12
    assert f"{SHOWN} - en - " in page.text
    assert page.all("video")[0]["aria-label"] == f"{SHOWN}, 16:9"


def test_only_our_own_code_runs(tmp_path: Path) -> None:
    """The policy allows our script and style by their digests, the programme's place for media, and nothing else."""
    page = page_of(programme(tmp_path))
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in str(policy).split(";"))
    for kind, rule in (("script", "script-src"), ("style", "style-src")):
        digest = base64.b64encode(hashlib.sha256(page.code[kind].encode()).digest()).decode()
        assert rules.pop(rule) == f"'sha256-{digest}'"
    assert rules == {
        "default-src": "'none'",
        "img-src": "'self'",
        "media-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not any("style" in attributes for _, attributes in page.elements)
    assert not [address for address in page.addresses() if ":" in address]


def test_signed_addresses_are_allowed_and_end(tmp_path: Path) -> None:
    """In a bucket the page names the service in its policy, and says until when its links hold."""
    signed = tuple((name, f"https://media.example.org:9000/videos/{name}?X-Amz=1&Y=2") for name, _ in ADDRESSES.files)
    addresses = replace(ADDRESSES, files=signed, until=datetime(2026, 11, 29, 21, 4, tzinfo=UTC))
    page = page_of(programme(tmp_path), addresses=addresses)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv")]
    assert "media-src 'self' https://media.example.org:9000 data:" in str(policy)
    assert page.all("source")[0]["src"] == dict(signed)["16x9.en.mp4"]
    assert "hold until 2026-11-29 21:04 UTC" in page.text
    assert {"name": "referrer", "content": "no-referrer"} in page.all("meta")


def test_captions_come_with_the_page(tmp_path: Path) -> None:
    """A track holds the delivered captions: no browser would read them from a folder."""
    (track,) = page_of(programme(tmp_path)).all("track")
    assert track["srclang"] == "en"
    assert base64.b64decode(str(track["src"]).removeprefix("data:text/vtt;base64,")) == b"WEBVTT\n"


def test_a_poster_has_the_shape_of_its_film(tmp_path: Path) -> None:
    """A tall film gets no wide poster."""
    made = programme(tmp_path)
    film = made.manifest.outputs[0]
    poster = replace(film, name="poster.jpg", media_type="image/jpeg", width=640, height=360)
    tall = replace(film, name="9x16.en.mp4", width=720, height=1280)
    made = replace(made, manifest=replace(made.manifest, outputs=(film, tall, poster)))
    files = (*ADDRESSES.files, ("9x16.en.mp4", "../9x16.en.mp4"), ("poster.jpg", "../poster.jpg"))
    page = page_of(made, addresses=replace(ADDRESSES, files=files))
    assert [video.get("poster") for video in page.all("video")] == ["../poster.jpg", None]


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        (ACCOUNT, "tries repeated2took12.3 s, 20.0 s of CPU"),
        (
            replace(ACCOUNT, gpu_seconds=1800.0, expected_gpu_seconds=1700.0, cost=1.25),
            "GPU1800.0 s, 1700.0 s quotedcost1.25",
        ),
    ],
)
def test_the_page_says_what_the_run_cost(tmp_path: Path, account: Account, expected: str) -> None:
    """Seconds, tries, and what GPUs cost where any had a part."""
    assert expected in page_of(programme(tmp_path), account).text


def test_other_languages_are_a_click_away(tmp_path: Path) -> None:
    """Each language of the run has its page, and the one at hand is said to be so."""
    languages = (("en", "0123abcd.html"), ("it", "../../../x.it/ab/runs/0123abcd.html"))
    page = page_of(programme(tmp_path), addresses=replace(ADDRESSES, languages=languages))
    links = [link for link in page.all("a") if link.get("href") in dict(languages).values()]
    assert [(link["href"], link.get("aria-current")) for link in links] == [
        ("0123abcd.html", "page"),
        ("../../../x.it/ab/runs/0123abcd.html", None),
    ]


def test_hours_have_their_place_in_a_time(tmp_path: Path) -> None:
    """After an hour the clock shows it."""
    plan = a_plan()
    late = replace(plan.shots[1], end_frame=90_100)
    plan = replace(
        plan,
        shots=(plan.shots[0], late),
        cuts=(plan.cuts[0], replace(plan.cuts[1], end_frame=90_100)),
        num_frames=90_100,
        chapters=(FrameChapter(start_frame=90_001, title="Late"),),
        rate=Fraction(25),
    )
    assert "1:00:00.04Late" in page_of(programme(tmp_path, plan)).text
