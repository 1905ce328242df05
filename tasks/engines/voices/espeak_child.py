"""The process in which espeak-ng runs: its licence (GPL-3.0) and its faults stay on this side of a pipe.

In, on standard input: one JSON object a line, {"text", "voice", "words_per_minute", "pitch"}. Out: one JSON line
{"rate_hz", "num_bytes", "events"} and so many bytes of s16 samples; or {"error"}. Started by `espeak.py` as a script;
imports nothing of ours.
"""

import ctypes
import json
import os
import sys
from typing import Any, ClassVar

import espeakng_loader

_WORD, _PHONEME = 1, 7
_SYNCHRONOUS = 2
_PHONEME_EVENTS, _IPA, _NO_EXIT = 1, 2, 0x8000
_RATE, _PITCH = 1, 3
_UTF8 = 1
_DONE_EVENT = 0
_SEED = 1


class _Id(ctypes.Union):
    _fields_: ClassVar = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Synthesizer:
    """espeak-ng's library, set up once."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        folder = os.fsencode(os.path.dirname(espeakng_loader.get_data_path()))
        self.rate_hz = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, folder, _PHONEME_EVENTS | _IPA | _NO_EXIT))
        if self.rate_hz <= 0:
            raise RuntimeError("espeak-ng could not be started")
        self._samples = bytearray()
        self._events: list[list[Any]] = []
        self._callback = _CALLBACK(self._heard)  # kept: the library holds no reference
        self._library.espeak_SetSynthCallback(self._callback)

    def _heard(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._samples += ctypes.string_at(samples, count * 2)
        place = 0
        while events[place].type != _DONE_EVENT:
            event = events[place]
            if event.type == _PHONEME:
                symbol = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "replace")
                self._events.append(["phone", event.audio_position, symbol])
            elif event.type == _WORD:
                self._events.append(["word", event.audio_position, event.text_position, event.length])
            place += 1
        return 0

    def speak(self, text: str, voice: str, words_per_minute: int, pitch: int) -> tuple[bytes, list[list[Any]]]:
        """s16 samples, and events: ["phone", ms, symbol] and ["word", ms, first character from 1, length]."""
        self._samples.clear()
        self._events.clear()
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise LookupError(f"there is no voice {voice!r}")
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        # Breathy voices draw noise, and the library starts its generator by the clock.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
        spoken = text.encode() + b"\0"
        self._library.espeak_Synth(spoken, len(spoken), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        return bytes(self._samples), list(self._events)


def main() -> None:
    """Serve orders until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the library's own messages must not get between answers
    synthesizer = Synthesizer()
    for line in sys.stdin:
        # The library's vibrato goes on from one text to the next. A copy of the process that has said nothing yet
        # makes a text sound alike whatever was said before it.
        speaker = os.fork()
        if speaker == 0:
            answers.write(_answer(synthesizer, line))
            answers.flush()
            os._exit(0)
        if os.waitpid(speaker, 0)[1] != 0:
            return  # it died of this text; the parent sees the end of the pipe


def _answer(synthesizer: Synthesizer, line: str) -> bytes:
    try:
        samples, events = synthesizer.speak(**json.loads(line))
        answer = {"rate_hz": synthesizer.rate_hz, "num_bytes": len(samples), "events": events}
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        samples, answer = b"", {"error": str(error)}
    return json.dumps(answer).encode() + b"\n" + samples


if __name__ == "__main__":
    main()
