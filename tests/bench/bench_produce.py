"""What a programme costs, from a podcast and from a script: `bench_produce.py cost|growth|parallel|reuse|start [DATA]`.

DATA is the folder of recordings and portraits (default: ../shared/data). Each row is a whole `troupe produce` in a
process of its own with an empty store; the model cache is filled before.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg
import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.bench.measure import Cost, measure

TROUPE = [sys.executable, "-m", "flows.cli"]
FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
PAIR = {
    "nadia": ("synth_girl_curly.jpg", "5484"),
    "willem": ("synth_man_50_moustache.jpg", "4350"),
    "kath": ("synth_woman_80.jpg", "3528"),
}


def episode(folder: Path, data: Path, source: dict[str, object], people: list[str]) -> Path:
    """An episode file over `source`, in `folder`, with its portraits."""
    cast = {}
    for name in people:
        picture = PAIR[name][0]
        (folder / picture).write_bytes((data / "portraits" / picture).read_bytes())
        cast[name] = {"portrait": picture}
    document = {
        "schema": "episode/1", "id": "bench", "title": "Bench", "language": "en", "source": source, "cast": cast,
        "casting": "order", "outputs": [{"aspect": "16:9", "height": 720, "captions": ["burned"]}],
    }  # fmt: skip
    path = folder / "episode.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def podcast(folder: Path, data: Path, seconds: float) -> Path:
    """`seconds` of the simulated conversation of three, repeated as often as needed, with its transcript."""
    source = data / "simulated" / "dev_sim_3spk.flac"
    loop = ["-stream_loop", "-1", "-i", str(source), "-t", str(seconds), str(folder / "talk.flac")]
    subprocess.run([FFMPEG, "-y", "-loglevel", "error", *loop], check=True)
    words = json.loads((data / "simulated" / "dev_sim_3spk.json").read_text())
    (folder / "talk.vtt").write_text(transcript(data / "simulated" / "dev_sim_3spk.vtt", 240.924, seconds))
    assert words
    return episode(
        folder, data, {"podcast": "talk.flac", "transcript": "talk.vtt", "speakers": 3}, ["nadia", "willem", "kath"]
    )


def transcript(source: Path, period: float, seconds: float) -> str:
    """The cues of a WebVTT file, repeated with the recording."""

    def at(text: str) -> float:
        hours, minutes, rest = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    def stamp(value: float) -> str:
        return f"{int(value // 3600):02d}:{int(value // 60) % 60:02d}:{value % 60:06.3f}"

    blocks = [block for block in source.read_text().split("\n\n") if "-->" in block]
    lines = ["WEBVTT", ""]
    for turn in range(int(seconds / period) + 1):
        for block in blocks:
            times, *words = block.strip().splitlines()
            start, end = (at(part) + turn * period for part in times.split(" --> "))
            if end < seconds:
                lines += [f"{stamp(start)} --> {stamp(end)}", *words, ""]
    return "\n".join(lines)


def produce(path: Path, store: Path, workers: int = 0) -> tuple[Cost, dict[str, object]]:
    """One `troupe produce` and what it printed."""
    environment = {**os.environ, "TROUPE_WORKERS": str(workers)}
    environment.pop("PREFECT_API_URL", None)
    # One worker on one core: left alone, OpenCV's threads would take the other.
    pinned = ["taskset", "--cpu-list", "0"] if workers == 1 else []
    command = [*pinned, *TROUPE, "produce", str(path), "--store", f"file:{store}", "--direct", "--json"]
    cost = measure(command, environment=environment)
    if cost.code:
        raise SystemExit(cost.output)
    return cost, json.loads(cost.output)


def bare_encode(video: Path, folder: Path) -> float:
    """CPU seconds that FFmpeg alone takes to encode the programme's own frames again from raw pictures."""
    raw = folder / "raw.yuv"
    subprocess.run(
        [FFMPEG, "-y", "-loglevel", "error", "-i", str(video), "-t", "60", "-f", "rawvideo", str(raw)], check=True
    )
    size = ["-f", "rawvideo", "-s", "1280x720", "-r", "25", "-pix_fmt", "yuv420p", "-i", str(raw)]
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-threads", "2", str(folder / "bare.mp4")]
    cost = measure([FFMPEG, "-y", "-loglevel", "error", *size, *encode])
    frames = raw.stat().st_size / (1280 * 720 * 1.5)
    raw.unlink()
    return cost.cpu_seconds / (frames / 25)


