"""What does the user get for a new task? A predictor, and an account of what each piece of metadata contributed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from taskaware.core.values import Examples, TaskCard, TaskContext, map_tensors
from taskaware.encoders import TextEncoder, load_encoder
from taskaware.episodes import EncodedTask, Words
from taskaware.learners import Adapted, build_learner
from taskaware.learners.base import Learner
from taskaware.memory import Exclusion
from taskaware.pipeline.config import ModelConfig
from taskaware.pipeline.explanation import Explanation
from taskaware.pipeline.retrieval import Library
from taskaware.pipeline.saving import load_adapted, save_adapted


@dataclass(frozen=True)
class Situation:
    """What an adaptation saw: support set, context, and the memory's state of that moment."""

    task: EncodedTask
    support: Examples
    context: TaskContext
    words: Words
    library: Library
    exclude: Exclusion


@dataclass(frozen=True)
class Predictions:
    """labels of n texts and their probabilities [n, N], columns in the order of `classes`."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]


@final
class AdaptedTask:
    """A task that has been learned: it predicts the same whenever it is asked, whatever is remembered meanwhile.

    Until it is explained (or saved) it holds the memory's state of when it was adapted.
    """

    def __init__(
        self,
        card: TaskCard,
        config: ModelConfig,
        encoder: TextEncoder,
        learner: Learner,
        adapted: Adapted,
        situation: Situation | None = None,
        examples: tuple[tuple[str, str], ...] = (),
        explanation: Explanation | None = None,
    ) -> None:
        self.card = card
        self.config = config
        self.encoder = encoder
        self.learner = learner
        self.adapted = adapted
        self.encoded = situation.task if situation else None
        self.situation = situation
        self.examples = examples
        self._explanation = explanation

    @property
    def classes(self) -> tuple[str, ...]:
        """Label names, in the order of the probability columns."""
        return tuple(self.card.labels)

    def predict(self, texts: Sequence[str]) -> Predictions:
        """The most probable label of each text, with all probabilities."""
        probabilities = self.probabilities(texts)
        best = probabilities.argmax(axis=1) if len(texts) else np.zeros(0, dtype=np.int64)
        return Predictions(tuple(texts), tuple(self.classes[index] for index in best), probabilities, self.classes)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, N], rows sum to 1."""
        features = torch.from_numpy(self.encoder.features(texts)).to(self.adapted.weight.device)
        with torch.no_grad():
            result: NDArray[np.float32] = self.learner.logits(self.adapted, features).softmax(-1).cpu().numpy()
        return result

    def explain(self) -> Explanation:
        """Retrieved past tasks, the gate per class, and what each source of knowledge changed."""
        if self._explanation is None:
            from taskaware.pipeline.explain import explain

            self._explanation = explain(self)
            self.situation = None  # lets that state of the memory go
        return self._explanation

    def save(self, path: str | Path) -> None:
        """Writes a self-contained folder for `load`; no pickle."""
        save_adapted(
            Path(path), self.card, self.config, self.encoder.fingerprint, self.learner, self.adapted, self.explain()
        )

    @classmethod
    def load(cls, path: str | Path) -> "AdaptedTask":
        """Reads a folder that `save` wrote. Raises CheckpointError, EncoderError."""
        stored = load_adapted(Path(path))
        encoder = load_encoder(stored.config.encoder)
        stored.check_encoder(encoder.fingerprint)
        learner = build_learner(stored.config.learner, encoder.dimension, encoder.width)
        stored.load_into(learner)
        adapted = map_tensors(lambda tensor: tensor, stored.adapted)
        return cls(stored.card, stored.config, encoder, learner.eval(), adapted, explanation=stored.explanation)
