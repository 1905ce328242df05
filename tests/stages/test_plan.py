"""Shots before anything is rendered: they tile the programme; fingerprints change with what decides frames alone."""

from dataclasses import fields, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from s2v_model.contract import Cost, Traits
from tasks import arrange, plan
from tasks.domain.casting import Cast, Speaker
from tasks.domain.editing import Framing, Plan, Shot, ShotPhone
from tasks.domain.episode import Episode, Source
from tasks.domain.options import OutputOptions, RenderOptions
from tasks.domain.speech import Dialogue, Phone, Script, ScriptLine, SpokenLine, Stem, StemPiece, Utterance, Word
from tasks.media import video
from tests.staging import Bench, at, loud

PUPPET = Traits(name="puppet", revision=4, weights="")
WAN = Traits(
    name="wan-s2v", revision=2, weights="ab" * 32, rate=Fraction(16), multiple_px=16, max_pixels=320 * 180,
    quantum_frames=80, lead_frames=3, max_frames=237,
    cost=Cost(device="gpu", fixed_seconds=1.0, seconds_per_frame_megapixel=0.5),
)  # fmt: skip
WORDS = ["Good morning, Ben.", "It is always on.", "Then we can begin.", "So be it."]


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path)


def the_cast(bench: Bench, *keys: str) -> Cast:
    speakers = [
        Speaker(key=key, name=key.title(), portrait=bench.portrait(60 + 40 * place), prompt=f"{key} at a desk.")
        for place, key in enumerate(keys)
    ]
    return Cast(speakers=tuple(speakers), labels=tuple((key.upper(), (key,)) for key in keys))


def an_episode(**render) -> Episode:
    return Episode(
        id="e", title="E", language="en", source=Source(script="x"), cast=(),
        render=RenderOptions(**render), outputs=(OutputOptions(height=180),),
    )  # fmt: skip


def a_script(bench: Bench, *lengths: float, edited: int | None = None, **line_fields) -> Dialogue:
    """Anna and Ben in turn, lines of so many seconds; `edited` is a quarter longer and has other words."""
    lines, said = [], []
    for place, length in enumerate(lengths):
        key, is_edited = ("anna", "ben")[place % 2], place == edited
        name = f"l{place}{'x' * is_edited}"
        lines.append(ScriptLine(id=name, speaker=key.upper(), text=WORDS[place % 4], **line_fields))
        samples = loud(length * (1.25 if is_edited else 1), (0, 99), level=0.05, seed=place + 50 * is_edited)
        recording = bench.recording(samples)
        words = (Word(text="so", span=at(0, 0.3), is_stressed=True),)
        phones = (Phone(symbol="s", span=at(0, 0.1)), Phone(symbol="o", span=at(0.1, 0.3)))
        said.append(
            SpokenLine(
                line=name, speaker=key, sound=recording.master, speech=recording.speech, duration=recording.duration,
                words=words, phones=phones,
            )
        )  # fmt: skip
    return bench.run(arrange.arrange_script, Script(lines=tuple(lines)), tuple(said), "T", "en")


def planned(bench: Bench, dialogue: Dialogue, traits: Traits = PUPPET, **render) -> Plan:
    cast = the_cast(bench, *dict.fromkeys(u.speaker for u in dialogue.utterances))
    return bench.run(plan.plan, dialogue, cast, an_episode(**render), traits)


def a_recording(bench: Bench, *said: Utterance, length: float) -> Dialogue:
    recording = bench.recording(loud(length, (0, length), level=0.05))
    return bench.run(arrange.arrange_recording, recording, said, "T", "en", ())


def heard(number: int, speaker: str, start: float, end: float, words: int = 0, **fields) -> Utterance:
    """An utterance; its words fill it with a pause of 0.2 s between them."""
    step = (end - start) / max(1, words)
    spans = [at(round(start + n * step, 3), round(start + (n + 1) * step - 0.2, 3)) for n in range(words)]
    said = tuple(Word(text="word", span=span) for span in spans)
    return Utterance(id=f"u{number}", speaker=speaker, span=at(start, end), words=said, text="word " * words, **fields)