def cost(data: Path, seconds: float = 120, runs: int = 3) -> None:
    """CPU seconds per programme second, median of three, beside a bare encode of the same frames."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = podcast(folder, data, seconds)
        for run in range(runs):
            spent, made = produce(path, folder / f"store{run}")
            rows.append(spent.cpu_seconds / seconds)
            print(
                f"run {run + 1}: {rows[-1]:.2f} CPU-s per s, wall {spent.wall_seconds:.0f} s, {made['shots']} shots, "
                f"peak {spent.peak_mb:.0f} MB",
                flush=True,
            )
        bare = bare_encode(Path(str(made["programme"])) / "16x9.en.mp4", folder)
    print(f"| cost | {statistics.median(rows):.2f} CPU-s per programme s (median of {runs}) | bare encode {bare:.2f} |")


def growth(data: Path) -> None:
    """CPU per programme second and peak memory at 4 and at 20 minutes."""
    per_second = {}
    for minutes in (4, 20):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            spent, _ = produce(podcast(folder, data, minutes * 60), folder / "store")
        per_second[minutes] = spent.cpu_seconds / (minutes * 60)
        largest = sorted(spent.peaks.items(), key=lambda item: -item[1])[:4]
        print(
            f"{minutes} min: {per_second[minutes]:.2f} CPU-s per s; peaks "
            + ", ".join(f"{who.split('/')[0]} {size:.0f} MB" for who, size in largest),
            flush=True,
        )
    print(f"| growth | 20 min / 4 min = {per_second[20] / per_second[4]:.3f} |")


def parallel(data: Path, seconds: float = 180) -> None:
    """Wall time of the clips on one worker and on two, from the run's own record."""
    wall = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = podcast(folder, data, seconds)
        for workers in (1, 2):
            store = folder / f"store{workers}"
            _, made = produce(path, store, workers)
            record = next((Path(str(made["programme"])) / "runs").glob("*.json"))
            stages = {stage["stage"]: stage for stage in json.loads(record.read_text())["stages"]}
            wall[workers] = stages["render"]["seconds"]
            print(f"{workers} worker(s): {wall[workers]:.1f} s for the clips", flush=True)
    print(f"| parallel | two workers are {wall[1] / wall[2]:.2f} times as fast as one |")


def reuse(data: Path) -> None:
    """A script of 100 lines: a second run, and a run with one line edited."""
    names = list(PAIR)
    lines = [f"{names[n % 3].upper()}: Number {n} says enough." for n in range(100)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "talk.txt").write_text("\n".join(lines))
        path = episode(folder, data, {"script": "talk.txt"}, names)
        store = folder / "store"
        first, made = produce(path, store)
        print(f"first run: {made['rendered']} clips, {first.cpu_seconds:.0f} CPU-s", flush=True)
        second, again = produce(path, store)
        share = second.cpu_seconds / first.cpu_seconds
        print(f"| second run | {again['rendered']} clips rendered, {share:.1%} of the first run's CPU |", flush=True)
        lines[50] = lines[50].replace("enough", "something else entirely, which takes longer")
        (folder / "talk.txt").write_text("\n".join(lines))
        _, edited = produce(path, store)
        print(f"| one line of 100 edited | {edited['rendered']} clip(s) rendered of {edited['shots']} |")


def start(data: Path) -> None:
    """CPU of `troupe --help`, and of a check that fails on a text error."""
    with tempfile.TemporaryDirectory() as name:
        wrong = Path(name) / "wrong.yaml"
        wrong.write_text("schema: episode/1\nid: a\nlanguage: en\nsauce: {script: a.txt}\n")
        for what, command in (("--help", ["--help"]), ("failing check", ["check", str(wrong)])):
            spent = [measure([*TROUPE, *command]).cpu_seconds for _ in range(5)]
            print(f"| troupe {what} | {statistics.median(spent):.2f} CPU-s (median of 5) |")


if __name__ == "__main__":
    which = sys.argv[1] if len(sys.argv) > 1 else "cost"
    where = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parents[3] / "shared" / "data").resolve()
    {"cost": cost, "growth": growth, "parallel": parallel, "reuse": reuse, "start": start}[which](where)
