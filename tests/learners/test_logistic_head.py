"""Is the fitted head the minimiser that scikit-learn finds, and the prototypical network's when it takes no step?"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from taskaware.core.values import Examples, TaskContext
from taskaware.core.vectors import unit
from taskaware.innerloop.logistic import fit_logistic
from taskaware.learners import logistic
from taskaware.learners.base import Learner
from tests.learners.test_learners import D, W, learner_of, random_episode

linear_model = pytest.importorskip("sklearn.linear_model")


def _points(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """examples [12, 6], labels [12] of 3 overlapping classes, words [3, 6]."""
    generator = torch.Generator().manual_seed(seed)
    centres = unit(torch.randn(3, 6, generator=generator))
    labels = torch.arange(3).repeat_interleave(4)
    return unit(centres[labels] + 0.8 * torch.randn(12, 6, generator=generator)), labels, centres


def _fit(weight: torch.Tensor, steps: int, words_weight: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    examples, labels, words = _points()
    return fit_logistic(
        weight,
        examples,
        functional.one_hot(labels, 3).float(),
        words,
        torch.ones(3),
        scale=torch.tensor(3.0),
        words_weight=torch.tensor(words_weight),
        rate=torch.tensor(0.2),
        steps=steps,
    )


def test_many_steps_approach_the_decision_of_logistic_regression_with_words_as_examples() -> None:
    examples, labels, words = _points()
    weight, bias = _fit(torch.zeros(3, 6), 3000)
    oracle = linear_model.LogisticRegression(C=1e4, max_iter=5000)
    inputs, wanted = torch.cat([examples, words]), torch.cat([labels, torch.arange(3)])
    oracle.fit(inputs.numpy(), wanted.numpy(), sample_weight=np.r_[np.full(12, 1 / 4), np.ones(3)])
    found = (3.0 * (inputs @ weight.T + bias)).softmax(-1)
    np.testing.assert_allclose(found.numpy(), oracle.predict_proba(inputs.numpy()), atol=0.05)


def test_each_step_lowers_the_loss_of_support_and_words() -> None:
    examples, labels, words = _points()

    def loss(weight: torch.Tensor, bias: torch.Tensor) -> float:
        shown = functional.cross_entropy(3.0 * (examples @ weight.T + bias), labels)
        told = functional.cross_entropy(3.0 * (words @ weight.T + bias), torch.arange(3))
        return float(shown + told)

    losses = [loss(*_fit(torch.zeros(3, 6), steps)) for steps in (0, 1, 2, 4, 8, 16)]
    assert losses == sorted(losses, reverse=True)


def test_a_class_whose_prototype_is_near_every_text_does_not_take_them_all() -> None:
    """Two classes along one direction, one further out: only a threshold tells them apart."""
    examples, labels = torch.tensor([[0.2], [0.3], [0.8], [0.9]]), torch.tensor([0, 0, 1, 1])
    targets, words, scale = functional.one_hot(labels, 2).float(), torch.zeros(2, 1), torch.tensor(10.0)
    start, weighed, rate = torch.tensor([[0.25], [0.85]]), torch.tensor(0.0), torch.tensor(0.2)
    weight, bias = fit_logistic(
        start, examples, targets, words, torch.ones(2), scale=scale, words_weight=weighed, rate=rate, steps=50
    )
    assert (examples @ start.T).argmax(1).tolist() == [1, 1, 1, 1]
    assert (examples @ weight.T + bias).argmax(1).tolist() == labels.tolist()


@pytest.mark.parametrize("rate", [0.05, 0.5, 2.0])
def test_the_bias_stays_bounded_at_any_rate(rate: float) -> None:
    """Five classes whose texts share most of what they are: the direction in which bias and weights pull alike."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(5).repeat_interleave(5)
    examples = unit(torch.eye(8)[labels] + 2.0 + 0.1 * torch.randn(25, 8, generator=generator))
    targets, words = functional.one_hot(labels, 5).float(), unit(torch.eye(5, 8) + 2.0)
    mask, scale, weighed = torch.ones(5), torch.tensor(10.0), torch.tensor(1.0)
    start = unit(targets.T @ examples)
    _, bias = fit_logistic(
        start, examples, targets, words, mask, scale=scale, words_weight=weighed, rate=torch.tensor(rate), steps=20
    )
    assert bias.abs().max() < 1.0


@pytest.mark.parametrize("shots", [0, 2])
def test_zero_steps_or_zero_examples_equal_the_prototypical_network(shots: int) -> None:
    steps = 0 if shots else 5
    logistic, protonet = learner_of("logistic", steps=steps), learner_of("protonet")
    protonet.load_state_dict({k: v for k, v in logistic.state_dict().items() if k in protonet.state_dict()})
    episode = random_episode(3, shots)
    torch.testing.assert_close(logistic(episode), protonet(episode))


def test_the_outer_gradient_equals_finite_differences() -> None:
    examples, labels, words = (each.double() if each.is_floating_point() else each for each in _points())
    targets, mask = functional.one_hot(labels, 3).double(), torch.ones(3, dtype=torch.float64)

    def score(
        weight: torch.Tensor, rate: torch.Tensor, words_weight: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return fit_logistic(
            weight, examples, targets, words, mask, scale=rate * 0 + 3, words_weight=words_weight, rate=rate, steps=4
        )

    start = torch.zeros(3, 6, dtype=torch.float64, requires_grad=True)
    scalars = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.2, 0.7)]
    assert torch.autograd.gradcheck(score, (start, *scalars))


def _confidence(learner: Learner, features: torch.Tensor, labels: torch.Tensor, context: TaskContext) -> float:
    """Mean probability of the right labels on the support set itself."""
    with torch.no_grad():
        adapted = learner.adapt(Examples(features, labels, torch.ones(len(labels))), context)
        return float(learner.logits(adapted, features).softmax(-1)[range(len(labels)), labels].mean())


@pytest.mark.parametrize(("shots", "changes"), [(1, False), (5, True)])
def test_clear_examples_outweigh_label_texts_that_contradict_them_and_single_ones_are_never_clear(
    shots: int, changes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, episode = learner_of("logistic", steps=40), random_episode(3, shots)
    learner.conditioner.gate.doubt.data.zero_()
    learner.conditioner.gate.refuted.data.zero_()
    labels = episode.support.labels
    sentences = torch.eye(D)[labels] + 0.1 * torch.randn(len(labels), D)
    features = torch.cat([sentences, torch.zeros(len(labels), W - D)], dim=1)
    context = replace(episode.context, label_texts=torch.eye(D)[torch.tensor([1, 2, 0])])
    followed = _confidence(learner, features, labels, context)
    monkeypatch.setattr(logistic, "_CLEAR", 2.0)
    ignored = _confidence(learner, features, labels, context)
    assert followed > ignored + 0.05 if changes else followed == ignored


def test_examples_are_followed_further_where_those_of_past_tasks_could_be_relied_on() -> None:
    learner, episode = learner_of("logistic", steps=10), random_episode(3, 1)

    def confidence(relied: float) -> float:
        near = episode.context.neighbours
        codes = torch.zeros_like(near.adapters)
        codes[..., -1] = relied
        context = replace(episode.context, neighbours=replace(near, adapters=codes))
        return _confidence(learner, episode.support.features, episode.support.labels, context)

    assert confidence(-2.0) < confidence(0.0) < confidence(2.0)
