# ruff: noqa: E501  # scripts and sentences stand in one line, as they are written
"""Scripts in every format: how they read, and what is said where they do not."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.domain.errors import InputError, ScriptError
from tasks.domain.speech import Script, ScriptLine
from tasks.formats.labels import split_joint
from tasks.formats.script import in_language, read_script, reading


def read(text: str | bytes, name: str = "a.txt", **more) -> Script:
    return read_script(text if isinstance(text, bytes) else text.encode(), name=name, **more)


def said(script: Script) -> list[tuple[str | None, str]]:
    return [(item["speaker"], item["text"]) for item in reading(script)["items"] if "speaker" in item]


def actions(script: Script) -> list[str]:
    return [item["action"] for item in reading(script)["items"] if "action" in item]


def only(script: Script) -> ScriptLine:
    (line,) = script.spoken
    return line


SAME = [("ANNA", "Hello there."), ("BEN", "How are you?"), ("ANNA", "Fine.")]
FORMATS = {
    "colons.txt": "ANNA: Hello there.\nBEN: How are you?\nANNA: Fine.\n",
    "paragraphs.txt": "ANNA: Hello there.\n\nBEN: How are you?\n\nANNA: Fine.\n",
    "wide colons.txt": "ANNA：Hello there.\nBEN：How are you?\nANNA：Fine.\n",
    "stops.txt": "ANNA. Hello there.\n\nBEN. How are you?\n\nANNA. Fine.\n",
    "stops without gaps.txt": "ANNA. Hello there.\nBEN. How are you?\nANNA. Fine.\n",
    "wrapped.txt": "ANNA: Hello\nthere.\nBEN: How\n  are you?\nANNA:\nFine.\n",
    "bold.md": "**ANNA:** Hello there.\n\n**BEN**: *How* are you?\n\n- ANNA: Fine.\n",
    "quoted.md": "> ANNA: Hello there.\n> BEN: How are you?\n> ANNA: Fine.\n",
    "a.fountain": "ANNA\nHello there.\n\nBEN\nHow are you?\n\nANNA (CONT'D)\nFine.\n",
    "colons.fountain": "ANNA: Hello there.\nBEN: How are you?\nANNA: Fine.\n",
    "fountain.txt": "INT. ROOM\n\nANNA\nHello there.\n\nBEN\nHow are you?\n\nANNA\nFine.\n",
    "comma.csv": "speaker,text\nANNA,Hello there.\nBEN,How are you?\nANNA,Fine.\n",
    "semicolon.csv": "\ufeffSpeaker;Text\r\nANNA;Hello there.\r\nBEN;How are you?\r\nANNA;Fine.\r\n",
    "tab.tsv": "speaker\ttext\nANNA\tHello there.\nBEN\tHow are you?\nANNA\tFine.\n",
    "bar.txt": "speaker|text\nANNA|Hello there.\nBEN|How are you?\nANNA|Fine.\n",
    "quoted.csv": 'speaker,text\n"ANNA","Hello\nthere."\nBEN,"How are you?"\nANNA,Fine.\n',
    "a.srt": "1\n00:00:01,000 --> 00:00:02,000\nANNA: Hello there.\n\n2\n00:00:03,000 --> 00:00:04,000\nBEN: How\nare you?\n\n3\n00:00:05,000 --> 00:00:06,000\nANNA: <i>Fine.</i>\n",
    "dashes.srt": "1\n00:00:01,000 --> 00:00:02,000\n- ANNA: Hello there.\n- BEN: How are you?\n\n2\n00:00:05,000 --> 00:00:06,000\nANNA: Fine.\n",
    "a.vtt": "WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.000\n<v Anna>Hello there.</v>\n\nid 2\n00:03.000 --> 00:04.000 line:0\n<v.loud Ben>How are\nyou?\n\n00:05.000 --> 00:06.000\n<v Anna><c.x>Fine.</c>\n",
    "two voices.vtt": "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Anna>Hello there.</v> <v Ben>How are you?</v>\n\n00:05.000 --> 00:06.000\nANNA: Fine.\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_script(name: str) -> None:
    """The same three lines read alike in every format, down to their ids."""
    script = read(FORMATS[name], name=name)
    assert said(script) == SAME
    assert [line.id for line in script.spoken] == [line.id for line in read(FORMATS["colons.txt"]).spoken]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_every_encoding_gives_the_same_words(codec: str) -> None:
    """Accents survive in UTF-8, UTF-16, UTF-32 and Latin-1, with CRLF line ends."""
    script = read("ANNA: Perché no?\r\nBEN: Già.\r\n".encode(codec))
    assert said(script) == [("ANNA", "Perché no?"), ("BEN", "Già.")]
    assert bool(script.warnings) == (codec == "latin-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("主持人：你好。\n嘉宾：谢谢，\n大家好。\n", [("主持人", "你好。"), ("嘉宾", "谢谢，大家好。")]),
        ("مضيف: مرحبا\nضيف: أهلا وسهلا\n", [("مضيف", "مرحبا"), ("ضيف", "أهلا وسهلا")]),
        ("\u200fמנחה: שלום\n\u202bאורח: תודה\u202c\n", [("מנחה", "שלום"), ("אורח", "תודה")]),
        ("DR. OKAFOR: No.\nMRS. ST. JOHN: Yes.\n", [("DR. OKAFOR", "No."), ("MRS. ST. JOHN", "Yes.")]),
        ("Anna: hi\nBen: ho\n", [("Anna", "hi"), ("Ben", "ho")]),
        ("ANNA: One\nAnna: two\n", [("ANNA", "One"), ("ANNA", "two")]),
        ("E\u0301VA: e\u0301\n", [("ÉVA", "é")]),
        ("ANNA & BEN: Bye!\n", [("ANNA & BEN", "Bye!")]),
        ("[00:01:02] ANNA: hi\n00:12 BEN: ho\nANNA (00:15): he\n", [("ANNA", "hi"), ("BEN", "ho"), ("ANNA", "he")]),
        ("- ANNA: hi\n– BEN: ho\n", [("ANNA", "hi"), ("BEN", "ho")]),
        ("🎤 ANNA: hi\n1. BEN: ho\n", [("ANNA", "hi"), ("BEN", "ho")]),
        ("R2-D2: Beep.\nO’NEIL: Hm.\n", [("R2-D2", "Beep."), ("O’NEIL", "Hm.")]),
    ],
)  # fmt: skip
def test_labels_of_many_scripts(text: str, expected: list[tuple[str, str]]) -> None:
    """Labels may be in any script of the world, hold initials and abbreviations, or name two people."""
    assert said(read(text)) == expected


@pytest.mark.parametrize(
    ("line", "words", "directions"),
    [
        ("ANNA: (laughing) He is.", "He is.", ("laughing",)),
        ("ANNA: [softly] He is.", "He is.", ("softly",)),
        ("ANNA (softly): He is.", "He is.", ("softly",)),
        ("ANNA [softly]: He is.", "He is.", ("softly",)),
        ("ANNA [softly] He is.", "He is.", ("softly",)),
        ("ANNA. [Softly.] He is.", "He is.", ("Softly.",)),
        ("ANNA [Softly]. He is.", "He is.", ("Softly",)),
        ("ANNA: Give it. [She parts]. Now [to Ben] this.", "Give it. Now this.", ("She parts", "to Ben")),
        ("ANNA: That is... [sighs]... bad.", "That is... ... bad.", ("sighs",)),
        ("ANNA: Well [sighs], no.", "Well, no.", ("sighs",)),
        ("ANNA: Yes. (laughs) No.", "Yes. No.", ("laughs",)),
        ("ANNA: The sea (salty) is old.", "The sea (salty) is old.", ()),
        ("ANNA: (555) 0142 is the number.", "(555) 0142 is the number.", ()),
        ("ANNA: （笑）你好。", "你好。", ("笑",)),
    ],
)  # fmt: skip
def test_directions_leave_the_words(line: str, words: str, directions: tuple[str, ...]) -> None:
    """A bracket within the words, with the stop behind it, and a parenthesis ahead of them are directions."""
    spoken = read(f"{line}\nANNA: End.\n").spoken[0]
    assert (spoken.text, spoken.directions) == (words, directions)


def test_actions_scenes_and_pauses() -> None:
    """A bracketed line is an action; scenes and pauses carry their seconds and picture, and read as written."""
    script = read(
        "ANNA: A.\n[SFX: kettle, 2 s]\n[scene: a harbour]\n[scene 2.5 s: fog]\n[scene 4 s harbour one.png: boats]\n"
        "[PAUSE 1.5 s]\n[pause 300 ms]\n(A long\nsilence.)\nSFX: bell\n[He goes\nout.]\nANNA: B.\n"
    )
    assert actions(script) == [
        "SFX: kettle, 2 s", "scene: a harbour", "scene 2.5 s: fog", "scene 4 s harbour one.png: boats", "PAUSE 1.5 s",
        "pause 300 ms", "A long silence.", "SFX: bell", "He goes out.",
    ]  # fmt: skip
    by_kind = [
        (line.kind, line.text, line.duration, line.picture) for line in script.lines if line.kind in ("scene", "pause")
    ]
    assert by_kind == [
        ("scene", "a harbour", 4, None),
        ("scene", "fog", Fraction(5, 2), None),
        ("scene", "boats", 4, "harbour one.png"),
        ("pause", "PAUSE 1.5 s", Fraction(3, 2), None),
        ("pause", "pause 300 ms", Fraction(3, 10), None),
    ]


def test_pauses_and_overlaps_within_words() -> None:
    """{pause} cuts a line in two that read as one; {overlap} moves the next line ahead."""
    script = read(
        "ANNA: {pause 1 s} Wait. {pause 400ms} Go. {overlap 150ms}\nBEN: Yes.\n{pause 2s}\nANNA: {overlap 0.2 s} No.\n"
    )
    assert [(line.text, line.pause_after, line.overlap) for line in script.spoken] == [
        ("Wait.", Fraction(2, 5), 0),
        ("Go.", None, 0),
        ("Yes.", 2, Fraction(3, 20)),
        ("No.", None, Fraction(1, 5)),
    ]
    assert said(script) == [("ANNA", "Wait. Go."), ("BEN", "Yes."), ("ANNA", "No.")]
    assert reading(script)["lines_spoken"] == 3


def test_songs() -> None:
    """A note before the name or around the words, and a lyric in Fountain, mark singing."""
    script = read("♪ ANNA: La la.\nBEN: ♪ Lo lo. ♪\nANNA: Talk.\n")
    assert [(line.text, line.is_sung) for line in script.spoken] == [
        ("La la.", True),
        ("Lo lo.", True),
        ("Talk.", False),
    ]
    assert only(read("ANNA\n~La la\n~lo\n", name="a.fountain")).is_sung
    sung = only(read("♪ ANNA [softly] [songs/one.mp3]: La la.\n"))
    assert (sung.song, sung.directions, sung.text) == ("songs/one.mp3", ("softly",), "La la.")
    spoken = only(read("ANNA [one.mp3]: La la.\n"))
    assert (spoken.song, spoken.directions) == (None, ("one.mp3",))


def test_chapters() -> None:
    """A heading is a chapter, in Fountain a section; neither is an item of the reading."""
    for text, name in (
        ("# One\nANNA: a\n## Two\nANNA: b\n", "a.txt"),
        ("# One\n\nANNA\na\n\n## Two\n\nANNA\nb\n", "a.fountain"),
    ):
        script = read(text, name=name)
        assert [line.text for line in script.lines if line.kind == "chapter"] == ["One", "Two"], name
        assert len(reading(script)["items"]) == 2


@pytest.mark.parametrize(
    ("text", "known", "title", "num_spoken"),
    [
        ("My play\nJohn Smith\n\nANNA: a\nBEN: b\n", (), "My play", 2),
        ("# My play\nHosts: Anna (A).\nLength 4 minutes. [MUSIC]\n\nANNA: a\n", (), "My play", 1),
        ("Safety: a lesson\n\nANNA: a\nBEN: b\n", (), "Safety: a lesson", 2),
        ("ANNA: a\n\nBEN: b\n\nANNA: c\n", (), None, 3),
        ("ANNA: a\n\nBEN: b\n", ("anna",), None, 2),
        ("ANNA: a\n\nBEN: b\n", (), "ANNA: a", 1),
        ("ANNA: a\nBEN: b\n", (), None, 2),
        ("ANNA: a\n\n[Music]\n", (), None, 1),
        ("[Music]\n\nANNA: a\n", (), None, 1),
        ("Title: T\nAuthor: Me\nLanguage: de\n\nANNA: a\n", (), "T", 1),
        ("---\ntitle: T\nlanguage: de\n---\n\nANNA: a\n\nBEN: b\n", (), "T", 2),
    ],
)  # fmt: skip
def test_title_blocks(text: str, known: tuple[str, ...], title: str | None, num_spoken: int) -> None:
    """A first paragraph is the title block unless its labels speak below or are cast, or no blank line follows."""
    script = read(text, name="a.md" if text.startswith(("#", "---")) else "a.txt", known=known)
    assert (script.title, len(script.spoken)) == (title, num_spoken)


def test_title_pages_name_author_and_language() -> None:
    """The title block and Fountain's title page give author and language."""
    plain = read("My play\nOscar Wilde\n\nANNA: a\n")
    fountain = read("Title: _My_ **play**\nAuthor: Oscar Wilde\nLanguage: en-gb\n\nANNA\na\n", name="a.fountain")
    assert (plain.title, plain.author, plain.language) == ("My play", "Oscar Wilde", None)
    assert (fountain.title, fountain.author, fountain.language) == ("My play", "Oscar Wilde", "en-GB")
    assert read("WEBVTT - My play\nLanguage: it\n\n00:01.000 --> 00:02.000\n<v A>x\n", name="a.vtt").language == "it"


