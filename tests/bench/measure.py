"""What a command costs, with every process that it starts: CPU seconds, wall seconds, highest memory of any one.

The caller becomes the reaper of orphans, so that processes of a pool, whose parent is another process, are counted too.
"""

import ctypes
import os
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Cost:
    """Of one command."""

    code: int
    cpu_seconds: float
    wall_seconds: float
    peak_mb: float
    """Largest resident size that any one process reached."""
    output: str
    peaks: dict[str, float] = field(default_factory=dict)
    """Process name -> its highest resident size in MB."""


def measure(command: Sequence[str], *, environment: dict[str, str] | None = None, cwd: Path | None = None) -> Cost:
    """Run `command` and count everything below it."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before, started = _children_cpu(), time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=cwd
    )
    peaks: dict[str, float] = {}
    done = Event()
    watcher = Thread(target=_watch, args=(process.pid, peaks, done), daemon=True)
    watcher.start()
    output, errors = process.communicate()
    wall = time.monotonic() - started
    done.set()
    watcher.join()
    _reap()
    if process.returncode:
        output += errors
    peak = max(peaks.values(), default=0.0)
    return Cost(process.returncode, _children_cpu() - before, wall, peak, output, peaks)


def _reap() -> None:
    """Wait for orphans that came to us: a pool's fork server and its workers."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.05)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watch(root: int, peaks: dict[str, float], done: Event) -> None:
    while not done.wait(0.25):
        for pid in _below(root):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
            name = f"{fields['Name'].strip()}/{pid}"
            peaks[name] = max(peaks.get(name, 0.0), int(fields.get("VmHWM", "0 kB").split()[0]) / 1024)


def _below(root: int) -> list[int]:
    """A process and all that descend from it, or were handed to us."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid and child not in found]
    return found
