"""Clips and the master audio become the files of a programme. One pass over the picture for each output.

In: a plan, its clips, what was chosen. Out: a `Composition` whose files are kept in the workspace. The sound is brought
to its target once, encoded once and copied into every output; cuts are frame numbers on one grid, so nothing drifts.
Does not know where a store is, nor what becomes of the files.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from s2v_model.contract import Watch
from tasks.domain.editing import Clip, Composition, Cut, Delivered, Plan, Shot
from tasks.domain.errors import MediaError
from tasks.domain.options import MarkingOptions, OutputOptions, SoundOptions
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest
from tasks.formats.overlay import Card, Stage, caption_top, label_text, overlay_text
from tasks.formats.sidecars import srt_text, transcript_text, vtt_text
from tasks.media import encoder, mux
from tasks.media.fonts import fontconfig_text, text_width
from tasks.media.loudness import Loudness
from tasks.media.screen import frames, placements
from tasks.media.sound import RATE_HZ, write_sound
from tasks.media.storage import disk_errors

log = logging.getLogger(__name__)

REVISION = 3
"""Bumped when an equal plan would give other files: encoder settings, layouts, texts, loudness."""
POSTER_AFTER_FRAMES = 25
"""The poster is taken so far into the first cut that shows somebody, or in its middle if it is shorter."""
_SOUND_SHARE = 0.1
"""How much of the work the sound is, for progress: about so much of one output."""


def key(
    plan: Plan,
    clips: tuple[Clip, ...],
    outputs: tuple[OutputOptions, ...],
    sound: SoundOptions,
    marking: MarkingOptions,
) -> str:
    """Digest of everything that the composition depends on."""
    # What a clip is expected to cost, and notes for people, change no file.
    read = replace(plan, notes=(), shots=tuple(replace(shot, cost_seconds=0.0) for shot in plan.shots))
    return digest((REVISION, read, clips, outputs, sound, marking))


def composite(
    plan: Plan,
    clips: tuple[Clip, ...],
    outputs: tuple[OutputOptions, ...],
    sound: SoundOptions,
    marking: MarkingOptions,
    *,
    workspace: Workspace,
    watch: Watch,
) -> Composition:
    """Make every file of the programme: one video for each output, captions, a poster.

    Raises MediaError for a clip or master that is missing, damaged or too short and where FFmpeg fails, StoreError for
    a full disk, EngineMissing without fonts. Nothing is kept unless everything was made.
    """
    progress = _Progress(watch, plan.num_frames, len(outputs))
    with _bench(workspace) as bench:
        sources = _sources(plan, clips, workspace, progress.tick)
        work = _Work(plan=plan, sources=sources, marking=marking, bench=bench, progress=progress)
        audio, loudness = _sound(work, workspace.path(plan.master), sound)
        made = [
            _video(work, output, name, audio, (_SOUND_SHARE + index) * plan.num_frames)
            for index, (output, name) in enumerate(zip(outputs, _names(outputs), strict=True))
        ]
        made += [*_sidecars(work, outputs), _poster(work, outputs[0])]
        delivered = tuple(item.kept(workspace, plan) for item in made)
    return Composition(
        outputs=delivered,
        loudness_lufs=round(loudness.integrated_lufs, 2),
        true_peak_dbtp=round(loudness.true_peak_dbtp, 2),
        checks=_checks(loudness, sound),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A finished file that is not kept yet."""

    path: Path
    name: str
    media_type: str
    stream_sha256: str = ""
    duration_frames: int = 0
    width: int = 0
    height: int = 0

    def kept(self, workspace: Workspace, plan: Plan) -> Delivered:
        # A path of the workspace's own is moved, any other copied.
        own = workspace.new(self.path.suffix)
        with disk_errors(own):
            os.replace(self.path, own)
        return Delivered(
            name=self.name,
            asset=workspace.keep(own),
            stream_sha256=self.stream_sha256,
            media_type=self.media_type,
            duration_frames=self.duration_frames,
            rate=plan.rate,
            width=self.width,
            height=self.height,
        )


