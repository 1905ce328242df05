"""The episode file: YAML -> Episode, or everything that is wrong with it.

In: the bytes of the file, and its place for messages. Out: a `tasks.domain.episode.Episode` whose paths are still text.
Does not open any file: it does not know whether a portrait is there, a script has words or a language a voice.
"""

import re
from collections.abc import Callable

from tasks.domain.episode import CastEntry, Episode, Source
from tasks.domain.errors import CastError, EpisodeError
from tasks.domain.options import ASPECTS, CAPTIONS, LAYOUTS, ON_FAILURE, QUALITIES, OutputOptions, RenderOptions
from tasks.formats.cast_sheet import read_cast
from tasks.formats.fields import Fields
from tasks.formats.findings import Findings, shown
from tasks.formats.languages import language_tag
from tasks.formats.tree import Node, read_tree

SCHEMA = "episode/1"
KEYS = (
    "schema", "id", "title", "language", "source", "cast", "casting", "render", "outputs", "languages", "translations",
    "chapters",
)  # fmt: skip
SOURCE_KEYS = ("script", "podcast", "transcript", "speakers", "tracks", "vocals")
CASTING = ("samples", "order")
MAX_ID_CHARACTERS = 100
MAX_SCRIPT_CHARACTERS = 500_000
"""Of a script that stands in the episode itself."""
MAX_SPEAKERS = 50
MAX_LANGUAGES = 50
MAX_SONGS = 100
MIN_HEIGHT_PX, MAX_HEIGHT_PX = 180, 2160
MAX_SEED = 2**63 - 1

_ID = re.compile(r"[A-Za-z0-9_-]+")
LANGUAGE_REMEDY = "Write a BCP 47 tag such as en, pt-BR or zh-Hant."


def read_episode(
    content: bytes,
    *,
    path: str,
    folder: str,
    roots: tuple[str, ...] = (),
    fetch: Callable[[str], bytes] | None = None,
) -> Episode:
    """The episode that `content` asks for.

    path: the file, for messages. folder, roots: where its paths may lead; kept as they are. fetch: gives the bytes of a
    cast that stands in a file of its own, and raises InputError where it cannot.
    Raises EpisodeError or CastError, one sentence about the first fault; the rest are in its `others`.
    """
    findings = Findings(EpisodeError)
    fields = Fields(read_tree(content, name=path, findings=findings), "", KEYS, findings)
    _check_schema(fields)
    fields.require("id", "Name the episode: letters, digits, '-' and '_'.")
    fields.require("language", LANGUAGE_REMEDY)
    fields.require("source", "Give it one of script, podcast or tracks.")
    name = fields.checked("id", _id, f"Use letters, digits, '-' and '_', at most {MAX_ID_CHARACTERS}.") or ""
    language = fields.checked("language", language_tag, LANGUAGE_REMEDY) or "en"
    cast = _cast(fields, fetch)
    languages = _languages(fields, language)
    episode = Episode(
        id=name,
        title=fields.text("title", limit=300) or name,
        language=language,
        source=_source(fields, cast),
        cast=cast,
        casting=fields.choice("casting", CASTING, "samples") or "samples",
        render=_render(fields),
        outputs=_outputs(fields),
        languages=languages,
        translations=_translations(fields, languages),
        chapters=fields.file("chapters"),
        folder=folder,
        path=path,
        roots=roots,
    )
    findings.raise_any()
    return episode


def unused_cast(episode: Episode, played: tuple[str, ...]) -> tuple[str, ...]:
    """A warning for each member of the cast who is not among the cast keys `played`."""
    return tuple(
        f"{entry.where}: cast.{entry.key} never speaks. Remove the entry, or check how the source spells the name."
        for entry in episode.cast
        if entry.key not in played
    )


