"""How is a step compiled without ever failing because of it, and without compiling for ever?

torch.compile is an optimisation: a missing compiler or an unsupported operation is logged once and the function runs
eagerly from then on. Shapes are static (measured to be faster), so each new combination of shapes costs a compilation:
beyond a few of them the rest run eagerly; `bucketed` keeps them few.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, final

import torch
from torch import Tensor
from torch._functorch import config as functorch_settings
from torch.utils import _pytree as pytree

log = logging.getLogger(__name__)

# TorchDynamoException is a RuntimeError, and so are the errors of C++ and Triton compilers
_FAILURES = (RuntimeError, NotImplementedError, OSError, ImportError)


@final
class Compiled:
    """A pure function of tensors (and of constants) that is compiled when that works.

    shapes bounds how many combinations of shapes are compiled; at most 8, torch.compile's own limit per function.
    """

    def __init__(self, function: Callable[..., Any], shapes: int = 8) -> None:
        self._function = function
        self._compiled: Callable[..., Any] | None = None  # made when first needed: torch's compiler imports a lot
        self._shapes = shapes
        self._seen: set[tuple[Any, ...]] = set()
        self._failed = self._warned = False

    def __call__(self, *arguments: Any) -> Any:
        """function(*arguments)."""
        if self._failed or not self._affordable(arguments):
            return self._function(*arguments)
        try:
            if self._compiled is None:
                self._compiled = torch.compile(self._function, dynamic=False)
            with _backward_at_once():
                return self._compiled(*arguments)
        except torch.OutOfMemoryError:  # says nothing about compiling
            raise
        except _FAILURES as error:  # an error of the function itself comes up again just below
            self._failed = True
            reason = " ".join(str(error).split())[:200]
            log.warning("%s runs uncompiled: %s: %s", _name(self._function), type(error).__name__, reason)
            return self._function(*arguments)

    def _affordable(self, arguments: tuple[Any, ...]) -> bool:
        key = (torch.is_grad_enabled(), *(_signature(leaf) for leaf in pytree.tree_leaves(arguments)))
        if key in self._seen:
            return True
        if len(self._seen) < self._shapes:
            self._seen.add(key)
            return True
        if not self._warned:
            self._warned = True
            log.warning("%s has met %d shapes; further ones run uncompiled", _name(self._function), self._shapes)
        return False


def compiled(
    function: Callable[..., Any],
    compile: Literal["auto", "on", "off"] = "auto",  # noqa: A002
    device: str = "cpu",
) -> Callable[..., Any]:
    """`function`, compiled when asked for ("on"), or for a GPU ("auto"), where launches cost more than sums."""
    return Compiled(function) if compile == "on" or (compile == "auto" and device == "cuda") else function


def _backward_at_once() -> AbstractContextManager[Any]:
    """Compiles the backward pass with the forward one, so that its failure shows here and not in `backward`."""
    settings: Any = functorch_settings
    name = "force_non_lazy_backward_lowering"  # not in every torch
    return settings.patch({name: True}) if hasattr(settings, name) else nullcontext()


def _signature(leaf: Any) -> Any:
    if isinstance(leaf, Tensor):
        return tuple(leaf.shape), leaf.dtype, leaf.device.type, leaf.requires_grad
    return leaf if isinstance(leaf, int | float | str | bool | None) else id(leaf)


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
