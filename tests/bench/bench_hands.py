"""Hands before faces: how many are noticed, how often one is seen where there is none, and what looking costs.

    python tests/bench/bench_hands.py PORTRAITS MODELS HANDS [--sheet FILE]

PORTRAITS: a folder of pictures. MODELS: the folder of .tflite files. HANDS: a folder of cut-out hands (RGBA, wrist at
the left edge, fingers to the right), or GCompris' `leftright.rcc` (Debian: gcompris-qt-data), which holds eight: palms,
backs and fists of real hands, photographed. Each hand is laid before each portrait, in its skin's colour (not quite),
at chance sizes, turns, shadows and tones, and the picture is judged as any portrait. First the table of places and what
is said there, then false alarms over changed copies of the bare portraits, then the cost. --sheet: a PNG of examples.
"""

import argparse
import io
import re
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from s2v_model.puppet import topology as mesh
from s2v_model.puppet.hands import HandFinder
from s2v_model.puppet.judge import Verdict, judge
from s2v_model.puppet.landmarks import Face, FaceFinder
from tests.hands import drawn_hand

LONGEST_PX = 1200
HAND_PX, ARM_PX = 260, 260
MOUTH = (*mesh.UPPER_OUTER, *mesh.LOWER_OUTER[-2:0:-1])
SAID = ("before its mouth: the hand", "behind a hand", "something before", "at its chin", "not a human", "no face")
COLUMNS = ("hand before mouth", "refused: behind a hand", "something before mouth", "hand at chin", "refused otherwise")


@dataclass(frozen=True, slots=True)
class Layer:
    """A hand to lay before a face."""

    rgba: np.ndarray
    """Its arm goes on to the left."""
    middle: np.ndarray
    tip: np.ndarray
    """px of `rgba`."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("hands", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    models = {path.name: path for path in arguments.models.glob("*.tflite")}
    faces, hands = FaceFinder(models), HandFinder(models)
    layers = [layer_of(picture) for picture in cut_out(arguments.hands)]
    portraits = list(read(arguments.portraits))
    examples = places(portraits, layers, faces, hands)
    if arguments.sheet:
        cv2.imwrite(str(arguments.sheet), np.concatenate(examples)[..., ::-1])
    false_alarms(portraits, faces, hands)
    cost(portraits, faces, HandFinder(models))


def cut_out(where: Path) -> Iterator[np.ndarray]:
    """The hands, RGBA."""
    if where.is_dir():
        encoded = [path.read_bytes() for path in sorted(where.iterdir())]
    else:
        packed = where.read_bytes()
        starts = (found.start() for found in re.finditer(rb"RIFF....WEBPVP8", packed, re.DOTALL))
        encoded = [packed[at : at + 8 + int.from_bytes(packed[at + 4 : at + 8], "little")] for at in starts]
    for content in encoded:
        with Image.open(io.BytesIO(content)) as picture:
            yield np.array(picture.convert("RGBA"))


def layer_of(rgba: np.ndarray) -> Layer:
    """The hand at one size, its arm drawn out to the left."""
    rgba = cv2.resize(rgba, None, fx=HAND_PX / rgba.shape[1], fy=HAND_PX / rgba.shape[1], interpolation=cv2.INTER_CUBIC)
    arm = np.repeat(rgba[:, 3:8].mean(1, keepdims=True), ARM_PX, axis=1)
    alpha = rgba[..., 3].astype(float)
    alpha[:, : HAND_PX // 3] = 0
    columns, rows = np.arange(HAND_PX), np.arange(len(rgba))
    middle = np.array([(alpha.sum(0) @ columns), (alpha.sum(1) @ rows)]) / alpha.sum()
    last = int(np.flatnonzero((alpha > 128).any(0))[-1])
    tip = np.array([last - 0.2 * HAND_PX, np.flatnonzero(alpha[:, last - 3] > 128).mean()])
    shift = np.array([ARM_PX, 0])
    return Layer(np.concatenate([arm.astype(np.uint8), rgba], axis=1), middle + shift, tip + shift)


def read(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """(name, RGB) of each picture."""
    for path in sorted(folder.iterdir()):
        if path.suffix != ".json":
            with Image.open(path) as picture:
                upright = ImageOps.exif_transpose(picture).convert("RGB")
                upright.thumbnail((LONGEST_PX, LONGEST_PX))
                yield path.name, np.array(upright)


def laid(
    rgb: np.ndarray, face: Face, layer: Layer, at: np.ndarray, degrees: float, rng: np.random.Generator, *, by_tip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """`rgb` with a hand before it, and how much of each pixel (height, width) the hand takes."""
    anchor, rgba = layer.tip if by_tip else layer.middle, layer.rgba
    if rng.random() < 0.5:
        rgba, anchor = rgba[::-1], np.array([anchor[0], len(rgba) - 1 - anchor[1]])
    scale = rng.uniform(1.1, 1.6) * face.brow_to_chin_px / (0.85 * HAND_PX)
    angle = np.radians(degrees + face.roll_degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    coloured = np.dstack([in_tone(rgba, rgb, face, rng), rgba[..., 3]]).astype(np.float32)
    if scale < 0.5:
        coloured = cv2.GaussianBlur(coloured, (0, 0), 0.35 / scale)
    matrix = np.c_[turn, at - turn @ anchor]
    hand = cv2.warpAffine(coloured, matrix, rgb.shape[1::-1], flags=cv2.INTER_LINEAR)
    alpha = hand[..., 3:] / 255
    shadow = cv2.GaussianBlur(alpha, (0, 0), max(1.0, 0.05 * face.brow_to_chin_px))[..., None]
    under = rgb * (1 - rng.uniform(0.1, 0.5) * shadow * (1 - alpha))
    return np.clip(under * (1 - alpha) + hand[..., :3] * alpha, 0, 255).astype(np.uint8), alpha[..., 0]


def in_tone(rgba: np.ndarray, rgb: np.ndarray, face: Face, rng: np.random.Generator) -> np.ndarray:
    """The hand's colours, half to wholly moved to those of the face's cheeks, and a little beside them."""
    x, y = np.clip(face.points[list(mesh.CHEEKS), :2].astype(int), 0, np.array(rgb.shape[1::-1]) - 1).T
    skin = np.median(cv2.cvtColor(rgb[y, x][None], cv2.COLOR_RGB2LAB)[0].astype(float), axis=0)
    lab = cv2.cvtColor(np.ascontiguousarray(rgba[..., :3]), cv2.COLOR_RGB2LAB).astype(float)
    own = np.median(lab[rgba[..., 3] > 128], axis=0)
    wanted = skin + rng.normal(0, 1, 3) * (12, 3, 3)
    share = rng.uniform(0.5, 0.95)
    lab[..., 0] *= 1 + share * (wanted[0] / max(own[0], 1) - 1)
    lab[..., 1:] += share * (wanted - own)[1:]
    return cv2.cvtColor(np.clip(lab, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)


def where_to(place: str, face: Face, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Where a hand lies, in px of the picture, and where its fingers point, in degrees."""
    high = face.brow_to_chin_px
    mouth, chin = face.points[[13, 14], :2].mean(0), face.points[mesh.CHIN, :2]
    down = (chin - face.points[10, :2]) / np.linalg.norm(chin - face.points[10, :2])
    aside = np.array([down[1], -down[0]]) * rng.choice([-1, 1])
    up = rng.choice([-90, -65, -115]) + rng.uniform(-12, 12)
    anyhow = rng.choice([-90, -60, -120, -20, 200]) + rng.uniform(-12, 12)
    at, degrees = {
        "palm on the mouth": (mouth, anyhow),
        "fingertips on the mouth": (mouth, anyhow),
        "under the chin": (chin + 0.38 * high * down, up),
        "at the cheek": (mouth + 0.85 * high * aside - 0.1 * high * down, up),
        "before the chest": (chin + 0.95 * high * down, anyhow),
        "over the eyes": (mouth - 1.05 * high * down, -90.0),
    }[place]
    return at + rng.normal(0, 0.06, 2) * high, float(degrees)


