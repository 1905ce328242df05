"""Plan: a dialogue and a cast in, shots and cuts out: exact spans, fingerprints and a price, before any rendering.

The decisions are pure (`domain/cutting.py`, `domain/framing.py`); this stage only reads the speech that a shot is cut
from, because its digest is part of the fingerprint. Knows no renderer but its traits, and renders nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from s2v_model.contract import Traits
from tasks.domain.assets import Asset
from tasks.domain.casting import Cast, Speaker
from tasks.domain.cutting import Stretch, plan_stretches
from tasks.domain.editing import Cut, FrameChapter, Framing, NameTag, Plan, Shot, ShotPhone
from tasks.domain.episode import Episode
from tasks.domain.framing import frame_portrait
from tasks.domain.options import EngineId, RenderOptions
from tasks.domain.scenes import scene_shot
from tasks.domain.speech import Dialogue, StemPiece, Utterance
from tasks.domain.timing import PROGRAMME_RATE, SPEECH_RATE_HZ, Span, index_at, instant_of, native_frames
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest
from tasks.formats.captions import plan_cues
from tasks.media.speech import Int16Array, cut_speech, pcm_digest
from tasks.media.video import CLIP_ENCODING
from tasks.media.wav import write_wav

REVISION = 3
FINGERPRINT_VERSION = 1
LONGEST_SECONDS = Fraction(20)
"""A renderer that bears any length still gets clips below this: an edit costs less, and all cores have work."""
KEEP_AROUND_MS = 120
"""So much of the stem is kept around what a speaker says: breaths belong to it."""
NAME_SECONDS = Fraction(7, 2)
NAME_DELAY_FRAMES = 6
PHRASE_PAUSE = Fraction(1, 4)
"""Seconds of silence between two words that end a phrase: there a listener may nod."""
TALKER_GAZE = 0.3
"""Somebody who talks beside a listener turns to him a little; the listener turns fully."""


def plan(
    dialogue: Dialogue,
    cast: Cast,
    episode: Episode,
    traits: Traits,
    scenes: Traits | None = None,
    *,
    workspace: Workspace,
) -> Plan:
    """Shots and cuts for one programme. scenes: of the renderer of scenes; None shows their words on a card.

    Raises InputError where the dialogue is empty or the layout cannot show its speakers.
    """
    rate = PROGRAMME_RATE
    num_frames = index_at(dialogue.duration, rate)
    stretches = plan_stretches(
        dialogue.utterances,
        dialogue.scenes,
        num_frames=num_frames,
        rate=rate,
        layout=episode.render.layout,
        longest_frames=_longest(traits, rate),
    )
    shots, cuts = _shots_and_cuts(dialogue, cast, episode, traits, scenes, stretches, workspace)
    names = _name_tags(shots, cuts, cast, rate)
    shown = {speaker.key: speaker.name for speaker in cast.speakers}
    return Plan(
        episode=episode.id,
        title=dialogue.title,
        language=dialogue.language,
        rate=rate,
        num_frames=num_frames,
        master=dialogue.master,
        shots=shots,
        cuts=cuts,
        cues=plan_cues(dialogue.utterances, cuts, shown, rate, num_frames),
        names=names,
        chapters=tuple(FrameChapter(start_frame=index_at(c.start, rate), title=c.title) for c in dialogue.chapters),
        renderer=EngineId(role="renderer", name=traits.name, version=str(traits.revision), weights=traits.weights),
        notes=_notes(shots, traits, rate),
    )


def _longest(traits: Traits, rate: Fraction) -> int:
    """Programme frames that one clip may fill."""
    longest = index_at(LONGEST_SECONDS, rate)
    if traits.max_frames is not None and traits.rate is not None:
        longest = min(longest, int(traits.max_frames * rate / traits.rate))
    return longest


def _shots_and_cuts(
    dialogue: Dialogue,
    cast: Cast,
    episode: Episode,
    traits: Traits,
    scenes: Traits | None,
    stretches: Sequence[Stretch],
    workspace: Workspace,
) -> tuple[tuple[Shot, ...], tuple[Cut, ...]]:
    framings = _framings(cast, episode, traits)
    sizes = [output.size for output in episode.outputs]
    shots: list[Shot] = []
    cuts: list[Cut] = []
    written = {scene.id: scene for scene in dialogue.scenes}
    for stretch in stretches:
        scene = written.get(stretch.scene or "")
        if scene is not None and scenes is not None:
            made = scene_shot(f"s{len(shots):04d}", scene, stretch, episode.render, sizes, scenes)
            shots.append(replace(made, fingerprint=fingerprint(made, scenes)))
            cuts.append(_cut(replace(stretch, layout="active"), shots[-1:]))
            continue
        own = [
            _shot(
                f"s{len(shots) + place:04d}", key, place, stretch, dialogue, cast, framings, episode, traits, workspace
            )
            for place, key in enumerate(stretch.speakers)
        ]
        shots += own
        cuts.append(_cut(stretch, own, scene.text if scene is not None else ""))
    return tuple(shots), tuple(cuts)


def _cut(stretch: Stretch, own: Sequence[Shot], text: str = "") -> Cut:
    return Cut(
        start_frame=stretch.start_frame,
        end_frame=stretch.end_frame,
        layout=stretch.layout,
        shots=tuple(shot.id for shot in own),
        text=text,
    )


def _framings(cast: Cast, episode: Episode, traits: Traits) -> dict[str, Framing]:
    sizes = [output.size for output in episode.outputs]
    return {
        speaker.key: frame_portrait(
            speaker.portrait, sizes, multiple_px=traits.multiple_px, max_pixels=traits.max_pixels
        )
        for speaker in cast.speakers
    }


def _shot(
    shot_id: str,
    key: str,
    place: int,
    stretch: Stretch,
    dialogue: Dialogue,
    cast: Cast,
    framings: dict[str, Framing],
    episode: Episode,
    traits: Traits,
    workspace: Workspace,
) -> Shot:
    """One speaker's part of a stretch, with its fingerprint."""
    speaker = cast.speaker(key)
    own = _said_by(key, stretch, dialogue)
    speech_ms = _speech_ms(own, stretch)
    pieces = _pieces(key, stretch, dialogue)
    pcm = _driving([(piece.span.start, piece.speech) for piece in pieces], stretch, speech_ms, workspace)
    stem = [(piece.span.start, piece.vocals) for piece in pieces if piece.vocals is not None]
    has_stem = bool(stem and speech_ms and "vocals" in traits.follows)
    speech = pcm_digest(pcm)
    native = traits.rate or PROGRAMME_RATE
    num_frames = native_frames(stretch.num_frames, native, PROGRAMME_RATE)
    framing = framings[key]
    draft = Shot(
        id=shot_id,
        speaker=key,
        utterances=tuple(u.id for u in own),
        start_frame=stretch.start_frame,
        end_frame=stretch.end_frame,
        framing=framing,
        portrait=speaker.portrait,
        speech=_kept(pcm, workspace) if speech_ms else None,
        speech_digest=speech,
        vocals=_kept(_driving(stem, stretch, speech_ms, workspace), workspace) if has_stem else None,
        # Sounds that were looked for under instruments say less than the stem itself.
        phones=None if has_stem else _phones(own, stretch),
        stresses_ms=_stresses(own, stretch) if speech_ms else _pauses(key, stretch, dialogue),
        is_listening=not speech_ms,
        gaze=_gaze(place, len(stretch.speakers), is_listening=not speech_ms),
        is_sung=any(u.is_sung for u in own),
        prompt=_prompt(episode.render, speaker, own),
        negative_prompt=episode.render.negative_prompt,
        seed=_seed(episode.render.seed, speech, speaker.portrait.picture.sha256),
        rate=native,
        num_frames=num_frames,
        renderer=traits.name,
        pose_video=speaker.portrait.pose if "pose_video" in traits.follows else None,
        cost_seconds=traits.cost.seconds(num_frames, framing.width, framing.height),
    )
    return replace(draft, fingerprint=fingerprint(draft, traits))


