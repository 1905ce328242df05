"""The episode: what a person asks for, as read from the episode file. Paths are still text here."""

from dataclasses import dataclass

from tasks.domain.options import OutputOptions, RenderOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Exactly one of script, podcast, tracks."""

    script: str | None = None
    """A file name, or the script itself where it holds a line break."""
    podcast: str | None = None
    """A file name or an http(s) address."""
    transcript: str | None = None
    speakers: int | None = None
    """How many speakers the diarizer should expect."""
    tracks: tuple[tuple[str, str], ...] = ()
    """(cast key, file name)."""
    vocals: tuple[tuple[str, str], ...] = ()
    """(what it is the stem of, file name) of vocal stems: "" for the podcast, a track's cast key, a script's song."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CastEntry:
    """What an episode says of one member of its cast."""

    key: str
    portrait: str | None = None
    name: str | None = None
    voice: str | None = None
    sex: str | None = None
    age: str | None = None
    prompt: str = ""
    box: tuple[float, float, float, float] | None = None
    sample: str | None = None
    pose: str | None = None
    """A video of body poses, which every shot follows from its start; before the episode's own."""
    consent: str | None = None
    where: str = ""
    """File, line and column of the entry, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One order for a programme."""

    id: str
    title: str
    language: str
    source: Source
    cast: tuple[CastEntry, ...]
    casting: str = "samples"
    """One of "samples" or "order"."""
    render: RenderOptions = RenderOptions()
    outputs: tuple[OutputOptions, ...] = (OutputOptions(),)
    languages: tuple[str, ...] = ()
    translations: tuple[tuple[str, str], ...] = ()
    """(language, file name)."""
    chapters: str | None = None
    folder: str = "."
    """Absolute: paths of the episode resolve below it. Part of no fingerprint."""
    path: str = ""
    """The episode file itself, for messages."""
    roots: tuple[str, ...] = ()
    """Further folders that inputs may lie in (`inputs.roots`)."""

    @property
    def kind(self) -> str:
        """One of "script", "podcast" or "tracks"."""
        if self.source.script is not None:
            return "script"
        return "podcast" if self.source.podcast is not None else "tracks"
