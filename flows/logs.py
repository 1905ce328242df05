"""The log: plain lines, or JSON objects that say which episode, shot and fingerprint a line is about.

In: settings. Out: handlers of the standard `logging`. Knows no Prefect: a run of it lends its own handler.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from flows.settings import Settings

OURS = ("flows", "tasks", "s2v_model", "infra")
_PLAIN = "%(levelname)s: %(message)s"
_about: ContextVar[dict[str, str] | None] = ContextVar("about", default=None)
_FROM_PREFECT = ("flow_run_id", "flow_run_name", "task_run_id", "task_run_name")


@contextmanager
def about(**named: str) -> Iterator[None]:
    """What lines are about that are written within: `episode`, `shot`, `fingerprint`."""
    token = _about.set({**(_about.get() or {}), **named})
    try:
        yield
    finally:
        _about.reset(token)


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter.format`."""
        line: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **(_about.get() or {}),
        }
        line |= {name: str(vars(record)[name]) for name in _FROM_PREFECT if vars(record).get(name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(settings: Settings) -> None:
    """Show the log of this process. The S3 client's own retries are its business."""
    logging.basicConfig(level=settings.log.upper(), format=_PLAIN, force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    if settings.log_format == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())


def log_in_run(settings: Settings, handler: logging.Handler) -> None:
    """Within a run that a server records: our lines go there by `handler` and are printed, each once.

    With JSON chosen, Prefect's own lines are printed like ours.
    """
    printed = logging.StreamHandler()
    printed.setFormatter(logging.Formatter(_PLAIN))
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(settings.log.upper())
        there = {type(each) for each in logger.handlers}
        for each in (handler, printed):
            if type(each) not in there:
                logger.addHandler(each)
    if settings.log_format == "json":
        loggers = [logging.getLogger(name) for name in ("", *logging.root.manager.loggerDict)]
        for each in (each for logger in loggers for each in logger.handlers):
            if isinstance(each, logging.StreamHandler):
                each.setFormatter(JsonLines())
