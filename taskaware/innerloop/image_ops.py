"""Which operations of a convolutional network have cheap first and second derivatives on a CPU? These.

torch differentiates its own max pooling and group norm twice through gathers and dozens of passes over full-size
activations. Here pooling remembers its winners as three maps of 0 and 1, so that it and all its derivatives are sums
and products, and a norm's statistics have a gradient of one pass. Channels lie last.

Shapes: T tasks, B = T times S images, H and W pixels, h = H // 2, w = W // 2, C and O channels, G groups.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Moments(NamedTuple):
    """Mean and variance [B, G] over all pixels and the channels of a group."""

    mean: Tensor
    variance: Tensor


def convolve(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3 x 3, padded by one: features [B, H, W, C], weight [T, O, C, 3, 3], bias [T, O] -> [B, H, W, O]."""
    result: Tensor = _Convolve.apply(features, weight, bias)  # type: ignore[no-untyped-call]
    return result


def moments(features: Tensor, groups: int) -> Moments:
    """features [B, H, W, C] -> [B, G] each."""
    mean, variance = _Moments.apply(features, groups)  # type: ignore[no-untyped-call]
    return Moments(mean, variance)


def pool(features: Tensor, least: Tensor | None = None) -> Tensor:
    """The largest, where `least` [T, C] the smallest, of each 2 x 2 pixels: [B, H, W, C] -> [B, h, w, C]."""
    signs = None
    if least is not None and bool(least.any()):
        signs = (1 - 2 * least.to(features.dtype)).repeat_interleave(len(features) // len(least), 0)[:, None, None]
    result: Tensor = _Pool.apply(features, signs)  # type: ignore[no-untyped-call]
    return result


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(features, weight)
        return torch.cat([_conv(*each) for each in zip(features.chunk(len(weight)), weight, bias, strict=True)])

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, ...]:
        features, weight = ctx.saved_tensors
        to_features, to_weight = _ConvolveBack.apply(outer, features, weight)  # type: ignore[no-untyped-call]
        to_bias = outer.flatten(1, 2).sum(1).view(len(weight), -1, outer.shape[-1]).sum(1)
        return to_features, to_weight, to_bias


class _ConvolveBack(torch.autograd.Function):
    """(gradient [B, H, W, O], features [B, H, W, C], weight) -> the gradients at features and weight."""

    @staticmethod
    def forward(ctx: Any, outer: Tensor, features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(outer, features, weight)
        return _all_back(outer, features, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_features: Tensor, by_weight: Tensor) -> tuple[Tensor, ...]:
        outer, features, weight = ctx.saved_tensors
        tasks = len(weight)
        # conv(by_features, weight) + conv(features, by_weight), as one convolution of twice as many channels
        both, kernels = torch.cat([by_features, features], -1), torch.cat([weight, by_weight], 2)
        to_outer = torch.cat([_conv(*each) for each in zip(both.chunk(tasks), kernels, strict=True)])
        return to_outer, *_all_back(outer, by_features, by_weight)


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        rows = features.flatten(1, 2)
        each = rows.shape[2] // groups
        mean = rows.mean(1).view(-1, groups, each).mean(-1)
        squares = (rows - mean.repeat_interleave(each, 1)[:, None]).square_()
        ctx.save_for_backward(features, mean)
        return mean, squares.mean(1).view(-1, groups, each).mean(-1)

    @staticmethod
    def backward(ctx: Any, to_mean: Tensor, to_variance: Tensor) -> tuple[Tensor, None]:
        features, mean = ctx.saved_tensors
        each = features.shape[3] // mean.shape[1]
        size = features.shape[1] * features.shape[2] * each
        slope = to_variance * (2 / size)
        offset = to_mean / size - slope * mean
        offset, slope = (value.repeat_interleave(each, 1)[:, None, None] for value in (offset, slope))
        return torch.addcmul(offset, features, slope), None


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, signs: Tensor | None) -> Tensor:
        first, second, third, fourth = _quarters(features if signs is None else features * signs)
        top, bottom = torch.maximum(first, second), torch.maximum(third, fourth)
        right, low_right, low = (torch.empty_like(top) for _ in range(3))
        torch.gt(second, first, out=right)  # into floats: masks of bool would be slower to multiply by
        torch.gt(fourth, third, out=low_right)
        torch.gt(bottom, top, out=low)
        ctx.save_for_backward(right, low_right, low)
        ctx.shape = features.shape
        best = torch.maximum(top, bottom)
        return best if signs is None else best.mul_(signs)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None]:
        put: Tensor = _Put.apply(outer, *ctx.saved_tensors, ctx.shape)  # type: ignore[no-untyped-call]
        return put, None


class _Put(torch.autograd.Function):
    """[B, h, w, C] to where it won, zeros elsewhere: [B, H, W, C]."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, right: Tensor, low_right: Tensor, low: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(right, low_right, low)
        result = values.new_zeros(shape) if shape[1] % 2 or shape[2] % 2 else values.new_empty(shape)
        first, second, third, fourth = _quarters(result)
        bottom = values * low
        top = values - bottom
        torch.mul(top, right, out=second)
        torch.sub(top, second, out=first)
        torch.mul(bottom, low_right, out=fourth)
        torch.sub(bottom, fourth, out=third)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        right, low_right, low = ctx.saved_tensors
        first, second, third, fourth = _quarters(outer)
        top, bottom = torch.lerp(first, second, right), torch.lerp(third, fourth, low_right)
        return torch.lerp(top, bottom, low), None, None, None, None


def _quarters(values: Tensor) -> list[Tensor]:
    """The four pixels of every 2 x 2 square, row by row: views [B, h, w, C]; an odd last row or column is left out."""
    height, width = values.shape[1] // 2 * 2, values.shape[2] // 2 * 2
    return [values[:, row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]


def _conv(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv2d(features.permute(0, 3, 1, 2), weight, bias, padding=1).permute(0, 2, 3, 1)


def _all_back(outer: Tensor, features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    tasks = len(weight)
    triples = zip(outer.chunk(tasks), features.chunk(tasks), weight, strict=True)
    pairs = [_back(*each) for each in triples]
    return torch.cat([each[0] for each in pairs]), torch.stack([each[1] for each in pairs])


def _back(outer: Tensor, features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of `_conv` at features and weight."""
    one = [1, 1]
    to_features, to_weight, _ = torch.ops.aten.convolution_backward(
        *(value.permute(0, 3, 1, 2) for value in (outer, features)),
        *(weight, None, one, one, one, False, [0, 0], 1, (True, True, False)),
    )
    return to_features.permute(0, 2, 3, 1), to_weight
