"""Who plays whom: portraits, voices and consent; whatever is not clear ends the run with what to decide."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from s2v_model.puppet.judge import Verdict
from tasks import cast
from tasks.domain.casting import VoiceMatch
from tasks.domain.episode import CastEntry, Episode, Source
from tasks.domain.errors import CastError, PortraitError
from tasks.domain.options import EngineId
from tasks.domain.speech import ScriptRole
from tasks.media.pictures import write_png
from tests.faces import drawn_face, drawn_portrait
from tests.fakes import HummingVoice, PitchPrints
from tests.staging import Bench, turn
from tests.synthetic import tone, write_wav

BY = EngineId(role="voice", name="hum", version="1")
TODAY = "2026-11-22"
ANNA = CastEntry(key="anna", name="Anna Ruiz", portrait="anna.png", where="e.yaml:3:1")
BEN = CastEntry(key="ben", portrait="ben.png", where="e.yaml:4:1")


class JudgeWho:
    """Says what it was told of every picture; keeps the boxes that it was asked about."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict, self.boxes = verdict, []

    def judge(self, rgb: np.ndarray, box: tuple[float, float, float, float] | None) -> Verdict:
        """The verdict."""
        self.boxes.append(box)
        return self.verdict


USABLE = Verdict(face=drawn_face(320))


@pytest.fixture
def bench(tmp_path) -> Bench:
    bench = Bench(tmp_path, faces=JudgeWho(USABLE), voices=HummingVoice(), voiceprints=PitchPrints())
    (tmp_path / "anna.png").write_bytes(write_png(drawn_portrait(320)))
    return bench


def episode(folder: Path, *entries: CastEntry, source: Source = Source(script="ANNA: Hi.\n"), **fields) -> Episode:
    return Episode(
        id="e", title="E", language="en", source=source, cast=entries or (ANNA, BEN), folder=str(folder),
        path="e.yaml", **fields,
    )  # fmt: skip


# --- portraits --------------------------------------------------------------------------------------------------------


def test_a_portrait_is_kept_upright_with_its_face(bench):
    """The picture becomes a PNG of the store, with the size and the face that were judged."""
    entry = replace(ANNA, box=(90.0, 60.0, 140.0, 180.0))
    portrait = bench.run(cast.portray, entry, str(bench.folder), ())

    assert (portrait.width, portrait.height, portrait.picture.extension) == (320, 320, ".png")
    assert portrait.face_box == drawn_face(320).box
    assert bench.workspace.path(portrait.picture).read_bytes() == (bench.folder / "anna.png").read_bytes()
    assert bench.engines["faces"].boxes == [entry.box]
    assert portrait.warnings == ()


def test_bars_around_a_portrait_are_left_out(bench):
    """Of a letterboxed picture its inside is kept, and the face lies where it is in that."""
    picture = np.random.default_rng(4).integers(0, 200, (320, 320, 3)).astype(np.uint8)
    barred = np.pad(picture, ((0, 40), (0, 0), (0, 0)), constant_values=255)
    x, y, width, height = drawn_face(320).box
    (bench.folder / "anna.png").write_bytes(write_png(np.pad(barred, ((50, 0), (0, 0), (0, 0)), constant_values=255)))
    face = replace(USABLE.face, points=USABLE.face.points + np.array([0, 50, 0]))
    bench.engines["faces"] = JudgeWho(Verdict(face=face))
    portrait = bench.run(cast.portray, ANNA, str(bench.folder), ())

    assert (portrait.width, portrait.height) == (320, 320 - 2)
    np.testing.assert_allclose(portrait.face_box, (x, y - 1, width, height))


def test_a_doubtful_face_is_a_warning(bench):
    """What the judge warns of names the picture and its speaker."""
    bench.engines["faces"] = JudgeWho(replace(USABLE, warnings=("is small",)))

    assert bench.run(cast.portray, ANNA, str(bench.folder), ()).warnings == (
        "portrait 'anna.png' (speaker anna): it is small.",
    )


@pytest.mark.parametrize(
    ("entry", "verdict", "error", "message"),
    [
        (ANNA, Verdict(face=None, reason="has two faces", remedy="Give a box."), PortraitError,
         r"portrait 'anna.png' \(speaker anna\): it has two faces\. Give a box\."),
        (replace(ANNA, portrait=None), USABLE, CastError, r"e.yaml:3:1: speaker anna has no portrait\. Add `portrait:"),
        (BEN, USABLE, CastError, r"e.yaml:4:1: .*ben\.png"),
    ],
    ids=["refused", "none named", "not there"],
)  # fmt: skip
def test_a_portrait_that_cannot_be_used_is_named(bench, entry, verdict, error, message):
    """Which picture, whose, why, and what to do; nothing is kept of it."""
    bench.engines["faces"] = JudgeWho(verdict)

    with pytest.raises(error, match=message):
        bench.run(cast.portray, entry, str(bench.folder), ())
    assert bench.store.objects == {}