def test_fountain_in_full() -> None:
    """Forced cues, extensions, parentheses, notes, boneyards, lyrics, transitions and centred text follow the standard."""
    script = read(
        "Title: T\n\nINT. SEA - DAY\n\nShe waits.\nLong.\n\n@McAVOY (V.O.)\n(angry)\nHello /* no\nno */ *you*.\n(then)\nThere. [[note]]\n"
        "  \nStill there.\n\n!SHOUTED ACTION\n\nCUT TO:\n\nDAN ^\n~la la\n\n= synopsis\n\n===\n\n> THE END <\n\n[PAUSE 2 s]\n",
        name="a.fountain",
    )
    assert said(script) == [("McAVOY", "Hello you. There. Still there."), ("DAN", "la la")]
    assert script.spoken[0].directions == ("angry", "then")
    assert actions(script) == ["She waits. Long.", "SHOUTED ACTION", "THE END", "PAUSE 2 s"]
    assert len(script.warnings) == 1


def test_tables_in_full() -> None:
    """Directions, pauses, names, rows without a speaker, comma decimals and spare columns are read."""
    script = read(
        'line;speaker;name;text;direction;pause_after_s;colour\n1;HOST;Marta;"Hi; you";softly;0,4;red\n2;;;[SFX: bell];;;\n3;GUEST;;=1+1;;;\n4;HOST;;;;;\n',
        name="a.csv",
    )
    assert said(script) == [("HOST", "Hi; you"), ("GUEST", "=1+1")]
    assert (script.spoken[0].directions, script.spoken[0].pause_after) == (("softly",), Fraction(2, 5))
    assert actions(script) == ["SFX: bell"]
    assert [(role.label, role.name) for role in script.roles] == [("HOST", "Marta")]
    assert [warning.split(": ")[0] for warning in script.warnings] == ["a.csv, line 1", "a.csv, line 5"]


