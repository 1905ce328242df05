# ruff: noqa: E501  # sentences stand in one line, as they are printed
"""The episode file: what it may say, and what is said about it."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.casting import Consent
from tasks.domain.errors import CastError, EpisodeError, InputError
from tasks.domain.options import OutputOptions, RenderOptions
from tasks.formats.cast_sheet import read_consent
from tasks.formats.episode import read_episode, unused_cast
from tasks.formats.findings import all_findings

WHOLE = """\
schema: episode/1
id: onboarding-07
title: Welcome aboard
language: en
source:
  script: welcome.fountain
cast:
  anna: {name: Anna Ruiz, portrait: anna.png, voice: en-us/f2, sex: female, age: adult, prompt: "A trainer in a bright studio, talking to camera", consent: consents/anna.yaml}
  ben:  {portrait: ben.png, box: [410, 80, 300, 300], sample: ben.wav}   # box: which face
casting: samples
render: {quality: draft, seed: 7, prompt: "", layout: active}
outputs:
  - {aspect: "16:9", height: 720, captions: [vtt, burned]}
  - {aspect: 9:16}
languages: [it, es]
translations: {it: welcome.it.csv}
"""
SMALL = "schema: episode/1\nid: x\nlanguage: en\nsource: {script: a.txt}\ncast: {anna: {portrait: a.png}}\n"


def read(text: str | bytes, **more):
    content = text if isinstance(text, bytes) else text.encode()
    return read_episode(content, path="episode.yaml", folder="/e", **more)


def refused(text: str | bytes, **more) -> InputError:
    with pytest.raises(InputError) as caught:
        read(text, **more)
    return caught.value


def test_every_field_is_read() -> None:
    """The example of the documentation gives every value that it states."""
    episode = read(WHOLE, roots=("/media",))
    assert (episode.id, episode.title, episode.language, episode.kind) == (
        "onboarding-07",
        "Welcome aboard",
        "en",
        "script",
    )
    assert episode.source.script == "welcome.fountain"
    anna, ben = episode.cast
    assert (anna.name, anna.portrait, anna.voice, anna.sex, anna.age) == (
        "Anna Ruiz",
        "anna.png",
        "en-us/f2",
        "female",
        "adult",
    )
    assert (anna.prompt, anna.consent) == ("A trainer in a bright studio, talking to camera", "consents/anna.yaml")
    assert (ben.box, ben.sample, ben.where) == ((410, 80, 300, 300), "ben.wav", "episode.yaml, line 9, column 3")
    assert episode.render == RenderOptions(quality="draft", seed=7)
    assert episode.outputs == (
        OutputOptions(aspect="16:9", height=720, captions=("vtt", "burned")),
        OutputOptions(aspect="9:16", height=1280),
    )
    assert episode.outputs[1].size == (720, 1280)
    assert (episode.languages, episode.translations) == (("it", "es"), (("it", "welcome.it.csv"),))
    assert (episode.folder, episode.path, episode.roots) == ("/e", "episode.yaml", ("/media",))


def test_defaults() -> None:
    """A small episode has the defaults, and its id for a title."""
    episode = read(SMALL)
    assert (episode.title, episode.casting, episode.outputs) == ("x", "samples", (OutputOptions(),))


def test_scalars_mean_what_they_say() -> None:
    """Norwegian is a language and no falsehood, a ratio no number in base sixty, an id may be a number."""
    episode = read(
        SMALL.replace("language: en", "language: no").replace("id: x", "id: 07") + "outputs: [{aspect: 16:9}]\n"
    )
    assert (episode.language, episode.id, episode.outputs[0].aspect) == ("no", "07", "16:9")


def test_a_script_may_stand_in_the_episode() -> None:
    """A block with line breaks is the script itself."""
    episode = read(SMALL.replace("{script: a.txt}", "\n  script: |\n    ANNA: Hi.\n    BEN: Ho.\n"))
    assert episode.source.script == "ANNA: Hi.\nBEN: Ho.\n"


def test_podcast_and_tracks() -> None:
    """A podcast may be an address and carry a transcript; tracks meet the cast without regard to case."""
    podcast = read(
        SMALL.replace("script: a.txt", "podcast: 'https://example.org/a.mp3', transcript: a.vtt, speakers: 2")
    )
    assert (podcast.source.podcast, podcast.source.transcript, podcast.source.speakers) == (
        "https://example.org/a.mp3",
        "a.vtt",
        2,
    )
    tracks = read(SMALL.replace("script: a.txt", "tracks: {ANNA: anna.wav}"))
    assert (tracks.kind, tracks.source.tracks) == ("tracks", (("anna", "anna.wav"),))


def test_vocal_stems_and_pose_videos() -> None:
    """A stem for the podcast, for each track, or for each song of a script; poses for one speaker or for all."""
    podcast = read(SMALL.replace("{script: a.txt}", "{podcast: song.mp3, vocals: voice.wav}")).source
    tracks = read(SMALL.replace("{script: a.txt}", "{tracks: {anna: a.wav}, vocals: {Anna: voice.wav}}")).source
    script = read(SMALL.replace("{script: a.txt}", "{script: a.txt, vocals: {song.mp3: voice.wav}}")).source
    assert (podcast.vocals, tracks.vocals) == ((("", "voice.wav"),), (("anna", "voice.wav"),))
    assert script.vocals == (("song.mp3", "voice.wav"),)
    posed = read(SMALL.replace("a.png", "a.png, pose: own.mp4") + "render: {pose: all.mp4}\n")
    assert (posed.cast[0].pose, posed.render.pose) == ("own.mp4", "all.mp4")
    error = refused(SMALL.replace("{script: a.txt}", "{tracks: {anna: a.wav}, vocals: {ben: voice.wav}}"))
    assert "source.vocals has 'ben', which is no track. The tracks are: anna." in str(error)


def test_the_cast_may_stand_in_its_own_file() -> None:
    """A cast that is a name is fetched; its faults name that file."""
    text = SMALL.replace("{anna: {portrait: a.png}}", "people.yaml")
    files = {"people.yaml": b"anna: {portrait: a.png}\n"}
    assert read(text, fetch=files.__getitem__).cast[0].portrait == "a.png"
    files["people.yaml"] = b"anna: {potrait: a.png}\n"
    assert refused(text, fetch=files.__getitem__).where == "people.yaml, line 1, column 8"
    assert "cast names the file 'people.yaml'" in str(refused(text))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("schema: episode/1", "schema: episode/2", "episode.yaml, line 1, column 9: schema is 'episode/2'. This release reads 'episode/1'."),
        ("id: x", "id: x/y", "episode.yaml, line 2, column 5: id is 'x/y'. Use letters, digits, '-' and '_', at most 100."),
        ("id: x", "titel: x", "episode.yaml, line 2, column 1: unknown key 'titel'. Did you mean 'title'?"),
        ("id: x", "id: x\nid: y", "episode.yaml, line 3, column 1: the key 'id' is given twice. Keep one; the first is at episode.yaml, line 2, column 1."),
        ("language: en", "language: english", "episode.yaml, line 3, column 11: language is 'english'. Write a BCP 47 tag such as en, pt-BR or zh-Hant."),
        ("{script: a.txt}", "{script: a.txt, podcast: b.mp3}", "episode.yaml, line 4, column 9: source has script and podcast. Keep exactly one of script, podcast and tracks."),
        ("{script: a.txt}", "{}", "episode.yaml, line 4, column 9: source has none of script, podcast and tracks. Keep exactly one of script, podcast and tracks."),
        ("a.png", "http://x/a.png", "episode.yaml, line 5, column 25: cast.anna.portrait is 'http://x/a.png', an address that is not allowed here. Save it as a file and write its name."),
        ("{portrait: a.png}", "{}", "episode.yaml, line 5, column 8: cast.anna.portrait is missing. Name a picture with one face."),
        ("{portrait: a.png}", "{portrait: a.png, sex: femal}", "Did you mean 'female'?"),
        ("{portrait: a.png}", "{portrait: a.png, box: [1, 2, 3]}", "cast.anna.box is no rectangle. Write [x, y, width, height] in pixels of the picture."),
        ("{portrait: a.png}}", "{portrait: a.png, name: Ben}, ben: {portrait: b.png}}", "cast.anna and cast.ben share the name 'ben'. Give each a name of its own."),
        ("{portrait: a.png}}", "{portrait: a.png}, b_b: {portrait: b.png}, B  b: {portrait: c.png}}", "cast.b_b and cast.B  b share the name 'B b'. Give each a name of its own."),
        ("{anna: {portrait: a.png}}", "{}", "cast must map each speaker to a portrait."),
        ("{script: a.txt}", "{tracks: {carl: c.wav}}", "the track 'carl' belongs to nobody in the cast. The cast has: anna."),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_column_and_remedy(old: str, new: str, sentence: str) -> None:
    """Each fault is at most two sentences: where, what with its value, and what to do."""
    sentences = [str(each) for each in all_findings(refused(SMALL.replace(old, new)))]
    assert any(sentence in each for each in sentences), sentences


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ('title: "half \\ud800"', "'\\ud800' is no character. Write the character itself."),
        ("render: {seed: -1}", "render.seed is '-1'. Write a whole number from 0 to 9,223,372,036,854,775,807."),
        ("render: {quality: best}", "render.quality is 'best'. Allowed: draft, final."),
        ("outputs: [{aspect: '16:9'}, {aspect: '16:9', height: 360}]", "there are two outputs of 16:9, which would be one file. Keep one."),
        ("outputs: [{height: 721}]", "outputs[0].height is 721, an odd number."),
        ("outputs: [{captions: [ass]}]", "outputs[0].captions holds 'ass'. Allowed: vtt, srt, burned."),
        ("outputs: []", "outputs must be a list with at least one output."),
        ("languages: [it, en]", "languages holds 'en', which is the episode's own language. Remove it."),
        ("languages: [it, xx]", "languages holds 'xx'. Write a BCP 47 tag"),
        ("translations: {it: a.csv}", "translations holds 'it', which is not in languages. Add it: languages: [it]."),
        ("casting: random", "casting is 'random'. Allowed: samples, order."),
        ("extra: !!python/object/apply:os.system [ls]", "the tag 'python/object/apply:os.system' is not allowed here"),
        ("- x", "this is no YAML"),
        ("a: [1, 2", "this is no YAML"),
        ("---\nid: y", "line 6, column 1: a second document begins here"),
    ],
)  # fmt: skip
def test_more_faults(more: str, sentence: str) -> None:
    """Options outside their limits are refused with what is allowed."""
    assert sentence in str(refused(f"{SMALL}{more}\n"))


def test_all_faults_are_listed() -> None:
    """One reading finds everything: the first is raised and carries the rest in the file's order of checks."""
    first = refused(SMALL.replace("id: x", "id: '!'").replace("en", "q1") + "colour: red\n")
    found = all_findings(first)
    assert len(found) == 3
    assert all(each.where and each.remedy and each.message for each in found)