def test_a_portraits_key_follows_bytes_and_box(bench):
    """Not the file's time, nor what else the cast says; another box or other bytes are another portrait."""
    folder = bench.folder
    known = cast.portray_key(ANNA, str(folder), ())
    (folder / "anna.png").write_bytes((folder / "anna.png").read_bytes())
    same = cast.portray_key(replace(ANNA, prompt="in a studio", voice="en/f1"), str(folder), ())
    boxed = cast.portray_key(replace(ANNA, box=(1.0, 1.0, 9.0, 9.0)), str(folder), ())
    (folder / "anna.png").write_bytes(write_png(drawn_portrait(300)))

    assert same == known
    assert len({known, boxed, cast.portray_key(ANNA, str(folder), ())}) == 3


# --- samples ----------------------------------------------------------------------------------------------------------


def recognised(bench: Bench, voices: dict[str, float], samples: dict[str, float]):
    """Matches of voices and samples that are hums, by label or key, in Hz."""
    parts = [tone(2, hertz, amplitude=0.3) for hertz in voices.values()]
    turns = tuple(turn(label, 2 * place, 2 * place + 2) for place, label in enumerate(voices))
    entries = []
    for key, hertz in samples.items():
        write_wav(bench.folder / f"{key}.wav", tone(2, hertz, amplitude=0.3))
        entries.append(CastEntry(key=key, sample=f"{key}.wav", where="e.yaml:3:1"))
    order = episode(bench.folder, *entries, source=Source(podcast="talk.wav"))
    return bench.run(cast.recognise, bench.recording(np.concatenate(parts)), turns, order)


def test_each_voice_finds_its_sample(bench):
    """With how alike they are, and by how much more than the next."""
    found = recognised(bench, {"S1": 2700, "S2": 600}, {"anna": 500, "ben": 2900})

    assert [(m.label, m.key) for m in found] == [("S1", "ben"), ("S2", "anna")]
    assert all(0.97 < m.similarity <= 1 and m.margin > 0.5 for m in found)


@pytest.mark.parametrize(
    ("voices", "samples", "message"),
    [
        ({"S1": 1700}, {"anna": 500, "ben": 2900},
         r"e.yaml: voice S1 \(first heard at 0\.0 s\) is like no sample of the cast \((anna|ben) 0\.7\d, .*\)\. "
         r"Add a `sample` of this person, or set `casting: order`\."),
        ({"S1": 520}, {"anna": 500, "anne": 550}, r"S1 .* is like two samples \(ann[ae] 1\.00, .*Give longer samples"),
        ({"S1": 2800, "S2": 520, "S3": 560}, {"anna": 500, "ben": 2900},
         r"S2 \(first heard at 2\.0 s\) is like a sample that S3 is like, too .*Say how many `speakers` there are"),
        ({"S1": 500}, {}, r"S1 .* is like no sample of the cast \(there are no samples\)"),
    ],
    ids=["unknown", "two samples", "two voices", "no sample"],
)  # fmt: skip
def test_a_doubt_ends_the_run(bench, voices, samples, message):
    """Nothing is guessed: the error has the numbers and what a person can do."""
    with pytest.raises(CastError, match=message):
        recognised(bench, voices, samples)


def test_every_doubt_is_told(bench):
    """The first one is the error, the others come with it."""
    with pytest.raises(CastError, match="voice S2 ") as caught:
        recognised(bench, {"S1": 500, "S2": 1500, "S3": 1800}, {"anna": 500, "ben": 2900})

    assert [str(error).split("(")[0] for error in caught.value.others] == ["e.yaml: voice S3 "]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"e.yaml:3:1: .*anna\.wav"),
        (b"no sound at all", r"sample 'anna.wav' \(speaker anna\): it is no .* read\. Convert it to WAV"),
    ],
    ids=["not there", "no sound"],
)
def test_a_sample_that_cannot_be_heard_is_named(bench, content, message):
    """The error says whose sample it is; no half of it is left."""
    if content is not None:
        (bench.folder / "anna.wav").write_bytes(content)
    entry = CastEntry(key="anna", sample="anna.wav", where="e.yaml:3:1")
    order = episode(bench.folder, entry, source=Source(podcast="talk.wav"))

    with pytest.raises(CastError, match=message):
        bench.run(cast.recognise, bench.recording(tone(1, 500)), (turn("S1", 0, 1),), order)
    assert not [path for path in bench.workspace.new(".x").parent.iterdir() if path.suffix != ".wav"]


