"""What decoding a recording costs: CPU per second of sound, and peak memory.

    python tests/bench/bench_decode.py RECORDING...

One row per recording. Long ones are made by command (README of the test data: "Not stored, made by command").
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasks.media.audio import decode_recording


def measure(path: Path) -> None:
    """Print a row for one recording."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        decoded = decode_recording(
            path, speech_out=Path(folder) / "speech.wav", master_out=Path(folder) / "master.flac"
        )
        cpu = time.process_time() - start
        sizes = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
    seconds = float(decoded.duration)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"| {path.name} | {seconds:.0f} | {decoded.master_channels} | {cpu:.1f} | {1000 * cpu / seconds:.2f} "
        f"| {peak:.0f} | {sizes:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.recordings[0])
        return
    print(
        "| recording | s | channels | CPU s | CPU ms per s | peak MB | written MB |\n" + "| --- " * 7 + "|", flush=True
    )
    # A process each, so that peaks do not add up.
    for path in options.recordings:
        subprocess.run([sys.executable, __file__, str(path), "--one"], check=True)


if __name__ == "__main__":
    main()
