"""Ctrl-C that is not lost with its exception.

Python drops a KeyboardInterrupt that is raised in a `__del__` or a callback of its own, and the program goes on.
Source: `sys.unraisablehook` in the standard library's reference.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heard(tell: Callable[[], object]) -> Iterator[None]:
    """Within this, Ctrl-C calls `tell` before it raises KeyboardInterrupt as ever.

    tell: runs between any two instructions of the main thread, so it must take no lock. Outside of the main thread, and
    where somebody else handles the signal, this does nothing.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        tell()
        signal.default_int_handler(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
