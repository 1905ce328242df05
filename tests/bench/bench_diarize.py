"""Who spoke when, against references: a row per recording and the mean.

    python tests/bench/bench_diarize.py FOLDER [--only PATTERN] [--thresholds] [--cache FOLDER] [--engine NAME]

FOLDER holds recordings and, of the same stem, an .rttm (who spoke) and perhaps an .uem (what is scored). No collar,
overlapping speech scored. --thresholds repeats all of it over the embedded engine's main thresholds.
"""

import argparse
import dataclasses
import fnmatch
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasks.domain.speech import Turn
from tasks.domain.timing import Span
from tasks.engines import diarizers, model_files
from tasks.engines.diarizers.embedded import EmbeddedOptions
from tasks.formats.rttm import read_rttm, read_uem
from tasks.media.audio import decode_recording
from tests.scoring import Errors, diarization_errors

AUDIO = {".flac", ".opus", ".wav", ".mp3", ".m4a", ".ogg", ".mkv", ".mp4", ".webm", ".aac", ".wma", ".aiff"}
WAV_HEADER_BYTES = 44
TABLES = {
    "same_voice": (0.8, 0.84, 0.87, 0.885, 0.9, 0.92, 0.94),
    "same_voice_short": (0.66, 0.7, 0.74, 0.78, 0.82),
    "merge": (0.88, 0.92, 0.96),
}
HEAD = "| recording | DER % | missed | false alarm | confused | speakers | RTF | CPU s |\n" + "| --- " * 8 + "|"


class Piece(NamedTuple):
    """A recording with its reference, decoded."""

    name: str
    speech: np.ndarray
    reference: tuple[Turn, ...]
    scored: tuple[Span, ...]


def pieces(folder: Path, only: str, scratch: Path) -> list[Piece]:
    found = []
    for path in sorted(folder.iterdir()):
        truth = path.with_suffix(".rttm")
        if path.suffix.lower() not in AUDIO or not truth.is_file() or not fnmatch.fnmatch(path.stem, only):
            continue
        wav = scratch / f"{path.stem}.wav"
        decode_recording(path, speech_out=wav, master_out=scratch / "master.flac")
        uem = path.with_suffix(".uem")
        scored = read_uem(uem.read_text(), where=uem.name) if uem.is_file() else ()
        speech = np.memmap(wav, "<i2", "r", WAV_HEADER_BYTES)
        found.append(Piece(path.stem, speech, read_rttm(truth.read_text(), where=truth.name), scored))
    return found


def measured(engine: diarizers.Diarizer, piece: Piece) -> tuple[Errors, float]:
    start = time.process_time()
    turns = engine.turns(piece.speech)
    return diarization_errors(piece.reference, turns, piece.scored), time.process_time() - start


def row(name: str, errors: Errors, cpu: float, seconds: float) -> str:
    kinds = [100 * part / errors.speech for part in (errors.missed, errors.false_alarm, errors.confused)]
    parts = [f"{100 * errors.rate:.1f}", *(f"{kind:.1f}" for kind in kinds), f"{errors.num_found}/{errors.num_true}"]
    return "| " + " | ".join([name, *parts, f"{cpu / seconds:.4f}", f"{cpu:.1f}"]) + " |"


def report(engine: diarizers.Diarizer, recordings: list[Piece]) -> None:
    print(HEAD)
    rates, right, cpu_total, seconds_total = [], 0, 0.0, 0.0
    for piece in recordings:
        errors, cpu = measured(engine, piece)
        seconds = piece.speech.size / 16_000
        print(row(piece.name, errors, cpu, seconds), flush=True)
        rates.append(100 * errors.rate)
        right += errors.num_found == errors.num_true
        cpu_total, seconds_total = cpu_total + cpu, seconds_total + seconds
    count = f"{right} of {len(recordings)} right"
    mean = f"{cpu_total / seconds_total:.4f} | {cpu_total:.1f}"
    print(f"| **mean** | **{np.mean(rates):.1f}** | | | | {count} | {mean} |")


def threshold_tables(cache: Path, recordings: list[Piece]) -> None:
    for option, values in TABLES.items():
        print(f"\n| {option} | mean DER % | " + " | ".join(piece.name for piece in recordings) + " |")
        print("| --- " * (len(recordings) + 2) + "|")
        for value in values:
            base = EmbeddedOptions()
            clusters = dataclasses.replace(base.clusters, **{option: value})
            engine = diarizers.load("embedded", cache=cache, options={"options": EmbeddedOptions(clusters=clusters)})
            errors = [measured(engine, piece)[0] for piece in recordings]
            cells = [f"{100 * e.rate:.1f} ({e.num_found}/{e.num_true})" for e in errors]
            mark = " (default)" if value == getattr(base.clusters, option) else ""
            mean = np.mean([100 * e.rate for e in errors])
            print(f"| {value}{mark} | {mean:.1f} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*")
    parser.add_argument("--thresholds", action="store_true")
    parser.add_argument("--engine", default="embedded")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "troupe" / "models")
    options = parser.parse_args()
    if options.engine == "embedded":
        model_files.fetch([model_files.SILERO_VAD, model_files.GE2E_ENCODER], options.cache)
    with tempfile.TemporaryDirectory() as scratch:
        recordings = pieces(options.folder, options.only, Path(scratch))
        if not recordings:
            sys.exit(f"no recording in {options.folder} has an .rttm of the same stem")
        report(diarizers.load(options.engine, cache=options.cache), recordings)
        if options.thresholds:
            threshold_tables(options.cache, recordings)


if __name__ == "__main__":
    main()