def test_tables_may_say_sex_and_age() -> None:
    """Sex and age of a speaker are taken where they are words of a cast, and left out where not."""
    (role,) = read("speaker,text,sex,age\nA,x,Female,older adult\n", name="a.csv").roles
    assert (role.label, role.sex, role.age) == ("A", "female", None)


LANGUAGES = "speaker,text_en,text_it,text_zh-hant\nA,Hello.,Ciao.,你好\nB,Bye.,,再見\n"


def test_languages_of_a_table() -> None:
    """A text_<lang> column is spoken where asked for, the first otherwise; ids stay when the language changes."""
    english = read(LANGUAGES, name="a.csv")
    assert (english.language, said(english)) == ("en", [("A", "Hello."), ("B", "Bye.")])
    chinese = in_language(english, "zh-Hant")
    assert (chinese.language, said(chinese)) == ("zh-Hant", [("A", "你好"), ("B", "再見")])
    assert [line.id for line in chinese.lines] == [line.id for line in english.lines]
    assert said(read(LANGUAGES, name="a.csv", language="zh"))[0] == ("A", "你好")
    assert in_language(english, "en") is english
    assert in_language(english, "en-GB") is english
    with pytest.raises(ScriptError, match="line 3 of the script has no text in 'it'"):
        in_language(english, "it")
    with pytest.raises(ScriptError, match=r"no column 'text_fr'. It has text in: en, it, zh-Hant"):
        read(LANGUAGES, name="a.csv", language="fr")