def _check_schema(fields: Fields) -> None:
    fields.require("schema", f"Begin the file with 'schema: {SCHEMA}'.")
    written = fields.text("schema")
    if written is not None and written != SCHEMA:
        fields.fault("schema", f"is {shown(written)}.", f"This release reads '{SCHEMA}'.")


def _id(text: str) -> str | None:
    return text if _ID.fullmatch(text) and len(text) <= MAX_ID_CHARACTERS else None


def _source(fields: Fields, cast: tuple[CastEntry, ...]) -> Source:
    node = fields.node("source")
    source = Fields(node, "source", SOURCE_KEYS, fields.findings)
    given = [key for key in ("script", "podcast", "tracks") if source.node(key) is not None]
    if node is not None and len(given) != 1:
        found = f"has {' and '.join(given)}" if given else "has none of script, podcast and tracks"
        fields.fault("source", f"{found}.", "Keep exactly one of script, podcast and tracks.")
    for key in given:
        value = source.node(key)
        if value is not None and value.kind == "text" and not value.text.strip():
            source.fault(key, "is empty.", "Name a file, or for a script write its lines.")
    for key in ("transcript", "speakers"):
        if source.node(key) is not None and given == ["script"]:
            source.fault(key, "has no meaning for a script.", "Remove it.")
    tracks = _tracks(source, cast)
    return Source(
        script=_script(source),
        podcast=source.file("podcast", addresses=True),
        transcript=source.file("transcript"),
        speakers=source.whole("speakers", 1, MAX_SPEAKERS),
        tracks=tracks,
        vocals=_vocals(source, tracks),
    )


def _script(source: Fields) -> str | None:
    """A file name, or the script itself: with its line breaks, never trimmed away."""
    node = source.node("script")
    if node is not None and node.kind == "text" and "\n" in node.text:
        text = source.text("script", limit=MAX_SCRIPT_CHARACTERS)
        return None if text is None else f"{text}\n"
    return source.file("script")


def _tracks(source: Fields, cast: tuple[CastEntry, ...]) -> tuple[tuple[str, str], ...]:
    keys = {entry.key.casefold(): entry.key for entry in cast}
    tracks: dict[str, str] = {}
    for label, file, where in source.texts_by_key("tracks", limit=MAX_SPEAKERS):
        key = keys.get(label.casefold())
        if key is None and cast:
            source.findings.add(
                f"the track {shown(label)} belongs to nobody in the cast.",
                where=where,
                remedy=f"The cast has: {', '.join(keys.values())}.",
                kind=CastError,
            )
        if (key or label) in tracks:
            source.findings.add(f"{shown(label)} has two tracks.", where=where, remedy="Keep one.", kind=CastError)
        tracks[key or label] = file
    if source.node("tracks") is not None and not tracks:
        source.fault("tracks", "is empty.", "Name one file for each speaker.")
    return tuple(tracks.items())


