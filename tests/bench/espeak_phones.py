"""Synthetic speech with exact phone times, from espeak-ng in a process of its own.

    echo '{"text": "...", "voice": "en-us+f2", "words_a_minute": 160, "pitch": 45}' | python espeak_phones.py

Reads one order a line; writes one JSON line (rate_hz, samples, phones: [[start, end, ipa], ...]) and then that many
little-endian 16-bit samples. espeak-ng is GPL: it is never loaded into the program's own process.

The product speaks through tasks/engines/voices/espeak_worker.py, which starts every text from one state and halves the
volume. The puppet's sound network was trained on what this one says: its weights cannot be made again with the other.
"""

import ctypes
import json
import os
import sys

import espeakng_loader

_PHONEME_EVENT = 7
_INIT = 0x0001 | 0x0002 | 0x8000  # phoneme events, in IPA, do not exit on failure
_RATE, _PITCH = 1, 3


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


def main() -> None:
    """Speak each order."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    home = os.path.dirname(espeakng_loader.get_data_path())
    rate_hz = library.espeak_Initialize(2, 0, os.fsencode(home), _INIT)
    if rate_hz < 0:
        rate_hz = library.espeak_Initialize(2, 0, os.fsencode(espeakng_loader.get_data_path()), _INIT)
    samples, events = bytearray(), []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
    def take(wave: object, count: int, found: object) -> int:
        if wave and count:
            samples.extend(ctypes.string_at(wave, 2 * count))
        index = 0
        while found[index].type:
            event = found[index]
            if event.type == _PHONEME_EVENT:
                symbol = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "replace")
                events.append((event.audio_position / 1000, symbol))
            index += 1
        return 0

    library.espeak_SetSynthCallback(take)
    for line in sys.stdin:
        order = json.loads(line)
        samples.clear()
        events.clear()
        library.espeak_SetVoiceByName(order["voice"].encode())
        library.espeak_SetParameter(_RATE, order["words_a_minute"], 0)
        library.espeak_SetParameter(_PITCH, order["pitch"], 0)
        text = order["text"].encode() + b"\0"
        library.espeak_Synth(text, len(text), 0, 1, 0, 1, None, None)
        library.espeak_Synchronize()
        end = len(samples) / 2 / rate_hz
        times = [time for time, _ in events] + [end]
        phones = [[times[k], times[k + 1], symbol] for k, (_, symbol) in enumerate(events) if symbol]
        answer = {"rate_hz": rate_hz, "samples": len(samples) // 2, "phones": phones}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + bytes(samples))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
