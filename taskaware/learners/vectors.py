"""How are plain MAML and ProtoNet trained on vectors or images, as fast as they go and without any words?

For use as a library: a meta-batch of padded tasks in, a differentiable meta-loss out.

    inner = InnerLoop(InnerLoopConfig(steps=5, clip=0.0), parameter_names(body))
    loss = fast_maml_loss(body, inner, meta_batch(support, support_labels, query, query_labels, ways=5))
    loss.backward()

Shapes: T tasks, S support, Q query, N ways, D width of an embedding.
"""

import copy
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from taskaware.bodies.conv4 import Conv4
from taskaware.bodies.mlp_stack import LinearStack
from taskaware.core.errors import ConfigError
from taskaware.innerloop.anybody import loop_losses, vmap_logits
from taskaware.innerloop.compiled import Compiled
from taskaware.innerloop.dual import dual_logits
from taskaware.innerloop.images import conv4_loss
from taskaware.innerloop.losses import cross_entropies, mask_classes, targets
from taskaware.innerloop.meta_batch import MetaBatch, bucketed, slice_tasks
from taskaware.innerloop.paths import Path, Work, choose_path
from taskaware.innerloop.products import linear
from taskaware.innerloop.recompute import summed
from taskaware.innerloop.sgd import InnerLoop, Parameters
from taskaware.innerloop.speed import SpeedConfig

_DEFAULT = SpeedConfig()


def parameter_names(body: nn.Module) -> tuple[str, ...]:
    """What the inner loop of a body adapts: all its parameters."""
    return tuple(name for name, _ in body.named_parameters())


def fast_maml_loss(body: nn.Module, inner: InnerLoop, batch: MetaBatch, speed: SpeedConfig = _DEFAULT) -> Tensor:
    """Mean query loss [] of T tasks after their inner steps (Finn et al. 2017, eq. 1), by the fastest path.

    The head's width is N: ways that a task lacks are masked. Differentiable once, in the parameters of body and inner
    loop alone. Raises ConfigError for an inner loop that is not that of the body's parameters.
    """
    if inner.names != parameter_names(body):
        raise ConfigError(f"inner loop of {inner.names}, expected the body's: parameter_names(body)")
    path = choose_path(maml_work(body, inner, batch), speed)
    if path.compiled:
        batch = bucketed(batch, pad_ways=False)

    def part(first: int) -> Tensor:
        chosen = slice_tasks(batch, first, first + path.chunk)
        losses = _losses(_twin(body) if path.parallel else body, inner, chosen, speed, path)
        return losses.sum() / batch.tasks

    if path.chunk >= batch.tasks:
        return part(0)
    parts = [lambda first=first: part(first) for first in range(0, batch.tasks, path.chunk)]
    workers = min(torch.get_num_threads(), len(parts)) if path.parallel else 1
    return summed(parts, [*body.parameters(), *inner.parameters()], workers)


def fast_protonet_loss(body: nn.Module, batch: MetaBatch, speed: SpeedConfig = _DEFAULT) -> Tensor:
    """Mean query loss [] of prototypical networks (Snell et al. 2017, https://arxiv.org/abs/1703.05175, eq. 2)."""
    device = batch.class_mask.device.type
    if speed.compile == "on" or (speed.compile == "auto" and device == "cuda"):
        loss: Tensor = _compiled(_protonet_loss)(body, bucketed(batch))
        return loss
    return _protonet_loss(body, batch)


def maml_work(body: nn.Module, inner: InnerLoop, batch: MetaBatch) -> Work:
    """What `choose_path` needs to know; the kept floats are estimated from weights and, where known, activations."""
    size = sum(each.numel() for each in body.parameters())
    if isinstance(body, Conv4):
        size += batch.support.features[0, :, 0].numel() * body.config.channels
    if isinstance(body, LinearStack):
        size += batch.support.labels.shape[1] * sum(sum(weight.shape) for weight, _ in body.pairs())
    return Work(
        tasks=batch.tasks,
        steps=inner.config.steps,
        linear=isinstance(body, LinearStack),
        convolutional=any(isinstance(each, nn.Conv2d) for each in body.modules()),
        conv4=isinstance(body, Conv4),
        kept=4 * size,
        device=batch.class_mask.device.type,
    )


