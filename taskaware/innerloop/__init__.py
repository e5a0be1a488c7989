"""The inner loop: a few differentiable gradient steps on the parameters of one task."""

from taskaware.innerloop.sgd import InnerLoop, InnerLoopConfig

__all__ = ["InnerLoop", "InnerLoopConfig"]
