"""Data cards, their rows and their splits."""

from taskaware.data.cards import DataCard, card_paths, find_card, read_card
from taskaware.data.splits import Overlap, TextTask, load_tasks, overlap
from taskaware.data.tables import Table, check_labels, read_examples, read_texts

__all__ = [
    "DataCard",
    "Overlap",
    "Table",
    "TextTask",
    "card_paths",
    "check_labels",
    "find_card",
    "load_tasks",
    "overlap",
    "read_card",
    "read_examples",
    "read_texts",
]