# --- frames -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traits", [PUPPET, WAN], ids=["25 fps", "16 fps"])
@pytest.mark.parametrize("layout", ["active", "split", "auto"])
def test_cuts_tile_the_programme(bench, traits, layout):
    """From the first frame to the last, without a gap; every shot of a cut fills it, at its own renderer's rate."""
    made = planned(bench, a_script(bench, 1.0, 0.7, 2.13, 1.5), traits, layout=layout)
    edges = [cut.start_frame for cut in made.cuts] + [made.num_frames]

    assert edges == [0, *(cut.end_frame for cut in made.cuts)]
    assert all(start < end for start, end in pairwise(edges))
    for cut in made.cuts:
        for shot in map(made.shot, cut.shots):
            assert (shot.start_frame, shot.end_frame) == (cut.start_frame, cut.end_frame)
            native = Fraction(shot.num_frames) / shot.rate - Fraction(shot.programme_frames, 25)
            assert 0 <= native < 1 / shot.rate
    assert {shot.rate for shot in made.shots} == {traits.rate or Fraction(25)}


@pytest.mark.parametrize(("frames", "native"), [(25, 16), (26, 17), (1, 1), (50, 32), (51, 33), (500, 320)], ids=str)
def test_native_frames_cover_the_shot(bench, frames, native):
    """A renderer of 16 frames a second makes just as many as the programme's frames ask for."""
    dialogue = a_recording(bench, heard(1, "anna", 0, frames / 25), length=frames / 25)

    assert [shot.num_frames for shot in planned(bench, dialogue, replace(WAN, max_frames=None)).shots] == [native]


@pytest.mark.parametrize(
    ("traits", "longest"),
    [(PUPPET, 500), (WAN, 370), (replace(WAN, max_frames=None), 500), (replace(PUPPET, max_frames=100), 500)],
    ids=["20 s", "237 frames of 16 a second", "20 s at any rate", "a limit without a rate"],
)
def test_a_long_speech_is_divided(bench, traits, longest):
    """No clip passes 20 s, or what its renderer bears; it is divided in a pause, and nothing is lost."""
    dialogue = a_recording(bench, heard(1, "anna", 0, 60, words=120), length=60)
    made = planned(bench, dialogue, traits)
    lengths = [shot.programme_frames for shot in made.shots]

    assert max(lengths) <= longest
    assert min(lengths[:-1]) > longest // 2
    assert sum(lengths) == 1500
    pauses = [
        (word.span.end * 25, following.span.start * 25) for word, following in pairwise(dialogue.utterances[0].words)
    ]
    for shot in made.shots[1:]:
        assert any(end <= shot.start_frame <= start + 1 for end, start in pauses)


@pytest.mark.parametrize("pause", [0.5, 5.0])
def test_utterances_of_one_speaker_share_a_shot(bench, pause):
    """What one speaker says one after the other is one picture, so one clip, however long he thinks in between."""
    said = heard(1, "anna", 0, 1), heard(2, "anna", 1 + pause, 2 + pause)
    made = planned(bench, a_recording(bench, *said, length=2 + pause))

    assert [shot.utterances for shot in made.shots] == [("u1", "u2")]


def test_packing_is_told_for_a_renderer_of_blocks(bench):
    """Five seconds cost as much as one: the plan says what merging saved."""
    said = heard(1, "anna", 0, 1), heard(2, "anna", 1.2, 2.2), heard(3, "ben", 2.4, 3.4)
    dialogue = a_recording(bench, *said, length=3.4)

    assert planned(bench, dialogue, WAN).notes == ("3 utterances were packed into 2 shots of 2 blocks for wan-s2v.",)
    assert planned(bench, dialogue).notes == ()


