"""What the commands do: each returns a document for `--json`, with the lines for a person under "text".

Knows no Prefect: a run that is recorded there is handed to `flows/produce.py`, which is imported only then.
"""

import shutil
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from flows.choices import choices_for
from flows.direct import Direct
from flows.episodes import open_episode
from flows.estimate import factor_of, known, quote
from flows.logs import about, log_to_stderr
from flows.memory import recall
from flows.pipeline import Choices, plans, production
from flows.progress import Bars, Plain, Progress, Silent, unwatched
from flows.record import Record, published
from flows.settings import Settings, load_settings, prefect_api_url
from flows.wiring import Wiring, model_folder
from s2v_model.contract import Cost, RendererMissing
from tasks.domain.batch import Outcome, told_state
from tasks.domain.editing import Plan
from tasks.domain.episode import Episode
from tasks.domain.errors import SettingsError


def produce_episode(
    path: str,
    *,
    store: str | None,
    quality: str | None,
    direct: bool,
    quiet: bool,
    budget_gpu_s: float | None = None,
) -> dict[str, Any]:
    """Make an episode's programmes, here or as a flow where a Prefect API is configured."""
    settings = load_settings(store=store)
    episode = open_episode(path, settings, quality)
    if not direct and prefect_api_url():
        recorded = import_module("flows.produce").produce_recorded  # Prefect takes two seconds to import
        return cast(dict[str, Any], recorded(path, episode, settings, budget_gpu_s=budget_gpu_s))
    if budget_gpu_s is not None:
        raise SettingsError(
            "a budget is kept by runs that hand their shots to work pools, and this run would not.",
            remedy="Set PREFECT_API_URL, or leave --budget-gpu-s away.",
        )
    log_to_stderr(settings)  # a recorded run has Prefect's own log
    with shown(quiet) as progress:
        return produce_directly(episode, settings, progress)


def produce_directly(episode: Episode, settings: Settings, progress: Progress) -> dict[str, Any]:
    """The whole job in this process. Raises PipelineError, KeyboardInterrupt."""
    record = Record(run=uuid.uuid4().hex)
    wiring = Wiring(settings, quality=episode.render.quality, fetched=progress.fetched)
    try:
        wiring.prepare()
        choices = choices_for(episode, wiring)
        with about(episode=episode.id), Direct(settings, wiring, progress, record) as run:
            programmes = production(episode, choices, run)
        return published(programmes, record, wiring)
    finally:
        wiring.close()


