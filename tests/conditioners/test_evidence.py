"""Is evidence what it says it is, however it is computed?"""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from taskaware.bodies import BodyConfig, ResidualBody
from taskaware.conditioners import FilmConditioner, FilmConfig, film
from taskaware.conditioners.evidence import leave_one_out_likelihood, one_hot, separation
from taskaware.core.values import Examples, Neighbours, TaskContext
from taskaware.core.vectors import unit

K, N, D, W, H = 3, 4, 6, 9, 5
SCALE = torch.tensor(7.0, dtype=torch.float64)


def literal(examples: Tensor, targets: Tensor, class_mask: Tensor) -> Tensor:
    """Every example is left out of its class by itself, in a loop over examples."""
    counts, total = targets.sum(0), examples.new_zeros(K)
    for row, wanted in enumerate(targets):
        if not (wanted * (counts > 1)).any():
            continue
        kept = targets.clone()
        kept[row] = 0
        cosines = (examples[:, row, None] * unit(kept.mT @ examples)).sum(-1)
        logits = (SCALE * cosines).masked_fill(class_mask * (counts > 0) == 0, -1e4)
        total = total + logits.log_softmax(-1) @ wanted
    return total / class_mask.sum()


@given(
    labels=st.lists(st.integers(0, N - 1), min_size=1, max_size=9), padded=st.integers(0, 2), seed=st.integers(0, 99)
)
@settings(deadline=None)
def test_evidence_of_examples_leaves_each_out_of_its_class_and_so_does_its_gradient(
    labels: list[int], padded: int, seed: int
) -> None:
    chance = torch.Generator().manual_seed(seed)
    size = len(labels) + padded
    examples = unit(torch.randn(K, size, D, generator=chance, dtype=torch.float64)).requires_grad_()
    mask = (torch.arange(size) < len(labels)).double()
    targets = one_hot(Examples(examples[0], torch.tensor(labels + [0] * padded), mask), N).detach()
    class_mask = torch.ones(N, dtype=torch.float64)
    weight = torch.randn(K, generator=chance, dtype=torch.float64)
    values = [leave_one_out_likelihood(examples, targets, class_mask, SCALE), literal(examples, targets, class_mask)]
    torch.testing.assert_close(*values)
    if values[1].requires_grad:
        slopes = [torch.autograd.grad(value @ weight, examples)[0] for value in values]
        torch.testing.assert_close(*slopes, atol=1e-7, rtol=1e-7)


def test_twins_and_single_examples_have_finite_evidence_in_single_precision() -> None:
    twin = unit(torch.randn(K, 1, D)).expand(K, 4, D).contiguous().requires_grad_()
    for labels in ([0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 2]):
        targets = torch.nn.functional.one_hot(torch.tensor(labels), N).float()
        value = leave_one_out_likelihood(twin, targets, torch.ones(N), torch.tensor(20.0))
        assert torch.isfinite(value).all()
        assert torch.isfinite(torch.autograd.grad(value.sum(), twin)[0]).all()


def situation(neighbours: int) -> tuple[Examples, TaskContext]:
    chance = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=chance)

    support = Examples(draw(8, W), torch.arange(8) % N, torch.ones(8))
    near = Neighbours(
        adapters=torch.cat([draw(neighbours, 2 * H), torch.zeros(neighbours, 1)], 1),
        task_similarity=draw(neighbours, 3),
        task_mask=torch.ones(neighbours),
        class_texts=draw(N, 2, D),
        class_prototypes=draw(N, 2, D),
        class_similarity=draw(N, 2),
        class_slots=torch.ones(N, 2),
    )
    context = TaskContext(
        description=draw(D),
        background=draw(1, D),
        background_mask=torch.ones(1),
        label_texts=unit(draw(N, D)),
        class_mask=torch.ones(N),
        present=torch.ones(3),
        code_mask=torch.ones(2 * H + 1),
        neighbours=near,
    )
    return support, context


@pytest.mark.parametrize("numbers", [1, 2 * 8 * D, 3 * 8 * D])
def test_candidates_taken_a_few_at_a_time_get_the_same_evidence(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    body, conditioner = ResidualBody(BodyConfig(hidden=H), D, W), FilmConditioner(FilmConfig())
    support, context = situation(6)
    whole = conditioner(support, context, body)
    monkeypatch.setattr(film, "_PART", numbers)
    parts = conditioner(support, context, body)
    torch.testing.assert_close(parts.attention, whole.attention)
    torch.testing.assert_close(parts.code, whole.code)


def test_words_that_contradict_the_examples_in_every_space_choose_none() -> None:
    torch.manual_seed(0)
    body, conditioner = ResidualBody(BodyConfig(hidden=H), D, W), FilmConditioner(FilmConfig())
    torch.nn.init.normal_(body.expand, std=0.2)
    support, context = situation(6)
    another = (support.labels + 1) % N
    features = torch.cat([context.label_texts[another], support.features[:, D:]], dim=-1)
    wrong = replace(support, features=features)
    with_words = conditioner(wrong, context, body).attention
    conditioner.evidence_words.data.zero_()
    torch.testing.assert_close(conditioner(wrong, context, body).attention, with_words)


def test_label_texts_of_other_classes_lose_against_three_examples_of_each() -> None:
    torch.manual_seed(0)
    body, conditioner = ResidualBody(BodyConfig(hidden=H), D, W), FilmConditioner(FilmConfig())
    _, context = situation(2)
    labels = torch.arange(3 * N) % N
    features = torch.cat([context.label_texts[labels], torch.zeros(len(labels), W - D)], dim=-1)
    support = Examples(features, labels, torch.ones(len(labels)))
    shuffled = replace(context, label_texts=context.label_texts.roll(1, 0))
    assert conditioner(support, context, body).gate.max() < 0.6
    assert conditioner(support, shuffled, body).gate.min() > 0.95


def test_examples_that_predict_each_other_separate_and_examples_without_a_second_say_nothing() -> None:
    targets = torch.nn.functional.one_hot(torch.arange(8) % N, N).double()
    mask = torch.ones(N, dtype=torch.float64)
    apart = torch.eye(D, dtype=torch.float64)[torch.arange(8) % N]
    alike = torch.ones(8, D, dtype=torch.float64) / D**0.5
    assert separation(apart, targets, mask, SCALE) > 0.9
    torch.testing.assert_close(separation(alike, targets, mask, SCALE), mask.new_zeros(()))
    assert separation(apart[:N], targets[:N], mask, SCALE) == 0
    assert separation(apart.roll(1, 0), targets, mask, SCALE) == separation(apart, targets, mask, SCALE)