def _pieces(key: str, stretch: Stretch, dialogue: Dialogue) -> list[StemPiece]:
    """What of a speaker's stem sounds in a stretch."""
    span = _span(stretch)
    return [
        piece for stem in dialogue.stems if stem.speaker == key for piece in stem.pieces if piece.span.overlap(span) > 0
    ]


def _driving(
    sounds: Sequence[tuple[Fraction, Asset]], stretch: Stretch, keep_ms: Sequence[tuple[int, int]], workspace: Workspace
) -> Int16Array:
    """The samples of a stretch out of `sounds`, each with the programme second at which it starts."""
    return cut_speech(
        [(workspace.path(sound), index_at(start, SPEECH_RATE_HZ)) for start, sound in sounds],
        start_frame=stretch.start_frame,
        end_frame=stretch.end_frame,
        rate=PROGRAMME_RATE,
        keep_ms=keep_ms,
    )


def _span(stretch: Stretch) -> Span:
    return Span(instant_of(stretch.start_frame, PROGRAMME_RATE), instant_of(stretch.end_frame, PROGRAMME_RATE))


def _kept(pcm: Int16Array, workspace: Workspace) -> Asset:
    """The cut as an asset of its own: a GPU worker fetches seconds of sound, not the whole recording."""
    path = workspace.new(".wav")
    write_wav(path, pcm, SPEECH_RATE_HZ)
    return workspace.keep(path)


