"""How does a configuration become a learner?"""

from taskaware.bodies import ResidualBody
from taskaware.conditioners import Switches
from taskaware.learners.base import Learner, LearnerConfig, learners


def build_learner(config: LearnerConfig, dimension: int, width: int, switches: Switches | None = None) -> Learner:
    """A fresh learner for sentence vectors [D] and features [W]. Raises ConfigError for an unknown name."""
    return learners[config.name](config, ResidualBody(config.body, dimension, width), switches)
