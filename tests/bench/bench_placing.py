"""What moves the mouth best where there is a text: its sounds spread, the sound alone, or the sounds put where heard.

    python tests/bench/bench_placing.py [SIMULATED] [--seed 5]

Fourteen languages by espeak voices that the network never heard, with exact phone times, played faster and slower at
random, in noise; and English of SIMULATED (a folder of simulated episodes), treated as a language without a model of
its own, against phones that pocketsphinx aligned. Words are told 40 ms off (standard deviation), or only their cue is.
A row a way: r of the jaw, closures of p b m found, closures that were none.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bench_sounds import JAW, PRESS, closure_score
from scipy.signal import resample_poly
from train_sounds import HELD_OUT, Spoken

from s2v_model.contract import Phone
from s2v_model.puppet.sounds import louder_is_wider, loudness, mouth_from_sound
from s2v_model.puppet.visemes import CONTROL_HZ, mouth_track
from tasks.domain.timing import Span
from tasks.engines import aligners, voices
from tasks.engines.aligners import AlignedWord
from tasks.engines.aligners.hearing import heard
from tasks.engines.aligners.pocketsphinx import CUE_DOUBT, PRONOUNCER, WORD_DOUBT
from tasks.engines.aligners.spreading import spread, spread_within

FRAME_MIDDLE = 0.0128
UTTERANCES = 12
"""Of each episode."""
TEXTS = {
    "es": "El próximo sábado viajaremos a Barcelona con Miguel y su hermana pequeña.|Los pájaros volaban bajo.",
    "fr": "La semaine prochaine, mes parents partiront en voyage à Bordeaux.|Il faut que tu voies ce vieux moulin.",
    "de": "Am nächsten Samstag wollen wir gemeinsam über die Alpen wandern.|Das Problem haben wir gestern besprochen.",
    "it": "La prossima settimana mio fratello compirà quarant'anni.|Non dimenticare di portare l'ombrello.",
    "pt": "No próximo sábado vamos viajar para Lisboa com a minha irmã.|Os pássaros voavam baixo sobre o campo.",
    "fi": "Ensi viikolla matkustamme perheen kanssa Tampereelle.|Vanha mies lukee pöydän ääressä sanomalehteä.",
    "el": "Την επόμενη εβδομάδα θα ταξιδέψουμε στην Αθήνα.|Ο παππούς μου πίνει πάντα καφέ το πρωί.",
    "hu": "Jövő héten a családommal Budapestre utazunk.|A nagymamám minden reggel friss kenyeret vesz a piacon.",
    "cs": "Příští týden pojedeme s rodinou do Prahy.|Babička peče výborný jablečný koláč.",
    "pl": "W przyszłym tygodniu pojedziemy z rodziną do Warszawy.|Babcia upiekła pyszne ciasto z jabłkami.",
    "ru": "На следующей неделе мы поедем с семьёй в Москву.|Бабушка испекла вкусный пирог с яблоками.",
    "tr": "Gelecek hafta ailemle birlikte Bursa'ya gideceğiz.|Büyükannem bahçede papatya topluyor.",
    "hi": "अगले हफ्ते हम परिवार के साथ मुंबई जाएंगे।|दादी माँ हर सुबह बगीचे में फूल तोड़ती हैं।",
    "id": "Minggu depan kami akan pergi ke Bandung bersama keluarga.|Nenek saya membeli buah pepaya di pasar.",
}


class Case(NamedTuple):
    """Speech whose phones and words have known times."""

    speech: np.ndarray
    phones: tuple[Phone, ...]
    words: tuple[Phone, ...]
    language: str


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("simulated", type=Path, nargs="?")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    voice = voices.load("espeak")
    sets = {"14 languages, espeak": list(synthetic(voice, random))}
    if arguments.simulated:
        aligner = aligners.load("pocketsphinx", options={"pronouncer": voice})
        sets["English, real voices"] = list(real(arguments.simulated, aligner))
    print("| set | minutes | way | jaw r | p b m found | false closures |\n|---|---|---|---|---|---|")
    for name, cases in sets.items():
        rows(name, cases, voice, random)
    voice.close()


def synthetic(voice: voices.Voice, random: np.random.Generator) -> Iterator[Case]:
    """Every text by two voices."""
    for language, texts in TEXTS.items():
        for text in texts.split("|"):
            for variant in random.choice(HELD_OUT, 2, replace=False):
                rate, pitch = int(random.integers(130, 205)), int(random.integers(25, 75))
                said = voice.speak(text, f"{language}/{variant}", rate_wpm=rate, pitch=pitch)
                speech = resample_poly(said.speech, 16000, said.rate_hz)
                at = paced(len(speech), random)
                new = np.interp(np.arange(int(at[-1])), at, speech)
                hiss = random.normal(size=len(new)) * np.sqrt((new**2).mean())
                noisy = new + hiss * 10 ** (-random.uniform(15, 40) / 20)
                phones = tuple(moved(at, one.span, one.symbol) for one in said.phones)
                words = tuple(moved(at, one.span, one.text) for one in said.words)
                yield Case(noisy.astype(np.float32), phones, words, language)


def paced(count: int, random: np.random.Generator) -> np.ndarray:
    """Where each sample goes when the pace varies by about a fifth, five times a second."""
    knots = np.exp(random.normal(0, 0.2, max(4, count // 3200 + 2)))
    pace = np.interp(np.linspace(0, len(knots) - 1, count), np.arange(len(knots)), knots)
    return np.concatenate([[0], np.cumsum(pace)[:-1]])


def moved(at: np.ndarray, span: Span, symbol: str) -> Phone:
    """`span` under the new pace."""
    start, end = (float(np.interp(float(t) * 16000, np.arange(len(at)), at)) / 16000 for t in (span.start, span.end))
    return Phone(start_seconds=start, end_seconds=end, symbol=symbol)


def real(folder: Path, aligner: aligners.Aligner) -> Iterator[Case]:
    """Utterances that nobody talks over and that could be aligned."""
    from aligned import read_speech

    for path in sorted(folder.glob("*spk*.json")):
        episode = json.loads(path.read_text())
        speech, turns, found = read_speech(path.with_name(episode["audio"])), episode["turns"], 0
        for turn in turns:
            alone = all(o is turn or o["start"] >= turn["end"] or turn["start"] >= o["end"] for o in turns)
            for one in turn["utterances"] if alone and not turn["backchannel"] else ():
                part = speech[int((one["start"] - 0.1) * 16000) : int((one["end"] + 0.1) * 16000)]
                words = aligner.align(part, tuple(one["text"].lower().split()))
                if found < UTTERANCES and all(word.is_measured for word in words):
                    found += 1
                    phones = tuple(late(p.span, p.symbol) for word in words for p in word.phones)
                    yield Case(part, phones, tuple(late(word.span, word.text) for word in words), "en")


def late(span: Span, symbol: str) -> Phone:
    """A frame of the aligner is told by its first sample; its window is 25.6 ms long."""
    start, end = float(span.start) + FRAME_MIDDLE, float(span.end) + FRAME_MIDDLE
    return Phone(start_seconds=start, end_seconds=end, symbol=symbol)


def rows(name: str, cases: list[Case], voice: voices.Voice, random: np.random.Generator) -> None:
    """Score every way on one set."""
    minutes = sum(len(case.speech) for case in cases) / 16000 / 60
    guesses = [(case, *guessed(case, voice, random)) for case in cases]
    row(f"{name} | {minutes:.1f}", "sound alone", [(c, mouth_from_sound(c.speech, seconds(c))) for c, _, _ in guesses])
    ways: dict[str, Callable[[tuple], tuple[Case, tuple[AlignedWord, ...], float | None]]] = {
        "words' times, spread": lambda g: (g[0], g[1], None),
        "words' times, put where heard": lambda g: (g[0], g[1], WORD_DOUBT),
        "cue's times, spread": lambda g: (g[0], g[2], None),
        "cue's times, put where heard": lambda g: (g[0], g[2], CUE_DOUBT),
    }
    for label, way in ways.items():
        row(f"{name} | {minutes:.1f}", label, [(g[0], track(*way(g))) for g in guesses])


def seconds(case: Case) -> float:
    """Length."""
    return len(case.speech) / 16000


def guessed(
    case: Case, voice: voices.Voice, random: np.random.Generator
) -> tuple[tuple[AlignedWord, ...], tuple[AlignedWord, ...]]:
    """The words with sounds spread over their own rough times, and over the whole."""
    words = tuple(word.symbol for word in case.words)
    said = voice.speak(" ".join(words), PRONOUNCER, language=case.language)
    times, last = [], 0.0
    for word in case.words:
        start = max(last, word.start_seconds + random.normal(0, 0.04))
        last = max(start + 0.05, word.end_seconds + random.normal(0, 0.04))
        times.append(Span(Fraction(round(start * 100), 100), Fraction(round(last * 100), 100)))
    return spread_within(case.speech, words, said, times), spread(case.speech, words, said)


def track(case: Case, words: tuple[AlignedWord, ...], doubt: float | None) -> np.ndarray:
    """The mouth as the pipeline moves it: from the sound where the text was not found in it."""
    if doubt is not None:
        words = heard(case.speech, words, unsure_seconds=doubt)
        if not all(word.is_measured for word in words):
            return mouth_from_sound(case.speech, seconds(case))
    phones = [
        Phone(start_seconds=float(p.span.start), end_seconds=float(p.span.end), symbol=p.symbol)
        for word in words
        for p in word.phones
    ]
    return mouth_track(phones, seconds(case))


def row(name: str, label: str, tracks: list[tuple[Case, np.ndarray]]) -> None:
    """Score one way."""
    ours, truth, scores = [], [], []
    for case, mouth in tracks:
        count, level = ceil(seconds(case) * CONTROL_HZ), loudness(case.speech, seconds(case))
        reference = mouth_track(case.phones, seconds(case))
        scores.append(closure_score(mouth[:, PRESS], Spoken(case.speech, case.phones)))
        louder_is_wider(mouth, level)
        louder_is_wider(reference, level)
        ours.append(mouth[:count, JAW])
        truth.append(reference[:count, JAW])
    r = np.corrcoef(np.concatenate(ours), np.concatenate(truth))[0, 1]
    found, tries, wrong, claims = np.sum(scores, axis=0)
    share = f"{100 * found / tries:.0f} % of {tries} | {100 * wrong / max(claims, 1):.0f} % of {claims}"
    print(f"| {name} | {label} | {r:.3f} | {share} |", flush=True)


if __name__ == "__main__":
    main()
