"""Does reliance say which of the two, an example or the label text, predicts better?"""

from dataclasses import replace

import numpy as np
import pytest

from taskaware.core.values import TaskCard
from taskaware.episodes import EncodedTask, Wordings, reliance

CLASSES, ROWS, D = 6, 8, 32


def task_of(spread: float, words_noise: float, seed: int = 0, name: str = "toy") -> EncodedTask:
    """Classes around random centres: `spread` is how far examples, `words_noise` how far label texts lie from them."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLASSES, D))
    labels = np.repeat(np.arange(CLASSES), ROWS)
    features = centres[labels] + spread * rng.normal(size=(len(labels), D))
    words = centres + words_noise * rng.normal(size=(CLASSES, D))
    names = tuple(f"class {index}" for index in range(CLASSES))
    card = TaskCard(id=name, dataset=name, labels={each: each for each in names}, description="which class")
    rows = tuple(np.flatnonzero(labels == index) for index in range(CLASSES))
    wordings = Wordings(np.zeros((0, D), np.float32), np.zeros((0, D), np.float32), words[:, None].astype(np.float32))
    return EncodedTask(card, names, features.astype(np.float32), labels, rows, wordings)


@pytest.mark.parametrize("seed", range(3))
def test_examples_are_relied_on_where_they_predict_better_than_words(seed: int) -> None:
    clear = [reliance(task_of(0.6, noise, seed)) for noise in (0.3, 2.0, 6.0)]
    vague = [reliance(task_of(2.5, noise, seed)) for noise in (0.3, 2.0, 6.0)]
    assert clear == sorted(clear) and vague == sorted(vague)
    assert clear[2] > 0 > vague[0]


def test_it_is_a_function_of_the_task_and_bounded() -> None:
    task = task_of(0.01, 0.0)
    assert reliance(task) == reliance(task)
    assert abs(reliance(task_of(0.01, 50.0))) < 2 * np.log(49) + 1


def test_only_columns_that_no_tuning_changed_count() -> None:
    task = task_of(1.0, 1.0)
    rng = np.random.default_rng(1)
    both = replace(
        task,
        features=np.hstack([rng.normal(size=task.features.shape), task.features]).astype(np.float32),
        words=replace(task.words, labels=np.concatenate([0 * task.words.labels + 1, task.words.labels], 2)),
        untuned=slice(D, 2 * D),
    )
    assert reliance(both) == reliance(task)


def test_without_two_classes_of_two_rows_nothing_is_said() -> None:
    task = task_of(1.0, 1.0)
    rows = tuple(each[: 2 if index == 0 else 1] for index, each in enumerate(task.rows))
    assert reliance(replace(task, rows=rows)) == 0.0