class _Progress:
    """Frames painted so far, over sound and all outputs."""

    def __init__(self, watch: Watch, num_frames: int, num_outputs: int) -> None:
        self._watch, self._done = watch, 0.0
        self._total = num_frames * (num_outputs + _SOUND_SHARE)

    def tick(self) -> None:
        """Say that we are alive."""
        self._watch(min(self._done, self._total), self._total)

    def reach(self, num_frames: float) -> None:
        """`num_frames` frames of the whole are done."""
        self._done = num_frames
        self.tick()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What every step below needs."""

    plan: Plan
    sources: Mapping[str, Path]
    marking: MarkingOptions
    bench: Path
    """A folder for files that are being made; it goes away with everything that was not kept."""
    progress: _Progress

    @property
    def env(self) -> dict[str, str]:
        """For FFmpeg: our fonts and no others."""
        return {"FONTCONFIG_FILE": str(self.bench / "fonts.conf")}

    def write(self, name: str, text: str) -> Path:
        path = self.bench / name
        with disk_errors(path):
            path.write_text(text, encoding="utf-8")
        return path


@contextmanager
def _bench(workspace: Workspace) -> Iterator[Path]:
    """A folder beside the workspace's files, so that keeping is a rename; removed whatever happens."""
    beside = workspace.new(".tmp").parent
    with disk_errors(beside):
        folder = TemporaryDirectory(prefix="composite-", dir=beside, ignore_cleanup_errors=True)
    with folder as name:
        path = Path(name)
        with disk_errors(path):
            (path / "fonts.conf").write_text(fontconfig_text(path / "fonts"), encoding="utf-8")
        yield path


def _sources(plan: Plan, clips: Sequence[Clip], workspace: Workspace, tick: Callable[[], None]) -> dict[str, Path]:
    """Where the clip of each shown shot lies. Raises MediaError for one that is missing or too short."""
    by_fingerprint = {clip.fingerprint: clip for clip in clips}
    shown = {shot_id for cut in plan.cuts for shot_id in cut.shots}
    sources: dict[str, Path] = {}
    for shot in plan.shots:
        if shot.id not in shown:
            continue
        clip = by_fingerprint.get(shot.fingerprint)
        if clip is None:
            raise MediaError(f"shot {shot.id} has no clip ({shot.fingerprint[:12]}): render it first.")
        if clip.num_frames < shot.num_frames:
            raise MediaError(
                f"the clip of shot {shot.id} has {clip.num_frames} frames, its plan {shot.num_frames}: "
                "remove it from the store, and it is made again."
            )
        tick()
        sources[shot.id] = workspace.path(clip.video)
    return sources


def _names(outputs: Sequence[OutputOptions]) -> list[str]:
    """Of each output, without language and extension: its aspect, with its height where that is not enough."""
    plain = [output.name for output in outputs]
    return [
        name if plain.count(name) == 1 else f"{name}-{output.height}"
        for name, output in zip(plain, outputs, strict=True)
    ]


def _sound(work: _Work, master: Path, options: SoundOptions) -> tuple[Path, Loudness]:
    num_samples = ceil(work.plan.num_frames / work.plan.rate * RATE_HZ)
    tries = iter(range(1, 100))
    path, loudness = write_sound(
        master, num_samples, options, lambda: work.bench / f"sound{next(tries)}.m4a", work.progress.tick
    )
    work.progress.reach(_SOUND_SHARE * work.plan.num_frames)
    return path, loudness


def _video(work: _Work, output: OutputOptions, name: str, audio: Path, before: float) -> _Made:
    """One delivered video. before: frames of the whole that are done already."""
    plan, size = work.plan, output.size
    target = work.bench / f"{name}.mp4"
    is_captioned = "burned" in output.captions
    texts = caption_top(plan, size, text_width) if is_captioned else None
    text = overlay_text(
        plan,
        size,
        is_captioned=is_captioned,
        label=work.marking.label,
        cards=_cards(plan),
        stages=_stages(plan, size, texts),
        measure=text_width,
    )
    command = mux.video_command(
        target=target,
        size=size,
        rate=plan.rate,
        subtitles=work.write(f"{name}.ass", text) if text else None,
        sound=audio,
        metadata=work.write(f"{name}.txt", mux.metadata_text(plan.title, _chapters(plan), plan.rate)),
        language=plan.language,
    )
    with encoder.Encoder(command, target, env=work.env, watch=work.progress.tick) as process:
        for frame, canvas in enumerate(frames(plan, work.sources, size, texts=texts), start=1):
            process.write(canvas.data)
            work.progress.reach(before + frame)
        process.finish()
    return _Made(
        path=target,
        name=f"{name}.{plan.language}.mp4",
        media_type="video/mp4",
        stream_sha256=mux.stream_sha256(target, work.progress.tick),
        duration_frames=plan.num_frames,
        width=size[0],
        height=size[1],
    )


