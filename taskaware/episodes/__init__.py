"""N-way K-shot episodes over encoded tasks."""

from taskaware.episodes.batch import Drawn, Shape, Words, pad_examples, pad_words
from taskaware.episodes.guards import check_disjoint
from taskaware.episodes.reliance import reliance
from taskaware.episodes.sampler import Draw, EpisodeConfig, draw_episode, draw_training_episode
from taskaware.episodes.tasks import EncodedTask, Wordings, encode_task, encode_words

__all__ = [
    "Draw",
    "Drawn",
    "EncodedTask",
    "EpisodeConfig",
    "Shape",
    "Wordings",
    "Words",
    "check_disjoint",
    "draw_episode",
    "draw_training_episode",
    "encode_task",
    "encode_words",
    "pad_examples",
    "pad_words",
    "reliance",
]
