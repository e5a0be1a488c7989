"""What do words alone lead one to expect: of the task, and of each class?

Shapes: N ways, D width, K neighbour tasks, M neighbour classes, B background passages.
"""

from typing import final

import torch
from torch import Tensor, nn

from taskaware.core.values import Neighbours, TaskContext
from taskaware.core.vectors import unit


@final
class TaskPrior(nn.Module):
    """Attention logits over past tasks from three similarities; the identity is the last entry, with logit 0.

    logit_k = a * description_k + b * label texts_k + c * background_k + d. Absent words have similarity 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([8.0, 8.0, 0.0]))
        self.offset = nn.Parameter(torch.tensor(0.5))

    def forward(self, near: Neighbours) -> Tensor:
        """task_similarity [K, 3] -> logits [K + 1]; empty slots get a logit that softmax ignores."""
        logits = near.task_similarity @ self.weights + self.offset
        return torch.cat([logits.masked_fill(near.task_mask == 0, -1e4), logits.new_zeros(1)])


@final
class WordPrior(nn.Module):
    """Label texts, moved by background passages that resemble them and by what past label texts led to.

    p_n = l_n + s * sum_b softmax(20 l_n . b) b + r * sum_m softmax(20 similarity_nm) (prototype_nm - text_nm)

    The memory term is the offset from words to examples of the M most similar past classes, weighted by how similar the
    nearest is. s and r start at 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.background = nn.Parameter(torch.zeros(()))
        self.classes = nn.Parameter(torch.zeros(()))

    def forward(self, context: TaskContext) -> Tensor:
        """-> [N, D], not normalised; zero where label texts are absent."""
        texts = context.label_texts
        moved = texts + self.background * self._background(context) + self.classes * self._memory(context.neighbours)
        return moved * (texts.abs().sum(-1, keepdim=True) > 0)

    def _background(self, context: TaskContext) -> Tensor:
        if len(context.background_mask) == 0:
            return torch.zeros_like(context.label_texts)
        scores = 20 * context.label_texts @ context.background.mT
        weights = scores.masked_fill(context.background_mask == 0, -1e4).softmax(-1) * context.background_mask
        passages = weights @ context.background
        centre = (context.background_mask @ context.background) / context.background_mask.sum().clamp_min(1.0)
        return passages - centre

    def _memory(self, near: Neighbours) -> Tensor:
        if near.class_similarity.shape[-1] == 0:
            return near.class_texts.sum(1)
        scores = (20 * near.class_similarity).masked_fill(near.class_slots == 0, -1e4)
        weights = scores.softmax(-1) * near.class_slots * near.class_similarity.clamp_min(0)
        offsets = unit(near.class_prototypes) - near.class_texts
        return (weights[..., None] * offsets).sum(1)