def test_missing_keys_are_named() -> None:
    """An episode without its parts says which."""
    sentences = " ".join(str(each) for each in all_findings(refused("schema: episode/1\n")))
    for key in ("id", "language", "source", "cast"):
        assert f"{key} is missing." in sentences


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n \n", b"\x00" * 50, b"%PDF-1.4", b"just words", b"[1, 2]", b"{" * 100_000, b"[" * 100_000, b"- " * 50_000,
        b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
        b"d: &d [*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e]\n",
        b"a: &a [*a]\n", b"? {a: b}\n: c\n", b"\tid: x", b"id: 'x", b"x: " + b"y" * 2_000_000, b"%YAML 9.9\n---\na: b",
        b"*unknown", b"!!binary aGVsbG8=", b"!<tag:x> y", b"a: b: c",
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_a_sentence(content: bytes) -> None:
    """Bombs, other formats, endless nesting and broken YAML end in an EpisodeError, soon."""
    error = refused(content)
    assert isinstance(error, EpisodeError)
    assert str(error).count(". ") <= 3
    assert len(str(error)) < 400


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: (SMALL + text).encode()))
@settings(max_examples=80, deadline=None)
def test_any_bytes_give_an_episode_or_an_input_error(content: bytes) -> None:
    """Nothing that a file can hold makes any other exception."""
    try:
        episode = read(content)
    except InputError:
        return
    assert episode.id


