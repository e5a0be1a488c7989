"""Which way of computing the inner loop is the fastest here? All give the same meta-gradient.

The rules were measured with scripts/benchmark_speed.py.
"""

from dataclasses import dataclass
from typing import Literal

from taskaware.core.errors import ConfigError
from taskaware.innerloop.speed import SpeedConfig

_KEPT_BYTES = 4 * 2**30  # what the graphs of one chunk may keep, roughly
_TOGETHER = 8  # tasks whose images share a tensor: more fit no processor's cache


@dataclass(frozen=True)
class Path:
    """The choice: how, whether compiled, how many tasks' graphs are alive together; parallel: chunks in threads."""

    name: Literal["dual", "images", "vmap", "loop"]
    compiled: bool
    chunk: int
    parallel: bool


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to do: T tasks, K steps, and the kind of body.

    linear: a stack of linear layers; convolutional: per-task weights would become grouped convolutions; conv4: the body
    is one that has operations of its own; kept: floats that one task and step keep for the outer gradient.
    """

    tasks: int
    steps: int
    linear: bool
    convolutional: bool
    conv4: bool
    kept: int
    device: str


def choose_path(work: Work, speed: SpeedConfig) -> Path:
    """The path for some work; an explicit setting wins over the rules. Raises ConfigError where settings contradict."""
    if speed.path in ("dual", "images") and speed.autocast:
        raise ConfigError(f"path {speed.path!r} has no bf16; set autocast to false, or path to 'vmap' or 'loop'")
    name = speed.path if speed.path != "auto" else _name(work, speed)
    if speed.compile == "auto":
        compiled = work.device == "cuda" and name != "loop" and not speed.checkpoint
    else:
        compiled = speed.compile == "on" and not speed.checkpoint and name != "images"
    return Path(name, compiled, _chunk(work, speed, name), name == "loop" and work.device == "cpu" and not compiled)


def _name(work: Work, speed: SpeedConfig) -> Literal["dual", "images", "vmap", "loop"]:
    if work.linear and not speed.autocast:
        return "dual"
    if work.conv4 and work.device == "cpu" and not speed.autocast:
        return "images"
    return "loop" if work.convolutional and work.device == "cpu" else "vmap"


def _chunk(work: Work, speed: SpeedConfig, name: str) -> int:
    if speed.task_chunk != "auto":
        return min(speed.task_chunk, work.tasks)
    if name == "loop":
        return 1
    each = 4 * work.kept * max(work.steps, 1)
    fitting = max(1, min(work.tasks, _KEPT_BYTES // max(each, 1)))
    return min(fitting, _TOGETHER) if name == "images" else fitting
