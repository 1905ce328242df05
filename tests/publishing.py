"""Small plans, casts and compositions that can be published, without rendering anything."""

from fractions import Fraction
from pathlib import Path

from tasks.domain.assets import Asset
from tasks.domain.casting import Cast, Consent, Portrait, Speaker
from tasks.domain.delivery import PublishOptions
from tasks.domain.editing import Clip, Composition, Cue, Cut, Delivered, Framing, NameTag, Plan, Shot
from tasks.domain.options import EngineId, MarkingOptions, OutputOptions, SoundOptions
from tasks.engines.workspace import Workspace
from tasks.media.mux import stream_sha256
from tests.synthetic import write_movie

RENDERER = EngineId(role="renderer", name="puppet", version="4")
VOICE = EngineId(role="voice", name="espeak", version="1.52")
FRAMING = Framing(crop=(0, 0, 320, 180), width=320, height=180, face_box=(100, 40, 80, 80))


def asset_of(letter: str, extension: str = ".png") -> Asset:
    return Asset(sha256=letter * 64, size=1, extension=extension)


def a_shot(number: int, start: int, end: int, speaker: str = "anna") -> Shot:
    return Shot(
        id=f"s{number}",
        speaker=speaker,
        utterances=(f"u{number}",),
        start_frame=start,
        end_frame=end,
        framing=FRAMING,
        portrait=None,
        speech=None,
        speech_digest=str(number) * 64,
        phones=None,
        renderer="puppet",
        fingerprint=f"{number:064x}",
        num_frames=end - start,
    )


def a_plan(language: str = "en", title: str = "Welcome aboard") -> Plan:
    shots = (a_shot(1, 0, 20), a_shot(2, 20, 50, "ben"))
    return Plan(
        episode="onboarding-07",
        title=title,
        language=language,
        rate=Fraction(25),
        num_frames=50,
        master=asset_of("e", ".flac"),
        shots=shots,
        cuts=tuple(
            Cut(start_frame=shot.start_frame, end_frame=shot.end_frame, layout="active", shots=(shot.id,))
            for shot in shots
        ),
        cues=(Cue(start_frame=0, end_frame=20, lines=("Hello.",), speaker="Anna Ruiz"),),
        names=(NameTag(start_frame=0, end_frame=20, name="Anna Ruiz"),),
        chapters=(),
        renderer=RENDERER,
    )


def a_cast() -> Cast:
    portrait = Portrait(
        picture=asset_of("a"), width=512, height=512, face_box=(100, 100, 300, 300), brow_to_chin_px=200.0
    )
    anna = Speaker(key="anna", name="Anna Ruiz", portrait=portrait, voice="espeak:en-us/f2")
    ben = Speaker(
        key="ben", name="Ben", portrait=portrait, consent=Consent(state="recorded", who="Ben Lee", scope="courses")
    )
    return Cast(speakers=(anna, ben), labels=(("ANNA", ("anna",)), ("BEN", ("ben",))))


def some_clips(plan: Plan) -> tuple[Clip, ...]:
    return tuple(
        Clip(
            fingerprint=shot.fingerprint,
            video=asset_of("c", ".mp4"),
            num_frames=shot.num_frames,
            rate=Fraction(25),
            width=320,
            height=180,
            checks=(("mouth", "0.91"),),
        )
        for shot in plan.shots
    )


def some_options(**others: object) -> PublishOptions:
    fields: dict[str, object] = {
        "outputs": (OutputOptions(),),
        "sound": SoundOptions(),
        "marking": MarkingOptions(),
        "engines": (RENDERER, VOICE),
        "own_language": "en",
        "composite_revision": 1,
        **others,
    }
    return PublishOptions(**fields)  # type: ignore[arg-type]


def a_composition(workspace: Workspace, words: str = "WEBVTT\n", film: Path | None = None) -> Composition:
    """film: a real MP4, kept as it is; without one the film is a few bytes that claim no streams."""
    made = workspace.new(".mp4")
    made.write_bytes(film.read_bytes() if film else b"a film")
    streams = stream_sha256(made) if film else ""
    vtt = workspace.new(".vtt")
    vtt.write_text(words)
    outputs = (
        Delivered(
            name="16x9.en.mp4",
            asset=workspace.keep(made),
            stream_sha256=streams,
            media_type="video/mp4",
            duration_frames=50,
            width=1280,
            height=720,
        ),
        Delivered(name="captions.en.vtt", asset=workspace.keep(vtt), stream_sha256="", media_type="text/vtt"),
    )
    return Composition(outputs=outputs, loudness_lufs=-16.0, true_peak_dbtp=-1.2)


def a_film(path: Path, num_frames: int = 10) -> Path:
    return write_movie(path, num_frames=num_frames, width=64, height=48)
