"""What does an explanation say?"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PastTask:
    """A retrieved task: its similarities to the new one (0 = absent words) and its share of the attention."""

    id: str
    description: float
    labels: float
    attention: float


@dataclass(frozen=True)
class Effect:
    """What happens without one source.

    shift: mean total variation distance, 0..1, between predictions with and without it, on the examples or, without
    examples, on the label texts. accuracy and log_likelihood: how much leave-one-out accuracy and mean log-likelihood
    of the examples fall without it; None without examples.
    """

    source: str
    shift: float
    accuracy: float | None
    log_likelihood: float | None


@dataclass(frozen=True)
class Explanation:
    """identity: the attention that stayed with the frozen space. gates: weight of examples against words per label."""

    past_tasks: tuple[PastTask, ...]
    identity: float
    gates: dict[str, float]
    effects: tuple[Effect, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a json file."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Explanation":
        """The inverse of `to_json`."""
        return cls(
            past_tasks=tuple(PastTask(**each) for each in values["past_tasks"]),
            identity=values["identity"],
            gates=dict(values["gates"]),
            effects=tuple(Effect(**each) for each in values["effects"]),
        )
