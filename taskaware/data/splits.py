"""Which tasks does a card hold, and does training share anything with testing?

Splits may hold different classes (`class_splits`), different rows (`row_split`), different questions (`tasks` with a
`split`), or several of these at once.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from taskaware.core.errors import DataError
from taskaware.core.values import TaskCard
from taskaware.data.cards import DataCard
from taskaware.data.labels import LabelTexts, parse_label_file, texts_for
from taskaware.data.schema import SPLITS, Aspect
from taskaware.data.sources import read_json, read_source
from taskaware.data.tables import Row, texts_of


@dataclass(frozen=True)
class TextTask:
    """One task in words and its rows; `card.labels` holds exactly the classes that have rows."""

    card: TaskCard
    texts: tuple[str, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise DataError(f"{self.card.id}: {len(self.texts)} texts but {len(self.labels)} labels, expected as many")
        if unknown := set(self.labels) - set(self.card.labels):
            raise DataError(f"{self.card.id}: label {min(unknown)!r} has no text in the task's card")

    @property
    def classes(self) -> tuple[str, ...]:
        """Label names in the card's order."""
        return tuple(self.card.labels)

    @cached_property
    def rows_by_class(self) -> Mapping[str, tuple[int, ...]]:
        """Label name -> indices into `texts`."""
        rows: dict[str, list[int]] = {name: [] for name in self.card.labels}
        for index, label in enumerate(self.labels):
            rows[label].append(index)
        return {name: tuple(indices) for name, indices in rows.items()}

    def texts_of_class(self, name: str) -> tuple[str, ...]:
        """All texts of one class."""
        return tuple(self.texts[index] for index in self.rows_by_class[name])


def load_tasks(
    card: DataCard, *, split: str | None = None, fold: str | None = None, every_aspect: bool = False
) -> list[TextTask]:
    """The tasks of a card, limited to a split's classes, rows and aspects; no split means everything.

    `fold` picks one of several class splits in a file. `every_aspect` keeps the aspects of other splits too, over the
    rows of this split. Raises DataError.
    """
    if split is not None and split not in SPLITS:
        raise DataError(f"{card.path}: split {split!r}, expected one of {', '.join(SPLITS)}")
    aspects = card.aspects()
    if split is not None and not every_aspect:
        aspects = {name: aspect for name, aspect in aspects.items() if aspect.split in (None, split)}
    if not aspects:
        raise DataError(f"{card.path}: none of taskaware.tasks is for split {split!r}; use every_aspect, or no split")
    rows = _rows_of_split(card, read_source(card), split, fold)
    texts = texts_of(rows, card.block.columns.text, card.name, form=card.block.columns.form)
    return [_task(card, name, aspect, rows, texts) for name, aspect in aspects.items()]


def _task(card: DataCard, name: str, aspect: Aspect, rows: Sequence[Row], texts: tuple[str, ...]) -> TextTask:
    labels = labels_of_rows(card, aspect, rows)
    if aspect.listed_only:
        kept = [index for index, label in enumerate(labels) if label in aspect.labels]
        texts, labels = tuple(texts[index] for index in kept), tuple(labels[index] for index in kept)
    found = texts_for(labels, *label_layers(card, aspect))
    return TextTask(card.describe(name, aspect, found.texts, found.paraphrases), texts, labels)


def label_layers(card: DataCard, aspect: Aspect) -> tuple[LabelTexts, ...]:
    """Where label texts come from, best first: the card itself, then its label file."""
    own = LabelTexts(aspect.labels, aspect.label_paraphrases)
    if aspect.labels_from is None:
        return (own,)
    file = aspect.labels_from.file
    return own, parse_label_file(read_json(card, file), aspect.labels_from.level, file)


def labels_of_rows(card: DataCard, aspect: Aspect, rows: Sequence[Row]) -> tuple[str, ...]:
    """The label of every row as one aspect sees it."""
    labels = texts_of(rows, aspect.column, card.name, separator="/")
    if aspect.groups is not None:
        groups = read_json(card, aspect.groups)
        group_of = {member: group for group, members in groups.items() for member in members}
        if missing := set(labels) - set(group_of):
            raise DataError(f"{card.path}: {aspect.groups} puts label {min(missing)!r} in no group")
        labels = tuple(group_of[label] for label in labels)
    if aspect.before is not None:
        labels = tuple(label.split(aspect.before, 1)[0].strip() for label in labels)
    return labels


