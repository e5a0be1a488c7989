"""How many tasks of a meta-batch are in memory together, so that a larger meta-batch is slower and never too large?

A chunk's graph is freed by its own backward pass, and gradients add up, so the step is that of the whole meta-batch.
Letters: N ways, S support, Q query, W feature width, D embedding width, K neighbour tasks, M neighbour classes.
"""

import logging
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from taskaware.episodes import Shape
from taskaware.learners import LearnerConfig
from taskaware.pipeline.config import RetrievalConfig

log = logging.getLogger(__name__)

CPU_BYTES = 4 * 2**30  # what a chunk may take there, where asking for too much ends the process without an error


@final
class TaskChunks:
    """Goes through tasks `size` at a time; a size that may shrink is halved whenever memory runs out, and stays so."""

    def __init__(self, size: int, *, may_shrink: bool) -> None:
        self.size = size
        self._may_shrink = may_shrink

    def accumulate(self, tasks: range, start_over: Callable[[], None], add: Callable[[range], Tensor]) -> list[Tensor]:
        """add(part) for every part of `tasks`, after start_over(); from the beginning when memory ran out on the way.

        Raises what `add` raises, and its out-of-memory error where the size is fixed or down to one task.
        """
        while True:
            start_over()
            size = max(1, min(self.size, len(tasks)))
            try:
                return [add(tasks[first : first + size]) for first in range(0, len(tasks), size)]
            except RuntimeError as error:
                if size == 1 or not self._may_shrink or not out_of_memory(error):
                    raise
            self.size = -(-size // 2)  # outside `except`, where the error's traceback keeps the tensors alive
            log.warning("memory ran out with %d tasks at a time; going on with %d", size, self.size)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an allocator failed; that of the CPU has no exception class of its own."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def cpu_chunk(shape: Shape, learner: LearnerConfig, retrieval: RetrievalConfig, dimension: int, width: int) -> int:
    """Tasks of `shape` that fit into CPU_BYTES together; at least 1."""
    return max(1, CPU_BYTES // task_bytes(shape, learner, retrieval, dimension, width))


def task_bytes(shape: Shape, learner: LearnerConfig, retrieval: RetrievalConfig, dimension: int, width: int) -> int:
    """About what a training step takes for one task, in bytes: 1.3 to 3 times what was measured.

    The support set in each candidate's space, the states of the inner steps, the features, and the memory's classes.
    """
    spaces = 4 * (retrieval.tasks + 1) * (shape.support + shape.ways) * dimension
    steps = 6 * learner.inner.steps * shape.support * dimension
    features = 3 * (shape.support + shape.query) * width
    classes = 4 * shape.ways * retrieval.classes * dimension
    return 4 * (spaces + steps + features + classes + dimension)
