"""How much did each source of metadata contribute, fairly shared?

Shapley 1953, "A Value for n-Person Games", https://doi.org/10.1515/9781400881970-018: a source's value is its mean
marginal gain over all orders in which the sources could have been added. Exact: every coalition was measured. The
values sum to v(all) - v(none) in every episode (efficiency). Letters: E episodes.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import ConfigError

Floats = NDArray[np.float64]
Coalition = frozenset[str]


def shapley(values: Mapping[Coalition, Floats], sources: Sequence[str]) -> dict[str, Floats]:
    """Value of each source per episode. values: coalition -> [E], for all 2^n subsets of `sources` -> {source: [E]}.

    Raises ConfigError that names the coalitions that were not measured.
    """
    if len(set(sources)) != len(sources):
        raise ConfigError(f"sources {list(sources)}: each may be named once")
    missing = [coalition for coalition in coalitions(sources) if coalition not in values]
    if missing:
        names = "; ".join(coalition_name(coalition, sources) for coalition in missing)
        raise ConfigError(f"Shapley values need every combination of {', '.join(sources)}; not measured: {names}")
    count = len(sources)
    result = {}
    for source in sources:
        others = [other for other in sources if other != source]
        total = np.zeros_like(values[frozenset()], dtype=np.float64)
        for coalition in coalitions(others):
            size = len(coalition)
            orders = factorial(size) * factorial(count - size - 1)  # orders in which exactly these come before
            total += orders * (values[coalition | {source}] - values[coalition])
        result[source] = total / factorial(count)
    return result


def coalitions(sources: Sequence[str]) -> list[Coalition]:
    """All subsets of `sources`, small ones first."""
    return [frozenset(subset) for size in range(len(sources) + 1) for subset in combinations(sources, size)]


def coalition_name(coalition: Coalition, sources: Sequence[str]) -> str:
    """A coalition in words, e.g. "description+memory", in the order of `sources`."""
    return "+".join(source for source in sources if source in coalition) or "none"
