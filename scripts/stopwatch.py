"""How long does a piece of work take?"""

import time
from collections.abc import Callable
from typing import Any


def seconds(work: Callable[[], Any]) -> float:
    """Once, by the wall clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def milliseconds(work: Callable[[], Any]) -> float:
    """The same in milliseconds."""
    return 1e3 * seconds(work)
