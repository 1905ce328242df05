"""A programme becomes visible: its files and its manifest, published once under a revision, and never changed.

In: a plan, its clips, the cast, the composition and what was chosen. Out: a `Programme`. The manifest goes last and is
the commit point; `latest.json` follows it. Knows no renderer and no FFmpeg, and opens no file that it publishes.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace

from tasks.domain.assets import Asset
from tasks.domain.casting import Cast
from tasks.domain.delivery import (
    Manifest,
    ManifestConsent,
    ManifestOutput,
    ManifestShot,
    ManifestSpeaker,
    PublishOptions,
)
from tasks.domain.editing import Clip, Composition, Delivered, Plan, Programme
from tasks.domain.errors import InputError, StoreError
from tasks.domain.options import EngineId
from tasks.engines.stores import MANIFEST, Store
from tasks.engines.workspace import Workspace
from tasks.formats.canonical import digest, plain
from tasks.formats.manifest import manifest_text, read_manifest

REVISION = 2
"""Bumped when an equal plan would give another manifest."""
_JSON = "application/json"

_log = logging.getLogger(__name__)


def publish(
    plan: Plan,
    clips: tuple[Clip, ...],
    cast: Cast,
    composition: Composition,
    options: PublishOptions,
    *,
    workspace: Workspace,
) -> Programme:
    """Publish what was composed, unless this revision is published already: then nothing of it changes.

    Raises StoreError where a file that was composed is gone, or the store fails; then no manifest is visible.
    """
    revision = revision_of(plan, cast, options)
    series = series_of(plan.episode, plan.language, options.own_language)
    manifest = manifest_of(plan, clips, cast, composition, options)
    folder, store = f"{series}/{revision}", workspace.store
    if store.stat(f"{folder}/{MANIFEST}") is None:
        # The composition may be an old one, recalled: damage is found here, not by whoever it is delivered to.
        for output in composition.outputs:
            workspace.path(output.asset)
    files = {output.name: output.asset.key for output in composition.outputs}
    if not store.publish(folder, files, manifest_text(manifest)):
        manifest = _published(store, folder, manifest)
    _point(store, series, revision)
    return Programme(
        episode=plan.episode,
        language=plan.language,
        revision=revision,
        uri=store.address(folder),
        folder=folder,
        num_shots=len(plan.shots),
        plan=plan,
        manifest=manifest,
        checks=composition.checks,
        warnings=cast.warnings,
        outputs=tuple(_delivered(output) for output in manifest.outputs),
    )


def revision_of(plan: Plan, cast: Cast, options: PublishOptions) -> str:
    """16 hexadecimal digits over everything that composite and publish read. Known before anything is rendered."""
    shots = tuple(
        (shot.id, shot.utterances, shot.speaker, shot.start_frame, shot.end_frame, shot.fingerprint, shot.renderer)
        for shot in plan.shots
    )
    # What clips are expected to cost, and notes for people, change no file.
    read = replace(plan, shots=(), cuts=(), num_frames=0, notes=())
    whole = (
        *(REVISION, read, plan.num_frames, plan.cuts, shots, _speakers(cast), _consents(cast)),
        replace(options, engines=_sorted(options.engines), own_language=""),
    )
    return digest(whole)[:16]


def series_of(episode: str, language: str, own_language: str) -> str:
    """Where an episode's programmes of one language lie: its own language has the bare id."""
    return f"programmes/{episode}" if language == own_language else f"programmes/{episode}.{language}"


