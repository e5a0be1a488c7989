"""The one place where encoder, memory, conditioner and learner are wired: TaskAware."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from taskaware.conditioners import Switches
from taskaware.core.errors import CardError, CheckpointError, DataError
from taskaware.core.runs import run_folder
from taskaware.core.values import Examples, TaskCard
from taskaware.data import Table, check_labels, find_card, read_card
from taskaware.encoders import TextEncoder, load_encoder
from taskaware.episodes import EncodedTask, Shape, Words, encode_task, pad_examples, reliance
from taskaware.learners import build_learner
from taskaware.learners.base import Learner
from taskaware.memory import Exclusion, TaskMemory
from taskaware.pipeline.adapted import AdaptedTask, Situation
from taskaware.pipeline.batching import context_of
from taskaware.pipeline.config import ModelConfig
from taskaware.pipeline.records import record_of
from taskaware.pipeline.retrieval import Library
from taskaware.pipeline.saving import load_run, save_run

ExampleRows = Sequence[tuple[str, str]]


@final
class TaskAware:
    """A meta-trained few-shot learner that reads.

    >>> model = TaskAware.from_pretrained("general")
    >>> task = model.adapt("task.md", [("Where is my parcel?", "delivery"), ("I was charged twice", "billing")])
    >>> task.predict(["The courier never came"]).labels
    """

    def __init__(self, config: ModelConfig, encoder: TextEncoder, learner: Learner, memory: TaskMemory) -> None:
        self.config = config
        self.encoder = encoder
        self.learner = learner.eval()
        self.memory = memory
        self._library: Library | None = None

    @classmethod
    def fresh(cls, config: ModelConfig, memory: TaskMemory | None = None) -> "TaskAware":
        """An untrained model: with label texts it is the training-free mix of prototypes and words."""
        encoder = load_encoder(config.encoder)
        learner = build_learner(config.learner, encoder.dimension, encoder.width)
        return cls(config, encoder, learner, memory or TaskMemory.in_memory(encoder.fingerprint, encoder.dimension))

    @classmethod
    def from_pretrained(cls, path: str | Path, *, switches: Switches | None = None, device: str = "cpu") -> "TaskAware":
        """Loads a run folder, or a model that came with the package ("general").

        Raises CheckpointError, MemoryStoreError (another encoder's memory), EncoderError.
        """
        folder = run_folder(path)
        stored = load_run(folder)
        encoder = load_encoder(stored.config.encoder)
        learner = build_learner(stored.config.learner, encoder.dimension, encoder.width, switches)
        stored.load_into(learner)
        return cls(stored.config, encoder, learner.to(device), TaskMemory.of_run(folder, encoder.fingerprint))

    def save_pretrained(self, path: str | Path, model_card: str, training: dict[str, object] | None = None) -> None:
        """Writes config.json, model.safetensors, memory/ and README.md; an older folder survives a failed save."""
        save_run(Path(path), self.config, self.learner, self.memory, model_card, training or {})

    @property
    def device(self) -> torch.device:
        """Where the learner computes."""
        return self.learner.body.log_scale.device

    @property
    def library(self) -> Library:
        """The memory as it is now, with its tasks' codes. Raises CheckpointError when they are of another width."""
        view, known = self.memory.view(), self._library
        if known is None or known.memory is not view:
            codes = torch.from_numpy(np.array(view.snapshot.task_adapters))
            width = self.learner.code_width
            if codes.shape[1] == 0:
                codes = codes.new_zeros(len(codes), width)
            elif codes.shape[1] != width:
                raise CheckpointError(
                    f"the memory holds codes of width {codes.shape[1]}, expected {width}: they belong to another "
                    "version or another body; train the run again"
                )
            known = self._library = Library(view, codes)
        return known

    def adapt(self, card: TaskCard | str | Path, examples: Table | ExampleRows = ()) -> AdaptedTask:
        """Learns a task from its words and 0 or more (text, label) examples; takes milliseconds.

        `card` is a TaskCard, the path of a card file or the name of a shipped one. Raises CardError and DataError.
        """
        task_card = card if isinstance(card, TaskCard) else _own_task(card)
        if not task_card.labels:
            raise CardError(f"{task_card.id}: labels: none, expected a name and a text of each class")
        rows = _rows(task_card, examples)
        task = encode_task(task_card, [text for text, _ in rows], [label for _, label in rows], self.encoder)
        situation = self.situation(task)
        with torch.no_grad():
            adapted = self.learner.adapt(situation.support, situation.context)
        return AdaptedTask(task_card, self.config, self.encoder, self.learner, adapted, situation, tuple(rows))

    def situation(self, task: EncodedTask) -> Situation:
        """All rows of a task as its support set, its first wording as its words, and its memory neighbours."""
        words = first_words(task)
        shape = Shape(len(task.classes), len(task.labels), 0, len(words.background))
        exclude = Exclusion(tasks=frozenset({task.id}))
        library = self.library
        context = context_of(words, shape, library, self.config.retrieval, exclude, self.whole_code())
        support = pad_examples(task.features, task.labels, len(task.labels))
        return Situation(task, support, context, words, library, exclude)

    def whole_code(self) -> Tensor:
        """The code mask without dropout [A]."""
        return torch.ones(self.learner.code_width)

    def remember(self, task: AdaptedTask) -> str:
        """Writes an adapted task into the memory, so that later tasks can build on it; returns its id."""
        if task.encoded is None:
            raise DataError("this task was loaded from a folder; remember it right after adapting")
        code = task.adapted.code.cpu().numpy().copy()
        if min(map(len, task.encoded.rows)) > 1:
            code[-1] = reliance(task.encoded)
        self.memory.add([record_of(task.encoded, code)])
        return task.encoded.id


def first_words(task: EncodedTask) -> Words:
    """Description (first wording), background and label texts (first wording) of a whole task."""
    words = task.words
    described = len(words.descriptions) > 0
    description = words.descriptions[0] if described else np.zeros(words.labels.shape[-1], dtype=np.float32)
    return Words(description, words.background, words.labels[:, 0], (described, len(words.background) > 0, True))


def _own_task(card: str | Path) -> TaskCard:
    path = Path(card)
    return (read_card(path) if path.suffix == ".md" else find_card(str(card))).task_card()


def _rows(card: TaskCard, examples: Table | ExampleRows) -> list[tuple[str, str]]:
    if isinstance(examples, Table):
        table = examples
    else:
        table = Table(tuple(text for text, _ in examples), tuple(label for _, label in examples))
    if table.labels is None:
        raise DataError(f"{card.id}: examples need a label each; saw texts only")
    if len(table.texts):
        check_labels(table, card.labels, card.id)
    return list(zip(table.texts, table.labels, strict=True))


def support_only(support: Examples, keep: Tensor) -> Examples:
    """The same support set with only the rows where keep [S] is 1."""
    return Examples(support.features, support.labels, support.mask * keep)