def test_a_price_is_the_renderers(bench):
    """Seconds of the device, by its own figures for so many frames of that size."""
    (shot,) = planned(bench, a_recording(bench, heard(1, "anna", 0, 2), length=2), WAN).shots

    assert (shot.num_frames, shot.framing.width % 16, shot.framing.height % 16) == (32, 0, 0)
    assert shot.cost_seconds == pytest.approx(1 + 0.5 * 32 * shot.framing.width * shot.framing.height / 1e6)


# --- what drives a shot -----------------------------------------------------------------------------------------------


def test_a_shot_hears_its_own_speaker_alone(bench):
    """Where somebody else talks in the same recording, the driving speech is muted, 120 ms around its own words."""
    said = heard(1, "anna", 0.2, 1), heard(2, "ben", 1.5, 2.5), heard(3, "anna", 2.8, 4)
    made = planned(bench, a_recording(bench, *said, length=4), layout="split")
    anna = next(shot for shot in made.shots if shot.speaker == "anna" and not shot.is_listening)
    sound = bench.samples(anna.speech)
    loudest = [
        float(np.abs(sound[int(a * 16_000) : int(b * 16_000)]).max()) for a, b in ((0, 0.07), (0.2, 1), (1.13, 1.3))
    ]

    assert loudest[0] == loudest[2] == 0
    assert loudest[1] > 0.1


def test_listeners_get_silence_and_look_at_who_talks(bench):
    """In a split picture the other one is a shot of its own, without speech, turned to the speaker."""
    made = planned(bench, a_script(bench, 1.0, 1.0), layout="split")
    first = [made.shot(shot_id) for shot_id in made.cuts[0].shots]

    assert made.cuts[0].layout == "split"
    assert [(shot.speaker, shot.is_listening, shot.gaze) for shot in first] == [
        ("anna", False, plan.TALKER_GAZE),
        ("ben", True, -1.0),
    ]
    assert first[1].speech is None
    assert len({shot.speech_digest for shot in first}) == 2


def test_sounds_are_clipped_to_their_shot(bench):
    """In milliseconds from the first frame, none beyond the last; unknown as soon as one utterance's are."""
    phones = tuple(Phone(symbol=s, span=at(a, b)) for s, a, b in (("a", 0.0, 0.4), ("b", 19.9, 20.2), ("c", 20.4, 21)))
    long = heard(1, "anna", 0, 21, phones=phones)
    first, second = planned(bench, a_recording(bench, long, length=21)).shots
    edge = first.end_frame * 40

    assert [(p.symbol, p.start_ms, p.end_ms) for p in first.phones][:1] == [("a", 0, 400)]
    assert all(p.end_ms <= edge for p in first.phones)
    assert [(p.symbol, p.start_ms + edge, p.end_ms + edge) for p in second.phones][-1] == ("c", 20_400, 21_000)
    unknown = a_recording(bench, replace(long, span=at(0, 2)), heard(2, "anna", 2, 3), length=3)
    assert [shot.phones for shot in planned(bench, unknown).shots] == [None]


def test_prompts_are_the_episodes_the_speakers_and_the_lines(bench):
    """In that order, each once; stresses come from the words, singing from the line."""
    dialogue = a_script(bench, 1.0, directions=("wryly", "softly"), is_sung=True)
    (shot,) = planned(bench, dialogue, prompt="Evening light.", negative_prompt="blur").shots

    assert shot.prompt == "Evening light. anna at a desk. wryly. softly"
    assert (shot.negative_prompt, shot.is_sung, shot.stresses_ms) == ("blur", True, (400,))


