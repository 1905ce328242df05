"""What a recording holds: tracks, true length, levels, damage. Decodes it once from end to end and writes nothing.

In: a path. Out: `MediaFacts`. Its length is that of the decoded samples; a header is only compared with it.
Knows no speech: silence and music are facts here, never errors.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.stream import Disposition

from s2v_model.contract import Watch
from tasks.media.container import MediaLimits, SourceFile, clean_text, open_media, source_file
from tasks.media.decoding import Damage, TrackReader
from tasks.media.levels import (
    CLIPPED_SHARE,
    DC_OFFSET,
    QUIET_DBFS,
    LevelMeter,
    Levels,
    Mix,
    choose_mix,
)

MAX_TITLE_CHARACTERS = 200
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 768_000

_COMMENTARY = Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired | Disposition.karaoke
_HEADERS_WITHOUT_LENGTH = {"aac", "ac3", "eac3", "dts", "loas", "mpegts", "mpeg", "amr"}
"""FFmpeg guesses the length of these from their bit rate or last timestamp."""


def unwatched(done: float, total: float) -> None:
    """A `Watch` for whoever has nobody to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFacts:
    """One audio track as its container describes it."""

    number: int
    """From 1, among the audio tracks."""
    codec: str
    rate_hz: int
    channels: int
    layout: str
    language: str | None = None
    title: str | None = None
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """A recording, listened to from end to end."""

    format: str
    size: int
    """Bytes."""
    tracks: tuple[TrackFacts, ...]
    track: TrackFacts
    """The one that is used."""
    num_video_streams: int
    duration: Fraction
    """Seconds, from the decoded samples."""
    duration_from_header: Fraction | None
    levels: Levels
    mix: Mix
    title: str | None = None
    warnings: tuple[str, ...] = ()
    track_index: int = field(default=0, repr=False)
    """Index of the used stream in its container."""


def probe(path: Path, *, name: str = "", watch: Watch = unwatched, limits: MediaLimits = MediaLimits()) -> MediaFacts:
    """Listen to `path` once.

    name: how messages call it; the file's name by default.
    Raises RecordingError for what is no recording, has no usable audio track or passes a limit; Stopped out of `watch`.
    """
    with source_file(path, limits, name) as source:
        return probe_source(source, watch=watch, limits=limits)


def probe_source(source: SourceFile, *, watch: Watch, limits: MediaLimits) -> MediaFacts:
    """As `probe`, for an opened file, so that a second pass reads the same bytes."""
    with open_media(source) as container:
        stream, tracks = choose_track(container, source, limits)
        header = _header_duration(container, stream)
        _refuse_true_length(header, source, limits)
        reader = TrackReader(container, stream, source, limits)
        meter = LevelMeter(reader.channels)
        num_samples = 0
        for block in reader.blocks():
            num_samples += block.shape[1]
            meter.add(block)
            watch(num_samples / reader.rate_hz, max(float(header or 0), num_samples / reader.rate_hz))
        track = tracks[stream.container.streams.audio.index(stream)]
        if not num_samples:
            raise source.refusal(*_no_samples(reader.damage))
        levels = meter.levels()
        facts = MediaFacts(
            format=str(container.format.name),
            size=source.size,
            tracks=tracks,
            track=track,
            num_video_streams=len(container.streams.video),
            duration=Fraction(num_samples, reader.rate_hz),
            duration_from_header=header,
            levels=levels,
            mix=choose_mix(levels, _channel_names(stream)),
            title=clean_text(container.metadata.get("title"), MAX_TITLE_CHARACTERS),
            track_index=stream.index,
        )
    return _with_warnings(facts, reader.damage, source)


def choose_track(container: Any, source: SourceFile, limits: MediaLimits) -> tuple[Any, tuple[TrackFacts, ...]]:
    """The audio stream to use, and all audio tracks: the one marked default, else the first that is no commentary."""
    streams = container.streams
    if len(streams) > limits.max_streams:
        raise source.refusal(
            f"it has {len(streams)} streams; at most {limits.max_streams} are read.", "Export only the sound."
        )
    if not streams.audio:
        kind = "is a film without sound" if streams.video else "has no audio track"
        raise source.refusal(f"it {kind}.", "Name a recording with an audio track.")
    usable = [stream for stream in streams.audio if _is_decodable(stream)]
    if not usable:
        raise source.refusal(
            "its sound is protected or in a coding that cannot be read.", "Export it again as WAV, FLAC, MP3 or M4A."
        )
    plain = [stream for stream in usable if not _is_commentary(stream)] or usable
    marked = [stream for stream in plain if stream.disposition & Disposition.default]
    stream = (marked or plain)[0]
    if stream.codec_context.channels > limits.max_channels:
        raise source.refusal(
            f"it has {stream.codec_context.channels} channels; at most {limits.max_channels} are read.",
            "Name one file per speaker under 'tracks'.",
        )
    return stream, tuple(_track_facts(number, item) for number, item in enumerate(streams.audio, 1))


def _is_decodable(stream: Any) -> bool:
    context = stream.codec_context
    return context is not None and context.channels >= 1 and MIN_RATE_HZ <= context.sample_rate <= MAX_RATE_HZ


def _is_commentary(stream: Any) -> bool:
    return bool(stream.disposition & _COMMENTARY)


def _track_facts(number: int, stream: Any) -> TrackFacts:
    context = stream.codec_context
    return TrackFacts(
        number=number,
        codec=context.name if context is not None else "unknown",
        rate_hz=context.sample_rate if context is not None else 0,
        channels=context.channels if context is not None else 0,
        layout=context.layout.name if context is not None else "",
        language=clean_text(stream.metadata.get("language"), 20),
        title=clean_text(stream.metadata.get("title"), 60),
        is_default=bool(stream.disposition & Disposition.default),
    )


