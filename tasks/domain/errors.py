"""Every error of the pipeline, in one tree.

PipelineError
  InputError       a person can fix it; never retried; exit code 2
    EpisodeError ScriptError CastError PortraitError RecordingError FeedError SettingsError
  EngineError      good input, an engine failed; retried
    OutOfMemory    not retried: the same order would fail again
    EngineMissing  names the extra to install; not retried
  StoreError       the store did not answer or broke its word; retried with backoff
  MediaError       FFmpeg refused; carries the command and its last log lines; not retried

A message says what is wrong, with the value; where; what is allowed; what to do: one or two sentences.
`Stopped` (s2v_model.contract) is no error: somebody asked for the end.
"""


class PipelineError(Exception):
    """Anything that ends a run in an orderly way. `str(error)` is the sentence for a person."""


class InputError(PipelineError):
    """Something that a person supplied is wrong, and a person can mend it."""

    def __init__(
        self, message: str, *, where: str = "", remedy: str = "", others: "tuple[InputError, ...]" = ()
    ) -> None:
        """where: file, line and column, or the field. remedy: what to do. Both are part of `str(error)`.

        others: what else is wrong with the same thing; no part of `str(error)`.
        """
        self.message, self.where, self.remedy, self.others = message, where, remedy, others
        head = f"{where}: {message}" if where else message
        super().__init__(f"{head} {remedy}".strip())


class EpisodeError(InputError):
    """The episode file."""


class ScriptError(InputError):
    """The script, or a transcript."""


class CastError(InputError):
    """Who is played by whom."""


class PortraitError(InputError):
    """A picture that cannot talk."""


class RecordingError(InputError):
    """A recording that cannot be used."""


class FeedError(InputError):
    """A podcast feed."""


class SettingsError(InputError):
    """Settings, environment or command line."""


class EngineError(PipelineError):
    """The input was good and an engine failed."""


class OutOfMemory(EngineError):
    """The device is too small for the order."""


class EngineMissing(EngineError):
    """The engine, its packages or its model files are not installed."""


class StoreError(PipelineError):
    """The store did not answer, refused, or holds something else than it should."""


class MediaError(PipelineError):
    """FFmpeg refused."""

    def __init__(self, message: str, *, command: str = "", log: str = "") -> None:
        """command: as it was run. log: its last lines."""
        self.command, self.log = command, log
        super().__init__(message)