def test_a_listener_knows_where_the_other_pauses(bench):
    """Ends of the other's utterances and pauses between his words, in ms of the shot; none where nobody is heard."""
    words = tuple(Word(text="so", span=at(a, b)) for a, b in ((0.1, 0.4), (0.45, 0.9), (1.4, 1.8)))
    said = (replace(heard(1, "anna", 0, 2), words=words), heard(2, "ben", 2.5, 4))
    shots = planned(bench, a_recording(bench, *said, length=4), layout="split").shots
    listening = {(shot.speaker, shot.start_frame): shot.stresses_ms for shot in shots if shot.is_listening}

    assert listening[("ben", 0)] == (900, 2000)
    assert all(shot.stresses_ms == () for shot in planned(bench, a_recording(bench, *said, length=4)).shots)


def test_names_are_shown_where_somebody_first_speaks(bench):
    """Once for each speaker, within his shot, never while he only listens; on his part of a shared picture."""
    active = planned(bench, a_script(bench, 1.0, 5.0, 1.0))
    split = planned(bench, a_script(bench, 1.0, 5.0), layout="split")

    assert [(tag.name, tag.start_frame, tag.end_frame, tag.place) for tag in active.names] == [
        ("Anna", 6, active.shots[0].end_frame, 0),
        ("Ben", active.shots[1].start_frame + 6, active.shots[1].start_frame + 6 + 88, 0),
    ]
    assert [(tag.name, tag.place) for tag in split.names] == [("Anna", 0), ("Ben", 1)]
    assert split.names[1].start_frame >= split.cuts[1].start_frame


# --- fingerprints -----------------------------------------------------------------------------------------------------


def test_one_edited_line_changes_one_fingerprint(bench):
    """Later shots move and keep their clips: a longer line is one clip to render."""
    before, after = (planned(bench, a_script(bench, 1.0, 0.8, 1.2, edited=edited)) for edited in (None, 1))
    same = [a.fingerprint == b.fingerprint for a, b in zip(before.shots, after.shots, strict=True)]

    assert same == [True, False, True]
    assert after.shots[2].start_frame - before.shots[2].start_frame == 5


def test_a_clip_is_the_same_in_every_episode(bench):
    """Title, id, language, captions and place in the programme are no part of it."""
    dialogue = a_script(bench, 1.0)
    cast, order = the_cast(bench, "anna"), an_episode()
    first = bench.run(plan.plan, dialogue, cast, order, PUPPET)
    other = replace(order, id="f", title="F", language="it", outputs=(OutputOptions(height=180, captions=("burned",)),))
    renamed = replace(cast, speakers=(replace(cast.speakers[0], name="Another", voice="x:y"),))
    second = bench.run(plan.plan, replace(dialogue, title="U", language="it"), renamed, other, PUPPET)

    assert [shot.fingerprint for shot in first.shots] == [shot.fingerprint for shot in second.shots]


@pytest.fixture
def shot(bench) -> Shot:
    (made,) = planned(bench, a_script(bench, 1.0), seed=7).shots
    return made


DECIDES = {
    "speech_digest": "f" * 64,
    "framing": Framing(crop=(1.0, 0.0, 300.0, 168.75), width=320, height=180, face_box=(100.0, 40.0, 80.0, 80.0)),
    "phones": (ShotPhone(symbol="a", start_ms=0, end_ms=1),),
    "stresses_ms": (1,),
    "is_listening": True,
    "gaze": 0.5,
    "is_sung": True,
    "prompt": "another",
    "negative_prompt": "another",
    "seed": 8,
    "rate": Fraction(16),
    "num_frames": 3,
}
DECIDES_NOT = {
    "id": "other", "speaker": "ben", "utterances": ("u9",), "start_frame": 3, "end_frame": 99, "cost_seconds": 9.0,
    "fingerprint": "0" * 64, "speech": None,
}  # fmt: skip
ONLY_OF_SOME = {"portrait", "renderer", "scene_text", "scene_picture", "pose_video", "vocals"}
"""A portrait and a renderer have tests of their own; the others belong to shots of a model that knows them."""


@pytest.mark.parametrize("name", DECIDES)
def test_what_decides_frames_changes_the_fingerprint(shot, name):
    """DESIGN's list, one by one."""
    assert plan.fingerprint(replace(shot, **{name: DECIDES[name]}), PUPPET) != shot.fingerprint


