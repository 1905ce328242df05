"""Train the network that hears the mouth's shape out of the sound: synthetic speech only.

    python tests/bench/train_sounds.py --seed 1 --minutes 140 --out one.npz
    python tests/bench/train_sounds.py --seed 2 --minutes 110 --out two.npz
    python tests/bench/train_sounds.py --join one.npz two.npz --out s2v_model/puppet/sounds.npz

made the weights that are committed: two networks, whose outputs are averaged.

espeak-ng says sentences in many voices and languages with exact phone times; the sound is made worse on purpose
(vocal tract length, room, noise, microphone); the network learns what `visemes.mouth_track` makes of the phones.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve, resample_poly

from s2v_model.contract import SPEECH_RATE_HZ, Phone
from s2v_model.puppet import sounds
from s2v_model.puppet.visemes import CONTROL_HZ, MOUTH_CHANNELS, mouth_track

VARIANTS = ("m1", "m2", "m3", "m4", "m7", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt3", "Andy", "Annie", "Gene")
VARIANTS += ("Lee", "Denis", "anika", "steph", "Michael", "belinda", "linda", "grandma", "Alex", "Mario", "Storm")
HELD_OUT = ("m5", "m6", "m8", "klatt2", "klatt4", "Diogo", "aunty", "edward", "quincy", "rob")
"""Variants that only the benchmark hears."""
HIDDEN = (192, 96)
_BATCH = 512
_RATE = 1.5e-3
_DECAY = 1e-4
_DROP_INPUTS, _DROP_HIDDEN = 0.12, 0.20

ENGLISH = {
    "who": "my mother|papa|the baby|every member of the family|a brave young man|the old bishop|she|they|we|you|Bob|"
    "Philip|our neighbour|the whole village|a very small boy|the woman with the umbrella|nobody|the happy farmer|"
    "this famous painter|the judge|a thousand people|the watchman|Peter Piper|the visitor from Vienna|he",
    "does": "bought|brought|must have seen|puts away|could not find|would rather keep|pushes|remembers|moved|"
    "will probably paint|loves|chose|watches|threw|is looking for|gave us|wants to borrow|might improve|believes in|"
    "shows|has eaten|may open|pulled up|climbs over|was measuring|feeds|sings about|thinks of|heard",
    "what": "blue bread and brown fish|the piano|five yellow boats|a bag of green apples|that wonderful valley|"
    "the white wool|a juicy orange|seven silver ships|the very first page|a cup of warm milk|the broken window|"
    "an empty bottle|the beautiful music|some pepper and vinegar|the moon above the mountains|her brother's map|"
    "a hundred paper flowers|the church bell|fresh butter|the other thing|both of them|your book|a large coffee|"
    "the problem with the engine|four wooden chairs|his thumb|the path through the forest|cheese from the shop",
    "where": "before lunch|on the beach|every Sunday|up by the farm|in the middle of November|under the bridge|at home|"
    "without any help|near the river|for a very long time|behind the big oak tree|this morning|after the film|"
    "because of the rain|as well as possible|over there|when the boys are asleep|from top to bottom|if you like|again",
}
OTHERS = {
    "es": "Mi madre compra pan y manzanas para toda la familia.|El hombre pobre vive cerca del puente viejo.|"
    "Me gusta mucho beber un vaso de leche por la mañana.|Vamos a ver una película muy buena con mi abuelo.|"
    "Pablo pone el libro rojo sobre la mesa.|¿Puedes hablar un poco más despacio, por favor?",
    "fr": "Ma mère achète du pain et des pommes pour toute la famille.|Le petit bateau bleu part avant la pluie.|"
    "Je voudrais boire une tasse de café avec un peu de beurre.|Nous avons vu un beau film hier soir.|"
    "Peux-tu fermer la porte de la chambre ?|Un homme vieux marche doucement près du pont.",
    "de": "Meine Mutter kauft frisches Brot und Butter für die ganze Familie.|Wir fahren über die Brücke zum Bahnhof.|"
    "Bitte mach das Fenster auf, bevor Papa kommt.|Der alte Bäcker hat fünf weiße Äpfel im Korb.|"
    "Am Abend sprechen wir oft über schöne Bücher.|Können Sie mir bitte helfen?",
    "it": "Mia madre compra il pane e il burro per tutta la famiglia.|Prima di partire beviamo un buon caffè.|"
    "Il vecchio pescatore vive vicino al ponte.|Vorrei vedere un film molto bello con mio padre.|"
    "Puoi mettere il libro sopra il tavolo, per favore?|Domani mattina andiamo al mare.",
    "pt": "Minha mãe compra pão e manteiga para toda a família.|O homem velho mora perto da ponte.|"
    "Você pode abrir a porta, por favor?|Vamos ver um bom filme hoje à noite.",
    "pl": "Moja mama kupuje chleb i masło dla całej rodziny.|Proszę powoli otworzyć wielkie okno.|"
    "Wieczorem pójdziemy zobaczyć bardzo dobry film.",
    "ru": "Моя мама покупает хлеб и масло для всей семьи.|Пожалуйста, открой большое окно.|Мы любим петь вместе.",
    "cmn": "我妈妈每天早上买面包和苹果。|请你把门打开,好吗?|我们明天一起去看一部很好的电影。",
    "hi": "मेरी माँ पूरे परिवार के लिए रोटी खरीदती है।|कृपया दरवाज़ा खोल दीजिए।|हम शाम को फिल्म देखने जाएंगे।",
    "tr": "Annem bütün aile için ekmek ve peynir alıyor.|Lütfen büyük pencereyi aç.|Akşam birlikte film izleyeceğiz.",
    "nl": "Mijn moeder koopt brood en boter voor het hele gezin.|Wil je alsjeblieft het grote raam openmaken?",
    "sv": "Min mamma köper bröd och smör till hela familjen.|Kan du öppna fönstret, är du snäll?",
}


@dataclass(frozen=True)
class Spoken:
    """One synthetic sentence."""

    speech: np.ndarray
    phones: tuple[Phone, ...]

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.speech) / SPEECH_RATE_HZ


def main() -> None:
    """Speak, worsen, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=140, help="of speech to train on")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=sounds.WEIGHTS)
    parser.add_argument("--join", type=Path, nargs="+", default=[], help="networks to put into one file")
    arguments = parser.parse_args()
    if arguments.join:
        join(arguments.join, arguments.out)
        return
    random = np.random.default_rng(arguments.seed)
    bands, targets = training_set(arguments.minutes, random)
    rows = sum(map(len, bands))
    print(f"{rows / CONTROL_HZ / 60:.0f} minutes of speech, {len(bands)} sentences", flush=True)
    layers = train(bands, targets, arguments.epochs, random)
    arrays = {
        f"n0{name}{k}": pair[n].astype(np.float16) for k, pair in enumerate(layers) for n, name in enumerate("wb")
    }
    np.savez_compressed(arguments.out, **arrays)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e3:.0f} kB")