def test_the_language_that_was_asked_for_is_kept() -> None:
    """A file that names no language has the one that the episode states."""
    assert read("A: x", language="de").language == "de"


def test_ids_are_stable_under_edits_of_other_lines() -> None:
    """An edited line has a new id, every other line its old one; repeats are counted."""
    before = read("A: one\nB: two\nA: yes\nA: yes\n")
    after = read("B: zero\nA: one\nB: 2\nA: yes\nA: yes\n")
    ids = [line.id for line in before.spoken]
    assert len(set(ids)) == 4
    assert [line.id for line in after.spoken][1] == ids[0]
    assert [line.id for line in after.spoken][3:] == ids[2:]
    assert ids[3] == f"{ids[2]}-2"


def test_colons_in_ordinary_text_are_no_speakers() -> None:
    """Times, notes, ratios and addresses within a speech stay words; what is unclear is a warning with its line."""
    script = read(
        "HOST: The time is 10:42: remember it.\nNote: this.\nhttp://example.org: neither.\nGUEST: Ratio 3:1.\n"
    )
    assert script.labels == ("HOST", "GUEST")
    assert [warning[:14] for warning in script.warnings] == ["a.txt, line 2:", "a.txt, line 3:"]


def test_how_pages_are_cut_is_nobody() -> None:
    """Scene headings and transitions are neither speakers nor actions, whatever form the labels have."""
    for text in (
        "INT. ROOM - DAY\n\nANNA. a\n\nCUT TO:\n\nBEN. b\n\nFADE OUT.\n\nANNA. c\n",
        "ANNA: a\nCUT TO:\nBEN: b\n",
    ):
        script = read(text, known=("anna",))
        assert script.labels == ("ANNA", "BEN")
        assert actions(script) == []


