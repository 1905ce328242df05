"""The stage composite: cuts, lengths, files."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.composite import composite, key
from tasks.domain.editing import Composition, Cue, Cut, FrameChapter, NameTag, Plan
from tasks.domain.options import MarkingOptions, OutputOptions, SoundOptions
from tests.composing import Files, marks_of, num_samples_of, programme

SMALL = (OutputOptions(aspect="16:9", height=144, captions=()),)
NO_LABEL = MarkingOptions(label="")


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "work")


def made(
    files: Files, plan: Plan, clips, outputs=SMALL, marking=NO_LABEL, watch=lambda done, total: None
) -> Composition:
    return composite(plan, clips, outputs, SoundOptions(), marking, workspace=files, watch=watch)


def video(files: Files, composition: Composition, number: int = 0) -> Path:
    return files.path(composition.outputs[number].asset)


def changed_frames(first: Path, second: Path) -> list[int]:
    """Frames of which some part differs clearly."""
    with av.open(str(first)) as one, av.open(str(second)) as two:
        pairs = zip(one.decode(video=0), two.decode(video=0), strict=True)
        return [
            number
            for number, (a, b) in enumerate(pairs)
            if (np.abs(a.to_ndarray(format="gray").astype(int) - b.to_ndarray(format="gray")) > 60).sum() > 20
        ]


def test_every_frame_is_where_the_plan_has_it(files):
    """No cut is a frame early or late, and the programme has exactly the frames of its plan."""
    plan, clips = programme(files, [7, 1, 12, 30, 2, 25])

    composition = made(files, plan, clips)

    assert list(marks_of(video(files, composition))) == list(range(77))
    assert composition.outputs[0].duration_frames == 77


def test_sound_lasts_as_long_as_the_picture(files):
    """Decoded sound is as long as the picture, to one AAC packet."""
    plan, clips = programme(files, [33, 18])

    composition = made(files, plan, clips)

    assert num_samples_of(video(files, composition)) - 51 * 1920 in range(1024)


@pytest.mark.parametrize("native", [16, 50])
def test_native_frames_are_held_or_dropped(files, native):
    """At programme frame k a clip shows its native frame floor(k * native / programme)."""
    plan, clips = programme(files, [25], rate=native)

    marks = list(marks_of(video(files, made(files, plan, clips))))

    assert marks == [k * native // 25 for k in range(25)]


def test_both_aspects_come_from_the_same_clips(files):
    """A 16:9 and a 9:16 file are made of one set of clips, each of its own size, with equal sound."""
    plan, clips = programme(files, [10, 5])
    outputs = (*SMALL, OutputOptions(aspect="9:16", height=256, captions=()))

    composition = made(files, plan, clips, outputs)

    sizes = [(item.name, item.width, item.height) for item in composition.outputs[:2]]
    assert sizes == [("16x9.en.mp4", 256, 144), ("9x16.en.mp4", 144, 256)]
    with av.open(str(video(files, composition, 0))) as wide, av.open(str(video(files, composition, 1))) as tall:
        heard = [[bytes(packet) for packet in container.demux(audio=0)] for container in (wide, tall)]
    assert heard[0] == heard[1]


def test_equal_input_gives_an_equal_file(tmp_path):
    """Two runs over equal input give equal bytes, and an equal digest of the streams."""
    results = []
    for name in ("one", "two"):
        files = Files(tmp_path / name)
        plan, clips = programme(files, [9, 14], cues=(Cue(start_frame=2, end_frame=20, lines=("Hello",), speaker="A"),))
        outputs = (OutputOptions(aspect="16:9", height=144, captions=("burned", "vtt")),)
        results.append(made(files, plan, clips, outputs, MarkingOptions()))

    assert results[0] == results[1]


def test_title_languages_and_chapters_are_in_the_file(files):
    """Title, chapters and the language of both streams can be read back, whatever characters they hold."""
    chapters = (FrameChapter(start_frame=0, title="A; b = #c\\d"), FrameChapter(start_frame=13, title="مرحبا"))
    plan, clips = programme(files, [13, 12], chapters=chapters, language="pt-BR", title="50 % = half\nof; it")

    composition = made(files, plan, clips)

    with av.open(str(video(files, composition))) as container:
        assert container.metadata["title"] == "50 % = half of; it"
        assert [stream.language for stream in (container.streams.video[0], container.streams.audio[0])] == ["por"] * 2
        read = [(c["start"] * c["time_base"], c["metadata"]["title"]) for c in container.chapters()]
    assert read == [(0, "A; b = #c\\d"), (Fraction(13, 25), "مرحبا")]


def test_the_index_of_the_file_stands_first(files):
    """A player can start before it has the whole file (faststart)."""
    plan, clips = programme(files, [5])

    content = video(files, made(files, plan, clips)).read_bytes()

    assert content.index(b"moov") < content.index(b"mdat")


def test_colours_are_those_of_the_clips(files):
    """What a clip holds arrives unconverted, and the file says what it is: BT.709, limited range."""
    plan, clips = programme(files, [5])

    with av.open(str(video(files, made(files, plan, clips)))) as container:
        frame = next(container.decode(video=0))
    assert (int(frame.color_range), int(frame.colorspace)) == (1, 1)


def test_captions_are_burned_from_their_first_to_their_last_frame(files):
    """A cue is seen in every frame of its span and in no other."""
    cues = (Cue(start_frame=29, end_frame=41, lines=("Hello there",), speaker="A"),)
    outputs = (OutputOptions(aspect="16:9", height=144, captions=("burned",)),)
    plan, clips = programme(files, [60])
    without = video(files, made(files, plan, clips, outputs))
    with_cue = video(files, made(files, replace(plan, cues=cues), clips, outputs))

    assert changed_frames(without, with_cue) == list(range(29, 41))


def test_the_label_is_in_every_frame_and_in_the_poster(files):
    """A generated likeness is marked for as long as it is seen."""
    plan, clips = programme(files, [20, 15])
    outputs = (OutputOptions(aspect="16:9", height=360, captions=()),)
    bare, labelled = made(files, plan, clips, outputs), made(files, plan, clips, outputs, MarkingOptions())

    assert changed_frames(video(files, bare), video(files, labelled)) == list(range(35))
    assert bare.outputs[-1].name == labelled.outputs[-1].name == "poster.jpg"
    assert bare.outputs[-1].asset != labelled.outputs[-1].asset


def test_a_name_is_seen_while_its_tag_lasts(files):
    """A lower third comes and goes with its span; its fades of a quarter second are fainter than the threshold."""
    plan, clips = programme(files, [60])
    outputs = (OutputOptions(aspect="16:9", height=360, captions=()),)
    named = replace(plan, names=(NameTag(start_frame=10, end_frame=40, name="Anna Ruiz"),))

    without, with_name = (video(files, made(files, each, clips, outputs)) for each in (plan, named))

    changed = set(changed_frames(without, with_name))
    assert set(range(17, 33)) <= changed <= set(range(10, 40))


def test_a_card_is_silent_ground_with_words(files):
    """A cut without shots needs no clip: it is a plain ground on which its words stand."""
    plan, clips = programme(files, [20, 10])
    card = Cut(start_frame=0, end_frame=20, layout="card", shots=(), text="A quiet harbour")
    plan = replace(plan, cuts=(card, plan.cuts[1]))
    wordless = replace(plan, cuts=(replace(card, text=""), plan.cuts[1]))

    with_words, without = made(files, plan, clips[1:]), made(files, wordless, clips[1:])

    changed = changed_frames(video(files, without), video(files, with_words))
    assert set(range(8, 13)) <= set(changed) <= set(range(20))
    assert list(marks_of(video(files, with_words)))[20:] == list(range(20, 30))


def test_sidecars_are_those_that_an_output_asks_for(files):
    """Captions come as asked for; transcript and poster come always."""
    cues = (Cue(start_frame=0, end_frame=20, lines=("Hi <all>", "there"), speaker="A & B"),)
    plan, clips = programme(files, [25], cues=cues)
    outputs = (replace(SMALL[0], captions=("srt",)), OutputOptions(aspect="1:1", height=144, captions=("vtt",)))

    composition = made(files, plan, clips, outputs)

    assert [item.name for item in composition.outputs] == [
        "16x9.en.mp4", "1x1.en.mp4", "captions.en.vtt", "captions.en.srt", "transcript.en.json", "poster.jpg",
    ]  # fmt: skip
    transcript = json.loads(video(files, composition, 4).read_text())
    assert transcript["segments"] == [{"speaker": "A & B", "startTime": 0.0, "endTime": 0.8, "body": "Hi <all> there"}]


def test_two_heights_of_one_aspect_have_two_names(files):
    """No output overwrites another."""
    plan, clips = programme(files, [5])
    outputs = (*SMALL, replace(SMALL[0], height=180))

    names = [item.name for item in made(files, plan, clips, outputs).outputs[:2]]

    assert names == ["16x9-144.en.mp4", "16x9-180.en.mp4"]


@pytest.mark.parametrize(("together", "aspect"), [(2, "16:9"), (3, "9:16"), (5, "16:9")])
def test_shared_pictures_last_as_long_as_their_cuts(files, together, aspect):
    """A split or a grid has the frames of its plan in every aspect."""
    plan, clips = programme(files, [12, 3], together=together)

    composition = made(files, plan, clips, (OutputOptions(aspect=aspect, height=288, captions=()),))

    assert len(list(marks_of(video(files, composition)))) == 15


def test_the_key_knows_everything_that_alters_a_file_and_nothing_else(files):
    """Notes and expected costs are no reason to compose again; words, clips and options are."""
    plan, clips = programme(files, [5])
    first = key(plan, clips, SMALL, SoundOptions(), NO_LABEL)
    shot = replace(plan.shots[0], cost_seconds=9.0)

    assert key(replace(plan, notes=("n",), shots=(shot,)), clips, SMALL, SoundOptions(), NO_LABEL) == first
    assert key(replace(plan, title="Other"), clips, SMALL, SoundOptions(), NO_LABEL) != first
    assert key(plan, (), SMALL, SoundOptions(), NO_LABEL) != first
    assert key(plan, clips, SMALL, SoundOptions(), MarkingOptions()) != first


def test_progress_is_reported_to_its_end(files):
    """Progress never runs backwards and comes to its total."""
    plan, clips = programme(files, [30])
    seen = []

    made(files, plan, clips, watch=lambda done, total: seen.append(done / total))

    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)


def test_a_store_may_lie_anywhere(tmp_path):
    """Blanks, quotes, colons, commas and brackets in a path reach FFmpeg and its filters as they are."""
    files = Files(tmp_path / "it's a; [store], 100%: \\n = {x}")
    plan, clips = programme(files, [6], cues=(Cue(start_frame=0, end_frame=6, lines=("Hi",), speaker="A"),))
    outputs = (OutputOptions(aspect="16:9", height=144, captions=("burned",)),)

    composition = made(files, plan, clips, outputs, MarkingOptions())

    assert composition.outputs[0].duration_frames == 6
