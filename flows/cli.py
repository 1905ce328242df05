"""The `troupe` command: a thin shell over the flows. Start-up stays light: each command imports what it needs.

Exit codes: 0 done; 1 the run failed; 2 the input is wrong; 130 interrupted. Errors are one or two plain sentences on
standard error; `--debug` adds the traceback. With `--json`, standard output is one JSON document.
"""

import json
import sys
from typing import Annotated, Any

import typer

from tasks.domain.errors import InputError, PipelineError
from tasks.formats.findings import all_findings

app = typer.Typer(
    name="troupe",
    help="Scripts and podcasts in, multi-speaker talking videos out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SHOWN_FINDINGS = 2
INTERRUPTED = 130
_INTERRUPTED_SENTENCE = "interrupted; what was done is kept."

Store = Annotated[str | None, typer.Option("--store", metavar="URI", help="file:FOLDER or s3://BUCKET/PREFIX.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Quality = Annotated[str | None, typer.Option("--quality", metavar="draft|final", help="In place of the episode's own.")]
Direct = Annotated[bool, typer.Option("--direct", help="Run here even where a Prefect API is configured.")]


@app.callback()
def _main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the debug log.")] = False,
) -> None:
    """Read by `main`, which has to know it before a command line can fail."""


@app.command()
def produce(
    episode: Annotated[str, typer.Argument(metavar="EPISODE", help="An episode file (YAML).")],
    store: Store = None,
    quality: Quality = None,
    direct: Direct = False,
    budget_gpu_s: Annotated[
        float | None, typer.Option("--budget-gpu-s", min=1, metavar="SECONDS", help="GPU seconds not to exceed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the programmes of an episode, and print where they are."""
    from flows.commands import produce_episode

    made = produce_episode(
        episode, store=store, quality=quality, direct=direct, quiet=as_json, budget_gpu_s=budget_gpu_s
    )
    _show(made, as_json)


@app.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Episode, script, portrait, recording or feed.")],
    kind: Annotated[
        str | None, typer.Option("--as", metavar="KIND", help="What FILE is, if its name misleads.")
    ] = None,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Find everything that can be wrong before work starts."""
    from flows.checking import check_file

    report = check_file(file, kind, store=store)
    if as_json:
        print(json.dumps(report.as_document(), ensure_ascii=False))
    else:
        _complain([finding.text for finding in report.errors])
        _complain([f"warning: {warning}" for warning in report.warnings])
        if report.ok:
            print(f"{file}: {report.summary}")
    raise typer.Exit(0 if report.ok else 2)


@app.command()
def diarize(
    recording: Annotated[str, typer.Argument(metavar="RECORDING", help="Any audio or video file.")],
    engine: Annotated[str | None, typer.Option("--engine", metavar="NAME", help="embedded or pyannote.")] = None,
    speakers: Annotated[int | None, typer.Option("--speakers", min=1, max=50, help="How many, if known.")] = None,
) -> None:
    """Print who spoke when, as RTTM."""
    from flows.commands import diarize_recording

    sys.stdout.write(diarize_recording(recording, engine=engine, speakers=speakers))


@app.command()
def plan(
    episode: Annotated[str, typer.Argument(metavar="EPISODE", help="An episode file (YAML).")],
    store: Store = None,
    quality: Quality = None,
    workers: Annotated[
        int, typer.Option("--workers", min=0, help="To reckon with: GPU workers (one), or cores (all of this machine).")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Show the shots, what would be reused, and what the rest will cost; render nothing."""
    from flows.commands import plan_episode

    _show(plan_episode(episode, store=store, quality=quality, workers=workers), as_json)


@app.command()
def batch(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="CSV or JSON lines, one episode a row.")],
    template: Annotated[
        str | None, typer.Option("--template", metavar="EPISODE", help="For rows without a template of their own.")
    ] = None,
    store: Store = None,
    quality: Quality = None,
    at_once: Annotated[int | None, typer.Option("--at-once", min=1, max=256, help="Rows side by side.")] = None,
    direct: Direct = False,
    as_json: Json = False,
) -> None:
    """Make one episode of each row of a table; a row that fails stops no other."""
    from flows.commands import produce_table

    done = produce_table(
        table, template=template, store=store, quality=quality, at_once=at_once, direct=direct, quiet=as_json
    )
    if not as_json:
        _complain([f"warning: {warning}" for warning in done["warnings"]])
        _complain(done["failures"])
    _show(done, as_json)
    raise typer.Exit(0 if done["ok"] else 1)


@app.command()
def gc(
    store: Store = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it; without this, it is only counted.")] = False,
    grace: Annotated[
        int | None, typer.Option("--grace", max=3650, metavar="DAYS", help="In place of the setting gc.grace_days.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what no programme needs any more and nobody has used for a while; remove it when told to."""
    from flows.commands import collect_garbage

    _show(collect_garbage(store=store, remove=remove, grace_days=grace), as_json)


@app.command()
def verify(
    programme: Annotated[
        str, typer.Argument(metavar="PROGRAMME", help="A programme's folder, its URI, or its manifest.")
    ],
    as_json: Json = False,
) -> None:
    """Recompute the digests of a delivery: 0 holds, 1 does not, 2 is no programme."""
    from flows.commands import verify_programme

    verdict = verify_programme(programme)
    _show(verdict, as_json)
    raise typer.Exit(0 if verdict["ok"] else 1)


@app.command()
def doctor(
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch the model files that are missing.")] = False,
    wan: Annotated[bool, typer.Option("--wan", help="Show the memory plan of Wan2.2-S2V-14B.")] = False,
    as_json: Json = False,
) -> None:
    """Say which engines can run here, and what is missing."""
    from flows.commands import examine

    _show(examine(fetch=fetch, wan=wan), as_json)


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen at.")] = 4200,
) -> None:
    """Run Prefect's server, the deployments and a worker for each pool on this machine."""
    from importlib import import_module

    from flows.settings import load_settings

    raise typer.Exit(import_module("infra.running").serve(load_settings(), host=host, port=port))


@app.command()
def worker(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="A work pool: `cpu`, or one that `pools` names.")],
) -> None:
    """Work for a pool of the Prefect server that is configured, until stopped."""
    from importlib import import_module

    raise typer.Exit(import_module("infra.running").run_worker(pool))


@app.command()
def status(as_json: Json = False) -> None:
    """Say what runs, waits and failed lately at the Prefect server, and which workers there are."""
    from importlib import import_module

    _show(import_module("flows.status").show_status(), as_json)


@app.command()
def metrics() -> None:
    """Serve figures of the Prefect server's runs at the setting metrics.port (OpenMetrics), until stopped."""
    from importlib import import_module

    from flows.settings import load_settings

    import_module("flows.metrics").serve_metrics(load_settings())


def _show(result: dict[str, Any], as_json: bool) -> None:
    """One JSON document, or the lines under "text"; those under "aside" are for a person at a terminal alone."""
    if as_json:
        fields = {key: value for key, value in result.items() if key not in ("text", "aside")}
        print(json.dumps(fields, ensure_ascii=False))
        return
    for line in (*result["text"], *(result.get("aside", ()) if sys.stdout.isatty() else ())):
        print(line)


def _complain(findings: list[str]) -> None:
    """The first two on standard error, one line each, and how many more there are."""
    for finding in findings[:SHOWN_FINDINGS]:
        print(finding, file=sys.stderr)
    if len(findings) > SHOWN_FINDINGS:
        print(f"and {len(findings) - SHOWN_FINDINGS} more", file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """The console script: runs a command and ends the process with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        ended = app(args=given, standalone_mode=False)  # the code of typer.Exit, None without one
    except BaseException as error:  # noqa: BLE001 - whatever ends a command, a person gets a sentence and a code
        if debug and not isinstance(error, SystemExit):
            import traceback

            traceback.print_exc()
        code = _ended(error)
    else:
        code = ended if isinstance(ended, int) else 0
        if code == INTERRUPTED:  # typer turns Ctrl-C into an exit of its own
            _complain([_INTERRUPTED_SENTENCE])
    sys.stdout.flush()
    raise SystemExit(code)


def _ended(error: BaseException) -> int:
    """The exit code of an exception, after its sentence went to standard error."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, BrokenPipeError):
        return 1
    code, findings = _verdict(error)
    _complain(findings)
    return code


def _verdict(error: BaseException) -> tuple[int, list[str]]:
    """The exit code of an exception, and what a person is told."""
    if isinstance(error, KeyboardInterrupt | typer.Abort) or type(error).__name__ == "Stopped":
        return INTERRUPTED, [_INTERRUPTED_SENTENCE]
    if hasattr(error, "format_message"):  # typer's own, for a command line that it cannot read
        return 2, [f"{error.format_message()} `troupe --help` shows the commands."]
    if isinstance(error, InputError):
        return 2, [str(finding) for finding in all_findings(error)]
    if isinstance(error, PipelineError):
        return 1, [str(error)]
    return 1, [f"unexpected fault: {type(error).__name__}: {error}. Run again with --debug and report it."]


if __name__ == "__main__":
    main()