def test_bracketed_lines_of_fountain_are_actions_of_their_own() -> None:
    """Two bracketed lines without a gap are two actions, each with its meaning."""
    script = read("ANNA\na\n\n[SFX: bell]\n[PAUSE 2 s]\nHe sits.\n\nBEN\nb\n", name="a.fountain")
    assert actions(script) == ["SFX: bell", "PAUSE 2 s", "He sits."]
    assert [line.kind for line in script.lines] == ["speech", "action", "pause", "action", "speech"]


def test_words_without_a_name_are_not_spoken() -> None:
    """A paragraph that nobody is named for is an action and a warning."""
    script = read("ANNA: a\n\nThe sun sets.\n\nANNA: b\n")
    assert actions(script) == ["The sun sets."]
    assert "line 3: nobody is named" in script.warnings[0]


def test_long_speeches_are_cut_at_sentences() -> None:
    """A speech of several minutes becomes lines of whole sentences that read as one."""
    text = "This is a sentence of some length, is it not? " * 100
    script = read(f"A: {text}\nB: x\n")
    parts = [line for line in script.spoken if line.speaker == "A"]
    assert len(parts) > 2
    assert all(len(part.text) <= 1500 and part.text.endswith("?") for part in parts)
    assert said(script)[0] == ("A", text.strip())
    assert len({line.id for line in script.lines}) == len(script.lines)


