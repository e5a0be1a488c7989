"""Is the gate moved to where the examples predict each other best, and only where they can say so?"""

import pytest
import torch
from torch import Tensor

from taskaware.conditioners import trial
from taskaware.conditioners.trial import tried_gate
from taskaware.core.vectors import unit

N, D, SHOTS = 3, 8, 4
SCALE = torch.tensor(10.0)


def situation(informative: str, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Examples [S, D], label texts [N, D] and targets [S, N]; one of the two sources says nothing of the classes."""
    chance = torch.Generator().manual_seed(seed)
    centres = unit(torch.randn(N, D, generator=chance))
    labels = torch.arange(N).repeat_interleave(SHOTS)
    noise = torch.randn(len(labels), D, generator=chance)
    examples = unit(centres[labels] + 0.2 * noise)
    words = centres if informative == "words" else unit(torch.randn(N, D, generator=chance))
    return examples, words, torch.nn.functional.one_hot(labels, N).float()


def by_hand(strength: float, examples: Tensor, prior: Tensor, targets: Tensor) -> Tensor:
    """The leave-one-out log-likelihood of one strength, an example at a time."""
    found = []
    for index, example in enumerate(examples):
        others = targets.clone()
        others[index] = 0
        counts = others.sum(0)
        means = (others.mT @ examples) / counts.clamp_min(1.0)[:, None]
        shown = torch.where(counts > 0, strength, 0.0)[:, None]
        logits = SCALE * unit(shown * means + (1 - shown) * prior) @ example
        if targets[:, targets[index].argmax()].sum() > 1:
            found.append(logits.log_softmax(-1)[targets[index].argmax()])
    return torch.stack(found).sum() / N


def test_likelihoods_equal_a_loop_that_leaves_each_example_out() -> None:
    examples, prior, targets = situation("both")
    targets[0], targets[1:SHOTS] = torch.tensor([0.0, 1.0, 0.0]), 0  # a class of none and padded rows
    targets[SHOTS + 1 : 2 * SHOTS] = 0
    targets[SHOTS] = torch.tensor([1.0, 0.0, 0.0])  # a class of one
    strengths = torch.tensor([0.1, 0.6, 0.9])
    keep = targets.sum(-1) > 0
    expected = torch.stack([by_hand(float(each), examples[keep], prior, targets[keep]) for each in strengths])
    found = trial._likelihood(strengths[:, None].repeat(1, N), examples, prior, targets, torch.ones(N), SCALE)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_examples_gain_against_words_that_say_nothing(seed: int) -> None:
    examples, prior, targets = situation("examples", seed)
    assert (tried_gate(torch.full((N,), 0.3), examples, prior, targets, torch.ones(N), SCALE) > 0.3).all()


def test_words_gain_against_examples_that_say_nothing() -> None:
    _, prior, targets = situation("words")
    examples = unit(torch.randn(N * SHOTS, D, generator=torch.Generator().manual_seed(9)) + 0.4 * targets @ prior)
    assert (tried_gate(torch.full((N,), 0.7), examples, prior, targets, torch.ones(N), SCALE) < 0.7).all()


def test_classes_of_one_example_or_none_keep_their_gate() -> None:
    examples, prior, targets = situation("examples")
    targets[1:SHOTS, 0] = 0
    targets[SHOTS : 2 * SHOTS, 1] = 0
    gate = torch.tensor([0.3, 0.0, 0.3])
    moved = tried_gate(gate, examples, prior, targets, torch.ones(N), SCALE)
    assert torch.equal(moved[:2], gate[:2]) and moved[2] != gate[2]


def test_gradients_reach_the_gate_and_nothing_else() -> None:
    examples, prior, targets = situation("examples")
    gate = torch.full((N,), 0.3, requires_grad=True)
    examples.requires_grad_(True)
    tried_gate(gate, examples, prior, targets, torch.ones(N), SCALE).sum().backward()
    assert gate.grad is not None and (gate.grad > 0).all() and examples.grad is None