def _rows_of_split(card: DataCard, rows: list[Row], split: str | None, fold: str | None) -> list[Row]:
    block = card.block
    if fold is not None and (split is None or block.class_splits is None or block.class_splits.file is None):
        raise DataError(f"{card.path}: fold {fold!r} given, expected a split and a file of folds in class_splits")
    if split is None:
        return rows
    if not (block.class_splits or block.row_split or any(aspect.split for aspect in card.aspects().values())):
        raise DataError(f"{card.path}: has no splits (class_splits, row_split), saw split {split!r}; leave it out")
    classes = _class_of_split(card, rows, split, fold)
    if classes is not None:
        labels = texts_of(rows, block.columns.label, card.name, separator="/")
        rows = [row for row, label in zip(rows, labels, strict=True) if label in classes]
    if block.row_split is not None:
        values: tuple[str, ...] = getattr(block.row_split, split)
        kept = texts_of(rows, (block.row_split.column,), card.name)
        rows = [row for row, value in zip(rows, kept, strict=True) if value in values]
    if not rows:
        raise DataError(f"{card.path}: split {split!r} has no rows")
    return rows


def _class_of_split(card: DataCard, rows: Sequence[Row], split: str, fold: str | None) -> set[str] | None:
    """The classes of a split, or None when classes are not split. Checks that no class is in two splits."""
    declared = card.block.class_splits
    if declared is None:
        return None
    lists = _fold(card, declared.file, fold) if declared.file else {name: getattr(declared, name) for name in SPLITS}
    known = set(texts_of(rows, card.block.columns.label, card.name, separator="/"))
    members = {name: _match(card, name, entries, known) for name, entries in lists.items()}
    for name, classes in members.items():
        for other in members:
            if name < other and (shared := classes & members[other]):
                raise DataError(f"{card.path}: class {min(shared)!r} is in splits {name!r} and {other!r}, expected one")
    return members.get(split, set())


def _fold(card: DataCard, file: str, fold: str | None) -> dict[str, Sequence[str]]:
    folds = read_json(card, file)
    if not isinstance(folds, dict) or not all(isinstance(lists, dict) for lists in folds.values()):
        raise DataError(f"{card.path}: {file}: expected {{fold: {{train, validation, test}}}}")
    if fold is None and len(folds) == 1:
        fold = next(iter(folds))
    if fold not in folds:
        raise DataError(f"{card.path}: fold {fold!r}, expected one of {', '.join(folds)} (from {file})")
    return {name: folds[fold].get(name, ()) for name in SPLITS}


def _match(card: DataCard, split: str, entries: Iterable[str], known: set[str]) -> set[str]:
    found: set[str] = set()
    for entry in entries:
        prefix = entry[:-1] if entry.endswith("*") else None
        matches = {entry} & known or {name for name in known if prefix is not None and name.startswith(prefix)}
        if not matches:
            nearest = difflib.get_close_matches(entry, sorted(known), n=1)
            hint = f", did you mean {nearest[0]!r}?" if nearest else ""
            raise DataError(f"{card.path}: class_splits: {split} names {entry!r}, which no row has{hint}")
        found |= matches
    return found


@dataclass(frozen=True)
class Overlap:
    """What training and test tasks share. Class-disjoint splits of one data set share its task id and no class."""

    task_ids: tuple[str, ...]
    classes: tuple[tuple[str, str], ...]
    texts: tuple[str, ...]

    @property
    def leaks(self) -> bool:
        """Whether a class or a text is shared."""
        return bool(self.classes or self.texts)

    def summary(self) -> str:
        """One line for logs and reports."""
        parts = ("task id", self.task_ids), ("class", self.classes), ("text", self.texts)
        counts = [
            f"{len(shared)} {name}{'' if len(shared) == 1 else 'es' if name == 'class' else 's'}"
            for name, shared in parts
        ]
        example = self.texts[0] if self.texts else "/".join(self.classes[0]) if self.classes else ""
        return f"shared by training and test: {', '.join(counts)}" + (f" (e.g. {example!r})" if example else "")


def overlap(train: Sequence[TextTask], test: Sequence[TextTask]) -> Overlap:
    """Task ids, (task id, label) classes and texts in both; texts are compared without case and extra white space.

    Classes go by task: "none" as an answer to two questions about one data set is two classes.
    """
    ids = {task.card.id for task in train} & {task.card.id for task in test}
    classes = _classes(train) & _classes(test)
    texts = _normal_texts(train) & _normal_texts(test)
    return Overlap(tuple(sorted(ids)), tuple(sorted(classes)), tuple(sorted(texts)))


def _classes(tasks: Sequence[TextTask]) -> set[tuple[str, str]]:
    return {(task.card.id, name) for task in tasks for name in task.classes}


def _normal_texts(tasks: Sequence[TextTask]) -> set[str]:
    return {" ".join(text.casefold().split()) for task in tasks for text in task.texts}