PLACES = (
    *("palm on the mouth", "fingertips on the mouth", "under the chin", "at the cheek", "before the chest"),
    "over the eyes",
)


def places(
    portraits: list[tuple[str, np.ndarray]], layers: list[Layer], finder: FaceFinder, hands: HandFinder
) -> list[np.ndarray]:
    """Print what is said of a hand at each place; returns rows of examples."""
    counts: dict[str, Counter[str]] = {}
    sheet = []
    for number, (_, rgb) in enumerate(portraits):
        face, rng, row = finder.find(rgb)[0], np.random.default_rng(number), []
        for place in PLACES:
            for layer in layers:
                at, degrees = where_to(place, face, rng)
                picture, alpha = laid(rgb, face, layer, at, degrees, rng, by_tip=place.startswith("finger"))
                row.append((place, picture, hidden_lips(face, alpha), float(alpha.sum()) / face.brow_to_chin_px**2))
        row += [one_finger(rgb, face, degrees) for degrees in (-95, -70, -110)]
        for place, picture, lips, shown in row:
            if shown > 0.05:
                verdict = judge(picture, finder.find(picture), hands=hands)
                key = f"{place}, lips {'hidden' if lips > 0.3 else 'partly' if lips > 0 else 'free'}"
                counts.setdefault(key, Counter())[said(verdict)] += 1
        sheet.append(np.concatenate([thumbnail(picture, face) for _, picture, _, _ in row[number % 8 :: 8]], axis=1))
    print(f"| hand | pictures | {' | '.join(COLUMNS)} | nothing |\n|---|---|{'---|' * (len(COLUMNS) + 1)}")
    for key, found in counts.items():
        cells = [*(found[name] for name in SAID[:4]), found[SAID[4]] + found[SAID[5]], found[""]]
        print(f"| {key} | {sum(found.values())} | {' | '.join(map(str, cells))} |")
    return [row[:, : min(part.shape[1] for part in sheet)] for row in sheet]


