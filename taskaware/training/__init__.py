"""The outer loop; the only package that imports accelerate."""

from taskaware.training.config import DataEntry, RunConfig, TrainingConfig
from taskaware.training.loop import Progress, train

__all__ = ["DataEntry", "Progress", "RunConfig", "TrainingConfig", "train"]