def test_markup_is_dropped_and_never_run() -> None:
    """Script elements vanish with their content, other tags leave their text, entities are decoded."""
    script = read(
        'WEBVTT\n\n00:00.000 --> 00:02.000\n<v Bob><script>alert(1)</script>Hello\n\n00:02.000 --> 00:04.000\n<v.x Mary "onload=x"><b>Hi</b> &amp; bye\n',
        name="a.vtt",
    )
    assert said(script) == [("BOB", "Hello"), ('MARY "ONLOAD=X"', "Hi & bye")]


def test_joint_labels_split() -> None:
    """A joint label names each of its speakers; a single one itself."""
    assert split_joint("ANNA & BEN") == ("ANNA", "BEN")
    assert split_joint("Anna, Ben and Carl") == ("Anna", "Ben", "Carl")
    assert split_joint("PROFESSOR RAO") == ("PROFESSOR RAO",)
    assert split_joint("ANDY") == ("ANDY",)


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "a.txt", "a.txt: the file is empty. Write at least one line into it."),
        (b" \n\t\n", "a.txt", "a.txt: the file is empty."),
        (b"[Music]\n(A long silence.)\n", "a.txt", "a.txt: nobody speaks in this script. Write lines as NAME: words."),
        (b"Just prose.\n", "a.txt", "nobody speaks"),
        (b"%PDF-1.4\n", "a.pdf", "this is a PDF, a format that is not supported here. Save it as plain text in UTF-8."),
        (b"PK\x03\x04xx", "a.docx", "a ZIP or Office document"),
        (b"<!DOCTYPE html><p>A: x", "a.txt", "this is HTML or XML"),
        (b"A: " + b"word " * 40_000, "a.txt", "a.txt, line 1: the speech has 199,999 characters; at most 20,000 are allowed. Break it into several lines."),
        ("".join(f"S{i}: x\n" for i in range(1000)).encode(), "a.txt", "1,000 speakers were found; at most 50 are allowed. Check that only names stand before the colons."),
        (b"A: x\n" * 60_000, "a.txt", "lines; at most 50,000 are allowed."),
        (b"speaker,text\nA,x,y\n", "a.csv", "a.csv, line 2: the row has 3 cells, but there are 2 columns."),
        (b"speaker,text,pause_after_s\nA,x,soon\n", "a.csv", "a.csv, line 2: pause_after_s is 'soon'. Write seconds from 0 to 600, such as 0.4."),
        (b"who,text\nA,x\n", "a.csv", "a.csv, line 1: the table has no column 'speaker'. Found: who, text."),
        (b"speaker,words\nA,x\n", "a.csv", "the table has no column 'text'."),
        (b"speaker,text,text\nA,x,y\n", "a.csv", "the table has two columns 'text'. Keep one."),
        (b"WEBVTT\n\nnothing\n", "a.vtt", "nobody speaks"),
        (b"ANNA: x\n", "a.srt", "the file has no cue."),
        (b"A: x\n[PAUSE 9999 s]\n", "a.txt", "a.txt, line 2: the pause lasts 9999 s; at most 600 s are allowed."),
        (b"A: x\n[scene 99 s: y]\n", "a.txt", "a.txt, line 2: the scene lasts 99 s; more than 0 and at most 60 s are allowed."),
        (b"\xff\xfeA", "a.txt", "does not belong to its encoding (UTF-16)"),
        (bytes(range(256)) * 4, "a.txt", "this is no text"),
    ],
    ids=range(21),
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_a_sentence(content: bytes, name: str, sentence: str) -> None:
    """Each refusal says what is wrong, where, what is allowed and what to do."""
    with pytest.raises(ScriptError) as caught:
        read(content, name=name)
    assert sentence in str(caught.value)