def one_finger(rgb: np.ndarray, face: Face, degrees: float) -> tuple[str, np.ndarray, float, float]:
    """A drawn hand with one finger laid on the lips: what it is called, the picture, lips hidden, how much shows."""
    high, angle = 1.3 * face.brow_to_chin_px, np.radians(degrees)
    x, y = np.clip(face.points[list(mesh.CHEEKS), :2].astype(int), 0, np.array(rgb.shape[1::-1]) - 1).T
    skin = tuple(int(value) for value in np.median(rgb[y, x], axis=0))
    along, beside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    at = face.points[[13, 14], :2].mean(0) - high * (0.24 * along - 0.25 * beside)
    picture, inside = drawn_hand(rgb, (at[0], at[1]), high, degrees, skin, shown=(0,))
    wrist = at - 0.5 * high * along
    whole = ((wrist > 0) & (wrist < rgb.shape[1::-1])).all()
    place = f"one drawn finger, palm {'in the picture' if whole else 'cut off'}"
    return place, picture, hidden_lips(face, inside), float(inside.sum()) / face.brow_to_chin_px**2


def hidden_lips(face: Face, alpha: np.ndarray) -> float:
    """Share of the lips behind the hand."""
    lips = np.zeros(alpha.shape, np.uint8)
    cv2.fillPoly(lips, [np.round(face.points[list(MOUTH), :2]).astype(np.int32)], 1)
    return float((alpha[lips > 0] > 0.5).mean()) if lips.any() else 0.0


def said(verdict: Verdict) -> str:
    """The first of SAID that is in the verdict's words."""
    words = " ".join((verdict.reason, *verdict.warnings))
    return next((part for part in SAID if part in words), "")


def thumbnail(picture: np.ndarray, face: Face) -> np.ndarray:
    """The face with what is about it, small."""
    x, y, width, height = face.box
    low = max(0, int(y - 0.5 * height)), max(0, int(x - 0.8 * width))
    part = picture[low[0] : int(y + 1.8 * height), low[1] : int(x + 1.8 * width)]
    return cv2.resize(part, (160, 160), interpolation=cv2.INTER_AREA)


def changed(rgb: np.ndarray, face: Face) -> Iterator[tuple[str, np.ndarray]]:
    """A bare portrait, and copies in which light, sharpness, turn and crop differ."""
    high, (x, y) = face.brow_to_chin_px, face.points[mesh.NOSE_TIP, :2]
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    noise = np.random.default_rng(0).normal(0, 12, rgb.shape)
    yield "as it is", rgb
    yield "mirrored", np.ascontiguousarray(rgb[:, ::-1])
    yield "darker", (rgb * 0.5).astype(np.uint8)
    yield "brighter", np.clip(rgb * 1.3 + 10, 0, 255).astype(np.uint8)
    yield "blurred", cv2.GaussianBlur(rgb, (0, 0), 0.02 * high)
    yield "grey", np.repeat(grey[..., None], 3, axis=2)
    yield "noisy", np.clip(rgb + noise, 0, 255).astype(np.uint8)
    yield "small", cv2.resize(rgb, None, fx=70 / high, fy=70 / high, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 25])[1]
    yield "JPEG 25", cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    for degrees in (-30, -15, 15, 30):
        matrix = cv2.getRotationMatrix2D((float(x), float(y)), degrees, 1)
        yield f"turned {degrees}", cv2.warpAffine(rgb, matrix, rgb.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    for share in (0.9, 1.2):
        low = max(0, int(y - share * high)), max(0, int(x - share * high))
        yield f"cropped {share}", rgb[low[0] : int(y + share * high), low[1] : int(x + share * high)].copy()


def false_alarms(portraits: list[tuple[str, np.ndarray]], finder: FaceFinder, hands: HandFinder) -> None:
    """Print in how many bare portraits a hand is seen."""
    count, alarms = 0, []
    for name, rgb in portraits:
        for change, picture in changed(rgb, finder.find(rgb)[0]):
            found = finder.find(picture)
            count += 1
            if found and hands.near(picture, found[0]):
                alarms.append(f"{name} {change}")
    print(f"\nhands seen in {count} pictures without one: {len(alarms)} {alarms}")


def cost(portraits: list[tuple[str, np.ndarray]], finder: FaceFinder, hands: HandFinder) -> None:
    """Print the CPU time of looking for hands."""
    seconds = []
    for _, rgb in portraits:
        face = finder.find(rgb)[0]
        for _ in range(5):
            start = time.process_time()
            hands.near(rgb, face)
            seconds.append(time.process_time() - start)
    print(
        f"CPU ms a portrait: first {1000 * seconds[0]:.0f}, then median {1000 * statistics.median(seconds):.0f}, ",
        end="",
    )
    print(f"95 % {1000 * sorted(seconds)[int(0.95 * len(seconds))]:.0f}")


if __name__ == "__main__":
    main()
