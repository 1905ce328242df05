"""ARPAbet, which the English acoustic model speaks, and IPA, which everything else here does. Pure.

Source: CMU Pronouncing Dictionary's phone set; espeak-ng's en-us phonemes as its events name them.
"""

from collections.abc import Iterable

ARPA_TO_IPA = {
    **{"AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "IH": "ɪ"},
    **{"IY": "i", "OW": "oʊ", "OY": "ɔɪ", "UH": "ʊ", "UW": "u", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð", "F": "f"},
    **{"G": "ɡ", "HH": "h", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "P": "p", "R": "ɹ"},
    **{"S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ"},
}
SILENCE = "SIL"

_IPA_TO_ARPA = {
    **{"aɪɚ": "AY ER", "aɪə": "AY AH", "aʊ": "AW", "aɪ": "AY", "eɪ": "EY", "oʊ": "OW", "əʊ": "OW", "ɔɪ": "OY"},
    **{"tʃ": "CH", "dʒ": "JH", "ɑːɹ": "AA R", "ɔːɹ": "AO R", "oːɹ": "AO R", "ɛɹ": "EH R", "ɪɹ": "IH R", "ʊɹ": "UH R"},
    **{"iə": "IY AH", "əl": "AH L", "n̩": "AH N", "ɑ": "AA", "a": "AA", "æ": "AE", "ɐ": "AH", "ʌ": "AH", "ə": "AH"},
    **{"ɚ": "ER", "ɜ": "ER", "ɝ": "ER", "ɔ": "AO", "ɒ": "AA", "o": "OW", "u": "UW", "ʊ": "UH", "ᵻ": "IH", "ɨ": "IH"},
    **{"i": "IY", "ɪ": "IH", "y": "UW", "ø": "ER", "œ": "ER", "ɛ": "EH", "e": "EY", "b": "B", "d": "D", "ð": "DH"},
    **{"f": "F", "ɡ": "G", "g": "G", "h": "HH", "x": "K", "ç": "HH", "k": "K", "l": "L", "ɫ": "L", "m": "M", "n": "N"},
    **{"ŋ": "NG", "p": "P", "ɹ": "R", "r": "R", "ʁ": "R", "ɾ": "T", "s": "S", "ʃ": "SH", "t": "T", "ʔ": "T", "θ": "TH"},
    **{"v": "V", "w": "W", "j": "Y", "z": "Z", "ʒ": "ZH", "ɲ": "N Y", "ʎ": "L Y", "β": "B", "ɣ": "G"},
}
_LONGEST = max(map(len, _IPA_TO_ARPA))


def arpa(symbols: Iterable[str]) -> list[str]:
    """ARPAbet phones for IPA symbols; what has no counterpart (length, tone, clicks) is left out."""
    phones: list[str] = []
    for symbol in symbols:
        place = 0
        while place < len(symbol):
            for size in range(min(_LONGEST, len(symbol) - place), 0, -1):
                known = _IPA_TO_ARPA.get(symbol[place : place + size])
                if known is not None:
                    phones += known.split()
                    place += size
                    break
            else:
                place += 1
    return phones
