"""One FFmpeg process that is fed raw frames and leaves a file: started, fed, watched, finished or killed.

In: a command and frames. Out: nothing but the file that the command writes. Knows no codecs and no programme.
"""

import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tasks.domain.errors import MediaError
from tasks.media.storage import FULL_DISK_TEXT, disk_errors, full_disk

TICK_SECONDS = 0.5
"""How often a waiting encoder calls its watch."""
STALL_SECONDS = 300.0
"""An FFmpeg that neither takes a frame nor ends for so long is given up."""
LOG_LINES = 12
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
"""Linux's fcntl to enlarge a pipe: fewer switches between the two processes."""


class Encoder:
    """FFmpeg behind a pipe. A context manager: leaving it in any way but `finish` kills FFmpeg and removes its file."""

    def __init__(
        self, command: Sequence[str], target: Path, *, env: Mapping[str, str], watch: Callable[[], None]
    ) -> None:
        """command: writes `target`, reads frames from its standard input. env: added to this process's own.

        watch: called at least twice a second while we wait. Raises MediaError where FFmpeg cannot be started.
        """
        self._command, self._target, self._watch = list(command), target, watch
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._is_done = False
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                bufsize=0,
                env={**os.environ, **env},
                # Ctrl-C reaches us alone: we end FFmpeg in order.
                start_new_session=True,
            )
        except OSError as error:
            self._log.close()
            raise MediaError(f"FFmpeg cannot be started ({error}).", command=shlex.join(self._command)) from error
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        _enlarge(self._pipe)

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_done:
            self._process.kill()
            self._process.wait()
            self._close_pipe()
            with suppress(OSError):
                self._target.unlink()
        self._log.close()

    def write(self, frame: memoryview) -> None:
        """Hand over one frame. Raises MediaError or StoreError where FFmpeg ended, and what `watch` raises."""
        start, since = 0, time.monotonic()
        while start < len(frame):
            ready = select.select([], [self._pipe], [], TICK_SECONDS)[1]
            try:
                taken = os.write(self._pipe, frame[start:]) if ready else 0
            except BlockingIOError:
                taken = 0
            except BrokenPipeError:
                self._process.wait()
                raise self._failure() from None
            if taken:
                start, since = start + taken, time.monotonic()
            else:
                self._wait_or_give_up(since)

    def finish(self) -> None:
        """Wait for FFmpeg to end the file. Raises as `write` does."""
        self._close_pipe()
        since = time.monotonic()
        while True:
            try:
                self._process.wait(TICK_SECONDS)
                break
            except subprocess.TimeoutExpired:
                self._wait_or_give_up(since)
        if self._process.returncode:
            raise self._failure()
        self._is_done = True

    def _wait_or_give_up(self, since: float) -> None:
        self._watch()
        if time.monotonic() - since > STALL_SECONDS:
            self._process.kill()
            self._process.wait()
            raise self._failure(f"FFmpeg stood still for {STALL_SECONDS:.0f} s.")

    def _failure(self, text: str = "") -> Exception:
        """The error for a process that has ended."""
        log = self._last_lines()
        if FULL_DISK_TEXT in log:
            return full_disk(self._target)
        code = self._process.returncode
        ended = f"FFmpeg was ended by {signal.Signals(-code).name}." if code < 0 else f"FFmpeg failed with code {code}."
        return MediaError(text or ended, command=shlex.join(self._command), log=log)

    def _last_lines(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 16_384))
        return "\n".join(self._log.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:])

    def _close_pipe(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()


def run(command: Sequence[str], target: Path, frame: memoryview, *, env: Mapping[str, str]) -> None:
    """Feed a single frame to a command that writes `target`. Raises MediaError or StoreError."""
    with disk_errors(target), Encoder(command, target, env=env, watch=lambda: None) as encoder:
        encoder.write(frame)
        encoder.finish()


def _enlarge(pipe: int) -> None:
    """Ask for a larger pipe; a system that has none keeps its own."""
    try:
        from fcntl import fcntl  # not on every platform

        fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except (ImportError, OSError):
        pass