def _cards(plan: Plan) -> list[Card]:
    return [
        Card(start_frame=cut.start_frame, end_frame=cut.end_frame, text=cut.text)
        for cut in plan.cuts
        if not cut.shots and cut.text
    ]


def _stages(plan: Plan, size: tuple[int, int], texts: int | None) -> list[Stage]:
    """For each cut, what its picture leaves to texts."""
    shots = {shot.id: shot for shot in plan.shots}
    return [_stage(cut, shots, size, texts) for cut in plan.cuts]


def _stage(cut: Cut, shots: Mapping[str, Shot], size: tuple[int, int], texts: int | None) -> Stage:
    places = placements(cut, shots, size, texts)
    tops = sorted({place.panel.y for place in places})
    clear = None
    if len(places) == 1:
        clear = places[0].to_output_x(shots[cut.shots[0]].framing.face_box[0])
    return Stage(
        start_frame=cut.start_frame,
        floor=max((place.target.bottom for place in places), default=size[1]),
        seam=tops[-1] if len(tops) > 1 else None,
        clear=clear,
        panels=tuple((each.panel.x, each.panel.y, each.panel.right, each.panel.bottom) for each in places),
    )


def _chapters(plan: Plan) -> list[tuple[int, int, str]]:
    """(start, end, title): each ends where the next starts."""
    starts = [chapter.start_frame for chapter in plan.chapters]
    ends = [*starts[1:], plan.num_frames]
    return [
        (start, end, chapter.title)
        for start, end, chapter in zip(starts, ends, plan.chapters, strict=False)
        if start < end
    ]


def _sidecars(work: _Work, outputs: Sequence[OutputOptions]) -> list[_Made]:
    """Caption files that any output asks for, and the transcript."""
    plan, asked = work.plan, {name for output in outputs for name in output.captions}
    files: list[tuple[str, str, Callable[[], str]]] = []
    if "vtt" in asked:
        files.append(("captions.{}.vtt", "text/vtt", lambda: vtt_text(plan.cues, plan.rate, plan.language)))
    if "srt" in asked:
        files.append(("captions.{}.srt", "application/x-subrip", lambda: srt_text(plan.cues, plan.rate)))
    files.append(("transcript.{}.json", "application/json", lambda: transcript_text(plan.cues, plan.rate)))
    return [
        _Made(path=work.write(name.format(plan.language), text()), name=name.format(plan.language), media_type=kind)
        for name, kind, text in files
    ]


def _poster(work: _Work, output: OutputOptions) -> _Made:
    """A still of the first cut that shows somebody, labelled as the programme is, without other texts."""
    plan, size = work.plan, output.size
    cut = next((cut for cut in plan.cuts if cut.shots), plan.cuts[0])
    frame = cut.start_frame + min(POSTER_AFTER_FRAMES, (cut.end_frame - cut.start_frame) // 2)
    text = label_text(plan, size, work.marking.label, text_width)
    target = work.bench / "poster.jpg"
    command = mux.still_command(target=target, size=size, subtitles=work.write("poster.ass", text) if text else None)
    for canvas in frames(plan, work.sources, size, range(frame, frame + 1)):
        encoder.run(command, target, canvas.data, env=work.env)
    return _Made(path=target, name="poster.jpg", media_type="image/jpeg", width=size[0], height=size[1])


def _checks(loudness: Loudness, sound: SoundOptions) -> tuple[tuple[str, str], ...]:
    """What was measured on the delivered sound, beside what was asked for."""
    return (
        ("loudness", f"{loudness.integrated_lufs:.2f} LUFS (target {sound.loudness_lufs:g})"),
        ("true peak", f"{loudness.true_peak_dbtp:.2f} dBTP (at most {sound.true_peak_dbtp:g})"),
    )
