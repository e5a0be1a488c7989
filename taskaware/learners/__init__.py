"""One file per method; all share the body, the conditioner and the form of an adapted task."""

from taskaware.learners.base import Adapted, LearnerConfig, learners
from taskaware.learners.build import build_learner
from taskaware.learners.gradient import GradientLearner
from taskaware.learners.logistic import LogisticHead
from taskaware.learners.maml import MAML
from taskaware.learners.protomaml import ProtoMAML
from taskaware.learners.protonet import ProtoNet

__all__ = [
    "MAML",
    "Adapted",
    "GradientLearner",
    "LearnerConfig",
    "LogisticHead",
    "ProtoMAML",
    "ProtoNet",
    "build_learner",
    "learners",
]
