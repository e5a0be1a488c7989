"""How does any body take its inner steps? All tasks at once through torch.func.vmap, or one after the other.

Both run `InnerLoop` on a pure function of the parameters and differ in how the work reaches the hardware: vmap turns T
small products into one batched product; convolutions with per-task weights become grouped ones, which the CPU does
badly, so there the tasks go one by one.

Shapes: T tasks, S support, Q query, N ways.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from taskaware.core.values import Examples
from taskaware.innerloop.losses import cross_entropies, mask_classes
from taskaware.innerloop.meta_batch import MetaBatch
from taskaware.innerloop.recompute import recomputed, summed
from taskaware.innerloop.sgd import InnerLoop, Parameters

Apply = Callable[[Parameters, Tensor], Tensor]
"""(parameters, features [S, ...]) -> logits [S, N]; pure."""
_ROWS = 25  # queries whose activations are alive together, task by task


def vmap_logits(
    apply: Apply, start: Mapping[str, Tensor], inner: InnerLoop, batch: MetaBatch, *, checkpoint: bool = False
) -> Tensor:
    """Query logits [T, Q, N] after the inner steps of all tasks at once."""
    parameters, axis = dict(start), None
    for step in range(inner.config.steps):
        parameters = _step_all(apply, parameters, axis, inner, step, batch, checkpoint)
        axis = 0

    def score(parameters: Parameters, features: Tensor, class_mask: Tensor) -> Tensor:
        return mask_classes(apply(parameters, features), class_mask)

    everywhere = torch.func.vmap(score, in_dims=(axis, 0, 0))
    logits: Tensor = everywhere(parameters, batch.query.features, batch.class_mask)
    return logits


def loop_losses(
    apply: Apply, start: Mapping[str, Tensor], inner: InnerLoop, batch: MetaBatch, *, checkpoint: bool = False
) -> Tensor:
    """Query losses [T], one task after the other, and a few queries at a time.

    The queries' gradient with respect to the adapted parameters is a sum over queries: taken some rows at a time, their
    activations fit a processor's cache (measured with Conv4: 1.2 times as fast) and the peak of memory falls.
    """
    losses = []
    for task in range(batch.tasks):
        support, class_mask = _one(batch.support, task), batch.class_mask[task]
        parameters = dict(start)
        for step in range(inner.config.steps):
            parameters = _step_one(apply, parameters, inner, step, support, class_mask, checkpoint)
        losses.append(_query_loss(apply, parameters, _one(batch.query, task), class_mask))
    return torch.stack(losses)


def _query_loss(apply: Apply, parameters: Parameters, query: Examples, class_mask: Tensor) -> Tensor:
    total = query.mask.sum().clamp_min(1.0)

    def part(first: int) -> Tensor:
        rows = slice(first, first + _ROWS)
        some = Examples(query.features[rows], query.labels[rows], query.mask[rows])
        return _loss(apply, some, class_mask)(parameters) * (some.mask.sum() / total)

    if len(query.labels) <= _ROWS:
        return part(0)
    parts = [partial(part, first) for first in range(0, len(query.labels), _ROWS)]
    return summed(parts, list(parameters.values()))


def _one(examples: Examples, task: int) -> Examples:
    return Examples(examples.features[task], examples.labels[task], examples.mask[task])


def _step_all(
    apply: Apply,
    parameters: Parameters,
    axis: int | None,
    inner: InnerLoop,
    step: int,
    batch: MetaBatch,
    checkpoint: bool,
) -> Parameters:
    names = list(parameters)

    def one(tensors: tuple[Tensor, ...], rates: Tensor, support: Examples, class_mask: Tensor) -> tuple[Tensor, ...]:
        loss = _loss(apply, support, class_mask)
        moved = inner.step(loss, dict(zip(names, tensors, strict=True)), rates)
        return tuple(moved[name] for name in names)

    def every(rates: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        found = torch.func.vmap(one, in_dims=(axis, None, 0, 0))(tensors, rates, batch.support, batch.class_mask)
        return tuple(found)

    rates = inner.rates(step)
    moved = recomputed(every, rates, *parameters.values()) if checkpoint else every(rates, *parameters.values())
    return dict(zip(names, moved, strict=True))


def _step_one(
    apply: Apply,
    parameters: Parameters,
    inner: InnerLoop,
    step: int,
    support: Examples,
    class_mask: Tensor,
    checkpoint: bool,
) -> Parameters:
    names = list(parameters)

    def one(rates: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        moved = inner.step(_loss(apply, support, class_mask), dict(zip(names, tensors, strict=True)), rates)
        return tuple(moved[name] for name in names)

    rates = inner.rates(step)
    moved = recomputed(one, rates, *parameters.values()) if checkpoint else one(rates, *parameters.values())
    return dict(zip(names, moved, strict=True))


def _loss(apply: Apply, support: Examples, class_mask: Tensor) -> Callable[[Parameters], Tensor]:
    return lambda parameters: cross_entropies(mask_classes(apply(parameters, support.features), class_mask), support)
