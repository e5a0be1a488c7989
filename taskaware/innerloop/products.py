"""Which library multiplies float32 matrices on this CPU?

torch's own products go to MKL, which keeps its AVX-512 kernels for Intel's processors; on another maker's with AVX-512,
oneDNN (which comes with torch too) was measured to be 2.2 times as fast on the same matrices. `linear` and its gradient
take oneDNN there and torch's ordinary products everywhere else. The rule depends on the processor alone, never on a
measurement, so that a run repeats exactly.

Shapes: R rows, I inputs, O outputs, ... leading axes.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def linear(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """inputs [..., I], weight [O, I], bias [O] -> [..., O]; differentiable once where oneDNN does it."""
    if not _suits(inputs, weight):
        return F.linear(inputs, weight, bias)
    result: Tensor = _Linear.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
    return result


def pull_back(gradient: Tensor, weight: Tensor) -> Tensor:
    """gradient [..., O] @ weight [O, I] -> [..., I]; differentiable once where oneDNN does it."""
    if not _suits(gradient, weight):
        return gradient @ weight
    result: Tensor = _PullBack.apply(gradient, weight)  # type: ignore[no-untyped-call]
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return _product(inputs, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        to_inputs, to_weight, to_bias = ctx.needs_input_grad
        rows = gradient.flatten(0, -2)
        return (
            _product(gradient, weight.mT) if to_inputs else None,
            _product(rows.mT, inputs.flatten(0, -2).mT) if to_weight else None,
            rows.sum(0) if to_bias else None,
        )


class _PullBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        return _product(gradient, weight.mT)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        to_gradient, to_weight = ctx.needs_input_grad
        return (
            _product(outer, weight) if to_gradient else None,
            _product(gradient.flatten(0, -2).mT, outer.flatten(0, -2).mT) if to_weight else None,
        )


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows [..., I] @ weight [O, I]' + bias [O] by oneDNN, which takes either order of the axes in memory.

    The result is no view of anything that autograd knows, so that callers may add to it in place.
    """
    flat = torch.ops.mkldnn._linear_pointwise(rows.flatten(0, -2), weight, bias, "none", [], "")
    result: Tensor = torch.ops.aten._unsafe_view(flat, (*rows.shape[:-1], len(weight)))
    return result


def _suits(rows: Tensor, weight: Tensor) -> bool:
    plain = rows.device.type == "cpu" and rows.dtype == weight.dtype == torch.float32 and rows.numel() > 0
    return plain and _onednn_is_faster() and not torch.compiler.is_compiling() and not _transformed(rows, weight)


def _transformed(*tensors: Tensor) -> bool:
    return any(torch._C._functorch.is_functorch_wrapped_tensor(each) for each in tensors)


@cache
def _onednn_is_faster() -> bool:
    """An AVX-512 processor that is not Intel's, and a torch whose oneDNN can be called directly."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # type: ignore[no-untyped-call]
        return False
    if not torch.backends.mkl.is_available() or "AVX512" not in torch.backends.cpu.get_cpu_capability():  # type: ignore[no-untyped-call]
        return False
    processors = Path("/proc/cpuinfo")
    return processors.exists() and "AuthenticAMD" in processors.read_text(encoding="utf-8", errors="replace")
