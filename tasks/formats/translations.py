"""One script per language -> one script with translations beside its lines.

In: a script, and the same script in another language, both read. Out: the script whose spoken lines hold the other's
words. Lines belong together by their order and their speakers. Knows no files and no voices.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from tasks.domain.errors import ScriptError
from tasks.domain.speech import Script, ScriptLine
from tasks.formats.labels import folded
from tasks.formats.words import join

_PART = re.compile(r"\.\d+$")
"""How the id of a speech's further part ends: a long speech, or one with a pause in it, is several lines."""


def with_translation(script: Script, language: str, translated: Script, *, name: str) -> Script:
    """`script` with the words of `translated` as the translations of its lines into `language`.

    name: the file of the translation, for messages.
    Raises ScriptError where the two have not the same speeches by the same speakers.
    """
    speeches, others = _speeches(script), _speeches(translated)
    for mine, theirs in zip(speeches, others, strict=False):
        if folded(mine[0].speaker or "") != folded(theirs[0].speaker or ""):
            raise ScriptError(
                f"this line is spoken by {theirs[0].speaker}, but line {mine[0].row} of the script by "
                f"{mine[0].speaker}.",
                where=f"{name}:{theirs[0].row}",
                remedy="Give every translation the same lines in the same order, with the same labels.",
            )
    if len(speeches) != len(others):
        raise ScriptError(
            f"the translation into '{language}' has {len(others)} spoken lines, the script has {len(speeches)}.",
            where=name,
            remedy="Give every translation the same lines in the same order.",
        )
    texts = {
        line.id: text
        for mine, theirs in zip(speeches, others, strict=True)
        for line, text in zip(mine, _in_parts([line.text for line in theirs], len(mine)), strict=True)
    }
    lines = tuple(_translated(line, language, texts[line.id]) if line.id in texts else line for line in script.lines)
    return replace(script, lines=lines)


def _speeches(script: Script) -> list[list[ScriptLine]]:
    """Spoken lines; the parts of one speech together."""
    numbered: list[tuple[int, ScriptLine]] = []
    for line in script.spoken:
        is_further = bool(numbered) and _PART.search(line.id) is not None
        numbered.append((numbered[-1][0] if is_further else len(numbered), line))
    return [[line for _, line in group] for _, group in groupby(numbered, key=lambda pair: pair[0])]


def _translated(line: ScriptLine, language: str, text: str) -> ScriptLine:
    kept = tuple(pair for pair in line.translations if pair[0].lower() != language.lower())
    return replace(line, translations=(*kept, (language, text)))


def _in_parts(texts: list[str], count: int) -> list[str]:
    """The texts as `count` of them: equal in number they pair off, else the whole is dealt out evenly by words."""
    if len(texts) == count:
        return texts
    whole = join(texts)
    words = whole.split(" ")
    # Chinese and Japanese write no blanks: deal out characters.
    pieces, glue = (words, " ") if len(words) >= count else (list(whole), "")
    return [glue.join(share) for share in _shares(pieces, count)]


def _shares(pieces: list[str], count: int) -> Iterator[list[str]]:
    for index in range(count):
        yield pieces[len(pieces) * index // count : len(pieces) * (index + 1) // count]
