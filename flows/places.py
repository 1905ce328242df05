"""How many runs a worker takes at once, said in its name: all that a Prefect server keeps of a worker.

A machine with four GPUs is one worker with four places. Its name says so, to people as well: "host (4 at once)".
"""

import re

_PLACES = re.compile(r" \((\d{1,3}) at once\)")


def worker_name(name: str, num_places: int) -> str:
    """The name of a worker with so many places; one place needs no word."""
    return f"{name} ({num_places} at once)" if num_places > 1 else name


def num_places(name: str) -> int:
    """The places of a worker of that name; one, where it says nothing."""
    found = _PLACES.search(name)
    return max(1, int(found[1])) if found else 1
