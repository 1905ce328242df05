"""A process that holds the espeak-ng library (GPL: it stays in a process of its own) and speaks on request.

    python -I -S espeak_worker.py LIBRARY        (in the folder that holds espeak-ng-data)

In: requests on standard input, one line of JSON each. Out: for each one line of JSON and, for speech, its s16 samples.
Standard library only; knows nothing of this project. The library keeps state between texts (random numbers,
filters): every text is spoken by a fresh copy of this process, so that equal requests give equal samples and a crash
loses one text. Source: espeak-ng 1.52, speak_lib.h.
"""

import ctypes
import json
import os
import sys
from typing import Any

SYNCHRONOUS = 2
PHONEME_EVENTS, PHONEME_IPA, DONT_EXIT = 1, 2, 0x8000
UTF8 = 1
RATE, VOLUME, PITCH = 1, 2, 3
WORD, SENTENCE, END, PHONEME = 1, 2, 5, 7
POSITION_CHARACTER = 1
HALF_VOLUME = 50  # some variants clip at the library's own level


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


class _VoiceEntry(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Library:
    """The calls of the library that are used here."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceEntry))
        self._library.espeak_Info.restype = ctypes.c_char_p
        # The library cuts long paths: the data lie in the working folder.
        self.rate_hz = self._library.espeak_Initialize(SYNCHRONOUS, 0, b".", PHONEME_EVENTS | PHONEME_IPA | DONT_EXIT)
        if self.rate_hz <= 0:
            raise RuntimeError("espeak-ng found no data")
        self._samples = bytearray()
        self._events: list[tuple[int, int, int, int, str]] = []
        self._callback = _CALLBACK(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def facts(self) -> dict[str, object]:
        """Version, rate, and for each language voice its code and its identifier, the one name that always loads it."""
        listed = self._library.espeak_ListVoices(None)
        voices = []
        index = 0
        while listed[index]:
            entry = listed[index].contents
            # ctypes stops at the first 0: the first code of "priority code 0" triples, past its priority.
            voices.append([entry.languages[1:].decode("ascii", "ignore"), entry.identifier.decode("utf-8", "ignore")])
            index += 1
        return {"version": self._library.espeak_Info(None).decode(), "rate_hz": self.rate_hz, "voices": voices}

    def speak(self, text: str, voice: str, rate: int, pitch: int, seed: int) -> dict[str, object]:
        """Sets `self.samples`; the events are [kind, sample, text position, length, symbol]."""
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            return {"error": "voice"}
        for parameter, value in ((RATE, rate), (VOLUME, HALF_VOLUME), (PITCH, pitch)):
            self._library.espeak_SetParameter(parameter, value, 0)
        raw = text.encode("utf-8", "ignore") + b"\0"
        status = self._library.espeak_Synth(raw, len(raw), 0, POSITION_CHARACTER, 0, UTF8, None, None)
        if status != 0:
            return {"error": f"status {status}"}
        self._library.espeak_Synchronize()
        return {"rate_hz": self.rate_hz, "num_bytes": len(self._samples), "events": self._events}

    @property
    def samples(self) -> bytes:
        """s16, in the machine's order."""
        return bytes(self._samples)

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._samples += ctypes.string_at(samples, 2 * count)
        index = 0
        while (event := events[index]).type != 0:
            if event.type in {WORD, SENTENCE, END, PHONEME}:
                # Eight bytes without an end of their own: a long symbol may be cut within a character.
                raw = bytes(event.id.string) if event.type == PHONEME else b""
                symbol = raw.split(b"\0")[0].decode("utf-8", "ignore")
                self._events.append((event.type, event.sample, event.text_position, event.length, symbol))
            index += 1
        return 0


def answer(library: Library, request: dict[str, object]) -> tuple[dict[str, object], bytes]:
    """The head of the answer, and the samples that follow it."""
    if request.get("ask") == "facts":
        return library.facts(), b""
    text, voice = str(request["text"]), str(request["voice"])
    rate, pitch, seed = (int(str(request[key])) for key in ("rate", "pitch", "seed"))
    head = library.speak(text, voice, rate, pitch, seed)
    return head, library.samples if "error" not in head else b""


def _send(head: dict[str, object], samples: bytes) -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + samples)
    sys.stdout.buffer.flush()


def main() -> None:
    """Answer until standard input ends."""
    library = Library(sys.argv[1])
    for line in sys.stdin.buffer:
        child = os.fork()
        if child == 0:
            try:
                _send(*answer(library, json.loads(line)))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            _send({"error": f"the library died, status {status}"}, b"")


if __name__ == "__main__":
    main()
