"""How well the mouth is heard out of the sound alone: jaw and closures against phones with known times.

    python tests/bench/bench_sounds.py [SIMULATED] [--sentences 60] [--seed 7]

SIMULATED: the folder of simulated episodes (.json beside the sound); left out, only held-out synthetic voices are
heard. A row a set: r of the jaw for the network and for loudness alone, closures of p b m found, share of closures
that were none.
"""

import argparse
import json
from math import ceil
from pathlib import Path

import numpy as np
from train_sounds import HELD_OUT, Spoken, orders, speak

from s2v_model.puppet.sounds import louder_is_wider, loudness, mouth_from_sound
from s2v_model.puppet.visemes import CONTROL_HZ, MOUTH_CHANNELS, mouth_track, shapes_of, smoothed

JAW, PRESS = MOUTH_CHANNELS.index("jaw"), MOUTH_CHANNELS.index("press")


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulated", type=Path, nargs="?")
    parser.add_argument("--sentences", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    print(
        "| set | minutes | jaw r, network | jaw r, loudness | p b m found | false closures |\n|---|---|---|---|---|---|"
    )
    random = np.random.default_rng(arguments.seed)
    row("synthetic, held-out voices", speak(orders(arguments.sentences, HELD_OUT, random)))
    if arguments.simulated:
        for path in sorted(arguments.simulated.glob("*spk*.json")):
            row(path.stem, utterances(path))


def utterances(path: Path) -> list[Spoken]:
    """Aligned utterances of one episode that nobody talks over."""
    from aligned import aligned, read_speech

    episode = json.loads(path.read_text())
    speech = read_speech(path.with_name(episode["audio"]))
    turns = episode["turns"]
    found = []
    for turn in turns:
        if turn["backchannel"] or any(
            o is not turn and o["start"] < turn["end"] and turn["start"] < o["end"] for o in turns
        ):
            continue
        for one in turn["utterances"]:
            part = speech[int((one["start"] - 0.1) * 16000) : int((one["end"] + 0.1) * 16000)]
            phones = aligned(part, one["text"].lower())
            if phones:
                found.append(Spoken(part, phones))
    return found


def row(name: str, spoken: list[Spoken]) -> None:
    """Score one set."""
    ours, loud, truth = [], [], []
    found = closures = false = claimed = 0
    for one in spoken:
        count = ceil(one.seconds * CONTROL_HZ)
        level = loudness(one.speech, one.seconds)
        mouth, reference = mouth_from_sound(one.speech, one.seconds), mouth_track(one.phones, one.seconds)
        hits, tries, wrong, claims = closure_score(mouth[:, PRESS], one)
        found, closures, false, claimed = found + hits, closures + tries, false + wrong, claimed + claims
        louder_is_wider(mouth, level)
        louder_is_wider(reference, level)
        ours.append(mouth[:count, JAW])
        loud.append(smoothed(np.clip(level, 0, 1.4) ** 0.8, 0.09)[:count])
        truth.append(reference[:count, JAW])
    truth_all = np.concatenate(truth)
    r_ours, r_loud = (np.corrcoef(np.concatenate(x), truth_all)[0, 1] for x in (ours, loud))
    minutes = sum(one.seconds for one in spoken) / 60
    print(
        f"| {name} | {minutes:.1f} | {r_ours:.3f} | {r_loud:.3f} | {100 * found / max(closures, 1):.0f} % "
        f"of {closures} | {100 * false / max(claimed, 1):.0f} % of {claimed} |",
        flush=True,
    )


def closure_score(press: np.ndarray, one: Spoken) -> tuple[int, int, int, int]:
    """Closures found, closures there were, claims that were wrong, claims; a claim may be 60 ms off."""
    spans = [(p.start_seconds - 0.06, p.end_seconds + 0.06) for p in one.phones if shapes_of(p.symbol)[:1] == ("p",)]
    closed = press > 0.5
    time = (np.arange(len(press)) + 0.5) / CONTROL_HZ + 0.04
    hits = sum(bool(closed[(time >= a) & (time < b)].any()) for a, b in spans)
    edges = np.flatnonzero(np.diff(np.r_[0, closed.astype(int), 0]))
    claims = [(time[min(a, len(time) - 1)], time[min(b - 1, len(time) - 1)]) for a, b in edges.reshape(-1, 2)]
    said = [(a, b) for a, b in claims if any(p.start_seconds < b and a < p.end_seconds for p in one.phones)]
    wrong = sum(not any(a < end and start < b for start, end in spans) for a, b in said)
    return hits, len(spans), wrong, len(said)


if __name__ == "__main__":
    main()
