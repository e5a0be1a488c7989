"""What does a data card say, and where are the cards?

A card is a Markdown file: Hugging Face dataset-card front matter with a `taskaware:` block (see schema.py), then prose
about how the data was made and what it is not good for.
"""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from taskaware.core.errors import CardError
from taskaware.core.values import TaskCard
from taskaware.data.front_matter import read_front_matter
from taskaware.data.schema import HUB_KEYS, Aspect, Header, TaskawareBlock, section_at


@dataclass(frozen=True)
class DataCard:
    """A validated card. `name` is the file's stem and the name of the data set."""

    name: str
    path: Path
    header: Header
    body: str

    @property
    def block(self) -> TaskawareBlock:
        """The `taskaware:` block."""
        return self.header.taskaware

    @property
    def has_rows(self) -> bool:
        """Whether the card says where rows come from."""
        return self.block.source is not None

    def aspects(self) -> dict[str, Aspect]:
        """Task id -> what is asked of the rows: one entry, or one per entry of `tasks` under "<card>/<aspect>".

        An aspect without description or background takes the card's; without column, the column of its name.
        """
        block = self.block
        if not block.tasks:
            words = {name: getattr(block, name) for name in _WORDS}
            return {self.name: Aspect(column=block.columns.label, **words)}
        return {f"{self.name}/{name}": self._complete(name, aspect) for name, aspect in block.tasks.items()}

    def _complete(self, name: str, aspect: Aspect) -> Aspect:
        defaults = {
            "column": (name,),
            "description": self.block.description,
            "background": self.block.background,
        }
        return aspect.model_copy(
            update={field: value for field, value in defaults.items() if not getattr(aspect, field)}
        )

    def task_card(self) -> TaskCard:
        """The task of a card with one task and its own label texts. Raises CardError for other cards."""
        if self.block.tasks:
            names = ", ".join(self.block.tasks)
            raise CardError(f"{self.path}: taskaware.tasks holds {names}, expected one task; use load_tasks")
        if not self.block.labels and self.block.kind == "classification":
            raise CardError(
                f"{self.path}: taskaware.labels is empty, expected label texts; use load_tasks for its rows"
            )
        return self.describe(self.name, self.aspects()[self.name], self.block.labels, self.block.label_paraphrases)

    def describe(
        self, task_id: str, aspect: Aspect, labels: dict[str, str], paraphrases: dict[str, tuple[str, ...]]
    ) -> TaskCard:
        """A TaskCard with the words of `aspect` and the given label texts."""
        return TaskCard(
            id=task_id,
            dataset=self.name,
            labels=dict(labels),
            kind=self.block.kind,
            description=aspect.description,
            paraphrases=aspect.paraphrases,
            background=aspect.background,
            label_paraphrases=dict(paraphrases) or None,
            language=", ".join(self.header.language),
            licence=", ".join(self.header.license),
            source=_source(self.block),
        )


_WORDS = ("description", "paraphrases", "background", "labels", "label_paraphrases", "labels_from")


def read_card(path: Path) -> DataCard:
    """Reads and validates a card. Raises CardError naming file, field, value seen and value expected."""
    front = read_front_matter(path)
    known = {*Header.model_fields, *HUB_KEYS}
    for key in front.values:
        if key not in known:
            raise CardError(
                f"{path}: unknown key {key!r}{_nearest(key, known)}, expected Hugging Face dataset-card keys"
            )
    values = {key: value for key, value in front.values.items() if key in Header.model_fields}
    try:
        header = Header.model_validate(values)
    except ValidationError as error:
        raise CardError(f"{path}: " + "; ".join(_explain(problem) for problem in error.errors())) from None
    return DataCard(path.stem, path, header, front.body)


def find_card(name_or_path: str | Path) -> DataCard:
    """A card by path, or by name in ./data_cards or among the shipped ones."""
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return read_card(path)
    paths = card_paths()
    if str(name_or_path) in paths:
        return read_card(paths[str(name_or_path)])
    if path.suffix == ".md":
        raise CardError(f"{path}: no such file")
    hint = _nearest(str(name_or_path), set(paths))
    raise CardError(
        f"no card {str(name_or_path)!r}{hint}, expected a path or one of: {', '.join(paths) or 'none found'}"
    )


def card_paths() -> dict[str, Path]:
    """Card name -> file: ./data_cards first, then the cards in the installed package or its repository."""
    package = Path(__file__).resolve().parent
    folders = (Path("data_cards"), package / "cards", package.parents[1] / "data_cards")
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.md")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def _source(block: TaskawareBlock) -> str:
    source = block.source
    if source is None:
        return ""
    return f"builtin:{source.builtin}" if source.builtin else source.hub or source.path or ""


def _explain(problem: Any) -> str:
    location, kind = problem["loc"], problem["type"]
    field = ".".join(str(part) for part in location if part != "[key]")
    if kind == "extra_forbidden":
        known = set(section_at(location).model_fields)
        return f"{field}: unknown key{_nearest(str(location[-1]), known)}, expected one of {', '.join(sorted(known))}"
    if kind == "missing":
        return f"{field}: missing, expected a value"
    if kind == "value_error":
        return f"{field}: {problem['ctx']['error']}"
    return f"{field}: expected {_EXPECTED.get(kind, problem['msg'])}, saw {problem['input']!r}"


_EXPECTED = {
    "string_type": "text (put it in quotes)",
    "string_too_short": "text that is not blank",
    "tuple_type": 'a list of texts, e.g. ["..."]',
    "dict_type": 'a mapping, e.g. {name: "text"}',
    "model_type": "a section with keys and values",
}


def _nearest(name: str, known: set[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(known), n=1)
    return f", did you mean {nearest[0]!r}?" if nearest else ""