names = st.sampled_from(["ANNA", "BEN", "主持人", "DR. RAO", "ضيف"])
words = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "Zs", "Po"], exclude_characters="#[](){}:：*_♪@/|&\\<>~"),
    min_size=1,
    max_size=40,
)


@given(st.lists(st.tuples(names, words), min_size=2, max_size=8))
@settings(max_examples=40, deadline=None)
def test_spoken_words_survive(lines: list[tuple[str, str]]) -> None:
    """Words without markup come out as they went in, but for white space and normal form, under their own label."""
    import unicodedata

    known = tuple({name for name, _ in lines})
    text = "".join(f"{name}: x{word}x\n" for name, word in lines)
    expected = [(n, " ".join(unicodedata.normalize("NFC", f"x{w}x").split(" ")).replace("  ", " ")) for n, w in lines]
    got = said(read(text, known=known))
    assert [name for name, _ in got] == [name for name, _ in expected]
    assert ["".join(text.split()) for _, text in got] == ["".join(text.split()) for _, text in expected]


@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(str.encode)
    | st.text(st.sampled_from("AB:.[](){}♪ \n\t-><v01,;|\"'#@!=~*_/pause scene 5s"), max_size=200).map(str.encode),
    st.sampled_from(["a.txt", "a.md", "a.fountain", "a.csv", "a.srt", "a.vtt", "a"]),
)
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_script_or_an_input_error(content: bytes, name: str) -> None:
    """Nothing that a file can hold makes any other exception, and a script always has words and distinct ids."""
    try:
        script = read(content, name=name)
    except InputError:
        return
    assert script.spoken
    assert all(line.text for line in script.spoken)
    assert len({line.id for line in script.lines}) == len(script.lines)
    assert reading(script)["lines_spoken"] >= 1


@pytest.mark.parametrize(
    "content",
    [
        b"A: x\n" * 3_000, b"A: " + b"(" * 19_000, b"A: " + b"[" * 19_000, b"A: " + b"(a)" * 6_000, b"A: " + b" \t" * 9_000 + b"x",
        b"A" * 240_000, (b"A" * 59 + b". ") * 4_000, b"\n" * 49_000 + b"A: x", b"[" + b"a " * 9_000, b"A: x\n" + b"[a\n" * 3_000,
        b"WEBVTT\n\n" + b"00:01.000 --> 00:02.000\n<v A>x\n\n" * 2_000, b"1\n00:00:01,000 --> 00:00:02,000\nA: " + b"<" * 100_000,
        b"speaker,text\n" + b'A,"x"\n' * 3_000, b'speaker,text\nA,"' + b"x" * 200_000, b"A: " + b"*a" * 9_000, b"[[" * 50_000, b"/*" * 50_000,
        b"A: " + b"{pause 1s}" * 1_900, b"A\nb\n\n" * 3_000,
    ],
    ids=range(19),
)  # fmt: skip
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["a.txt", "a.md"])
def test_large_and_odd_files_take_seconds_at_most(content: bytes, name: str) -> None:
    """No file within the limits makes a reader hang."""
    try:
        read(content, name=name)
    except ScriptError:
        return
