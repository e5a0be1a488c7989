"""Do examples win where they are many, where words fail them, and where past tasks say so?"""

import pytest
import torch
from torch import Tensor

from taskaware.conditioners.gate import ShotGate

WAYS = torch.tensor(3.0)


def weight(shots: float = 1.0, agreement: float = 0.0, relied: float = 0.0, gate: ShotGate | None = None) -> float:
    """The gate of three classes with as many examples each, which is the same for all."""
    found: Tensor = (gate or ShotGate(2.0))(
        torch.full((3,), shots), torch.tensor(agreement), torch.tensor(1.0), WAYS, torch.tensor(relied)
    )
    assert (found == found[0]).all()
    return float(found[0].detach())


def test_more_examples_weigh_more_and_a_class_without_any_goes_by_its_words() -> None:
    assert weight(0) == 0 < weight(1) < weight(3) < weight(10) < 1
    mixed = ShotGate()(
        torch.tensor([0.0, 1.0]), torch.tensor(0.2), torch.tensor(0.0), torch.tensor(2.0), torch.zeros(())
    )
    assert mixed[0] == 0 < mixed[1]


def test_words_that_explain_the_examples_are_never_doubted() -> None:
    credulous = ShotGate(2.0)
    with torch.no_grad():
        credulous.doubt.zero_()
        credulous.refuted.zero_()
    for agreement in (0.5, 0.9):
        assert weight(agreement=agreement) == weight(agreement=agreement, gate=credulous)
    assert weight(agreement=0.4) > weight(agreement=0.4, gate=credulous)


def test_words_that_contradict_the_examples_are_doubted_beyond_those_that_say_nothing() -> None:
    with_logits = [torch.logit(torch.tensor(weight(agreement=value))) for value in (0.3, 0.0, -0.3)]
    assert with_logits[0] < with_logits[1] < with_logits[2]
    assert with_logits[2] - with_logits[1] > with_logits[1] - with_logits[0]


@pytest.mark.parametrize("agreement", [0.2, -0.5])
def test_the_same_shortfall_is_doubted_more_with_more_examples(agreement: float) -> None:
    def doubt(shots: float) -> Tensor:
        told, explained = weight(shots, agreement), weight(shots, 1.0)
        return torch.logit(torch.tensor([told, explained], dtype=torch.float64)).diff().neg()

    assert 0 < doubt(1) < doubt(4)
    torch.testing.assert_close(doubt(4), 2 * doubt(1), rtol=1e-3, atol=0)


def test_examples_weigh_more_where_those_of_past_tasks_could_be_relied_on() -> None:
    assert weight(relied=-1.0) < weight() < weight(relied=1.0)
    assert weight(relied=1.0, gate=ShotGate()) == weight(gate=ShotGate())
