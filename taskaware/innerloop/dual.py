"""How does a stack of linear layers take inner steps without ever forming a task's weights?

A step of SGD changes a layer by a sum of outer products over the support set, W_k = W - sum_j r_j G_j' H_j, so that

    W_k x = W x - sum_j r_j G_j' (H_j x)          (the dual form of a perceptron; Aizerman et al. 1964)

with H_j [S, I] the layer's support inputs at step j and G_j [S, O] the gradients at its outputs. All tasks share the
product with W (one large matrix product), the rest are products with S x S matrices. The inner backward pass is written
out, so that the outer gradient is an ordinary one: no double backward, and torch.compile can take the whole step.

The first layer's inputs never change: its S x S matrix is computed once. Layers that are small beside the rank S K of
their change, such as the last, are cheaper as explicit weights. Steps, rates and clipping are those of `InnerLoop`.

Shapes: T tasks, S support, Q query, R = S or Q, I inputs and O outputs of a layer, N ways, K inner steps.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Protocol, final

import torch
from torch import Tensor

from taskaware.innerloop.losses import logit_gradient, mask_classes, targets
from taskaware.innerloop.meta_batch import MetaBatch
from taskaware.innerloop.products import linear, pull_back
from taskaware.innerloop.recompute import recomputed

Linear = tuple[Tensor, Tensor]
"""weight [O, I], bias [O]."""
Move = tuple[Tensor, Tensor, Tensor, Tensor]
"""A layer's inputs [T, S, I], the gradient at its outputs [T, S, O], and what clipping leaves of weight and bias."""

# Where per-task weights take over (measured with scripts/benchmark_speed.py, growth): what a row costs by the outer
# products, S K (I + O), beside what it costs by the weights, I O. The first layer's S x S matrix and the steps with it
# cost S S (I + K O), the same steps with weights 2 S K I O.
_LARGEST_CHANGE = 1.4


class TaskLayer(Protocol):
    """One layer of T tasks after some inner steps."""

    def forward(self, inputs: Tensor) -> Tensor:
        """The layer on its inputs [T, R, I] -> [T, R, O]."""

    def pull(self, gradient: Tensor) -> Tensor:
        """The gradient at its inputs: [T, S, O] -> [T, S, I]."""

    def step(self, inputs: Tensor, gradient: Tensor, weight_factor: Tensor, bias_factor: Tensor) -> None:
        """One step of SGD from the support inputs [T, S, I] and gradients [T, S, O]; factors [] or [T, 1, 1].

        A factor is a rate with its sign turned: products that are added have a cheaper gradient than ones subtracted.
        """


