"""Which fields may the `taskaware:` block of a data card hold?

Every section is strict: an unknown key is an error. Files named in a card are looked for under $TASKAWARE_DATA, then
beside the card, unless they are absolute.
"""

from string import Formatter
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, model_validator

from taskaware.core.config import Config

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[str, ...] = get_args(SplitName)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else _tuple(value)


def _named(key: str) -> BeforeValidator:
    """A bare text stands for a section that holds only `key`."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_tuple)]
Names = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more)]


class Source(Config):
    """Where rows come from: package data, a local file, the Hugging Face hub (a local file that exists wins)."""

    builtin: Text | None = None
    path: Text | None = None
    hub: Text | None = None
    config: Text | None = None
    split: Text | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> "Source":
        if not (self.builtin or self.path or self.hub):
            raise ValueError("expected one of builtin, path, hub, saw none of them")
        if self.builtin and (self.path or self.hub):
            raise ValueError("builtin rows are in the package; remove path and hub, or builtin")
        if (self.config or self.split) and not self.hub:
            raise ValueError("config and split belong to a hub source; add hub or remove them")
        return self


class Columns(Config):
    """Columns of the rows. Several text columns are joined by a space, several label columns by a slash.

    form: how the text columns make one text instead, as "{review} It was about {product}.".
    """

    text: Names = ("text",)
    label: Names = ("label",)
    form: Text | None = None

    @model_validator(mode="after")
    def _form_names_text_columns(self) -> "Columns":
        if self.form is not None:
            try:
                named = {name for _, name, _, _ in Formatter().parse(self.form) if name is not None}
            except ValueError as error:
                raise ValueError(f"form: {error}, saw {self.form!r}") from error
            if named != set(self.text):
                saw = ", ".join(sorted(named)) or "none"
                raise ValueError(f"form: expected each of {', '.join(self.text)} in braces and no other, saw {saw}")
        return self


class LabelsFrom(Config):
    """A json file of label texts, in a layout of `taskaware.data.labels`; `level` says whose texts to take."""

    file: Text
    level: Literal["labels", "groups"] = "labels"


class ClassSplits(Config):
    """Class-disjoint splits over `columns.label`: lists (an entry may end in * to match a prefix), or a file of folds.

    The file holds {fold: {train: [...], validation: [...], test: [...]}}.
    """

    file: Text | None = None
    train: Names = ()
    validation: Names = ()
    test: Names = ()

    @model_validator(mode="after")
    def _lists_or_file(self) -> "ClassSplits":
        if (self.file is not None) == bool(self.train or self.validation or self.test):
            raise ValueError("expected either lists (train, validation, test) or a file of folds")
        return self


class RowSplit(Config):
    """A column that says which split a row belongs to, and the values that stand for each split."""

    column: Text
    train: Names = ("train",)
    validation: Names = ("validation",)
    test: Names = ("test",)


class Words(Config):
    """What a task says about itself."""

    description: Annotated[str, StringConstraints(strip_whitespace=True)] = ""
    paraphrases: Texts = ()
    background: Texts = ()
    labels: dict[Text, Text] = Field(default_factory=dict)
    label_paraphrases: dict[Text, Texts] = Field(default_factory=dict)
    labels_from: Annotated[LabelsFrom, _named("file")] | None = None


class Aspect(Words):
    """One of several tasks over the same rows.

    The label is read from `column` (the task's own name unless given); `before` keeps the part before a separator;
    `groups` names a json file {group: [labels]} that maps it to its group; `listed_only` leaves out rows whose label is
    not among `labels`. `split` limits the task to one split.
    """

    column: Names = ()
    before: Text | None = None
    groups: Text | None = None
    listed_only: bool = False
    split: SplitName | None = None


class TaskawareBlock(Words):
    """The `taskaware:` block. `tasks` puts several tasks over the rows; otherwise the block is one task."""

    kind: Literal["classification", "regression"] = "classification"
    source: Source | None = None
    columns: Columns = Columns()
    class_splits: ClassSplits | None = None
    row_split: Annotated[RowSplit, _named("column")] | None = None
    tasks: dict[Text, Aspect] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _coherent(self) -> "TaskawareBlock":
        if self.source is None:
            self._check_own_task()
        elif self.kind == "regression":
            raise ValueError("kind regression takes no source: rows are read for classification only; remove source")
        if self.tasks and (self.labels or self.label_paraphrases or self.labels_from or self.paraphrases):
            raise ValueError(
                "labels, label_paraphrases, labels_from and paraphrases belong to each of the tasks, "
                "saw them beside tasks; move them to tasks.<name>"
            )
        return self

    def _check_own_task(self) -> None:
        rows_only = ("columns", "class_splits", "row_split", "tasks", "labels_from")
        if present := [name for name in rows_only if name in self.model_fields_set]:
            raise ValueError(f"{', '.join(present)} need rows; add source")
        if self.kind == "classification" and not self.labels:
            raise ValueError('labels is empty and there is no source; expected labels: {name: "text"}, or a source')
        if unknown := [name for name in self.label_paraphrases if name not in self.labels]:
            raise ValueError(
                f"label_paraphrases names {unknown[0]!r}, expected one of labels: {', '.join(self.labels)}"
            )


class Header(Config):
    """The fields of the front matter that taskaware reads; other Hugging Face keys are kept for the hub."""

    pretty_name: str = ""
    license: Names = ("unknown",)
    language: Names = ("en",)
    taskaware: TaskawareBlock


HUB_KEYS = frozenset(
    [
        "annotations_creators",
        "arxiv",
        "base_model",
        "bibtex",
        "citation",
        "config_names",
        "configs",
        "dataset_info",
        "extra_gated_button_content",
        "extra_gated_description",
        "extra_gated_eu_disallowed",
        "extra_gated_fields",
        "extra_gated_heading",
        "extra_gated_prompt",
        "homepage",
        "language_bcp47",
        "language_creators",
        "language_details",
        "library_name",
        "license_bundle",
        "license_details",
        "license_link",
        "license_name",
        "modalities",
        "multilinguality",
        "paperswithcode_id",
        "size_categories",
        "source_datasets",
        "tags",
        "task_categories",
        "task_ids",
        "thumbnail",
        "train-eval-index",
        "version",
        "viewer",
    ]
)


def section_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The section that holds the key at `location` in a Header, for hints about unknown keys."""
    section: type[BaseModel] = Header
    for part in location[:-1]:
        field = section.model_fields.get(str(part))
        found = _sections(field.annotation) if field else []
        section = found[0] if found else section
    return section


def _sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _sections(argument)]
