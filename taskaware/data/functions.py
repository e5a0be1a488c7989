"""Which functions does a described regression task hide, and what is said about them?

The six families of ARML's 2D regression (Yao et al. 2020, "Automated Relational Meta-Learning",
https://arxiv.org/abs/2001.00745, section 5.2). Inputs (x1, x2) are uniform in [-5, 5]; functions of one variable have
x2 = 1. Ranges and words are in builtin/functions.yaml.

Shapes: T tasks, S support, Q query.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskaware.core.config import Config, build, read_yaml
from taskaware.core.seeds import generator

Floats = NDArray[np.float64]
NOISE, BOUND = 0.3, 5.0

_FORMULAS: dict[str, Callable[[Mapping[str, Floats], Floats, Floats], Floats]] = {
    "sinusoid": lambda p, x, _: p["a"] * np.sin(p["w"] * x + p["p"]),
    "line": lambda p, x, _: p["a"] * x + p["b"],
    "quadratic": lambda p, x, _: p["a"] * x**2 + p["b"] * x + p["c"],
    "cubic": lambda p, x, _: p["a"] * x**3 + p["b"] * x**2 + p["c"] * x + p["d"],
    "quadratic_surface": lambda p, x, z: p["a"] * x**2 + p["b"] * z**2,
    "ripple": lambda p, x, z: np.sin(-p["a"] * (x**2 + z**2)) + p["b"],
}
FAMILIES = tuple(_FORMULAS)
PLANE = ("quadratic_surface", "ripple")


class Family(Config):
    """ranges: of each parameter, uniform. Words: training reads description and paraphrases, tests held_out."""

    ranges: dict[str, list[float]]
    description: str
    paraphrases: list[str]
    held_out: list[str]

    @property
    def training_texts(self) -> list[str]:
        """Every phrasing that training may read."""
        return [self.description, *self.paraphrases]


@dataclass(frozen=True)
class RegressionTasks:
    """T tasks. support_x [T, S, 2], support_y [T, S], query_x [T, Q, 2], query_y [T, Q]; family [T] into FAMILIES."""

    family: NDArray[np.int64]
    support_x: Floats
    support_y: Floats
    query_x: Floats
    query_y: Floats


@cache
def families() -> dict[str, Family]:
    """The families by name, in the order of FAMILIES. Raises ConfigError when the file is damaged."""
    path = Path(__file__).parent / "builtin" / "functions.yaml"
    values = read_yaml(path)
    return {name: build(Family, values[name], f"{path}: {name}") for name in FAMILIES}


def draw_parameters(name: str, count: int, rng: np.random.Generator) -> dict[str, Floats]:
    """`count` functions of a family: each parameter [count, 1], uniform in its range."""
    return {key: rng.uniform(low, high, (count, 1)) for key, (low, high) in families()[name].ranges.items()}


def evaluate(name: str, parameters: Mapping[str, Floats], inputs: Floats) -> Floats:
    """The functions without noise at inputs [T, P, 2] -> [T, P]."""
    return _FORMULAS[name](parameters, inputs[..., 0], inputs[..., 1])


def draw_tasks(tasks: int, support: int, query: int, *place: int | str) -> RegressionTasks:
    """`tasks` tasks of random families, a function of `place` (e.g. seed, "train", step) alone.

    Targets carry normal noise of standard deviation 0.3, those of the queries too, so no MSE falls below 0.09.
    """
    rng = generator("functions", *place)
    family = rng.integers(len(FAMILIES), size=tasks)
    inputs = rng.uniform(-BOUND, BOUND, (tasks, support + query, 2))
    targets = np.empty((tasks, support + query))
    for index, name in enumerate(FAMILIES):
        mine = family == index
        if name not in PLANE:
            inputs[mine, :, 1] = 1.0
        targets[mine] = evaluate(name, draw_parameters(name, int(mine.sum()), rng), inputs[mine])
    targets += rng.normal(0.0, NOISE, targets.shape)
    parts = inputs[:, :support], targets[:, :support], inputs[:, support:], targets[:, support:]
    return RegressionTasks(family, *parts)