@final
class FirstLayer:
    """The layer that sees the data: one S x S matrix serves all steps."""

    def __init__(self, layer: Linear, support: Tensor) -> None:
        self._layer, self._support = layer, support
        self._known: tuple[Tensor, Tensor] | None = None
        self._change: Tensor | None = None
        self._shift: Tensor = support.new_zeros(())

    def forward(self, inputs: Tensor) -> Tensor:
        start, gram = self._known if self._known and inputs is self._support else self._against(inputs)
        if self._change is None:
            return start
        return (start + self._shift).baddbmm_(gram, self._change)

    def _against(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What the layer made of its inputs before any step [T, R, O]; their products with the support [T, R, S]."""
        found = linear(inputs, *self._layer), inputs @ self._support.mT
        if inputs is self._support:
            self._known = found
        return found

    def pull(self, gradient: Tensor) -> Tensor:
        raise AssertionError("nothing lies below the first layer")

    def step(self, inputs: Tensor, gradient: Tensor, weight_factor: Tensor, bias_factor: Tensor) -> None:
        if self._change is None:
            self._change = weight_factor * gradient
        else:
            self._change = torch.addcmul(self._change, gradient, weight_factor)
        self._shift = self._shift + bias_factor * gradient.sum(1, keepdim=True)


@final
class DualLayer:
    """A layer whose changes are kept as the outer products' two factors."""

    def __init__(self, layer: Linear) -> None:
        self._layer = layer
        self._steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def forward(self, inputs: Tensor) -> Tensor:
        result = linear(inputs, *self._layer)
        for seen, gradient, weight_factor, bias_factor in self._steps:
            shares = torch.addcmul(bias_factor, inputs @ seen.mT, weight_factor)  # the bias: one more input, always 1
            result = result.baddbmm_(shares, gradient)
        return result

    def pull(self, gradient: Tensor) -> Tensor:
        result = pull_back(gradient, self._layer[0])
        for seen, past, weight_factor, _ in self._steps:
            result = result.baddbmm_((gradient @ past.mT) * weight_factor, seen)
        return result

    def step(self, inputs: Tensor, gradient: Tensor, weight_factor: Tensor, bias_factor: Tensor) -> None:
        # factors go to the small products, one for each past example [T, 1, S], rather than to the wide gradients
        shape = (len(inputs), 1, inputs.shape[1])
        self._steps.append((inputs, gradient, weight_factor.expand(shape), bias_factor.expand(shape)))

    def join(self) -> None:
        """Puts all steps side by side: one product instead of K, worth its copy for the queries."""
        if len(self._steps) > 1:
            inputs, gradients, weight_factors, bias_factors = zip(*self._steps, strict=True)
            factors = torch.cat(weight_factors, 2), torch.cat(bias_factors, 2)
            self._steps = [(torch.cat(inputs, 1), torch.cat(gradients, 1), *factors)]


@final
class ExplicitLayer:
    """A layer that costs less with per-task weights [T, O, I] and biases [T, 1, O]."""

    def __init__(self, layer: Linear) -> None:
        self._layer = layer
        self._own: Linear | None = None  # every task's, from the first step on

    def forward(self, inputs: Tensor) -> Tensor:
        if self._own is None:
            return linear(inputs, *self._layer)
        weight, bias = self._own
        return torch.baddbmm(bias, inputs, weight.mT)

    def pull(self, gradient: Tensor) -> Tensor:
        return pull_back(gradient, self._layer[0]) if self._own is None else gradient @ self._own[0]

    def step(self, inputs: Tensor, gradient: Tensor, weight_factor: Tensor, bias_factor: Tensor) -> None:
        weight, bias = self._own or (self._layer[0].expand(len(inputs), -1, -1), self._layer[1])
        change = bias_factor * gradient.sum(1, keepdim=True)
        self._own = torch.baddbmm(weight, (weight_factor * gradient).mT, inputs), bias + change


def dual_logits(
    layers: Sequence[Linear], rates: Tensor, batch: MetaBatch, *, order: int, clip: float, checkpoint: bool = False
) -> Tensor:
    """Query logits [T, Q, N] after K inner steps of a ReLU stack; rates [K, 2 L] (weight and bias of each layer)."""
    constant = order == 1
    with torch.no_grad() if constant else nullcontext():
        tasks, record = _adapted(layers, rates, batch, clip, checkpoint and not constant)
    if constant:  # the moves are constants; only their use is differentiated
        tasks = _replayed(layers, rates, record, batch.support.features)
    for layer in tasks:
        if isinstance(layer, DualLayer):
            layer.join()
    return mask_classes(_through(tasks, batch.query.features)[-1], batch.class_mask)


def _adapted(
    layers: Sequence[Linear], rates: Tensor, batch: MetaBatch, clip: float, checkpoint: bool
) -> tuple[list[TaskLayer], list[list[Move]]]:
    """The layers after all inner steps, and the moves that each step made."""
    wanted = targets(batch.support, batch.ways)
    record: list[list[Move]] = []
    tasks = _born(layers, batch.support.features, len(rates))
    for step in range(len(rates)):
        if checkpoint:
            record.append(_recomputed_moves(layers, rates, record, batch, wanted, clip))
        else:
            record.append(_moves(tasks, batch, wanted, clip))
        _take(tasks, record[-1], rates[step])
    return tasks, record


def _born(layers: Sequence[Linear], support: Tensor, steps: int) -> list[TaskLayer]:
    size = support.shape[1]
    first, *others = layers
    outputs, inputs = first[0].shape
    gram = size * (inputs + steps * outputs) <= 2 * steps * inputs * outputs
    result: list[TaskLayer] = [FirstLayer(first, support) if gram else ExplicitLayer(first)]
    for layer in others:
        cheap = size * steps * sum(layer[0].shape) <= _LARGEST_CHANGE * layer[0].numel()
        result.append(DualLayer(layer) if cheap else ExplicitLayer(layer))
    return result


def _replayed(
    layers: Sequence[Linear], rates: Tensor, record: Sequence[Sequence[Move]], support: Tensor
) -> list[TaskLayer]:
    tasks = _born(layers, support, len(rates))
    for moves, rate in zip(record, rates, strict=False):
        _take(tasks, moves, rate)
    return tasks


def _take(tasks: Sequence[TaskLayer], moves: Sequence[Move], rates: Tensor) -> None:
    factors = -rates
    for index, (layer, move) in enumerate(zip(tasks, moves, strict=True)):
        inputs, gradient, weight_share, bias_share = move
        layer.step(inputs, gradient, factors[2 * index] * weight_share, factors[2 * index + 1] * bias_share)


def _through(tasks: Sequence[TaskLayer], features: Tensor) -> list[Tensor]:
    """The inputs of every layer, then the logits."""
    values = [features]
    for index, layer in enumerate(tasks):
        outputs = layer.forward(values[-1])
        values.append(outputs.relu() if index + 1 < len(tasks) else outputs)
    return values


def _moves(tasks: Sequence[TaskLayer], batch: MetaBatch, wanted: Tensor, clip: float) -> list[Move]:
    """The inner backward pass, written out."""
    values = _through(tasks, batch.support.features)
    gradient = logit_gradient(mask_classes(values[-1], batch.class_mask), wanted, batch.support.mask)
    moves: list[Move] = []
    for index in range(len(tasks) - 1, -1, -1):
        moves.append((values[index], gradient, *_shares(values[index], gradient, clip)))
        if index:
            below = tasks[index].pull(gradient)
            # g * (value > 0) in one kernel; the detached value keeps its derivative (zero) from being written out
            gradient = torch.ops.aten.threshold_backward(below, values[index].detach(), 0)
    return moves[::-1]


def _shares(inputs: Tensor, gradient: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """What clipping leaves of a layer's weight and bias gradient, each by its norm: [T, 1, 1] twice (1 without)."""
    if not clip:
        one = gradient.new_ones(())
        return one, one
    support, width = inputs.shape[1:]
    if (
        support * (width + gradient.shape[2]) > width * gradient.shape[2]
    ):  # the weight gradient costs less than products
        squares = (gradient.mT @ inputs).square().sum((1, 2), keepdim=True)
    else:
        squares = ((gradient @ gradient.mT) * (inputs @ inputs.mT)).sum((1, 2), keepdim=True)
    bias = gradient.sum(1, keepdim=True).square().sum(2, keepdim=True)
    return _share(squares, clip), _share(bias, clip)


def _share(squares: Tensor, clip: float) -> Tensor:
    return (clip / (squares.clamp_min(0.0) + 1e-12).sqrt()).clamp(max=1.0)


def _recomputed_moves(
    layers: Sequence[Linear],
    rates: Tensor,
    record: Sequence[Sequence[Move]],
    batch: MetaBatch,
    wanted: Tensor,
    clip: float,
) -> list[Move]:
    flat = [tensor for moves in record for move in moves for tensor in move]
    pairs = [tensor for layer in layers for tensor in layer]

    def moves(*tensors: Tensor) -> tuple[Tensor, ...]:
        again = [(tensors[2 * each], tensors[2 * each + 1]) for each in range(len(layers))]
        rest = tensors[len(pairs) + 1 :]
        past = [_move(rest, each) for each in range(len(rest) // 4)]
        steps = [past[first : first + len(layers)] for first in range(0, len(past), len(layers))]
        tasks = _replayed(again, tensors[len(pairs)], steps, batch.support.features)
        return tuple(tensor for move in _moves(tasks, batch, wanted, clip) for tensor in move)

    found = recomputed(moves, *pairs, rates, *flat)
    return [_move(found, each) for each in range(len(layers))]


def _move(tensors: Sequence[Tensor], index: int) -> Move:
    inputs, gradient, weight_share, bias_share = tensors[4 * index : 4 * index + 4]
    return inputs, gradient, weight_share, bias_share
