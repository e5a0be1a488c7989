"""How does a regressor meet its meta-batches of described functions?

Every meta-batch is a function of (seed, step). Words are missing in some tasks and another family's in a few, so that
both are ordinary cases; of a family's phrasings two are mixed at random and blurred, so that a new phrasing is near.

Shapes: T tasks, F families, R phrasings, D width of a sentence vector, S support, Q query.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from taskaware.core.config import Config
from taskaware.core.seeds import generator
from taskaware.data.functions import FAMILIES, RegressionTasks, draw_tasks
from taskaware.learners.regression import DescribedPoints, Regressor


class RegressionTraining(Config):
    """steps of Adam with warm-up and cosine decay; drop: share of tasks without words, mislead: with wrong words.

    surprise: weight of the negative log evidence beside the squared error. settle: share of the steps in which right
    words are believed outright, before evidence weighs them: candidates that mean nothing yet would lose to the
    wordless start for good. blur: length of the noise added to a description's unit vector; inner rates learn
    rate_factor times as fast as the rest.
    """

    steps: int = Field(default=5000, ge=0)
    meta_batch: int = Field(default=32, ge=1)
    support: int = Field(default=10, ge=1)
    query: int = Field(default=10, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0.0)
    rate_factor: float = Field(default=3.0, gt=0.0)
    warmup: int = Field(default=200, ge=1)
    clip: float = Field(default=10.0, gt=0.0)
    drop: float = Field(default=0.2, ge=0.0, le=1.0)
    mislead: float = Field(default=0.1, ge=0.0, le=1.0)
    blur: float = Field(default=0.3, ge=0.0)
    surprise: float = Field(default=0.5, ge=0.0)
    settle: float = Field(default=0.6, ge=0.0, le=1.0)


def train_regressor(
    regressor: Regressor,
    phrasings: Tensor,
    config: RegressionTraining,
    seed: int,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Trains in place; phrasings [F, R, D]. `report` gets the step and the meta-batch's mean squared error.

    Raises FloatingPointError when the loss is not finite.
    """
    rates = list(regressor.inner.parameters())
    rest = [each for name, each in regressor.named_parameters() if not name.startswith("inner.")]
    optimizer = torch.optim.Adam([{"params": rest}, {"params": rates}])
    for step in range(config.steps):
        factor = min(1.0, (step + 1) / config.warmup) * (0.5 + 0.5 * math.cos(math.pi * step / config.steps))
        for group, scale in zip(optimizer.param_groups, (1.0, config.rate_factor), strict=True):
            group["lr"] = config.learning_rate * factor * scale
        tasks = draw_tasks(config.meta_batch, config.support, config.query, seed, "train", step)
        points = as_points(tasks, *training_words(tasks, phrasings, config, seed, step))
        weigh = step >= config.settle * config.steps
        errors, surprises = torch.func.vmap(partial(_losses, regressor, weigh))(points, _queries(tasks))
        loss = errors.mean() + config.surprise * surprises.mean()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"step {step}: the loss is {loss.item()}; lower learning_rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
        nn.utils.clip_grad_norm_(regressor.parameters(), config.clip)
        optimizer.step()
        report(step, errors.mean().item())


def _losses(
    regressor: Regressor, weigh: bool, points: DescribedPoints, queries: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Mean squared error [] at the queries, and the surprise [] a point of support and queries under the start.

    The second makes evidence comparable among descriptions, which squared errors alone do not ask for.
    """
    start, attention = regressor.start(points, weigh)
    predicted = regressor.predict(regressor.refine(start, attention, points), queries[0])
    inputs, targets = torch.cat([points.inputs, queries[0]]), torch.cat([points.targets, queries[1]])
    surprise = regressor.surprise(start, replace(points, inputs=inputs, targets=targets)) / len(targets)
    return (predicted - queries[1]).square().mean(), surprise


def _queries(tasks: RegressionTasks) -> tuple[Tensor, Tensor]:
    return as_tensor(tasks.query_x), as_tensor(tasks.query_y)


def training_words(
    tasks: RegressionTasks, phrasings: Tensor, config: RegressionTraining, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """Descriptions [T, D] as training reads them, and whether each is present [T]."""
    rng = generator(seed, "words", step)
    count, phrases = len(tasks.family), phrasings.shape[1]
    misled = rng.random(count) < config.mislead * (step >= config.settle * config.steps)
    family = np.where(misled, (tasks.family + rng.integers(1, len(FAMILIES), count)) % len(FAMILIES), tasks.family)
    share = as_tensor(rng.random((count, 1)))
    one, other = (phrasings[family, rng.integers(phrases, size=count)] for _ in range(2))
    noise = as_tensor(rng.normal(size=one.shape)) * (config.blur / math.sqrt(one.shape[1]))
    mixed = nn.functional.normalize(share * one + (1 - share) * other, dim=-1) + noise
    return nn.functional.normalize(mixed, dim=-1), as_tensor(rng.random(count) >= config.drop)


def as_points(tasks: RegressionTasks, descriptions: Tensor, present: Tensor) -> DescribedPoints:
    """The support sets of T tasks with their words."""
    return DescribedPoints(as_tensor(tasks.support_x), as_tensor(tasks.support_y), descriptions, present)


def as_tensor(values: np.ndarray) -> Tensor:
    """float32."""
    return torch.as_tensor(values, dtype=torch.float32)