def manifest_of(
    plan: Plan,
    clips: tuple[Clip, ...],
    cast: Cast,
    composition: Composition,
    options: PublishOptions,
) -> Manifest:
    """What the delivery says of itself."""
    checks = {clip.fingerprint: clip.checks for clip in clips}
    versions = {
        engine.name: engine.version for engine in (*options.engines, plan.renderer) if engine.role == "renderer"
    }
    return Manifest(
        episode=plan.episode,
        title=plan.title,
        language=plan.language,
        revision=revision_of(plan, cast, options),
        outputs=tuple(_output(delivered) for delivered in composition.outputs),
        shots=tuple(
            ManifestShot(
                id=shot.id,
                utterances=shot.utterances,
                speaker=shot.speaker,
                start_frame=shot.start_frame,
                end_frame=shot.end_frame,
                fingerprint=shot.fingerprint,
                renderer=shot.renderer,
                renderer_revision=versions.get(shot.renderer, plan.renderer.version),
                checks=checks.get(shot.fingerprint, ()),
            )
            for shot in plan.shots
        ),
        engines=_sorted(options.engines),
        cast=_speakers(cast),
        consent=_consents(cast),
        marking=options.marking,
    )


def add_record(programme: Programme, run_id: str, record: Mapping[str, object], *, workspace: Workspace) -> None:
    """Keep what one run did beside the programme: runs/<run id>.json. A record that is there stays as it is."""
    content = json.dumps(plain(record), indent=1, ensure_ascii=False).encode()
    workspace.store.create(f"{programme.folder}/runs/{run_id}.json", content, _JSON)


def _published(store: Store, folder: str, ours: Manifest) -> Manifest:
    """What stands there. Equal inputs gave equal files, unless an encoder differs: then the first ones stay."""
    key = f"{folder}/{MANIFEST}"
    content = store.read(key)
    try:
        theirs = read_manifest(content or b"", store.address(key))
    except InputError as error:
        raise StoreError(f"{store.address(key)} is damaged. Delete {store.address(folder)} and run again.") from error
    if theirs.outputs != ours.outputs:
        _log.warning("%s holds other files than this run made; they stay.", store.address(folder))
        _restore(store, folder, theirs)
    return theirs


def _restore(store: Store, folder: str, manifest: Manifest) -> None:
    """Two who published one revision at once, with different bytes: the files must be those of the manifest.

    Where folders appear whole there is nothing to do; in a bucket our copies may have come after the winner's.
    """
    for output in manifest.outputs:
        asset, name = _delivered(output).asset, f"{folder}/{output.name}"
        if store.local(name) is None and store.stat(asset.key) is not None:
            store.copy(asset.key, name)


def _point(store: Store, series: str, revision: str) -> None:
    key = f"{series}/latest.json"
    content = json.dumps({"revision": revision}).encode()
    if store.read(key) != content:
        store.write(key, content, _JSON)


def _output(delivered: Delivered) -> ManifestOutput:
    return ManifestOutput(
        name=delivered.name,
        sha256=delivered.asset.sha256,
        stream_sha256=delivered.stream_sha256,
        bytes=delivered.asset.size,
        media_type=delivered.media_type,
        duration_frames=delivered.duration_frames,
        rate=delivered.rate,
        width=delivered.width,
        height=delivered.height,
    )


def _delivered(output: ManifestOutput) -> Delivered:
    extension = output.name[output.name.rfind(".") :] if "." in output.name else ""
    return Delivered(
        name=output.name,
        asset=Asset(sha256=output.sha256, size=output.bytes, extension=extension),
        stream_sha256=output.stream_sha256,
        media_type=output.media_type,
        duration_frames=output.duration_frames,
        rate=output.rate,
        width=output.width,
        height=output.height,
    )


def _speakers(cast: Cast) -> tuple[ManifestSpeaker, ...]:
    return tuple(
        ManifestSpeaker(
            key=speaker.key, name=speaker.name, portrait=speaker.portrait.picture.sha256, voice=speaker.voice
        )
        for speaker in cast.speakers
    )


def _consents(cast: Cast) -> tuple[ManifestConsent, ...]:
    return tuple(
        ManifestConsent(
            speaker=speaker.key,
            state=speaker.consent.state,
            who=speaker.consent.who,
            scope=speaker.consent.scope,
            until=speaker.consent.until,
        )
        for speaker in cast.speakers
    )


def _sorted(engines: tuple[EngineId, ...]) -> tuple[EngineId, ...]:
    """Each once, in one order, whatever order the stages ran in."""
    return tuple(sorted(set(engines), key=lambda engine: (engine.role, engine.name, engine.version, engine.weights)))
