"""What does a training run's YAML hold?"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from taskaware.core.config import AutoOnOff, Config
from taskaware.episodes import EpisodeConfig
from taskaware.pipeline.config import ModelConfig


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_tuple)]


class DataEntry(Config):
    """Tasks to train or validate on: a card's split (and fold).

    adapter: "learned" gives each task a code of its own in the memory; "identity" keeps it at 0, for tasks that the
    frozen encoder already does well: they teach the attention when to leave the encoder's space alone. weight is the
    card's share of episodes relative to other cards, spread evenly over its tasks. every_aspect takes the tasks of
    other splits too, over this split's rows (for validation: known questions on unseen texts). tasks keeps those named
    (by aspect), of a card that holds several; per_class keeps that many rows of each class, drawn by the run's seed.
    """

    card: str
    split: Literal["train", "validation", "test"] | None = "train"
    fold: str | None = None
    adapter: Literal["learned", "identity"] = "learned"
    weight: float = Field(default=1.0, gt=0.0)
    every_aspect: bool = False
    tasks: Names | None = None
    per_class: int | None = Field(default=None, ge=1)


Entries = Annotated[tuple[DataEntry, ...], BeforeValidator(_tuple)]


class DropConfig(Config):
    """How often an episode goes without a source of words, so that missing words are an ordinary case.

    own_task: how often a task must do without its own code in the memory, as a new task will. nonsense: how often label
    texts are shuffled among the classes (only with examples), so that the gate learns to distrust words.
    """

    description: float = Field(default=0.15, ge=0.0, le=1.0)
    background: float = Field(default=0.3, ge=0.0, le=1.0)
    labels: float = Field(default=0.05, ge=0.0, le=1.0)
    memory: float = Field(default=0.05, ge=0.0, le=1.0)
    own_task: float = Field(default=0.3, ge=0.0, le=1.0)
    nonsense: float = Field(default=0.1, ge=0.0, le=1.0)
    code: float = Field(default=0.3, ge=0.0, lt=1.0)


class TrainingConfig(Config):
    """The outer loop.

    meta_batch is global: processes share it. learning_rate is for AdamW with warm-up and cosine decay; scalar_rate
    multiplies it for the few scalars of attention and gate. Two settings change time and memory, not the result:
    compile the step ("auto": on a GPU only; it takes up to a minute before the first step), and how many tasks are in
    memory together ("auto": all, fewer where they do not fit).
    """

    steps: int = Field(default=800, ge=0)
    meta_batch: int = Field(default=24, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0.0)
    scalar_rate: float = Field(default=1.0, gt=0.0)
    weight_decay: float = Field(default=1e-2, ge=0.0)
    warmup: int = Field(default=50, ge=0)
    clip: float = Field(default=1.0, gt=0.0)
    compile: AutoOnOff = "auto"
    task_chunk: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    validate_every: int = Field(default=200, ge=1)
    validation_episodes: int = Field(default=100, ge=1)
    validation_shots: Annotated[tuple[int, ...], BeforeValidator(_tuple)] = (0, 1, 5)
    drop: DropConfig = Field(default_factory=DropConfig)


class TuningConfig(Config):
    """Before all else, the encoder learns from the training tasks: a low-rank change of its weights.

    An episode has `way` classes of `examples` texts, read up to `length` tokens; meta_batch is global. soup: how many
    tunings, of seeds that follow each other, are averaged. Validation picks among `strengths`: 0 is the frozen encoder,
    1 all that was learned. Texts are read in bfloat16 where "auto" finds hardware for it; what learns is float32.
    """

    steps: int = Field(default=600, ge=1)
    soup: int = Field(default=1, ge=1)
    meta_batch: int = Field(default=4, ge=1)
    way: int = Field(default=8, ge=2)
    examples: int = Field(default=3, ge=2)
    rank: int = Field(default=8, ge=1)
    length: int = Field(default=56, ge=8)
    learning_rate: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=1e-2, ge=0.0)
    warmup: int = Field(default=30, ge=0)
    clip: float = Field(default=1.0, gt=0.0)
    scale: float = Field(default=20.0, gt=0.0)
    strengths: Annotated[tuple[float, ...], BeforeValidator(_tuple)] = (0.0, 0.5, 1.0)
    bfloat16: AutoOnOff = "auto"


class RunConfig(ModelConfig):
    """A whole run: the model, what it is trained and validated on, how episodes are drawn and how it is trained."""

    name: str
    output: str = "runs"
    seed: int = 0
    data: Annotated[Entries, Field(min_length=1)]
    validation: Entries = ()
    tuning: TuningConfig | None = None
    episodes: EpisodeConfig = Field(default_factory=EpisodeConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    def model_part(self) -> ModelConfig:
        """Encoder, learner and retrieval alone."""
        return ModelConfig(encoder=self.encoder, learner=self.learner, retrieval=self.retrieval)
