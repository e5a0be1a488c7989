"""Which differences does a benchmark report?

All methods of a unit saw the same test tasks, so every difference is paired; pooling puts the units of a data set end
to end. A method that was measured on fewer tasks is compared on those. Letters: E test tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from taskaware.core.seeds import generator
from taskaware.evaluation.benchmarks.measure import MODEL, Unit
from taskaware.evaluation.benchmarks.settings import Shape
from taskaware.evaluation.benchmarks.store import Floats
from taskaware.evaluation.statistics import Paired, holm, paired_difference

BEST_BASELINE = "better baseline"
_WORDING = ", wording "


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The model minus a rival on a data set's test tasks; `tasks` of them. `against` is what the rival stood for."""

    dataset: str
    fold: str | None
    shape: Shape
    rival: str
    against: str
    tasks: int
    paired: Paired
    adjusted: float


@dataclass(frozen=True, kw_only=True)
class Wordings:
    """A method over every wording of the label texts: means [V], the worst of them, and worst minus first (paired)."""

    dataset: str
    shape: Shape
    method: str
    means: tuple[float, ...]
    worst: int
    loss: Paired


def pool(units: Sequence[Unit], method: str) -> Floats:
    """A method's accuracies end to end, [E]."""
    return np.concatenate([unit.accuracy[method] for unit in units])


def groups(units: Sequence[Unit]) -> list[list[Unit]]:
    """The units of each data set and shape, over its folds."""
    found: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        found.setdefault((unit.dataset, unit.shape.name), []).append(unit)
    return list(found.values())


def methods(units: Sequence[Unit]) -> list[str]:
    """Names of all that was measured in every one of some units, other wordings apart."""
    names = dict.fromkeys(name for unit in units for name in unit.accuracy if _WORDING not in name)
    return [name for name in names if all(name in unit.accuracy for unit in units)]


def by_fold(units: Sequence[Unit]) -> list[Difference]:
    """The model minus the better baseline in each unit: mix up to 1 shot, the better of proto and mix.5 beyond."""
    return [_difference([unit], unit.fold, BEST_BASELINE) for unit in units]


def pooled_differences(units: Sequence[Unit]) -> list[Difference]:
    """The model minus every other method and arm over a data set's folds, Holm within the data set."""
    found: list[Difference] = []
    for dataset in dict.fromkeys(unit.dataset for unit in units):
        some: list[Difference] = []
        for group in groups([unit for unit in units if unit.dataset == dataset]):
            some += [_difference(group, None, name) for name in methods(group) if name != MODEL]
        p_values = holm(np.array([each.paired.p_value for each in some]))
        found += [replace(each, adjusted=float(p)) for each, p in zip(some, p_values, strict=True)]
    return found


def wordings(units: Sequence[Unit]) -> list[Wordings]:
    """The model, mix and label text alone in every wording, where several were measured."""
    found = []
    for group in groups(units):
        for method in (MODEL, "mix", "label"):
            names = [method, *(name for name in group[0].accuracy if name.startswith(method + _WORDING))]
            if len(names) > 1:
                values = [pool(group, name) for name in names]
                worst = int(np.argmin([each.mean() for each in values]))
                rng = generator("worst wording", group[0].dataset, group[0].shape.name, method)
                loss = paired_difference(values[worst], values[0], rng)
                means = tuple(float(each.mean()) for each in values)
                place = {"dataset": group[0].dataset, "method": method}
                found.append(Wordings(**place, shape=group[0].shape, means=means, worst=worst, loss=loss))
    return found


def _difference(units: Sequence[Unit], fold: str | None, rival: str) -> Difference:
    rivals = [_stands_for(unit, rival) for unit in units]
    theirs = [unit.accuracy[name] for unit, name in zip(units, rivals, strict=True)]
    ours = [unit.accuracy[MODEL][: len(each)] for unit, each in zip(units, theirs, strict=True)]
    unit = units[0]
    rng = generator("benchmark", unit.dataset, unit.shape.name, str(fold), rival)
    paired = paired_difference(np.concatenate(ours), np.concatenate(theirs), rng)
    return Difference(
        dataset=unit.dataset,
        fold=fold,
        shape=unit.shape,
        rival=rival,
        against=" or ".join(sorted(set(rivals))),
        tasks=sum(map(len, theirs)),
        paired=paired,
        adjusted=float("nan"),
    )


def _stands_for(unit: Unit, rival: str) -> str:
    if rival != BEST_BASELINE:
        return rival
    names = ("mix",) if unit.shape.shots <= 1 else ("proto", "mix.5")
    return max(names, key=lambda name: float(unit.accuracy[name].mean()))
