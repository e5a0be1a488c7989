"""From a task's words, memory neighbours and support set to a modulation of the learner."""

from taskaware.conditioners.base import Conditioner, Modulation, Space, Switches
from taskaware.conditioners.film import FilmConditioner, FilmConfig
from taskaware.conditioners.none import NoConditioner

__all__ = ["Conditioner", "FilmConditioner", "FilmConfig", "Modulation", "NoConditioner", "Space", "Switches"]