def _losses(body: nn.Module, inner: InnerLoop, batch: MetaBatch, speed: SpeedConfig, path: Path) -> Tensor:
    if path.name == "dual":
        if not isinstance(body, LinearStack):
            raise ConfigError(f"path 'dual' needs a LinearStack, saw {type(body).__name__}; set path to 'auto'")
        dual: Callable[..., Tensor] = _compiled(_dual) if path.compiled else _dual
        return dual(body, inner, batch, speed.checkpoint)
    if path.name == "images":
        if not isinstance(body, Conv4):
            raise ConfigError(f"path 'images' needs a Conv4, saw {type(body).__name__}; set path to 'auto'")
        start = dict(body.named_parameters())
        return conv4_loss(start, body.config.groups, inner, batch, checkpoint=speed.checkpoint)
    any_body: Callable[..., Tensor] = _compiled(_any_body) if path.compiled else _any_body
    return any_body(body, inner, batch, path.name == "loop", speed.checkpoint, speed.autocast)


def _dual(body: LinearStack, inner: InnerLoop, batch: MetaBatch, checkpoint: bool) -> Tensor:
    config, rates = inner.config, inner.log_rates.exp()
    logits = dual_logits(body.pairs(), rates, batch, order=config.order, clip=config.clip, checkpoint=checkpoint)
    return cross_entropies(logits, batch.query)


def _any_body(
    body: nn.Module, inner: InnerLoop, batch: MetaBatch, one_by_one: bool, checkpoint: bool, autocast: bool
) -> Tensor:
    device, real = batch.class_mask.device.type, batch.class_mask.dtype

    def apply(parameters: Parameters, features: Tensor) -> Tensor:
        # the cache of casts would outlive the step that made it
        with torch.autocast(device, torch.bfloat16, enabled=autocast, cache_enabled=False):
            logits: Tensor = torch.func.functional_call(body, parameters, (features,))
        return logits.to(real)

    start = dict(body.named_parameters())
    if one_by_one:
        return loop_losses(apply, start, inner, batch, checkpoint=checkpoint)
    return cross_entropies(vmap_logits(apply, start, inner, batch, checkpoint=checkpoint), batch.query)


def _twin(body: nn.Module) -> nn.Module:
    """The same parameters in modules of its own: functional_call changes modules for a moment, and threads may meet."""
    shared = [*body.parameters(), *body.buffers()]
    return copy.deepcopy(body, {id(each): each for each in shared})


def _protonet_loss(body: nn.Module, batch: MetaBatch) -> Tensor:
    """Softmax over negative squared distances; the query's own norm cancels."""
    tasks, size = batch.support.labels.shape
    both = torch.cat([batch.support.features, batch.query.features], 1)
    embedded = _embedded(body, both.flatten(0, 1)).view(tasks, both.shape[1], -1)
    wanted = targets(batch.support, batch.ways)
    means = (wanted.mT @ embedded[:, :size]) / wanted.sum(1).clamp_min(1.0)[..., None]
    distances = means.square().sum(-1)[:, None] - 2 * embedded[:, size:] @ means.mT
    return cross_entropies(mask_classes(-distances, batch.class_mask), batch.query).mean()


def _embedded(body: nn.Module, features: Tensor) -> Tensor:
    if not isinstance(body, LinearStack):
        embedded: Tensor = body(features)
        return embedded
    *hidden, last = body.pairs()
    for layer in hidden:
        features = linear(features, *layer).relu()
    return linear(features, *last)


@cache
def _compiled(function: Callable[..., Tensor]) -> Compiled:
    return Compiled(function)