def produce_table(
    path: str,
    *,
    template: str | None,
    store: str | None,
    quality: str | None,
    at_once: int | None,
    direct: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Produce every row of a table: by the workers of a Prefect API if there is one, else in processes of our own."""
    from flows.batch import Rows, rows_at_once, run_batch, summary, summary_key
    from flows.orders import read_orders

    settings = load_settings(store=store)
    log_to_stderr(settings)
    batch = read_orders(path, template, quality, settings)
    wiring = Wiring(settings)
    submit: Any
    if prefect_api_url() and not direct:
        server: Any = import_module("flows.rows")
        num = at_once or settings.batch.at_once or server.AT_ONCE
        submit = server.ServerRows(settings, wiring)
    else:
        num = at_once or rows_at_once(settings)
        submit = Rows(settings, num)
    told = _Told(len(batch.ids), quiet, settings)
    try:
        wiring.prepare()
        outcomes = run_batch(batch, submit, at_once=num, store=wiring.store, told=told)
        document = summary(batch, outcomes)
        submit.report(batch, document["rows"])
    except BaseException:
        submit.close(stop=True)
        raise
    finally:
        submit.close()
        told.close()
        wiring.close()
    where = wiring.store.address(summary_key(batch))
    counted = ", ".join(f"{number} {state}" for state, number in document["counts"].items() if number)
    if with_stills := sum(outcome.stills > 0 for outcome in outcomes):
        counted += f"; {with_stills} with stills"
    return {
        "ok": document["counts"]["done"] == len(outcomes),
        "summary": where,
        **document,
        "warnings": list(batch.warnings),
        "failures": [f"{outcome.id}: {outcome.error}" for outcome in outcomes if outcome.state != "done"],
        "text": [*(o.programme for o in outcomes if o.state == "done"), f"{counted}; summary: {where}"],
    }


class _Told:
    """One line for each row that ends, on standard error; a message to the receiver of webhooks, beside the rows."""

    def __init__(self, total: int, quiet: bool, settings: Settings) -> None:
        self._total, self._quiet, self._done = total, quiet, 0
        self._settings, self._run = settings, uuid.uuid4().hex
        self._messages = ThreadPoolExecutor(1) if settings.webhooks.url and prefect_api_url() else None

    def close(self) -> None:
        """Wait for the last message to be handed over."""
        if self._messages is not None:
            self._messages.shutdown()

    def __call__(self, outcome: Outcome) -> None:
        """A row has ended."""
        self._done += 1
        if self._messages is not None:
            self._messages.submit(self._announce, outcome)
        if not self._quiet:
            made = f"{outcome.rendered} rendered, {outcome.reused} reused, {outcome.seconds:.1f} s"
            said = made if outcome.state == "done" else outcome.error
            state = told_state(outcome.state, outcome.stills)
            sys.stderr.write(f"{self._done}/{self._total} {outcome.id} {state}: {said}\n")

    def _announce(self, outcome: Outcome) -> None:
        announce = import_module("flows.webhooks").announce_outcome
        announce(outcome.id, self._run, outcome.programme, outcome.error, self._settings, outcome.others)


def plan_episode(path: str, *, store: str | None, quality: str | None, workers: int) -> dict[str, Any]:
    """The shots of an episode, which of them the store has, and what the others cost.

    workers: to reckon with; 0 for one GPU worker, or for as many cores as a run here would use.
    """
    settings = load_settings(store=store)
    episode = open_episode(path, settings, quality)
    wiring = Wiring(settings, quality=episode.render.quality)
    try:
        choices = choices_for(episode, wiring)
        with shown(quiet=True) as progress, Direct(settings, wiring, progress, Record(run="plan")) as run:
            planned = [plan for plan, _ in plans(episode, choices, run)]
            here = run.num_workers if choices.renderer.cost.device == "cpu" else 1
        return _quote(planned, choices, settings, wiring, workers or here)
    finally:
        wiring.close()


def _quote(planned: list[Plan], choices: Choices, settings: Settings, wiring: Wiring, workers: int) -> dict[str, Any]:
    import tasks.render

    shots = [shot for plan in planned for shot in plan.shots]
    factor = factor_of(known(wiring.workspace, choices.renderer))
    rows, seen, waiting = [], set(), []
    for shot in shots:
        is_known = shot.fingerprint in seen or recall(tasks.render.render, (shot,), wiring.workspace) is not None
        seen.add(shot.fingerprint)
        if not is_known:
            waiting.append(shot.cost_seconds)
        rows.append(
            {
                "id": shot.id,
                "speaker": shot.speaker,
                "start_frame": shot.start_frame,
                "end_frame": shot.end_frame,
                "fingerprint": shot.fingerprint,
                "reused": is_known,
                "seconds": round(factor * shot.cost_seconds, 1),
            }
        )
    cost: Cost = choices.renderer.cost
    price = settings.gpu_hour_price if cost.device == "gpu" else 0.0
    quoted = quote(waiting, factor=factor, workers=workers, gpu_hour_price=price).as_document()
    summary = (
        f"{len(shots)} shots, {len(shots) - len(waiting)} reused; {quoted['gpu_seconds']:.0f} {cost.device.upper()} "
        f"seconds, {quoted['finish_seconds']:.0f} s on {workers} worker{'s' if workers > 1 else ''}"
        + (f", {quoted['price']} by settings" if quoted["price"] else "")
        + (f"; {factor:.2f} times the engine's own figures, as past runs took" if factor != 1 else "")
    )
    table = [
        f"{row['id']}  {row['speaker'] or '-':16} {row['start_frame']:>7}-{row['end_frame']:<7} "
        f"{'reused' if row['reused'] else format(row['seconds'], '.1f') + ' s'}"
        for row in rows
    ]
    notes = [note for plan in planned for note in plan.notes]
    return {
        "shots": rows,
        "reused": len(shots) - len(waiting),
        "device": cost.device,
        "seconds": quoted["gpu_seconds"],
        "finish_seconds": quoted["finish_seconds"],
        "workers": workers,
        "price": quoted["price"],
        "factor": round(factor, 3),
        "text": [*table, *notes, summary],
    }


def diarize_recording(path: str, *, engine: str | None, speakers: int | None) -> str:
    """RTTM of a recording."""
    from tasks.diarize import diarize
    from tasks.formats.rttm import write_rttm
    from tasks.ingest import decoded

    settings = load_settings()
    if engine is not None:
        settings = settings.model_copy(update={"engines": settings.engines.model_copy(update={"diarizer": engine})})
    settings = settings.model_copy(update={"store": "file:" + str(_throwaway())})
    wiring = Wiring(settings)
    try:
        recording = decoded(Path(path), path, **wiring.supply(decoded), watch=unwatched)
        turns = diarize(recording, speakers, wiring.diarizer_id, **wiring.supply(diarize), watch=unwatched)
        return write_rttm(turns, Path(path).stem)
    finally:
        wiring.close()
        shutil.rmtree(settings.store.removeprefix("file:"), ignore_errors=True)


def _throwaway() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="troupe-"))


def collect_garbage(*, store: str | None, remove: bool, grace_days: int | None) -> dict[str, Any]:
    """What no programme needs any more; with `remove`, without it afterwards."""
    from tasks.sweep import find_rubbish, sweep

    settings = load_settings(store=store)
    days = settings.gc.grace_days if grace_days is None else grace_days
    now = datetime.now(UTC)
    wiring = Wiring(settings)
    try:
        wiring.store.check()
        rubbish = find_rubbish(wiring.store, now=now, grace=timedelta(days=days))
        removed = sweep(rubbish, store=wiring.store, now=now, watch=unwatched) if remove else 0
    finally:
        wiring.close()
    kinds = {kind: {"objects": number, "bytes": size} for kind, (number, size) in rubbish.by_kind().items()}
    table = [
        f"{kind:12} {number:>8} objects {size / 2**20:>10.1f} MiB" for kind, (number, size) in rubbish.by_kind().items()
    ]
    if remove:
        said = f"{removed} of {len(rubbish.objects)} objects removed from {wiring.store.uri}"
    else:
        said = f"{len(rubbish.objects)} objects could go, {rubbish.num_kept} stay; --remove removes them"
    return {
        "store": wiring.store.uri,
        "grace_days": days,
        "objects": len(rubbish.objects),
        "bytes": rubbish.size,
        "kept": rubbish.num_kept,
        "removed": removed,
        "kinds": kinds,
        "text": [*table, f"{said} ({rubbish.size / 2**20:.1f} MiB, unused for {days} days)."],
    }


def verify_programme(target: str) -> dict[str, Any]:
    """Whether a delivery is what its manifest says."""
    from tasks.verify import store_uri, verify

    wiring = Wiring(load_settings(store=store_uri(target)))
    try:
        verdict = verify(wiring.store, scratch=wiring.scratch)
    finally:
        wiring.close()
    holds = not verdict.faults
    word = "holds" if holds else "does not hold"
    lines = [f"{verdict.programme}: {word}, {verdict.num_checked} files", *verdict.faults, *verdict.notes]
    return {
        "ok": holds,
        "programme": verdict.programme,
        "episode": verdict.episode,
        "revision": verdict.revision,
        "checked": verdict.num_checked,
        "faults": list(verdict.faults),
        "notes": list(verdict.notes),
        "text": lines,
    }


def examine(*, fetch: bool, wan: bool) -> dict[str, Any]:
    """Which engines can run here."""
    from tasks.engines import model_files

    settings = load_settings()
    cache = model_folder(settings)
    if fetch:
        with shown(quiet=False) as progress:
            model_files.fetch([file.name for file in model_files.MODEL_FILES], cache, progress.fetched)
    missing = model_files.missing(cache)
    rows = [_examined(role, name, probe) for role, name, probe in _PROBES]
    text = [f"{row['role']:12} {row['engine']:12} {row['state']}" for row in rows]
    text.append(
        f"model files: {'all there' if not missing else ', '.join(missing) + ' missing; troupe doctor --fetch'}"
    )
    result: dict[str, Any] = {"engines": rows, "missing_model_files": list(missing), "text": text}
    if wan:
        memory = import_module("s2v_model.wan.placement").memory_report()
        result["weights_digests"] = _weights(settings)
        result["text"] += [
            *memory.splitlines(),
            *(f"{name}: {said}" for name, said in result["weights_digests"].items()),
        ]
    return result


def _weights(settings: Settings) -> dict[str, str]:
    """What machines that only plan are told of the weights that are here (option weights_digest), or why not."""
    from s2v_model import traits

    named = {"wan-s2v": settings.engines.wan_checkpoint, "wan-scene": settings.engines.wan_scene.get("checkpoint")}
    wiring, told = Wiring(settings), {}
    for name in (name for name, checkpoint in named.items() if checkpoint):
        try:
            told[name] = f"weights_digest = {traits(name, wiring.options_of(name)).weights}"
        except RendererMissing as error:
            told[name] = str(error)
    return told


_PROBES = (
    ("renderer", "puppet", "ai_edge_litert"),
    ("renderer", "wan-s2v", "torch"),
    ("diarizer", "embedded", "onnxruntime"),
    ("diarizer", "pyannote", "pyannote.audio"),
    ("transcriber", "whisper", "faster_whisper"),
    ("aligner", "pocketsphinx", "pocketsphinx"),
    ("voice", "espeak", "espeakng_loader"),
    ("store", "file", "os"),
    ("store", "s3", "minio"),
)
_EXTRAS = {"torch": "wan", "pyannote.audio": "speech", "faster_whisper": "speech"}


def _examined(role: str, engine: str, package: str) -> dict[str, str]:
    from importlib.util import find_spec

    try:
        is_there = find_spec(package) is not None
    except ModuleNotFoundError:
        is_there = False
    extra = _EXTRAS.get(package)
    remedy = f"not installed: pip install 'troupe[{extra}]'" if extra else f"not installed: pip install {package}"
    return {"role": role, "engine": engine, "state": "ready" if is_there else remedy}


def shown(quiet: bool) -> Any:
    """Where progress goes: bars on a terminal, lines in a log, nowhere beside JSON."""
    if quiet:
        return Silent()
    return Bars() if sys.stderr.isatty() else Plain()
