"""The puppet's speed, and whether its lips are in time, its head steady and its eyes alive, in the encoded video.

    python tests/bench/bench_puppet.py PORTRAITS MODELS [--seconds 12] [--only NAME ...] [--sizes 1280x720 ...]
        [--set-up]

PORTRAITS: a folder of pictures. MODELS: the folder of .tflite files. Speech is synthetic, its phone times exact; the
clip is encoded (x264 veryfast), decoded again, and the mesh finds the lips in it. A row a portrait:
r and lag of the lips' opening against the jaw and closures that were meant; share of p b m with the lips within 0.03
eye distances, as drawn and as the mesh reads them (it reads 0.02 to 0.07 into the shut mouth of a broad smile); what
is seen of teeth between the lips, in thousandths of the squared eye distance: median of the p b m, and of open mouths;
pixels of the background that changed; largest mean change of the face between two frames, in levels of 255 and in
shares of its contrast (their standard deviation); likeness of the upper face to the portrait (correlation, 5 % worst
frame); blinks a minute.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
from train_sounds import Spoken, speak

from s2v_model.contract import SPEECH_RATE_HZ, Phone, Take
from s2v_model.puppet import topology as mesh
from s2v_model.puppet.keep import pack, unpack
from s2v_model.puppet.landmarks import Face, FaceFinder
from s2v_model.puppet.motion import Speaking, animate
from s2v_model.puppet.painter import Painter
from s2v_model.puppet.pose import CHANNEL, JAW_OPENING
from s2v_model.puppet.renderer import Puppet, load, pose_track
from s2v_model.puppet.visemes import shapes_of
from tasks.domain.framing import frame_portrait
from tasks.media.pictures import cropped

RATE = Fraction(25)
SIZES = ("1280x720", "720x1280", "512x512", "640x360", "1920x1080")
TEXT = (
    "My mother bought blue bread and five brown fish for the whole family. Please move the piano up the path before "
    "Papa comes home. We will view the wonderful valley while you wash the white wool. Bob may build a big boat."
)

TEXT_SECONDS = 12
"""It lasts longer than that; longer clips say it again."""


class NoChunks:
    """Keeps nothing."""

    def load(self) -> list[dict[str, np.ndarray]]:
        """Nothing."""
        return []

    def save(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Forget it."""


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--only", nargs="*", default=[], help="parts of file names")
    parser.add_argument("--sizes", nargs="*", default=SIZES, help="frames to time")
    parser.add_argument(
        "--set-up", action="store_true", help="only time how every portrait is set up, framed as clips are"
    )
    arguments = parser.parse_args()
    models = {path.name: str(path) for path in arguments.models.glob("*.tflite")}
    puppet, finder = load({"models": models}), FaceFinder({name: Path(path) for name, path in models.items()})
    text = " ".join([TEXT] * (1 + int(arguments.seconds // TEXT_SECONDS)))
    voice = {"text": text, "voice": "en-us+f2", "words_a_minute": 165, "pitch": 50}
    spoken = cut(speak([voice])[0], arguments.seconds)
    pictures = [
        path
        for path in sorted(arguments.portraits.iterdir())
        if path.suffix != ".json" and (not arguments.only or any(part in path.name for part in arguments.only))
    ]
    print("| frames | set-up s | kept s | frames a second | s / (frame * megapixel) |\n|---|---|---|---|---|")
    for size in arguments.sizes:
        width, height = map(int, size.split("x"))
        if arguments.set_up:
            set_ups(puppet, finder, pictures, width, height)
            continue
        speed(puppet, finder, pictures[0], spoken, width, height)
    if arguments.set_up:
        return
    print(
        "\n| portrait | gap | r | lag | p b m drawn shut | read shut | teeth | background | jump | of contrast "
        "| likeness | blinks |\n" + "|---" * 12 + "|"
    )
    for path in pictures:
        quality(puppet, finder, path, spoken)


def cut(spoken: Spoken, seconds: float) -> Spoken:
    """The first seconds of a sentence."""
    return Spoken(spoken.speech[: int(seconds * 16000)], tuple(p for p in spoken.phones if p.end_seconds <= seconds))


def take_of(path: Path, finder: FaceFinder, spoken: Spoken, width: int, height: int) -> Take:
    """`path` framed about its face, saying `spoken`."""
    picture = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
    face = finder.find(picture)[0]
    x, y, wide, tall = face.box
    high = min(2.1 * tall, picture.shape[0], picture.shape[1] * height / width)
    part_width, part_height = int(high * width / height), int(high)
    left = int(np.clip(x + wide / 2 - part_width / 2, 0, picture.shape[1] - part_width))
    top = int(np.clip(y + 0.5 * tall - part_height / 2, 0, picture.shape[0] - part_height))
    return Take(
        portrait=np.ascontiguousarray(picture[top : top + part_height, left : left + part_width]),
        face_box=(x - left, y - top, wide, tall),
        speech=spoken.speech,
        rate=RATE,
        num_frames=int(spoken.seconds * RATE),
        width=width,
        height=height,
        seed=7,
        phones=spoken.phones,
    )


def rendered(puppet: Puppet, take: Take) -> list[np.ndarray]:
    """Copies of all frames."""
    return [frame.copy() for frame in puppet.frames(take, watch=lambda done, total: None, chunks=NoChunks())]


def speed(puppet: Puppet, finder: FaceFinder, path: Path, spoken: Spoken, width: int, height: int) -> None:
    """One row: CPU time of one core."""
    take = take_of(path, finder, spoken, width, height)
    began = time.process_time()
    rig = puppet.rig(take)
    set_up = time.process_time() - began
    kept = pack(rig)
    began = time.process_time()
    unpack(kept)
    again = time.process_time() - began
    costs = []
    for _ in range(3):
        began = time.process_time()
        for _frame in puppet.frames(take, watch=lambda done, total: None, chunks=NoChunks()):
            pass
        costs.append((time.process_time() - began) / take.num_frames)
    cost = statistics.median(costs)
    print(
        f"| {width}x{height} | {set_up:.2f} | {again:.2f} | {1 / cost:.0f} | {cost / (width * height / 1e6):.4f} |",
        flush=True,
    )


def set_ups(puppet: Puppet, finder: FaceFinder, pictures: list[Path], width: int, height: int) -> None:
    """One row: CPU seconds, all threads, of the quickest, the median and the dearest portrait."""
    costs = []
    for path in pictures:
        picture = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        size, face = picture.shape[1::-1], finder.find(picture)[0]
        portrait = SimpleNamespace(width=size[0], height=size[1], face_box=face.box)
        framing = frame_portrait(portrait, [(width, height)], multiple_px=2, max_pixels=1920 * 1080)
        take = Take(
            portrait=cropped(picture, framing.crop, framing.width, framing.height),
            face_box=framing.face_box,
            speech=np.zeros(SPEECH_RATE_HZ, np.float32),
            rate=RATE,
            num_frames=25,
            width=framing.width,
            height=framing.height,
            seed=7,
        )
        began = time.process_time()
        puppet.rig(take)
        costs.append(time.process_time() - began)
    low, middle, high = min(costs), statistics.median(costs), max(costs)
    print(f"| {width}x{height}, {len(costs)} portraits | {low:.2f} .. {middle:.2f} .. {high:.2f} | | | |", flush=True)


def quality(puppet: Puppet, finder: FaceFinder, path: Path, spoken: Spoken) -> None:
    """One row."""
    take = take_of(path, finder, spoken, 640, 640)
    frames = rendered(puppet, take)
    rig, track = puppet.rig(take), pose_track(take)
    still = np.ones((take.height, take.width), bool)
    for run in rig.backdrop.runs:
        still[run.top : run.bottom, run.left : run.right] = False
    changed = sum(int((frame[still] != frames[0][still]).any()) for frame in frames)
    background = f"{changed} frames of {100 * still.mean():.0f} %" if still.any() else "no matte"
    shown = decoded(encoded(frames))
    faces = [finder.find_in(frame, rig_box(rig)) for frame in shown]
    opening = np.array([lip_gap(face) if face else np.nan for face in faces])
    shutting = (1 - 0.97 * track[:, CHANNEL["press"]]) * (1 - 0.80 * track[:, CHANNEL["fv"]])
    meant = track[:, CHANNEL["jaw"]] * JAW_OPENING * shutting
    r, lag = best_lag(opening, meant)
    painter = Painter(rig)
    drawn, tries = closures(np.array([painter.opening(pose) for pose in track]), spoken.phones)
    shut, _ = closures(opening, spoken.phones)
    jumps = [jump(a, b) for a, b in pairwise(crops(frames, rig))]
    likeness = np.percentile(
        [alike(frames[0], frame, faces[0], face) for frame, face in zip(frames, faces, strict=True) if face], 5
    )
    teeth = np.array([teeth_seen(f, face) if face else np.nan for f, face in zip(shown, faces, strict=True)])
    at_rest, wide = np.nanmedian(teeth[track[:, CHANNEL["press"]] > 0.9]), np.nanmedian(teeth[meant > 0.04])
    lips = f"{r:.2f} | {lag:+d} | {drawn} of {tries} | {shut} of {tries} | {at_rest:.1f}, {wide:.1f}"
    levels, share = np.max(jumps, axis=0)
    steady = f"{background} | {levels:.1f} | {share:.2f} | {likeness:.2f}"
    print(f"| {path.stem} | {rig.shape.gap:.2f} | {lips} | {steady} | {blinks(take.seed):.0f} |", flush=True)


def rig_box(rig: object) -> tuple[float, float, float, float]:
    """Around the mesh of a rig."""
    low, high = rig.shape.points[:, :2].min(0), rig.shape.points[:, :2].max(0)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])


def encoded(frames: list[np.ndarray]) -> bytes:
    """An MP4 as the pipeline writes clips."""
    import io

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return out.getvalue()


def decoded(video: bytes) -> list[np.ndarray]:
    """Its frames."""
    import io

    with av.open(io.BytesIO(video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def lip_gap(face: Face) -> float:
    """Between the inner lips, in eye distances."""
    return float(np.linalg.norm(face.points[13, :2] - face.points[14, :2])) / face.eye_distance_px


def teeth_seen(frame: np.ndarray, face: Face) -> float:
    """What is bright and hardly coloured between the lips that the mesh finds; 1/1000 of the squared eye distance."""
    outline = np.concatenate([face.points[list(mesh.UPPER_INNER), :2], face.points[list(mesh.LOWER_INNER[::-1]), :2]])
    mask = np.zeros(frame.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    around = cv2.dilate(mask, np.ones((2 * int(0.02 * face.eye_distance_px) + 1,) * 2, np.uint8)) > 0
    at = np.round(face.points[list(mesh.CHEEKS), :2]).astype(int)
    skin = float(np.median(frame[at[:, 1], at[:, 0]].mean(1)))
    colours = frame[around].astype(float)
    pale = (colours.mean(1) > 0.7 * skin) & (np.ptp(colours, axis=1) < 0.22 * colours.max(1))
    return 1000 * float(pale.sum()) / face.eye_distance_px**2


def best_lag(opening: np.ndarray, meant: np.ndarray) -> tuple[float, int]:
    """Correlation at the best shift within five frames, and that shift (positive: the lips are late)."""
    found = []
    for lag in range(-5, 6):
        a, b = opening[5 + lag : len(opening) - 5 + lag], meant[5:-5]
        good = np.isfinite(a)
        found.append((float(np.corrcoef(a[good], b[good])[0, 1]), lag))
    return max(found)


def closures(opening: np.ndarray, phones: tuple[Phone, ...]) -> tuple[int, int]:
    """How many p b m have a frame with the lips within 0.03 eye distances, and how many there are."""
    shut = tries = 0
    for phone in phones:
        if shapes_of(phone.symbol)[:1] == ("p",):
            first, last = int(phone.start_seconds * RATE) - 2, int(phone.end_seconds * RATE) + 1
            near = opening[max(0, first) : last + 1]
            if len(near):
                tries += 1
                shut += bool(np.nanmin(near) <= 0.03)
    return shut, tries


def crops(frames: list[np.ndarray], rig: object) -> list[np.ndarray]:
    """The face's part of every frame."""
    x, y, width, height = (int(value) for value in rig_box(rig))
    return [frame[max(0, y) : y + height, max(0, x) : x + width] for frame in frames]


def jump(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Mean change in levels of 255, and in shares of the face's contrast: hard detail changes more."""
    changed = float(np.abs(after.astype(int) - before).mean())
    return changed, changed / float(before.mean(2).std())


def alike(first: np.ndarray, frame: np.ndarray, where: Face, face: Face) -> float:
    """Correlation of nose, cheeks and forehead, each brought to the same place."""

    def upright(picture: np.ndarray, found: Face) -> np.ndarray:
        source = found.points[[33, 263, 4], :2].astype(np.float32)
        matrix = cv2.getAffineTransform(source, np.array([[20, 30], [76, 30], [48, 60]], np.float32))
        return cv2.cvtColor(cv2.warpAffine(picture, matrix, (96, 72)), cv2.COLOR_RGB2GRAY).astype(float).ravel()

    return float(np.corrcoef(upright(first, where), upright(frame, face))[0, 1])


def blinks(seed: int) -> float:
    """Blinks a minute over two minutes of talk."""
    time_line = np.arange(12000) / 100
    talk = Speaking(loudness=0.8 * (time_line % 2.5 < 2.0), stresses=(), listening=False, gaze=0.0)
    shut = animate(None, talk, 3000, RATE, seed)[:, CHANNEL["blink"]] > 0.5
    return float((shut[1:] & ~shut[:-1]).sum()) / 2


if __name__ == "__main__":
    main()