def _vocals(source: Fields, tracks: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Vocal stems: of the podcast, of each track, or of each song that a script names."""
    if source.node("podcast") is not None:
        file = source.file("vocals")
        return () if file is None else (("", file),)
    keys = {key.casefold(): key for key, _ in tracks}
    stems = source.texts_by_key("vocals", limit=MAX_SONGS)
    for of, _, where in stems:
        if keys and of.casefold() not in keys:
            message = f"source.vocals has {shown(of)}, which is no track."
            source.findings.add(message, where=where, remedy=f"The tracks are: {', '.join(keys.values())}.")
    return tuple((keys.get(of.casefold(), of), file) for of, file, _ in stems)


def _cast(fields: Fields, fetch: Callable[[str], bytes] | None) -> tuple[CastEntry, ...]:
    node = fields.node("cast")
    if node is None:
        fields.require("cast", "Give each speaker a portrait: cast: {anna: {portrait: anna.png}}.")
        return ()
    if node.kind == "text":
        name = fields.file("cast")
        if name is not None and fetch is None:
            fields.fault("cast", f"names the file {shown(name)}, but no files are read here.", "Write the cast out.")
        if name is None or fetch is None:
            return ()
        content = fetch(name)
        node = read_tree(content, name=name, findings=fields.findings)
    return read_cast(node, fields.findings)


def _render(fields: Fields) -> RenderOptions:
    allowed = ("quality", "seed", "prompt", "negative_prompt", "layout", "pose", "on_failure")
    render = Fields(fields.node("render"), "render", allowed, fields.findings)
    default = RenderOptions()
    return RenderOptions(
        quality=render.choice("quality", QUALITIES) or default.quality,
        seed=render.whole("seed", 0, MAX_SEED) or 0,
        prompt=render.text("prompt") or "",
        negative_prompt=render.text("negative_prompt") or "",
        layout=render.choice("layout", LAYOUTS) or default.layout,
        pose=render.file("pose"),
        on_failure=render.choice("on_failure", ON_FAILURE) or default.on_failure,
    )


def _outputs(fields: Fields) -> tuple[OutputOptions, ...]:
    node = fields.node("outputs")
    if node is None:
        return (OutputOptions(),)
    if node.kind != "list" or not node.items:
        fields.fault("outputs", "must be a list with at least one output.", 'Write: - {aspect: "16:9"}')
        return (OutputOptions(),)
    outputs: dict[str, OutputOptions] = {}
    for index, item in enumerate(node.items):
        output = _output(item, f"outputs[{index}]", fields.findings)
        if output.name in outputs:
            message = f"there are two outputs of {output.aspect}, which would be one file."
            fields.findings.add(message, where=item.where, remedy="Keep one.")
        outputs.setdefault(output.name, output)
    return tuple(outputs.values())


def _output(node: Node, place: str, findings: Findings) -> OutputOptions:
    output = Fields(node, place, ("aspect", "height", "captions"), findings)
    aspect = output.choice("aspect", ASPECTS, "16:9") or "16:9"
    default = 1280 if aspect == "9:16" else 720
    height = output.whole("height", MIN_HEIGHT_PX, MAX_HEIGHT_PX) or default
    if height % 2:
        output.fault("height", f"is {height}, an odd number.", f"Write {height + 1}: a picture has an even height.")
    return OutputOptions(aspect=aspect, height=height, captions=_captions(output))


def _captions(output: Fields) -> tuple[str, ...]:
    written = output.texts("captions")
    if written is None:
        return OutputOptions().captions
    for word, _ in written:
        if word not in CAPTIONS:
            output.fault("captions", f"holds {shown(word)}.", f"Allowed: {', '.join(CAPTIONS)}.")
    return tuple(dict.fromkeys(word for word, _ in written if word in CAPTIONS))


def _languages(fields: Fields, language: str) -> tuple[str, ...]:
    tags: list[str] = []
    for text, where in fields.texts("languages", limit=MAX_LANGUAGES) or ():
        tag = language_tag(text)
        if tag is None:
            fields.findings.add(f"languages holds {shown(text)}.", where=where, remedy=LANGUAGE_REMEDY)
        elif tag == language or tag in tags:
            fault = "the episode's own language" if tag == language else "there already"
            fields.findings.add(f"languages holds '{tag}', which is {fault}.", where=where, remedy="Remove it.")
        else:
            tags.append(tag)
    return tuple(tags)


def _translations(fields: Fields, languages: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    files: dict[str, str] = {}
    for text, file, where in fields.texts_by_key("translations", limit=MAX_LANGUAGES):
        tag = language_tag(text)
        if tag is None:
            fields.findings.add(f"translations holds {shown(text)}.", where=where, remedy=LANGUAGE_REMEDY)
        elif tag not in languages:
            remedy = f"Add it: languages: [{', '.join((*languages, tag))}]."
            fields.findings.add(f"translations holds '{tag}', which is not in languages.", where=where, remedy=remedy)
        else:
            files[tag] = file
    return tuple(files.items())
