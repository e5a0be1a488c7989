"""Does the training of the regressor see words as it should, and learn?"""

from typing import Literal

import pytest
import torch

from taskaware.bodies.mlp import MlpConfig
from taskaware.data.functions import FAMILIES, draw_tasks
from taskaware.innerloop import InnerLoopConfig
from taskaware.learners.regression import Regressor, RegressorConfig
from taskaware.training.regression import RegressionTraining, train_regressor, training_words

PHRASINGS = torch.eye(len(FAMILIES))[:, None].expand(-1, 3, -1)


def tiny(steps: int = 1, conditioner: Literal["description", "none"] = "description") -> Regressor:
    torch.manual_seed(0)
    inner = InnerLoopConfig(steps=steps, learning_rate=0.01)
    config = RegressorConfig(conditioner=conditioner, body=MlpConfig(hidden=8), reader=8, inner=inner)
    return Regressor(config, 2, PHRASINGS[:, 0])


def test_training_is_a_function_of_the_seed_and_lowers_the_error() -> None:
    config, losses = RegressionTraining(steps=150, meta_batch=16, warmup=5, learning_rate=0.01), []
    first, again = tiny(), tiny()
    train_regressor(first, PHRASINGS, config, 3, lambda step, loss: losses.append(loss))
    train_regressor(again, PHRASINGS, config, 3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert sum(losses[-30:]) < 0.7 * sum(losses[:30])


def test_words_are_the_familys_own_unless_training_misleads() -> None:
    tasks = draw_tasks(400, 2, 1, 0)
    config = RegressionTraining(blur=0.0, drop=0.25, mislead=0.0)
    words, present = training_words(tasks, PHRASINGS, config, 0, 0)
    assert (words.argmax(-1).numpy() == tasks.family).all()
    assert 0.65 < present.mean() < 0.85
    misled, _ = training_words(tasks, PHRASINGS, RegressionTraining(blur=0.0, mislead=1.0, settle=0.0), 0, 0)
    assert (misled.argmax(-1).numpy() != tasks.family).all()


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    regressor = tiny(0, "none")
    with torch.no_grad():
        regressor.head.fill_(1e30)
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        train_regressor(regressor, PHRASINGS, RegressionTraining(steps=1), 0)
