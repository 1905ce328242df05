"""The whole pipeline: an episode in, programmes out. Order only; how and where a stage runs is the `Run`'s business.

There are two of them: `direct` (this process and its cores) and `steps` (Prefect). Both are given the same stages and
the same values, and make equal programmes.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import tasks.arrange
import tasks.cast
import tasks.composite
import tasks.diarize
import tasks.dub
import tasks.ingest
import tasks.plan
import tasks.publish
import tasks.render
import tasks.still
import tasks.transcribe
from s2v_model.contract import Traits
from tasks.arrange import sung
from tasks.domain.casting import Cast
from tasks.domain.delivery import PublishOptions
from tasks.domain.editing import STILL, Clip, Plan, Programme
from tasks.domain.episode import Episode
from tasks.domain.errors import EngineError
from tasks.domain.options import EngineId, MarkingOptions, SoundOptions
from tasks.domain.speech import Dialogue, Material, Recording, Script
from tasks.formats.script import in_language
from tasks.still import ENGINE, stand_in

log = logging.getLogger(__name__)


class Run(Protocol):
    """Runs stages by their policy, and supplies the engines that their keywords name."""

    def __call__(self, stage: Any, *values: Any) -> Any:
        """The stage's result for these values, from its memory where it has one."""
        ...

    def each(self, stage: Any, items: Sequence[tuple[Any, ...]], *, lenient: bool = False) -> list[Any]:
        """The stage's results for many sets of values, in their order, as many at once as the place allows.

        lenient: an EngineError that every try met is given in the place of a result, and stops no other.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What settings decide for a run, resolved once: engines with the digests of their weights, and finish."""

    heard_by: tuple[EngineId, ...]
    """What makes the sound (the voice, for a script), or makes sense of it (diarizer, transcriber)."""
    renderer: Traits
    scenes: Traits | None = None
    """Of the renderer of scenes; None shows their words on a card."""
    sound: SoundOptions = SoundOptions()
    marking: MarkingOptions = MarkingOptions()
    require_consent: bool = False
    today: str = ""
    """ISO date on which consent is judged."""

    def engine(self, role: str) -> EngineId:
        """The engine that plays `role`. Raises KeyError for a role that this kind of source does not need."""
        for engine in self.heard_by:
            if engine.role == role:
                return engine
        raise KeyError(role)


def production(episode: Episode, choices: Choices, run: Run) -> tuple[Programme, ...]:
    """Every programme that an episode asks for: its own language first."""
    return tuple(finish(plan, episode, cast, choices, run) for plan, cast in plans(episode, choices, run))


def plans(episode: Episode, choices: Choices, run: Run) -> list[tuple[Plan, Cast]]:
    """All that is decided before anything is rendered, one for each language."""
    material: Material = run(tasks.ingest.ingest, episode)
    posed = [replace(entry, pose=entry.pose or episode.render.pose) for entry in episode.cast]
    portraits = run.each(tasks.cast.portray, [(entry, episode.folder, episode.roots) for entry in posed])
    made = []
    for language in (episode.language, *episode.languages):
        dialogue, cast = heard(episode, material, portraits, language, choices, run)
        # With the cast they reach the programme, and whoever looks it over.
        cast = replace(cast, warnings=tuple(dict.fromkeys((*cast.warnings, *dialogue.warnings))))
        for warning in cast.warnings:
            log.warning("%s", warning)
        made.append((run(tasks.plan.plan, dialogue, cast, episode, choices.renderer, choices.scenes), cast))
    return made


def heard(
    episode: Episode, material: Material, portraits: Sequence[Any], language: str, choices: Choices, run: Run
) -> tuple[Dialogue, Cast]:
    """Who is heard saying what, and who plays them: the part that differs between the kinds of source."""
    if material.script is not None:
        return from_script(episode, material, material.script, portraits, language, choices, run)
    if material.recording is not None:
        return from_recording(episode, material, material.recording, portraits, choices, run)
    return from_tracks(episode, material, portraits, choices, run)


def from_script(
    episode: Episode,
    material: Material,
    script: Script,
    portraits: Sequence[Any],
    language: str,
    choices: Choices,
    run: Run,
) -> tuple[Dialogue, Cast]:
    """Lines have speakers and words; voices are made for them, one line at a time."""
    own = in_language(script, language)
    cast = run(
        tasks.cast.cast,
        episode,
        own.labels,
        own.roles,
        tuple(portraits),
        (),
        language,
        choices.engine("voice"),
        choices.today,
        choices.require_consent,
    )
    spoken = run.each(
        tasks.dub.dub,
        [
            (line.id, key, line.text, cast.speaker(key).voice, language, choices.engine("voice"))
            for line in own.spoken
            if line.song is None
            for key in cast.keys(line.speaker or "")
        ],
    )
    songs = dict(material.songs)
    spoken += [
        sung(line, key, songs[line.song])
        for line in own.spoken
        if line.song is not None
        for key in cast.keys(line.speaker or "")
    ]
    return run(tasks.arrange.arrange_script, own, tuple(spoken), episode.title, language, material.pictures), cast


