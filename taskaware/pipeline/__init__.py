"""Where the stages are wired: load, adapt, predict, explain, save."""

from taskaware.pipeline.adapted import AdaptedTask, Predictions
from taskaware.pipeline.config import ModelConfig, RetrievalConfig
from taskaware.pipeline.explanation import Effect, Explanation, PastTask
from taskaware.pipeline.model import TaskAware

__all__ = [
    "AdaptedTask",
    "Effect",
    "Explanation",
    "ModelConfig",
    "PastTask",
    "Predictions",
    "RetrievalConfig",
    "TaskAware",
]
