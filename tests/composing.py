"""Small programmes for the tests of composite: clips whose frames say which they are, a workspace of plain files."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tasks.domain.assets import Asset
from tasks.domain.editing import Clip, Cue, Cut, FrameChapter, Framing, NameTag, Plan, Shot
from tasks.domain.options import EngineId

CLIP_SIZE = (64, 36)
LEVELS = 8
"""Luma levels that a cell of a marked frame can have: far enough apart to survive two encodings."""
CELLS = 8


class Files:
    """A workspace in one folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.count = root, 0
        (root / "tmp").mkdir(parents=True)
        (root / "kept").mkdir()

    def new(self, extension: str) -> Path:
        """A path for a file that is being made."""
        self.count += 1
        return self.root / "tmp" / f"{self.count}{extension}"

    def keep(self, path: Path) -> Asset:
        """Move a file to the kept ones."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        asset = Asset(sha256=sha256, size=path.stat().st_size, extension=path.suffix)
        os.replace(path, self.path(asset))
        return asset

    def path(self, asset: Asset) -> Path:
        """Where a kept file lies."""
        return self.root / "kept" / (asset.sha256 + asset.extension)


def marked(index: int, size: tuple[int, int] = CLIP_SIZE) -> np.ndarray:
    """I420 frame whose columns of cells spell `index` in base LEVELS."""
    width, height = size
    luma = np.empty((height, width), np.uint8)
    for cell in range(CELLS):
        digit = index // LEVELS**cell % LEVELS
        luma[:, cell * width // CELLS : (cell + 1) * width // CELLS] = 32 + digit * 24
    return np.concatenate([luma.reshape(-1), np.full(width * height // 2, 128, np.uint8)]).reshape(-1, width)


def read_mark(luma: np.ndarray) -> int:
    """The index that `marked` spelt, from a picture of any size."""
    width, rows = luma.shape[1], slice(luma.shape[0] * 3 // 8, luma.shape[0] * 5 // 8)
    index = 0
    for cell in range(CELLS):
        middle = (2 * cell + 1) * width // (2 * CELLS)
        value = float(np.median(luma[rows, middle - width // 64 - 1 : middle + width // 64 + 1]))
        index += round((value - 32) / 24) * LEVELS**cell
    return index


def write_clip(path: Path, marks: Iterable[int], size: tuple[int, int] = CLIP_SIZE, rate: int = 25) -> None:
    """H.264 of marked frames."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.thread_count = 1
        for mark in marks:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(marked(mark, size), format="yuv420p")))
        container.mux(stream.encode(None))


def write_master(path: Path, blocks: Iterable[np.ndarray], layout: str = "mono") -> None:
    """FLAC at 48 kHz of float blocks (channels, n)."""
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=48_000, layout=layout)
        done = 0
        for block in blocks:
            packed = np.ascontiguousarray((np.clip(block, -1, 1) * 32767).astype("<i2").T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
            frame.sample_rate, frame.pts = 48_000, done
            done += block.shape[1]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def syllables(num_samples: int, seed: int = 0, level: float = 0.08) -> Iterator[np.ndarray]:
    """Noise that comes and goes as speech does, in blocks of a second."""
    rng, done = np.random.default_rng(seed), 0
    while done < num_samples:
        count = min(48_000, num_samples - done)
        beat = 0.15 + 0.85 * (np.sin((np.arange(count) + done) / 48_000 * 2 * np.pi * 3.1) > -0.2)
        yield (rng.standard_normal(count) * level * beat).astype(np.float32)[None]
        done += count


def shot_of(
    number: int, start: int, end: int, *, rate: Fraction = Fraction(25), size: tuple[int, int] = CLIP_SIZE
) -> Shot:
    """A shot of an invented speaker; its face is small and in the middle, so that every layout fills its panel."""
    width, height = size
    return Shot(
        id=f"shot{number}",
        speaker=f"speaker{number % 3}",
        utterances=(f"u{number}",),
        start_frame=start,
        end_frame=end,
        framing=Framing(
            crop=(0.0, 0.0, float(width), float(height)),
            width=width,
            height=height,
            face_box=(width * 0.45, height * 0.4, width * 0.1, height * 0.2),
        ),
        portrait=None,
        speech=None,
        speech_digest="",
        phones=None,
        rate=rate,
        num_frames=-(-(end - start) * rate.numerator // (25 * rate.denominator)),
        fingerprint=hashlib.sha256(f"{number} {start} {end} {rate}".encode()).hexdigest(),
    )


def programme(
    files: Files,
    lengths: Sequence[int],
    *,
    together: int = 1,
    rate: int = 25,
    size: tuple[int, int] = CLIP_SIZE,
    sound: Callable[[int], Iterable[np.ndarray]] = syllables,
    layout: str = "mono",
    cues: tuple[Cue, ...] = (),
    names: tuple[NameTag, ...] = (),
    chapters: tuple[FrameChapter, ...] = (),
    language: str = "en",
    title: str = "A programme",
) -> tuple[Plan, tuple[Clip, ...]]:
    """A programme of one cut for each of `lengths` (frames), `together` shots in each; marks count on through clips."""
    shots: list[Shot] = []
    clips: list[Clip] = []
    cuts: list[Cut] = []
    start = mark = 0
    for length in lengths:
        own = [shot_of(len(shots) + k, start, start + length, rate=Fraction(rate), size=size) for k in range(together)]
        for shot in own:
            path = files.new(".mp4")
            write_clip(path, range(mark, mark + shot.num_frames), size, rate)
            mark += shot.num_frames
            clips.append(clip_of(shot, files.keep(path)))
        kind = {1: "active", 2: "split"}.get(together, "grid")
        ids = tuple(shot.id for shot in own)
        cuts.append(Cut(start_frame=start, end_frame=start + length, layout=kind, shots=ids))
        shots += own
        start += length
    master = files.new(".flac")
    write_master(master, sound(start * 1920), layout)
    plan = Plan(
        episode="test",
        title=title,
        language=language,
        rate=Fraction(25),
        num_frames=start,
        master=files.keep(master),
        shots=tuple(shots),
        cuts=tuple(cuts),
        cues=cues,
        names=names,
        chapters=chapters,
        renderer=EngineId(role="renderer", name="fake", version="1"),
    )
    return plan, tuple(clips)


def clip_of(shot: Shot, video: Asset) -> Clip:
    """The clip that a shot asked for."""
    return Clip(
        fingerprint=shot.fingerprint,
        video=video,
        num_frames=shot.num_frames,
        rate=shot.rate,
        width=shot.framing.width,
        height=shot.framing.height,
    )


def marks_of(path: Path) -> Iterator[int]:
    """What each frame of a video spells, in order."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            yield read_mark(np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width])


def num_samples_of(path: Path) -> int:
    """Decoded samples of a file's sound, edit list applied."""
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0))
