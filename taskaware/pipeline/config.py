"""What makes a model, apart from how it is trained?"""

from pydantic import Field

from taskaware.core.config import Config
from taskaware.encoders import EncoderConfig
from taskaware.learners import LearnerConfig


class RetrievalConfig(Config):
    """How many past tasks and, for each label, past classes are looked up in the memory."""

    tasks: int = Field(default=16, ge=0)
    classes: int = Field(default=8, ge=0)


class ModelConfig(Config):
    """Encoder, learner and retrieval: all that a run folder's weights and memory were made for."""

    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    learner: LearnerConfig = Field(default_factory=LearnerConfig)
    retrieval: RetrievalConfig = Field(default_factory=RetrievalConfig)
