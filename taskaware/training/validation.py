"""Is the model better than what it started as?

At birth it equals the training-free mix of prototypes and label texts. Validation episodes are fixed by the seed, so
every check is paired with the first. The weights that are kept are the best ones, those at birth included: a learned
part that does not beat the mix is not shipped.
"""

from collections.abc import Sequence

import numpy as np
import torch

from taskaware.core.seeds import generator
from taskaware.episodes import EncodedTask, Words, draw_episode
from taskaware.learners.base import Learner
from taskaware.pipeline.batching import Request, assemble, guard, to_device
from taskaware.pipeline.config import RetrievalConfig
from taskaware.pipeline.retrieval import Library

_CHUNK = 20


def validation_accuracy(
    learner: Learner,
    library: Library,
    tasks: Sequence[EncodedTask],
    shots: Sequence[int],
    episodes: int,
    way: int,
    retrieval: RetrievalConfig,
    seed: int,
) -> dict[tuple[str, int], float]:
    """Mean accuracy of each (task id, shots) over the same episodes at each call."""
    result: dict[tuple[str, int], float] = {}
    device = learner.body.log_scale.device
    mask = torch.ones(library.codes.shape[1])
    for task in tasks:
        for count in shots:
            if sum(len(rows) > count for rows in task.rows) < 2:
                continue
            requests = []
            for index in range(episodes):
                rng = generator("validation", seed, task.id, count, index)
                draw = draw_episode(task, way=way, shots=count, query=5, rng=rng)
                requests.append(Request(draw, Words.of(draw), library, guard(draw, library), mask))
            chunks = [requests[start : start + _CHUNK] for start in range(0, episodes, _CHUNK)]
            right = [_accuracy(learner, chunk, retrieval, device) for chunk in chunks]
            result[task.id, count] = float(np.concatenate(right).mean())
    return result


@torch.no_grad()
def _accuracy(
    learner: Learner, requests: Sequence[Request], retrieval: RetrievalConfig, device: torch.device
) -> np.ndarray:
    batch = to_device(assemble(requests, retrieval), device)
    logits = torch.func.vmap(learner)(batch)
    right = (logits.argmax(-1) == batch.query.labels).float() * batch.query.mask
    result: np.ndarray = (right.sum(-1) / batch.query.mask.sum(-1)).cpu().numpy()
    return result
