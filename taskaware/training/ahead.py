"""How does the next part of a meta-batch get ready while the present one trains?

In one thread: drawing and looking up the memory is Python and numpy, and the step leaves the interpreter free while it
computes. What is drawn depends on its place alone, so being early changes nothing; a guess that is not asked for is
dropped.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar, final

import torch

Place = TypeVar("Place")
Made = TypeVar("Made")


@final
class Ahead(Generic[Place, Made]):
    """Makes what `make` makes of a place, and the one that will probably be asked for next in advance."""

    def __init__(self, make: Callable[[Place], Made], *, early: bool = True) -> None:
        self.make = make
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") if early else None
        self._next: tuple[Place, Future[Made]] | None = None

    def get(self, place: Place) -> Made:
        """make(place), with its errors; at once if it is ready."""
        guess, self._next = self._next, None
        if guess is not None and guess[0] == place:
            return guess[1].result()
        if guess is not None:
            guess[1].cancel()
        return self.make(place)

    def prepare(self, place: Place) -> None:
        """Starts on what the next `get` will ask for; without `early`, nothing."""
        if self._executor is not None:
            self._next = place, self._executor.submit(self.make, place)


def spare_core(device: str, processes: int) -> bool:
    """Whether a thread would find a core at leisure: beside a GPU, or where not every core computes."""
    return device != "cpu" or torch.get_num_threads() * processes < (os.cpu_count() or 1)
