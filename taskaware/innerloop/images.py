"""How does Conv4 take inner steps on a CPU, all tasks together?

The same function of the same parameters as `taskaware.bodies.conv4.Conv4`, in an order that suits a processor. All
tasks' images share one tensor, channels last, so that a step has few and large operations; only the convolutions go
task by task. A first convolution with few input channels is one product of patches, and its outputs' mean and variance
follow from those of the patches. Max pooling comes before norm and ReLU, which then see a quarter of the pixels: both
are monotone per channel, so the same pixel wins (but for a channel whose scale is exactly 0: there all pixels tie, and
this order still lets the largest win).

Shapes: T tasks, S support, Q query, B = T times S (or some of Q) images, H and W pixels, C channels, G groups, N ways.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from taskaware.core.values import Examples
from taskaware.innerloop.image_ops import Moments, convolve, moments, pool
from taskaware.innerloop.losses import cross_entropies, mask_classes
from taskaware.innerloop.meta_batch import MetaBatch
from taskaware.innerloop.recompute import recomputed, summed
from taskaware.innerloop.sgd import InnerLoop, Parameters

_FEW = 4  # input channels up to which patches were measured to be faster than a convolution
_IMAGES = 200  # query images whose activations are alive together: they should fit a processor's cache


def conv4_loss(
    start: Mapping[str, Tensor], groups: int, inner: InnerLoop, batch: MetaBatch, *, checkpoint: bool = False
) -> Tensor:
    """Sum of the tasks' query losses [] after the inner steps from a Conv4's parameters; groups of its norm (or 0)."""
    names = list(start)
    each = tuple(value.expand(batch.tasks, *value.shape) for value in start.values())

    def move(rates: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        return _moved(dict(zip(names, tensors, strict=True)), rates, groups, inner, batch)

    for step in range(inner.config.steps if batch.support.labels.shape[1] else 0):  # no examples, no gradient
        rates = inner.rates(step)
        each = recomputed(move, rates, *each) if checkpoint else move(rates, *each)
    return _query_loss(dict(zip(names, each, strict=True)), groups, batch)


def conv4_logits(parameters: Mapping[str, Tensor], images: Tensor, groups: int) -> Tensor:
    """images [T, S, C, H, W], every task's parameters [T, ...] -> [T, S, N]."""
    features, block = images.flatten(0, 1).permute(0, 2, 3, 1), 0
    while (layer := f"blocks.{block}.0.weight") in parameters:
        weight, bias = parameters[layer], parameters[f"blocks.{block}.0.bias"]
        if features.shape[-1] > _FEW:
            features = convolve(features, weight, bias)
            known = moments(features, groups) if groups else None
        else:
            features, known = _from_patches(features, weight, bias, groups)
        if known is None:
            features = pool(features).relu()
        else:
            scale, shift = parameters[f"blocks.{block}.1.weight"], parameters[f"blocks.{block}.1.bias"]
            features = _normed(pool(features, scale < 0), known, scale, shift).relu()
        block += 1
    rows = features.permute(0, 3, 1, 2).reshape(*images.shape[:2], -1)
    return torch.baddbmm(parameters["head.bias"][:, None], rows, parameters["head.weight"].mT)


def _from_patches(features: Tensor, weight: Tensor, bias: Tensor, groups: int) -> tuple[Tensor, Moments | None]:
    """features [B, H, W, C], weight [T, O, C, 3, 3] -> [B, H, W, O], and its moments [B, G] from those of patches."""
    count, height, width, _ = features.shape
    kernel, tasks = weight.flatten(2), len(weight)
    patches = F.unfold(features.permute(0, 3, 1, 2), 3, padding=1).mT.contiguous()  # [B, H W, 9 C]
    outputs = torch.baddbmm(bias[:, None], patches.view(tasks, -1, kernel.shape[-1]), kernel.mT)
    outputs = outputs.view(count, height, width, -1)
    if not groups:
        return outputs, None
    middle = patches.mean(1)
    centred = patches - middle[:, None]
    spread = (centred.mT @ centred / (height * width)).view(
        tasks, -1, *[kernel.shape[-1]] * 2
    )  # covariance [T, S, 9 C, 9 C]
    means = torch.baddbmm(bias[:, None], middle.view(tasks, -1, kernel.shape[-1]), kernel.mT).view(count, groups, -1)
    variances = ((kernel[:, None] @ spread) * kernel[:, None]).sum(-1).view(count, groups, -1)
    mean = means.mean(-1)
    return outputs, Moments(mean, variances.mean(-1) + (means - mean[..., None]).square().mean(-1))


def _normed(pooled: Tensor, known: Moments, scale: Tensor, shift: Tensor) -> Tensor:
    """Group norm by known moments [B, G]: pooled [B, H, W, C], scale and shift [T, C] -> [B, H, W, C]."""
    tasks, channels = scale.shape
    groups = known.mean.shape[1]
    each = (tasks, -1, groups, channels // groups)
    slope = (known.variance + 1e-5).rsqrt().view(tasks, -1, groups, 1) * scale.view(each)
    offset = shift.view(each) - known.mean.view(tasks, -1, groups, 1) * slope
    return torch.addcmul(offset.view(-1, 1, 1, channels), pooled, slope.view(-1, 1, 1, channels))


def _moved(
    parameters: Parameters, rates: Tensor, groups: int, inner: InnerLoop, batch: MetaBatch
) -> tuple[Tensor, ...]:
    """Every task's parameters [T, ...] after one step of SGD with rates [P]."""
    second = inner.config.order == 2 and torch.is_grad_enabled()
    with torch.enable_grad():
        here = {
            name: value if second and value.requires_grad else value.detach().requires_grad_()
            for name, value in parameters.items()
        }
        logits = mask_classes(conv4_logits(here, batch.support.features, groups), batch.class_mask)
        losses = cross_entropies(logits, batch.support)
        gradients = torch.autograd.grad(losses.sum(), list(here.values()), create_graph=second)
    clipped = (torch.func.vmap(inner.clipped)(gradient) for gradient in gradients)
    pairs = zip(inner.names, clipped, strict=True)
    return tuple(parameters[name] - rate * gradient for rate, (name, gradient) in zip(rates, pairs, strict=True))


def _query_loss(parameters: Parameters, groups: int, batch: MetaBatch) -> Tensor:
    """Summed over tasks [], a few images at a time: the gradient at the adapted parameters is a sum over them."""
    size, total = max(1, _IMAGES // batch.tasks), batch.query.mask.sum(-1).clamp_min(1.0)

    def part(first: int) -> Tensor:
        rows = slice(first, first + size)
        some = Examples(*(each[:, rows] for each in (batch.query.features, batch.query.labels, batch.query.mask)))
        logits = mask_classes(conv4_logits(parameters, some.features, groups), batch.class_mask)
        return (cross_entropies(logits, some) * some.mask.sum(-1) / total).sum()

    parts = [partial(part, first) for first in range(0, batch.query.labels.shape[1], size)]
    return part(0) if len(parts) == 1 else summed(parts, list(parameters.values()))
