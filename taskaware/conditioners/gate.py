"""How much do examples weigh against words, class by class?

AM3 (Xing et al. 2019, https://arxiv.org/abs/1902.07104) lets a network of the label text decide. Here the gate knows
the two things that should matter: how many examples the class has, and whether words and examples agree at all.
"""

import math
from typing import final

import torch
from torch import Tensor, nn


@final
class ShotGate(nn.Module):
    """gate_n = sigmoid(a + d r + b log k_n + m (a' + b' log k_n) + doubt); 0 for a class without examples.

    At birth one example weighs three quarters of the label text, five half as much again. r is how far examples were to
    be relied on in the past tasks that attention chose, in log-odds. m in [0, 1] is how far the space is modulated: in
    a learned space words and examples may weigh otherwise than in the frozen one.

    doubt = (c (1/2 - agreement)+ + c' (0 - agreement)+) sqrt(mean k) log N / log 5, with c, c' >= 0. Words that explain
    the examples are never doubted, those that contradict them are doubted twice over. The same shortfall is less of an
    accident among many classes, and with more examples: the error of their mean falls with the root of their number.
    """

    def __init__(self, relied: float = 0.0) -> None:
        super().__init__()
        self.even = nn.Parameter(torch.tensor(-0.3))
        self.shots = nn.Parameter(torch.tensor(0.43))
        self.modulated_even = nn.Parameter(torch.tensor(0.0))
        self.modulated_shots = nn.Parameter(torch.tensor(0.0))
        self.doubt = nn.Parameter(torch.tensor(4.0))
        self.refuted = nn.Parameter(torch.tensor(8.0))
        self.relied = nn.Parameter(torch.tensor(relied))

    def forward(self, counts: Tensor, agreement: Tensor, modulated: Tensor, ways: Tensor, relied: Tensor) -> Tensor:
        """counts [N] of examples, agreement [] (1 = words explain them, 0 = chance), m [], ways [] (N), r [] -> [N]."""
        even = self.even + modulated * self.modulated_even + self.relied * relied
        slope = (self.shots + modulated * self.modulated_shots).clamp_min(0)
        unexplained, contradicted = (0.5 - agreement).clamp_min(0), (-agreement).clamp_min(0)
        doubt = self.doubt.clamp_min(0) * unexplained + self.refuted.clamp_min(0) * contradicted
        shown = counts.sum() / (counts > 0).sum().clamp_min(1)
        doubt = doubt * shown.sqrt() * ways.clamp_min(2.0).log() / math.log(5)
        return (even + slope * counts.clamp_min(1.0).log() + doubt).sigmoid() * (counts > 0)
