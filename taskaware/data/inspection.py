"""Do a card and its rows fit together?"""

from dataclasses import dataclass

from taskaware.data.cards import DataCard
from taskaware.data.labels import LabelTexts
from taskaware.data.sources import find_source, read_source
from taskaware.data.splits import label_layers, labels_of_rows
from taskaware.data.tables import texts_of


@dataclass(frozen=True)
class Inspection:
    """How the rows of one task fit its label texts."""

    task: str
    rows: int
    classes: int
    labels_without_text: tuple[str, ...]
    texts_without_rows: tuple[str, ...]


def inspect_rows(card: DataCard) -> list[Inspection] | None:
    """One Inspection per task, or None when the rows are not on this machine. Raises DataError for unreadable rows."""
    if find_source(card) is None:
        return None
    rows = read_source(card)
    texts_of(rows, card.block.columns.text, card.name, form=card.block.columns.form)
    found = []
    for name, aspect in card.aspects().items():
        labels = labels_of_rows(card, aspect, rows)
        described = _described(label_layers(card, aspect))
        kept = [label for label in labels if label in described or not aspect.listed_only]
        seen = set(kept)
        without_rows = tuple(sorted(described - seen))
        found.append(Inspection(name, len(kept), len(seen), tuple(sorted(seen - described)), without_rows))
    return found


def _described(layers: tuple[LabelTexts, ...]) -> set[str]:
    return {name for layer in layers for name in layer.texts}
