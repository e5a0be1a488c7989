"""Which laws does the regressor that reads descriptions obey?"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from taskaware.bodies.mlp import FilmMlp, MlpConfig
from taskaware.core.values import map_tensors, stack
from taskaware.core.vectors import unit
from taskaware.innerloop import InnerLoopConfig
from taskaware.learners.regression import DescribedPoints, Regressor, RegressorConfig

D = 6


def regressor_of(conditioner: str = "description", steps: int = 3, seed: int = 0, *, stir: bool = False) -> Regressor:
    torch.manual_seed(seed)
    config = RegressorConfig(
        conditioner=conditioner,  # type: ignore[arg-type]
        body=MlpConfig(hidden=5),
        reader=4,
        inner=InnerLoopConfig(steps=steps, learning_rate=0.05, clip=10.0),
    )
    regressor = Regressor(config, 2, unit(torch.randn(3, D))).double()
    if stir:
        with torch.no_grad():
            for parameter in regressor.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return regressor


def random_points(seed: int = 0, shots: int = 6) -> DescribedPoints:
    torch.manual_seed(seed)
    values = torch.rand(shots, 2) * 10 - 5, torch.randn(shots), torch.randn(D), torch.tensor(1.0)
    return map_tensors(lambda each: each.double(), DescribedPoints(*values))


QUERIES = torch.linspace(-5, 5, 8, dtype=torch.float64).view(4, 2)


def test_at_birth_words_change_nothing() -> None:
    told, silent = regressor_of(), regressor_of("none")
    points = random_points()
    torch.testing.assert_close(told(points, QUERIES), silent(points, QUERIES))


def test_missing_words_believed_outright_are_the_regressor_without_words() -> None:
    told, silent = regressor_of(stir=True), regressor_of("none")
    silent.load_state_dict({name: told.state_dict()[name] for name in silent.state_dict()})
    points = replace(random_points(), present=torch.tensor(0.0, dtype=torch.float64))
    torch.testing.assert_close(told(points, QUERIES, weigh=False), silent(points, QUERIES))


def test_the_words_of_a_task_without_words_are_not_read() -> None:
    regressor = regressor_of(stir=True)
    points = replace(random_points(), present=torch.tensor(0.0, dtype=torch.float64))
    other = replace(points, description=torch.randn(D, dtype=torch.float64))
    assert torch.equal(regressor(points, QUERIES), regressor(other, QUERIES))
    assert regressor.adapt(points).attention[0] < 1e-6


def test_a_meta_batch_equals_a_loop_over_its_tasks() -> None:
    regressor = regressor_of(stir=True)
    tasks = [random_points(seed) for seed in range(4)]
    together = torch.func.vmap(regressor, in_dims=(0, None))(stack(tasks), QUERIES)
    for task, predicted in zip(tasks, together, strict=True):
        torch.testing.assert_close(regressor(task, QUERIES), predicted)


@pytest.mark.parametrize("conditioner", ["description", "none"])
def test_the_meta_gradient_equals_finite_differences(conditioner: str) -> None:
    regressor = regressor_of(conditioner, stir=True)
    if regressor.conditioner is not None:  # evidence is observed, so no gradient reaches the starts through it
        regressor.evidence.data.zero_()
    points = random_points()
    parameters = [each for name, each in regressor.named_parameters() if name != "evidence"]
    directions = [torch.randn_like(each) for each in parameters]

    def loss() -> Tensor:
        return regressor(points, QUERIES).square().mean()

    gradients = torch.autograd.grad(loss(), parameters)
    along = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    sides = []
    for sign in (1, -2):
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.add_(sign * 1e-6 * direction)
            sides.append(loss())
    torch.testing.assert_close(along, (sides[0] - sides[1]) / 2e-6, rtol=1e-5, atol=1e-8)


def test_without_inner_steps_the_head_is_the_posterior_mean_of_bayesian_regression() -> None:
    regressor, points = regressor_of("none", steps=0, stir=True), random_points()
    adapted = regressor.adapt(points)
    features = regressor.body.features(points.inputs, list(adapted.code))
    precision = torch.diag((-regressor.spread[:-1]).exp())
    noise = regressor.spread[-1].exp() + 1e-3
    rhs = features.mT @ points.targets / noise + precision @ regressor.head
    expected = torch.linalg.solve(features.mT @ features / noise + precision, rhs)
    torch.testing.assert_close(adapted.weight, expected)


def test_surprise_is_the_negative_log_density_of_the_targets() -> None:
    regressor, points = regressor_of("none", stir=True), random_points()
    start, _ = regressor.start(points)
    features = regressor.body.features(points.inputs, [start["code0"], start["code1"]])
    covariance = (features * start["spread"][:-1].exp()) @ features.mT
    covariance = covariance + (start["spread"][-1].exp() + 1e-3) * torch.eye(len(features), dtype=torch.float64)
    normal = torch.distributions.MultivariateNormal(features @ start["head"], covariance)
    constant = 0.5 * len(features) * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64))
    torch.testing.assert_close(regressor.surprise(start, points) + constant, -normal.log_prob(points.targets))


def test_words_that_the_points_contradict_lose_attention() -> None:
    regressor, points = regressor_of(), random_points()
    with torch.no_grad():
        assert regressor.conditioner is not None
        before = regressor.adapt(points).attention[0]
        read = torch.tanh(regressor.conditioner.read @ points.description)
        regressor.conditioner.write[20:26] = 50 * read / read.square().sum()  # the words promise a head far away
        attention = regressor.adapt(points).attention
    assert attention[0] < 1e-3 < before
    torch.testing.assert_close(attention.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_an_empty_memory_leaves_the_words_and_the_wordless_start() -> None:
    regressor, points = regressor_of(stir=True), random_points()
    regressor.memory = regressor.memory[:0]
    assert regressor.adapt(points).attention.shape == (2,)
    torch.testing.assert_close(regressor.adapt(points).attention.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_inner_steps_lower_the_surprise_of_the_support_set() -> None:
    points, found = random_points(), []
    for steps in (0, 5):
        regressor = regressor_of("none", steps)
        start, _ = regressor.start(points)
        found.append(
            regressor.surprise(regressor.inner(lambda p, r=regressor: r.surprise(p, points) / 6, start), points)
        )
    assert found[1] < found[0]


def test_a_code_of_zeros_is_the_plain_mlp() -> None:
    torch.manual_seed(0)
    body, inputs = FilmMlp(MlpConfig(hidden=3), 2), torch.randn(4, 2)
    hidden = inputs / 5
    for weight, bias in zip(body.weights, body.biases, strict=True):
        hidden = torch.tanh(torch.nn.functional.linear(hidden, weight, bias))
    features = body.features(inputs, [torch.zeros(2, 3)] * 2)
    torch.testing.assert_close(features[:, :-1], hidden)
    assert (features[:, -1] == 1).all()
