"""What would one otherwise train on a few examples? Logistic regression on the frozen sentence vectors.

`LR` learns from the examples; `LR + texts` takes each class's label text as one more example, so it reads what the
model reads. Shapes: S support, Q query, N ways, D width.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import ConfigError
from taskaware.episodes import Draw
from taskaware.episodes.tasks import Floats

LR, LR_TEXTS = "LR", "LR + texts"
INVERSE_PENALTY = 10.0  # scikit-learn's C; its default of 1 is for features of variance 1 and loses 2 to 5 points here


def require(package: str, what: str) -> None:
    """Raises ConfigError, naming the extra to install, when a rival's package is missing."""
    try:
        __import__(package)
    except ImportError as error:
        raise ConfigError(f"{what} needs the package {package} ({error}); pip install 'taskaware[bench]'") from error


def fit_logistic_regression(features: Floats, labels: NDArray[np.int64]) -> Any:
    """scikit-learn's, with a penalty that suits vectors of unit length. features [S, D], labels [S]."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=INVERSE_PENALTY, max_iter=1000).fit(features, labels)


def examples(draw: Draw, *, texts: bool) -> tuple[Floats, NDArray[np.int64]]:
    """What logistic regression learns from: sentence vectors [S, D] (with texts [S + N, D]) and labels."""
    words = draw.task.words.labels[draw.classes, draw.wording % draw.task.words.labels.shape[1]]
    support = draw.task.features[draw.support, : words.shape[1]]
    if not texts:
        return support, draw.support_labels
    return np.concatenate([support, words]), np.concatenate([draw.support_labels, np.arange(len(words))])


def logistic_regression_scores(draws: Sequence[Draw]) -> dict[str, NDArray[np.float64]]:
    """Per-episode accuracy [E] of LR (absent without examples) and LR + texts."""
    results: dict[str, list[float]] = {}
    for draw in draws:
        for name, texts in ((LR, False), (LR_TEXTS, True)):
            if len(draw.support) or texts:
                features, labels = examples(draw, texts=texts)
                queries = draw.task.features[draw.query, : features.shape[1]]
                predicted = fit_logistic_regression(features, labels).predict(queries)
                results.setdefault(name, []).append(float((predicted == draw.query_labels).mean()))
    return {name: np.array(values) for name, values in results.items()}