def fingerprint(shot: Shot, traits: Traits) -> str:
    """SHA-256 over everything that decides a clip's frames, and nothing else (DESIGN, section 4)."""
    # What only some shots have is left away from the others, whose clips keep their names.
    given = {"vocals": shot.vocals, "pose": shot.pose_video, "scene_picture": shot.scene_picture}
    return digest(
        {
            "version": FINGERPRINT_VERSION,
            "speech": shot.speech_digest,
            "portrait": shot.portrait.picture.sha256 if shot.portrait is not None else None,
            "framing": shot.framing,
            "phones": shot.phones,
            "stresses_ms": shot.stresses_ms,
            "listening": shot.is_listening,
            "gaze": str(shot.gaze),
            "sung": shot.is_sung,
            "prompt": shot.prompt,
            "negative_prompt": shot.negative_prompt,
            "renderer": traits.name,
            "revision": traits.revision,
            "weights": traits.weights,
            "options": dict(traits.options),
            "seed": shot.seed,
            "rate": shot.rate,
            "num_frames": shot.num_frames,
            "encoding": CLIP_ENCODING,
            **{name: asset.sha256 for name, asset in given.items() if asset is not None},
            **({"scene": shot.scene_text} if shot.scene_text else {}),
        }
    )


def _said_by(key: str, stretch: Stretch, dialogue: Dialogue) -> tuple[Utterance, ...]:
    span = _span(stretch)
    return tuple(u for u in dialogue.utterances if key in (u.speaker, *u.with_speakers) and u.span.overlap(span) > 0)


def _speech_ms(own: Sequence[Utterance], stretch: Stretch) -> tuple[tuple[int, int], ...]:
    """Where the speaker is heard, joined where the pieces touch."""
    length = _ms(instant_of(stretch.num_frames, PROGRAMME_RATE))
    spans: list[tuple[int, int]] = []
    for start, end in sorted(_within(u.span, stretch) for u in own):
        opened, closed = max(0, start - KEEP_AROUND_MS), min(length, end + KEEP_AROUND_MS)
        if closed <= opened:
            continue
        if spans and opened <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], closed))
        else:
            spans.append((opened, closed))
    return tuple(spans)


def _within(span: Span, stretch: Stretch) -> tuple[int, int]:
    """A span in ms from the stretch's first frame; may lie beyond its ends."""
    origin = instant_of(stretch.start_frame, PROGRAMME_RATE)
    return _ms(span.start - origin), _ms(span.end - origin)


def _ms(instant: Fraction) -> int:
    return round(instant * 1000)


