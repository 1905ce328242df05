"""English speech with a transcript -> phones with times, by pocketsphinx; the benchmark's reference for real voices."""

from pathlib import Path

import numpy as np
import pocketsphinx

from s2v_model.contract import Phone

_TABLE = """AA:ɑ AE:æ AH:ʌ AO:ɔ AW:aʊ AY:aɪ B:b CH:tʃ D:d DH:ð EH:ɛ ER:ɜ EY:eɪ F:f G:ɡ HH:h IH:ɪ IY:i JH:dʒ K:k L:l
M:m N:n NG:ŋ OW:oʊ OY:ɔɪ P:p R:ɹ S:s SH:ʃ T:t TH:θ UH:ʊ UW:u V:v W:w Y:j Z:z ZH:ʒ"""
_FRAME_MIDDLE = 0.0128
"""A frame of the aligner is told by its first sample; its window is 25.6 ms long."""
IPA = dict(pair.split(":") for pair in _TABLE.split())


def aligned(speech: np.ndarray, text: str) -> tuple[Phone, ...] | None:
    """The phones of `speech` (16 kHz), which says `text`; None where a word is not in the dictionary or it fails."""
    pcm = (np.clip(speech, -1, 1) * 32767).astype(np.int16).tobytes()
    decoder = pocketsphinx.Decoder(samprate=16000, loglevel="FATAL", bestpath=False, lm=None)
    try:
        decoder.set_align_text(text)
        _pass(decoder, pcm)
        decoder.set_alignment()
        _pass(decoder, pcm)
        found = decoder.get_alignment()
    except RuntimeError:
        return None
    if found is None:
        return None
    phones = []
    for word in found:
        for phone in word:
            if phone.name in IPA:
                start, end = phone.start / 100 + _FRAME_MIDDLE, (phone.start + phone.duration) / 100 + _FRAME_MIDDLE
                phones.append(Phone(start_seconds=start, end_seconds=end, symbol=IPA[phone.name]))
    return tuple(phones)


def _pass(decoder: pocketsphinx.Decoder, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def read_speech(path: Path) -> np.ndarray:
    """Any recording as mono float32 at 16 kHz."""
    import av

    parts = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", 16000)
        for frame in container.decode(audio=0):
            parts += [one.to_ndarray() for one in resampler.resample(frame)]
    return np.concatenate(parts, 1).ravel().astype(np.float32) / 32768