@pytest.mark.parametrize("name", DECIDES_NOT)
def test_what_does_not_decide_frames_does_not(shot, name):
    """Where a clip is shown, whose it is called and what it costs: the same clip."""
    assert plan.fingerprint(replace(shot, **{name: DECIDES_NOT[name]}), PUPPET) == shot.fingerprint


def test_every_field_of_a_shot_was_thought_of():
    """A new field has to be put into one of the tables above."""
    assert {field.name for field in fields(Shot)} - ONLY_OF_SOME <= {*DECIDES, *DECIDES_NOT}


@pytest.mark.parametrize(
    ("field", "value", "changes"),
    [
        ("name", "other", True),
        ("revision", 5, True),
        ("weights", "cd" * 32, True),
        ("options", {"steps": 4}, True),
        ("cost", Cost(device="gpu", fixed_seconds=1, seconds_per_frame_megapixel=1), False),
        ("quantum_frames", 80, False),
        ("lead_frames", 3, False),
        ("max_frames", 100, False),
    ],
)
def test_a_renderer_is_part_of_its_clips(shot, field, value, changes):
    """Its name, revision, weights and options are; what only a planner reads is not."""
    assert (plan.fingerprint(shot, replace(PUPPET, **{field: value})) != shot.fingerprint) is changes


def test_the_portraits_pixels_are_part_of_it(bench, shot):
    """The normalised picture counts; its warnings do not."""
    warned = replace(shot.portrait, warnings=("small",), brow_to_chin_px=1.0)

    assert plan.fingerprint(replace(shot, portrait=bench.portrait(61)), PUPPET) != shot.fingerprint
    assert plan.fingerprint(replace(shot, portrait=warned), PUPPET) == shot.fingerprint


def test_the_clip_encoding_is_part_of_it(shot, monkeypatch):
    """Clips that are stored in another way are other clips."""
    monkeypatch.setattr(plan, "CLIP_ENCODING", replace(video.CLIP_ENCODING, crf=20))

    assert plan.fingerprint(shot, PUPPET) != shot.fingerprint


def test_seeds_differ_by_words_and_face_and_follow_the_episodes(bench):
    """One seed an episode; each shot derives its own, so that an edit of one changes no other."""
    first, again, other = (
        planned(bench, a_script(bench, 1.0, 0.8, edited=e), seed=s) for e, s in ((None, 7), (1, 7), (None, 8))
    )
    seeds = [[shot.seed for shot in made.shots] for made in (first, again, other)]

    assert seeds[0][0] == seeds[1][0]
    assert seeds[0][1] != seeds[1][1]
    assert not {*seeds[0]} & {*seeds[2]}
    assert all(0 <= seed < 2**63 for made in seeds for seed in made)


def test_a_louder_neighbour_changes_no_clip(bench):
    """The mix is not what drives a renderer: another voice in the master leaves a speaker's own stem as it is."""
    said = heard(1, "anna", 0.2, 1), heard(2, "ben", 1.5, 2.5)
    pieces = [
        bench.recording(loud(3, span, level=level))
        for span, level in (((0, 1.2), 0.05), ((1.4, 3), 0.05), ((1.4, 3), 0.4))
    ]
    plans = [
        planned(
            bench,
            Dialogue(
                title="T", language="en", duration=Fraction(3), master=pieces[n].master, utterances=said,
                stems=tuple(
                    Stem(speaker=key, pieces=(StemPiece(span=at(0, 3), speech=pieces[place].speech),))
                    for key, place in (("anna", 0), ("ben", n))
                ),
            ),
        )
        for n in (1, 2)
    ]  # fmt: skip
    same = [a.fingerprint == b.fingerprint for a, b in zip(plans[0].shots, plans[1].shots, strict=True)]

    assert same == [True, False]