def _phones(own: Sequence[Utterance], stretch: Stretch) -> tuple[ShotPhone, ...] | None:
    """The speech sounds of a shot, clipped to it; None as soon as one utterance's sounds are not known."""
    if any(u.phones is None for u in own):
        return None
    length = _ms(instant_of(stretch.num_frames, PROGRAMME_RATE))
    found = []
    for phone in (p for u in own for p in u.phones or ()):
        start, end = _within(phone.span, stretch)
        if end > 0 and start < length:
            found.append(ShotPhone(symbol=phone.symbol, start_ms=max(0, start), end_ms=min(length, end)))
    return tuple(sorted(found, key=lambda p: (p.start_ms, p.end_ms)))


def _stresses(own: Sequence[Utterance], stretch: Stretch) -> tuple[int, ...]:
    starts = [_within(word.span, stretch)[0] for u in own for word in u.words if word.is_stressed]
    length = _ms(instant_of(stretch.num_frames, PROGRAMME_RATE))
    return tuple(sorted(start for start in starts if 0 <= start < length))


def _pauses(listener: str, stretch: Stretch, dialogue: Dialogue) -> tuple[int, ...]:
    """Where those whom `listener` hears end a phrase: at the end of an utterance, and before each pause in it."""
    heard = [u for u in dialogue.utterances if u.speaker != listener and u.speaker in stretch.speakers]
    ends = [u.span.end for u in heard]
    ends += [a.span.end for u in heard for a, b in pairwise(u.words) if b.span.start - a.span.end >= PHRASE_PAUSE]
    origin, length = instant_of(stretch.start_frame, PROGRAMME_RATE), instant_of(stretch.num_frames, PROGRAMME_RATE)
    return tuple(sorted({_ms(end - origin) for end in ends if 0 < end - origin < length}))


def _gaze(place: int, num_places: int, *, is_listening: bool) -> float:
    """Those who share a picture turn to one another: the left one to the right, the right one to the left."""
    if num_places < 2:
        return 0.0
    side = 1.0 - 2.0 * (place % 2)
    return side if is_listening else TALKER_GAZE * side


def _prompt(options: RenderOptions, speaker: Speaker, own: Sequence[Utterance]) -> str:
    directions = tuple(dict.fromkeys(direction for u in own for direction in u.directions))
    return ". ".join(part.rstrip(". ") for part in (options.prompt, speaker.prompt, *directions) if part)


def _seed(seed: int, speech: str, portrait: str) -> int:
    drawn = hashlib.sha256(f"{seed} {speech} {portrait}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") >> 1


def _name_tags(shots: Sequence[Shot], cuts: Sequence[Cut], cast: Cast, rate: Fraction) -> tuple[NameTag, ...]:
    """A lower third for each speaker where he first speaks, no longer than his shot."""
    named: set[str] = set()
    tags = []
    places = {shot_id: place for cut in cuts for place, shot_id in enumerate(cut.shots)}
    for shot in shots:
        if shot.speaker is None or shot.is_listening or shot.speaker in named:
            continue
        named.add(shot.speaker)
        start = shot.start_frame + min(NAME_DELAY_FRAMES, shot.programme_frames // 4)
        end = min(shot.end_frame, start + index_at(NAME_SECONDS, rate))
        name = cast.speaker(shot.speaker).name
        tags.append(NameTag(start_frame=start, end_frame=end, name=name, place=places[shot.id]))
    return tuple(tags)


def _notes(shots: Sequence[Shot], traits: Traits, rate: Fraction) -> tuple[str, ...]:
    """What packing utterances into shots saved on a renderer that works in blocks."""
    if traits.quantum_frames <= 1 or traits.rate is None:
        return ()
    shots = [shot for shot in shots if shot.speaker is not None]
    blocks = sum(-(-(shot.num_frames + traits.lead_frames) // traits.quantum_frames) for shot in shots)
    singles = sum(len(shot.utterances) or 1 for shot in shots)
    return (f"{singles} utterances were packed into {len(shots)} shots of {blocks} blocks for {traits.name}.",)
