"""What does a benchmark's YAML hold?"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from taskaware.core.config import Config
from taskaware.evaluation.results import NONE

SHUFFLED, NONSENSE = "label texts: shuffled", "label texts: nonsense"


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _named(value: object) -> object:
    return {"card": value} if isinstance(value, str) else value


class Dataset(Config):
    """A card and, where it holds several, the task of it. A bare text stands for the card."""

    card: str
    task: str | None = None

    @property
    def name(self) -> str:
        """The card's name, in files and tables."""
        return Path(self.card).stem


class Shape(Config):
    """How large a test task is: `way` classes (all of them when absent) with `shots` examples each."""

    way: int | None = Field(default=None, ge=2)
    shots: int = Field(ge=0)

    @property
    def name(self) -> str:
        """For files, e.g. 5way-1shot."""
        return f"{self.way or 'all'}way-{self.shots}shot"


class SetFitConfig(Config):
    """SetFit on the first `episodes` of each part, with its own defaults except for what is set here.

    max_steps caps the fine-tuning of the encoder where one epoch of its pairs would be longer; label_texts gives it the
    label texts as further examples; shots limits it to some numbers of shots.
    """

    episodes: int = Field(default=4, ge=2)
    max_steps: int | None = Field(default=None, ge=1)
    label_texts: bool = False
    shots: Annotated[tuple[int, ...], BeforeValidator(_tuple)] | None = None


class BenchmarkConfig(Config):
    """A benchmark: what is tested, on which tasks, against what.

    protocol: "episodes" draws classes and examples anew for each; "full_label_sets" takes all classes and one fixed
    sample of queries, and draws the examples. Without folds the card's own split is tested (split null: all rows).
    query counts per class. arms are conditions of `evaluation.arms`; wordings measures all wordings of the label texts.
    timed: on how many tasks the time to adapt is taken. run: the training run of each data set and fold; without `data`
    it trains on the same card's training split. It is not needed when a finished run is measured.
    """

    name: str
    protocol: Literal["episodes", "full_label_sets"] = "episodes"
    datasets: Annotated[tuple[Annotated[Dataset, BeforeValidator(_named)], ...], BeforeValidator(_tuple)]
    split: Literal["train", "validation", "test"] | None = "test"
    folds: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = ()
    shapes: Annotated[tuple[Shape, ...], BeforeValidator(_tuple), Field(min_length=1)]
    query: int = Field(default=5, ge=1)
    episodes: int = Field(default=300, ge=2)
    seed: int = 0
    arms: Annotated[tuple[str, ...], BeforeValidator(_tuple)] = (NONE, SHUFFLED, NONSENSE)
    wordings: bool = False
    timed: int = Field(default=20, ge=1)
    setfit: SetFitConfig | None = None
    run: dict[str, Any] | None = None

    @field_validator("arms")
    @classmethod
    def _known(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(arms) - {NONE, SHUFFLED, NONSENSE}:
            raise ValueError(f"expected some of {NONE}, {SHUFFLED}, {NONSENSE}, saw {min(unknown)!r}")
        return arms

    @model_validator(mode="after")
    def _coherent(self) -> "BenchmarkConfig":
        full = self.protocol == "full_label_sets"
        if any((shape.way is None) != full for shape in self.shapes):
            raise ValueError("shapes: way is needed for episodes, and left out for full_label_sets")
        if len({shape.name for shape in self.shapes}) < len(self.shapes):
            raise ValueError("shapes: expected different ones")
        return self
