"""The log: what a line says, and to whom."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from flows.logs import OURS, about, log_in_run, log_to_stderr
from flows.settings import Settings

log = logging.getLogger("tasks.example")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, logging.getLogger("urllib3"), *map(logging.getLogger, OURS)]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    formatters = [(handler, handler.formatter) for handler in root.handlers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers
    for handler, formatter in formatters:
        handler.setFormatter(formatter)


def test_a_json_line_says_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    """Episode, shot and fingerprint, as far as they are known where the line is written; nothing below the level."""
    log_to_stderr(Settings(log="info", log_format="json"))
    with about(episode="welcome"):
        with about(shot="s0001", fingerprint="ab" * 32):
            log.info("clip %d", 1)
        log.debug("not told")
        log.warning("it took long")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert [{key: line[key] for key in line if key != "time"} for line in lines] == [
        {
            "level": "info",
            "logger": "tasks.example",
            "message": "clip 1",
            "episode": "welcome",
            "shot": "s0001",
            "fingerprint": "ab" * 32,
        },
        {"level": "warning", "logger": "tasks.example", "message": "it took long", "episode": "welcome"},
    ]


def test_text_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    """As it was."""
    log_to_stderr(Settings())
    log.warning("it took long")

    assert capsys.readouterr().err == "WARNING: it took long\n"


def test_a_run_is_lent_its_handler_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A process that runs one flow after another writes each line once, to the server and to its own log."""
    told = io.StringIO()

    class Lent(logging.StreamHandler):  # type: ignore[type-arg]
        pass

    for _ in range(2):
        log_in_run(Settings(log="info"), Lent(told))
    log.info("clip")

    assert told.getvalue() == "clip\n"
    assert capsys.readouterr().err == "INFO: clip\n"