# --- who plays whom ---------------------------------------------------------------------------------------------------


def played(bench: Bench, order: Episode, labels, *, roles=(), matches=(), language="en", by=BY, required=False):
    portraits = tuple(bench.portrait(20 + place) for place in range(len(order.cast)))
    return bench.run(cast.cast, order, tuple(labels), roles, portraits, matches, language, by, TODAY, required)


@pytest.mark.parametrize(
    ("label", "keys"),
    [
        ("ANNA", ("anna",)),
        ("anna  ruiz", ("anna",)),
        ("Mary_Jane", ("mary jane",)),
        ("EVA_LIND", ("eva_lind",)),
        ("Eva Lind", ("eva_lind",)),
        ("ANNA & BEN", ("anna", "ben")),
        ("Ben and Anna Ruiz", ("ben", "anna")),
        ("ANNA, BEN / mary jane", ("anna", "ben", "mary jane")),
        ("Anna und Ben", ("anna", "ben")),
        ("ANNA + ANNA RUIZ", ("anna",)),
        ("Tom & Jerry", ("tom & jerry",)),
    ],
)
def test_a_label_means_members_of_the_cast(label, keys):
    """By key or name, without regard to case; a joint label means each of its parts, once, in its order."""
    entries = [ANNA, BEN, CastEntry(key="mary jane"), CastEntry(key="eva_lind"), CastEntry(key="tom & jerry")]

    assert cast.keys_of(label, entries, where="x") == keys


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("ANA", r"e.yaml: speaker 'ANA' speaks, but is not in the cast\. Did you mean 'anna'\?"),
        ("Zed Q", r"'Zed Q' speaks, .* Add `zed_q: \{portrait: \.\.\.\}` to the cast\."),
        ("ANNA & ZED", r"'ANNA & ZED' speaks, but is not in the cast"),
    ],
)
def test_a_label_of_nobody_is_named(label, message):
    """With the nearest name, or the line to add."""
    with pytest.raises(CastError, match=message):
        cast.keys_of(label, [ANNA, BEN], where="e.yaml")


def test_voices_are_cast_in_order_of_first_speech(bench):
    """`casting: order`: the first voice is the first entry, whatever it is called."""
    order = episode(bench.folder, ANNA, BEN, source=Source(podcast="a.mp3"), casting="order")
    made = played(bench, order, ["S2", "S1"], by=None)

    assert made.labels == (("S2", ("anna",)), ("S1", ("ben",)))
    assert [(speaker.key, speaker.voice) for speaker in made.speakers] == [("anna", None), ("ben", None)]


@pytest.mark.parametrize(
    ("casting", "labels", "message"),
    [
        ("order", ["S1", "S2", "S3"], r"the recording has 3 speakers and the cast 2 entries\. Add portraits"),
        ("samples", ["S1", "S2"], r"nobody is cast for voice S2\. Give each cast entry a `sample`"),
    ],
)
def test_a_voice_without_a_face_ends_the_run(bench, casting, labels, message):
    """Every voice that is heard needs a member of the cast."""
    order = episode(bench.folder, ANNA, BEN, source=Source(podcast="a.mp3"), casting=casting)
    known = (VoiceMatch(label="S1", key="ben", similarity=1, margin=1),)

    with pytest.raises(CastError, match=message):
        played(bench, order, labels, matches=known, by=None)


def test_matches_and_tracks_say_who_it_is(bench):
    """A recognised voice is played by its sample's entry, a track by its own key."""
    podcast = episode(bench.folder, ANNA, BEN, source=Source(podcast="a.mp3"))
    known = (VoiceMatch(label="S1", key="ben", similarity=1, margin=1),)
    tracks = episode(bench.folder, ANNA, BEN, source=Source(tracks=(("anna", "a.wav"), ("ben", "b.wav"))))

    assert played(bench, podcast, ["S1"], matches=known, by=None).labels == (("S1", ("ben",)),)
    assert played(bench, tracks, ["anna", "ben"], by=None).labels == (("anna", ("anna",)), ("ben", ("ben",)))


def test_who_does_not_speak_is_a_warning(bench):
    """An entry without a line is left out of the cast, and said so; its portrait's warnings are not."""
    made = played(bench, episode(bench.folder), ["ANNA"])

    assert [speaker.key for speaker in made.speakers] == ["anna"]
    assert made.warnings == ("cast entry 'ben' is not used.", "speaker anna: consent is not recorded.")