def from_recording(
    episode: Episode, material: Material, recording: Recording, portraits: Sequence[Any], choices: Choices, run: Run
) -> tuple[Dialogue, Cast]:
    """Voices are there; speakers and words are found, and each voice is given its portrait."""
    names = tuple((name, entry.key) for entry in episode.cast for name in (entry.key, entry.name) if name)
    turns = run(tasks.diarize.diarize, recording, episode.source.speakers, choices.engine("diarizer"))
    said = run(
        tasks.transcribe.transcribe,
        recording,
        turns,
        material.transcript,
        names,
        episode.language,
        choices.engine("transcriber"),
    )
    labels = tuple(dict.fromkeys(utterance.speaker for utterance in said))
    matches = ()
    if episode.casting == "samples":
        matches = run(tasks.cast.recognise, recording, turns, episode)
    cast = run(
        tasks.cast.cast,
        episode,
        labels,
        (),
        tuple(portraits),
        matches,
        episode.language,
        None,
        choices.today,
        choices.require_consent,
    )
    utterances = tuple(replace(u, speaker=cast.keys(u.speaker)[0]) for u in said)
    return run(
        tasks.arrange.arrange_recording, recording, utterances, episode.title, episode.language, material.chapters
    ), cast


def from_tracks(
    episode: Episode, material: Material, portraits: Sequence[Any], choices: Choices, run: Run
) -> tuple[Dialogue, Cast]:
    """Each track is one speaker; bleed from the others is told from his own speech by level."""
    turns = run(tasks.diarize.listen, material.tracks, choices.engine("diarizer"))
    said = run(
        tasks.transcribe.transcribe_tracks,
        material.tracks,
        turns,
        material.transcript,
        episode.language,
        choices.engine("transcriber"),
    )
    labels = tuple(key for key, _ in material.tracks)
    cast = run(
        tasks.cast.cast,
        episode,
        labels,
        (),
        tuple(portraits),
        (),
        episode.language,
        None,
        choices.today,
        choices.require_consent,
    )
    return run(tasks.arrange.arrange_tracks, material.tracks, said, episode.title, episode.language), cast


def finish(plan: Plan, episode: Episode, cast: Cast, choices: Choices, run: Run) -> Programme:
    """Clips, then one programme of them."""
    lenient = episode.render.on_failure == "still"
    rendered = run.each(tasks.render.render, [(shot,) for shot in plan.shots], lenient=lenient)
    plan, clips = with_stills(plan, rendered, run)
    stills = (ENGINE,) if any(shot.renderer == STILL for shot in plan.shots) else ()
    composition = run(tasks.composite.composite, plan, clips, episode.outputs, choices.sound, choices.marking)
    options = PublishOptions(
        outputs=episode.outputs,
        sound=choices.sound,
        marking=choices.marking,
        engines=(*choices.heard_by, plan.renderer, *_scenes_by(plan, choices), *stills),
        own_language=episode.language,
        composite_revision=tasks.composite.REVISION,
    )
    programme: Programme = run(tasks.publish.publish, plan, clips, cast, composition, options)
    return programme


def with_stills(plan: Plan, rendered: Sequence[Clip | EngineError], run: Run) -> tuple[Plan, tuple[Clip, ...]]:
    """The plan and its clips, where the portrait of each shot that failed stands still in its place.

    Raises EngineError where nothing could be rendered at all.
    """
    clips = {shot.id: made for shot, made in zip(plan.shots, rendered, strict=True) if isinstance(made, Clip)}
    errors = [made for made in rendered if isinstance(made, EngineError)]
    if errors and not clips:
        raise errors[0]
    shots = tuple(shot if shot.id in clips else stand_in(shot) for shot in plan.shots)
    failed = [shot for shot in shots if shot.id not in clips]
    stills = run.each(tasks.still.still, [(shot,) for shot in failed]) if failed else []
    clips |= {shot.id: made for shot, made in zip(failed, stills, strict=True)}
    return replace(plan, shots=shots), tuple(clips[shot.id] for shot in shots)


def _scenes_by(plan: Plan, choices: Choices) -> tuple[EngineId, ...]:
    """The renderer of scenes, where there are any."""
    made = choices.scenes
    if made is None or all(shot.speaker is not None for shot in plan.shots):
        return ()
    return (EngineId(role="renderer", name=made.name, version=str(made.revision), weights=made.weights),)
