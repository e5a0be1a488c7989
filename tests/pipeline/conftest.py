"""A model whose every weight is away from birth, with a memory of past tasks that carry codes."""

from collections.abc import Callable

import pytest
import torch

from taskaware import TaskAware, TaskCard
from taskaware.bodies import BodyConfig
from taskaware.encoders import EncoderConfig
from taskaware.episodes import encode_task
from taskaware.learners import LearnerConfig
from taskaware.pipeline import ModelConfig, RetrievalConfig
from taskaware.pipeline.records import record_of

ROWS = [("a mystery novel", "a"), ("a picture book", "a"), ("a wooden train", "b"), ("a board game", "b")]
Teach = Callable[..., TaskAware]


def make_taught(learner: str = "protonet", past: int = 4, dimension: int = 64) -> TaskAware:
    encoder = EncoderConfig(name="hashing", dimension=dimension, layers=(1,), cache=False)
    part = LearnerConfig(name=learner, body=BodyConfig(hidden=6))
    model = TaskAware.fresh(ModelConfig(encoder=encoder, learner=part, retrieval=RetrievalConfig(tasks=3, classes=2)))
    chance = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.learner.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=chance))
    for number in range(past):
        labels = {"a": f"books of kind {number}", "b": f"toys of kind {number}"}
        card = TaskCard(
            id=f"past{number}", dataset="past", labels=labels, description=f"which shelf, question {number}"
        )
        task = encode_task(card, [text for text, _ in ROWS], [label for _, label in ROWS], model.encoder)
        code = 0.3 * torch.randn(model.learner.code_width, generator=chance)
        model.memory.add([record_of(task, code.numpy())])
    return model


@pytest.fixture(scope="session")
def teach() -> Teach:
    """Makes such a model: teach(learner, past=number of past tasks, dimension=width of the encoder)."""
    return make_taught