@pytest.mark.parametrize(
    ("entry", "roles", "name"),
    [
        (ANNA, (ScriptRole(label="ANNA", name="A. Ruiz"),), "Anna Ruiz"),
        (replace(ANNA, name=None), (ScriptRole(label="ANNA", name="A. Ruiz"),), "A. Ruiz"),
        (CastEntry(key="anna_maria"), (), "Anna Maria"),
    ],
    ids=["the cast's", "the script's", "the key's"],
)
def test_the_name_shown_is_the_most_careful_one(bench, entry, roles, name):
    """What the cast says, else the script's title block, else the key as a title."""
    label = "ANNA_MARIA" if entry.key == "anna_maria" else "ANNA"

    assert played(bench, episode(bench.folder, entry), [label], roles=roles).speakers[0].name == name


@pytest.mark.parametrize(
    ("entries", "roles", "language", "voices"),
    [
        ((ANNA, BEN), (), "en", ["hum:en/f1", "hum:en/m1"]),
        ((replace(ANNA, sex="female"), replace(BEN, sex="female")), (), "en", ["hum:en/f1", "hum:en/f2"]),
        ((ANNA, replace(BEN, voice="en/f1")), (), "en", ["hum:en/m1", "hum:en/f1"]),
        ((replace(ANNA, voice="hum:en/m2"), BEN), (), "it", ["hum:it/m2", "hum:it/f1"]),
        ((ANNA, BEN), (ScriptRole(label="ANNA", sex="male"),), "en", ["hum:en/m1", "hum:en/f1"]),
        ((replace(ANNA, sex="female"), BEN), (ScriptRole(label="ANNA", sex="male"),), "en", ["hum:en/f1", "hum:en/m1"]),
    ],
    ids=[
        "differ",
        "fit the sex",
        "avoid a named one",
        "another language",
        "the script's word",
        "the cast's goes first",
    ],
)
def test_voices_are_chosen_and_resolved(bench, entries, roles, language, voices):
    """A named voice is taken in the programme's language; the others fit and sound different."""
    made = played(bench, episode(bench.folder, *entries), ["ANNA", "BEN"], roles=roles, language=language)

    assert [speaker.voice for speaker in made.speakers] == voices


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        ("kokoro:af", r"e.yaml:3:1: voice 'kokoro:af' asks for the engine 'kokoro', and this run speaks with 'hum'\."),
        ("en/nobody", r"e.yaml:3:1: there is no voice 'en/nobody'\. Name f1, f2, m1 or m2\."),
    ],
)
def test_a_voice_that_cannot_speak_is_named(bench, voice, message):
    """Another engine's voice or one that does not exist: where it stands, and what to do."""
    with pytest.raises(CastError, match=message):
        played(bench, episode(bench.folder, replace(ANNA, voice=voice)), ["ANNA"])


@pytest.mark.parametrize(
    ("record", "required", "expected"),
    [
        (None, False, ("not recorded", None)),
        (None, True, r"e.yaml:3:1: speaker anna has no consent record, and settings require one"),
        ("who: Anna Ruiz\nscope: courses\n", True, ("recorded", "Anna Ruiz")),
        (f"who: Anna Ruiz\nscope: courses\nuntil: {TODAY}\n", True, ("recorded", "Anna Ruiz")),
        ("who: Anna Ruiz\nscope: courses\nuntil: 2026-11-21\n", False, "consent of Anna Ruiz ended on 2026-11-21"),
        ("who: Anna Ruiz\nscope: courses\nrevoked: true\n", False, "Anna Ruiz revoked this consent"),
        ("scope: courses\n", False, "who"),
    ],
    ids=["none", "none, required", "recorded", "the last day", "expired", "revoked", "of nobody"],
)
def test_consent_is_recorded_or_ends_the_run(bench, record, required, expected):
    """Without a record the run goes on and says so, unless settings require one; what has ended stops it."""
    entry = ANNA
    if record is not None:
        (bench.folder / "anna.yaml").write_text(record)
        entry = replace(ANNA, consent="anna.yaml")
    order = episode(bench.folder, entry)
    if isinstance(expected, str):
        with pytest.raises(CastError, match=expected):
            played(bench, order, ["ANNA"], required=required)
        return
    made = played(bench, order, ["ANNA"], required=required)

    assert (made.speakers[0].consent.state, made.speakers[0].consent.who) == expected
    assert made.warnings == (() if record else ("speaker anna: consent is not recorded.",))