def _channel_names(stream: Any) -> tuple[str, ...]:
    return tuple(channel.name for channel in stream.codec_context.layout.channels)


def _header_duration(container: Any, stream: Any) -> Fraction | None:
    if stream.duration and stream.time_base:
        return Fraction(stream.duration) * Fraction(stream.time_base)
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, 1_000_000)
    return None


def _refuse_true_length(header: Fraction | None, source: SourceFile, limits: MediaLimits) -> None:
    """Spare the decoding of hours that a limit forbids, where the size of the file bears the header out."""
    if header is not None and header > limits.max_duration and source.size > header * 500:
        raise source.refusal(
            f"it is {float(header) / 3600:.1f} hours long; at most {float(limits.max_duration) / 3600:g} are read.",
            "Cut it into parts, or raise the limit in the settings.",
        )


def _no_samples(damage: Damage) -> tuple[str, str]:
    if damage.num_errors or damage.is_broken_off:
        return "its sound is protected or damaged: nothing of it can be decoded.", "Export it again."
    return "it holds no samples.", "Record or export it again."


def _with_warnings(facts: MediaFacts, damage: Damage, source: SourceFile) -> MediaFacts:
    warnings = (
        *_track_warnings(facts),
        *_length_warnings(facts, damage, source),
        *_damage_warnings(damage),
        *_level_warnings(facts.levels, facts.mix),
    )
    values = {name: getattr(facts, name) for name in MediaFacts.__slots__}
    return MediaFacts(**{**values, "warnings": tuple(f"{source.label}: {warning}" for warning in warnings)})


def _track_warnings(facts: MediaFacts) -> list[str]:
    if len(facts.tracks) < 2:
        return []
    track = facts.track
    words = [track.codec, track.language, f"called {track.title!r}" if track.title else None]
    marked = ", marked as default" if track.is_default else ""
    described = " ".join(word for word in words if word)
    return [f"it has {len(facts.tracks)} audio tracks; number {track.number} is used ({described}{marked})."]


def _length_warnings(facts: MediaFacts, damage: Damage, source: SourceFile) -> list[str]:
    length, header = float(facts.duration), facts.duration_from_header
    if damage.is_broken_off:
        return [f"what follows its first {length:.1f} s cannot be read; they alone are used."]
    if header is not None and _header_is_meant(facts.format, source):
        missing = float(header) - length
        if missing > max(0.3, 0.01 * length):
            return [f"it is cut off: {float(header):.1f} s are announced, {length:.1f} s are there and used."]
        if missing < -max(0.3, 0.01 * length):
            return [f"its header says {float(header):.1f} s, but it holds {length:.1f} s; all of it is used."]
    announced = _riff_bytes(source)
    if facts.format == "wav" and announced > source.size + 1:
        return [
            f"it is cut off: {announced} bytes are announced, {source.size} are there; their {length:.1f} s are used."
        ]
    if facts.format == "ogg" and not _ogg_has_end(source):
        return [f"it is cut off: its end mark is missing; the {length:.1f} s that are there are used."]
    return []


def _header_is_meant(media_format: str, source: SourceFile) -> bool:
    """Whether the header states a length, rather than FFmpeg guessing one."""
    if media_format in _HEADERS_WITHOUT_LENGTH:
        return False
    if media_format != "mp3":
        return True
    head, offset = source.head(10), 0
    if head[:3] == b"ID3":
        # Four bytes of seven bits each. Source: ID3v2.4.0, 6.2.
        offset = 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    frame = source.at(offset, 4096)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def _riff_bytes(source: SourceFile) -> int:
    """Size of the file as a WAV's header says it; 0 where it says nothing, as in streams."""
    head = source.head(8)
    size = int.from_bytes(head[4:8], "little")
    return size + 8 if head[:4] == b"RIFF" and size < 0xFFFFFF00 else 0


def _ogg_has_end(source: SourceFile) -> bool:
    """Whether one of the last pages carries the end-of-stream flag. Source: RFC 3533, 6."""
    tail = source.tail()
    at = tail.rfind(b"OggS")
    while at >= 0:
        if at + 5 < len(tail) and tail[at + 5] & 4:
            return True
        at = tail.rfind(b"OggS", 0, at)
    return False


def _damage_warnings(damage: Damage) -> list[str]:
    found = []
    if damage.num_errors or damage.num_corrupt_frames:
        count = damage.num_errors + damage.num_corrupt_frames
        found.append(f"it is damaged: {count} of its packets cannot be decoded, and silence stands for them.")
    elif damage.silence_seconds > 0.1:
        found.append(f"it has holes: {damage.silence_seconds:.1f} s are missing, and silence stands for them.")
    if damage.num_changes:
        found.append("its rate or number of channels changes on the way.")
    return found


def _level_warnings(levels: Levels, mix: Mix) -> list[str]:
    found = [mix.note] if mix.note else []
    loudest = max(levels.level_dbfs)
    if max(levels.peak) == 0:
        return [*found, "it is silent from end to end."]
    if loudest < QUIET_DBFS:
        found.append(f"it is very quiet ({loudest:.0f} dBFS); its speech is raised for the engines.")
    if max(levels.clipped) > CLIPPED_SHARE:
        found.append(f"it is clipped: {100 * max(levels.clipped):.1f} % of its samples stand at the limit.")
    if max(abs(offset) for offset in levels.dc) > DC_OFFSET:
        found.append("it has a DC offset, which is taken out.")
    return found
