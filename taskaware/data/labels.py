"""Which text explains a label?

A card's own `labels` come first, then those of its `labels_from` file, then the name itself made readable.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from taskaware.core.errors import DataError

_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_/\s]+")


@dataclass(frozen=True)
class LabelTexts:
    """Label name -> its text, and label name -> other wordings of that text."""

    texts: dict[str, str]
    paraphrases: dict[str, tuple[str, ...]]


def readable(name: str) -> str:
    """Words for a bare label name: "Restaurants_2/FindRestaurants" -> "restaurants 2 find restaurants"."""
    words = [word for word in _BOUNDARY.split(name) if word]
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words) or name


def parse_label_file(values: Any, level: str, origin: str) -> LabelTexts:
    """Label texts in one of three layouts. Raises DataError for any other.

    {label: text}
    {label: {name, description}}: the text is "name: description", and each alone is another wording
    {group: {description, intents: {name: text}, paraphrases: [{description, intents}, ...]}} (Schema-Guided Dialogue):
        labels are "group/name", or the groups themselves with level "groups"
    """
    if not isinstance(values, dict) or not values:
        raise DataError(f"{origin}: expected a mapping of labels, saw {type(values).__name__}")
    texts: dict[str, str] = {}
    paraphrases: dict[str, tuple[str, ...]] = {}
    for name, entry in values.items():
        for label, wordings in _wordings(name, entry, level, origin).items():
            texts[label], paraphrases[label] = wordings[0], tuple(wordings[1:])
    return LabelTexts(texts, {label: wordings for label, wordings in paraphrases.items() if wordings})


def _wordings(name: str, entry: Any, level: str, origin: str) -> dict[str, list[str]]:
    """Label -> [text, other wordings...] for one entry of the file."""
    try:
        if isinstance(entry, dict) and "intents" in entry:
            versions = [entry, *entry.get("paraphrases", [])]
            if level == "groups":
                return {name: [str(version["description"]) for version in versions]}
            intents = entry["intents"]
            return {f"{name}/{intent}": [str(version["intents"][intent]) for version in versions] for intent in intents}
        if level == "labels" and isinstance(entry, str):
            return {name: [entry]}
        if level == "labels" and isinstance(entry, dict):
            title, description = str(entry["name"]), str(entry["description"])
            return {name: [f"{title}: {description}", title, description]}
    except KeyError as error:
        raise DataError(f"{origin}: entry {name!r} has no {error.args[0]!r}, saw {', '.join(entry)}") from error
    raise DataError(f"{origin}: entry {name!r}: expected {level} with texts, saw {type(entry).__name__}")


def texts_for(names: Iterable[str], *layers: LabelTexts) -> LabelTexts:
    """The texts of exactly `names`: in the order of the first layers, then sorted; earlier layers win."""
    wanted = set(names)
    order = dict.fromkeys(name for layer in layers for name in layer.texts if name in wanted)
    order.update(dict.fromkeys(sorted(wanted)))
    texts = {
        name: next((layer.texts[name] for layer in layers if name in layer.texts), readable(name)) for name in order
    }
    paraphrases = {
        name: layer.paraphrases[name] for layer in reversed(layers) for name in order if name in layer.paraphrases
    }
    return LabelTexts(texts, paraphrases)