def join(paths: list[Path], out: Path) -> None:
    """Several networks in one file."""
    arrays = {}
    for net, path in enumerate(paths):
        with np.load(path, allow_pickle=False) as file:
            arrays |= {f"n{net}{name.removeprefix('n0')}": file[name] for name in file.files}
    np.savez_compressed(out, **arrays)


def sentence(random: np.random.Generator) -> tuple[str, str]:
    """(voice, text): two in three English, the rest from everywhere."""
    if random.uniform() < 0.66:
        parts = [str(random.choice(ENGLISH[part].split("|"))) for part in ("who", "does", "what", "where")]
        return str(random.choice(("en-us", "en-gb", "en-us", "en-gb-x-rp", "en-gb-scotland"))), " ".join(parts) + "."
    voice = str(random.choice(tuple(OTHERS)))
    return voice, str(random.choice(OTHERS[voice].split("|")))


def speak(orders: list[dict[str, object]]) -> list[Spoken]:
    """The sentences of `orders` (text, voice, words_a_minute, pitch), spoken by espeak-ng in another process."""
    script = Path(__file__).with_name("espeak_phones.py")
    text = "".join(json.dumps(order) + "\n" for order in orders)
    done = subprocess.run([sys.executable, str(script)], input=text.encode(), stdout=subprocess.PIPE, check=True)
    spoken, at = [], 0
    for _ in orders:
        end = done.stdout.index(b"\n", at)
        head = json.loads(done.stdout[at:end])
        at = end + 1 + 2 * head["samples"]
        wave = np.frombuffer(done.stdout[end + 1 : at], "<i2").astype(np.float32) / 32768
        if len(wave) < head["rate_hz"] // 2:
            continue
        speech = resample_poly(wave, SPEECH_RATE_HZ // 50, head["rate_hz"] // 50).astype(np.float32)
        phones = tuple(Phone(start_seconds=a, end_seconds=b, symbol=s) for a, b, s in head["phones"] if b > a)
        spoken.append(Spoken(speech, phones))
    return spoken


def orders(count: int, variants: tuple[str, ...], random: np.random.Generator) -> list[dict[str, object]]:
    """So many sentences for voices of those variants."""
    made: list[dict[str, object]] = []
    for _ in range(count):
        voice, text = sentence(random)
        made.append(
            {
                "text": text,
                "voice": f"{voice}+{random.choice(variants)}",
                "words_a_minute": int(random.integers(120, 215)),
                "pitch": int(random.integers(15, 85)),
            }
        )
    return made


def training_set(minutes: float, random: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Features and targets, one array a sentence."""
    bands, targets, seconds = [], [], 0.0
    while seconds < 60 * minutes:
        for one in speak(orders(200, VARIANTS, random)):
            stretched = worsened(one, random)
            count = ceil(stretched.seconds * CONTROL_HZ)
            bands.append(sounds.features(stretched.speech, count).astype(np.float16))
            targets.append(mouth_track(stretched.phones, stretched.seconds)[:count].astype(np.float16))
            seconds += stretched.seconds
    return bands, targets


def worsened(one: Spoken, random: np.random.Generator) -> Spoken:
    """As from another throat, in a room, through a poor microphone."""
    # Playing faster or slower moves the formants as a shorter or longer vocal tract does.
    factor = int(random.integers(84, 119))
    speech = resample_poly(one.speech, 100, factor)
    scale = len(speech) / len(one.speech)
    phones = tuple(
        Phone(start_seconds=p.start_seconds * scale, end_seconds=p.end_seconds * scale, symbol=p.symbol)
        for p in one.phones
    )
    pause = np.zeros(int(random.uniform(0, 0.5) * SPEECH_RATE_HZ))
    shift = len(pause) / SPEECH_RATE_HZ
    phones = tuple(
        Phone(start_seconds=p.start_seconds + shift, end_seconds=p.end_seconds + shift, symbol=p.symbol) for p in phones
    )
    speech = np.concatenate([pause, speech])
    # People stress words; synthetic voices hardly do.
    knots = random.normal(0, random.uniform(1, 6), int(len(speech) / SPEECH_RATE_HZ * 4) + 3)
    places = np.linspace(0, len(knots) - 1, len(speech))
    speech = speech * 10 ** (np.interp(places, np.arange(len(knots)), knots) / 20)
    spectrum = np.fft.rfft(speech)
    curve = np.interp(np.linspace(0, 9, len(spectrum)), np.arange(10), random.normal(0, 5, 10))
    speech = np.fft.irfft(spectrum * 10 ** (curve / 20), len(speech))
    if random.uniform() < 0.6:
        tail = random.normal(size=3200) * np.exp(-np.arange(3200) / random.uniform(100, 900))
        tail[0] = random.uniform(3, 14)
        speech = fftconvolve(speech, tail)[: len(speech)]
    speech = speech / (np.sqrt((speech**2).mean()) + 1e-9) * 0.08
    hiss = np.fft.irfft(
        np.fft.rfft(random.normal(size=len(speech))) / np.arange(1, len(speech) // 2 + 2) ** random.uniform(0, 0.6),
        len(speech),
    )
    hiss /= np.sqrt((hiss**2).mean()) + 1e-12
    speech = speech + hiss * 0.08 * 10 ** (-random.uniform(8, 50) / 20)
    return Spoken(speech.astype(np.float32), phones)


def train(
    bands: list[np.ndarray], targets: list[np.ndarray], epochs: int, random: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Adam on a perceptron with two hidden layers; the inputs' mean and scale come first."""
    reach = max(sounds.CONTEXT)
    rows = np.concatenate([np.pad(b, ((reach, reach), (0, 0)), mode="edge") for b in bands]).astype(np.float32)
    lengths = np.array([len(b) for b in bands])
    starts = np.cumsum(np.r_[0, lengths[:-1] + 2 * reach]) + reach
    centres = np.concatenate([start + np.arange(n) for start, n in zip(starts, lengths, strict=True)])
    wanted = np.concatenate(targets).astype(np.float32)
    offsets = np.array(sounds.CONTEXT)
    mean, scale = np.tile(rows.mean(0), len(offsets)), np.tile(1 / (rows.std(0) + 1e-3), len(offsets))
    sizes = (len(mean), *HIDDEN, len(MOUTH_CHANNELS))
    weights = [(random.normal(size=(a, b)) * np.sqrt(2 / a)).astype(np.float32) for a, b in pairwise(sizes)]
    biases = [np.zeros(b, np.float32) for b in sizes[1:]]
    state = [[np.zeros_like(p), np.zeros_like(p)] for p in (*weights, *biases)]
    step, began, total = 0, time.time(), epochs * (len(centres) // _BATCH)
    for epoch in range(epochs):
        order, loss = random.permutation(len(centres)), 0.0
        for start in range(0, len(order) - _BATCH + 1, _BATCH):
            picked = order[start : start + _BATCH]
            inputs = rows[centres[picked][:, None] + offsets].reshape(_BATCH, -1)
            # Synthetic speech is too clean: what is left out at random cannot be leant upon.
            seen = (inputs - mean) * scale * _kept(inputs.shape, _DROP_INPUTS, random)
            one, gradients = _gradients(seen, wanted[picked], weights, biases, random)
            loss += one
            step += 1
            _adam([*weights, *biases], gradients, state, step, _RATE * (1 - step / (total + 1)))
        print(f"epoch {epoch + 1}: loss {loss * _BATCH / len(order):.4f}, {time.time() - began:.0f} s", flush=True)
    return [(mean, scale), *zip(weights, biases, strict=True)]


def _gradients(
    inputs: np.ndarray,
    wanted: np.ndarray,
    weights: list[np.ndarray],
    biases: list[np.ndarray],
    random: np.random.Generator,
) -> tuple[float, list[np.ndarray]]:
    closures = list(sounds.CLOSURES)
    values = [inputs]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = np.maximum(values[-1] @ weight + bias, 0)
        values.append(hidden * _kept(hidden.shape, _DROP_HIDDEN, random))
    output = values[-1] @ weights[-1] + biases[-1]
    error = output - wanted
    odds = 1 / (1 + np.exp(-np.clip(output[:, closures], -30, 30)))
    error[:, closures] = 0.25 * (odds - wanted[:, closures])
    # The jaw is seen first.
    error[:, MOUTH_CHANNELS.index("jaw")] *= 2.0
    loss = float((error**2).mean())
    gradients_w, gradients_b = [], []
    back = error / len(inputs)
    for k in reversed(range(len(weights))):
        gradients_w.insert(0, values[k].T @ back + _DECAY * weights[k])
        gradients_b.insert(0, back.sum(0))
        if k:
            back = (back @ weights[k].T) * (values[k] > 0) / (1 - _DROP_HIDDEN)
    return loss, [*gradients_w, *gradients_b]


def _kept(shape: tuple[int, ...], dropped: float, random: np.random.Generator) -> np.ndarray:
    """A mask that leaves out that share and keeps the sum."""
    return (random.random(shape, dtype=np.float32) >= dropped).astype(np.float32) / np.float32(1 - dropped)


def _adam(
    parameters: list[np.ndarray], gradients: list[np.ndarray], state: list[list[np.ndarray]], step: int, rate: float
) -> None:
    for parameter, gradient, moments in zip(parameters, gradients, state, strict=True):
        moments[0] += 0.1 * (gradient - moments[0])
        moments[1] += 0.001 * (gradient**2 - moments[1])
        way = moments[0] / (1 - 0.9**step) / (np.sqrt(moments[1] / (1 - 0.999**step)) + 1e-8)
        np.subtract(parameter, rate * way, out=parameter)


if __name__ == "__main__":
    main()