def test_unused_cast_is_a_warning() -> None:
    """A member of the cast who does not play is named with place and remedy."""
    (warning,) = unused_cast(read(WHOLE), ("anna",))
    assert warning.startswith("episode.yaml, line 9, column 3: cast.ben never speaks.")


def test_consent_is_recorded() -> None:
    """Who, scope and the last day are read; the last day still counts."""
    content = b"who: Anna Ruiz\nscope: training videos\nuntil: 2027-05-31\n"
    consent = read_consent(content, name="anna.yaml", today=date(2027, 5, 31))
    assert consent == Consent(state="recorded", who="Anna Ruiz", scope="training videos", until=date(2027, 5, 31))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("until: 2027-05-30", "the consent of Anna ended on 2027-05-30. Ask for a new one"),
        ("revoked: true", "Anna revoked this consent. Recast the part."),
        ("revoked: 2027-05-01", "Anna revoked this consent."),
        ("until: soon", "until is 'soon'. Write a day as 2027-05-31."),
        ("untill: 2027-05-31", "Did you mean 'until'?"),
    ],
)
def test_consent_that_does_not_hold(more: str, sentence: str) -> None:
    """Expired, revoked and unreadable consent stops with a CastError."""
    with pytest.raises(CastError) as caught:
        read_consent(f"who: Anna\nscope: all\n{more}\n".encode(), name="anna.yaml", today=date(2027, 5, 31))
    assert sentence in str(caught.value)


def test_consent_may_end_later() -> None:
    """A revocation to come does not bind today."""
    content = b"who: Anna\nscope: all\nrevoked: 2027-07-01\n"
    assert read_consent(content, name="anna.yaml", today=date(2027, 5, 31)).state == "recorded"
