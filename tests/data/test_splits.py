"""Laws of splits: what may not be shared between training and testing is not."""

import json
import os
from pathlib import Path

import pytest

from taskaware.core.errors import CardError, DataError
from taskaware.core.values import TaskCard
from taskaware.data.cards import DataCard, find_card, read_card
from taskaware.data.splits import TextTask, load_tasks, overlap

SHARED = Path(os.environ.get("TASKAWARE_DATA") or Path(__file__).parents[3] / "shared" / "data").resolve()
needs_data = pytest.mark.skipif(
    not (SHARED / "banking77" / "examples.jsonl").is_file(), reason="needs the data sets: set TASKAWARE_DATA"
)
ROWS = [
    {"text": f"{topic} {mood} {n}", "topic": topic, "mood": mood, "part": part}
    for topic in ("sea/deep", "sea/flat", "sky/high", "sky/low")
    for mood in ("glad", "sad")
    for n, part in enumerate(("train", "train", "test"))
]


def card_with(folder: Path, block: str) -> DataCard:
    (folder / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    path = folder / "set.md"
    path.write_text(f"---\nlicense: mit\ntaskaware:\n  source: {{path: rows.jsonl}}\n{block}\n---\n", encoding="utf-8")
    return read_card(path)


@pytest.fixture
def shared_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKAWARE_DATA", str(SHARED))


def test_without_a_split_every_row_and_class_is_there(tmp_path: Path) -> None:
    (task,) = load_tasks(card_with(tmp_path, "  columns: {label: topic}\n  labels: {sky/low: the lower sky}"))
    assert task.card.id == task.card.dataset == "set"
    assert len(task.texts) == len(ROWS) == sum(len(rows) for rows in task.rows_by_class.values())
    assert task.classes == ("sky/low", "sea/deep", "sea/flat", "sky/high")
    assert task.card.labels["sky/low"] == "the lower sky" and task.card.labels["sea/deep"] == "sea deep"
    assert task.texts_of_class("sea/flat")[0] == "sea/flat glad 0"


def test_a_form_makes_one_text_of_several_columns(tmp_path: Path) -> None:
    card = card_with(tmp_path, "  columns: {text: [text, topic], form: '{topic}{{: {text}! {topic}', label: topic}")
    first = ROWS[0]
    assert load_tasks(card)[0].texts[0] == f"{first['topic']}{{: {first['text']}! {first['topic']}"


@pytest.mark.parametrize("form", ["{text}", "{text} {topic} {mood}", "{text} {topic", "no columns"])
def test_a_form_names_each_text_column_and_no_other(tmp_path: Path, form: str) -> None:
    with pytest.raises(CardError, match="form: "):
        card_with(tmp_path, f"  columns: {{text: [text, topic], form: '{form}', label: topic}}")


def test_class_splits_share_neither_classes_nor_texts(tmp_path: Path) -> None:
    card = card_with(
        tmp_path, "  columns: {label: topic}\n  class_splits: {train: ['sea/*'], test: [sky/high, sky/low]}"
    )
    train, test = load_tasks(card, split="train"), load_tasks(card, split="test")
    assert train[0].classes == ("sea/deep", "sea/flat") and test[0].classes == ("sky/high", "sky/low")
    found = overlap(train, test)
    assert found.task_ids == ("set",) and not found.leaks
    assert found.summary() == "shared by training and test: 1 task id, 0 classes, 0 texts"


def test_folds_come_from_a_file_and_an_unknown_fold_is_an_error(tmp_path: Path) -> None:
    folds = {
        n: {"train": ["sea/deep"], "validation": ["sea/flat"], "test": [last]}
        for n, last in (("1", "sky/low"), ("2", "sky/high"))
    }
    (tmp_path / "folds.json").write_text(json.dumps(folds), encoding="utf-8")
    card = card_with(tmp_path, "  columns: {label: topic}\n  class_splits: {file: folds.json}")
    assert load_tasks(card, split="test", fold="2")[0].classes == ("sky/high",)
    for fold in (None, "3"):
        with pytest.raises(DataError, match="expected one of 1, 2"):
            load_tasks(card, split="test", fold=fold)
    with pytest.raises(DataError, match="expected a split"):
        load_tasks(card, fold="1")


@pytest.mark.parametrize(
    ("lists", "part"),
    [("{train: [sea/dep]}", "did you mean 'sea/deep'"), ("{train: ['sea/*'], test: [sea/deep]}", "is in splits")],
)
def test_a_class_that_is_unknown_or_in_two_splits_is_an_error(tmp_path: Path, lists: str, part: str) -> None:
    card = card_with(tmp_path, f"  columns: {{label: topic}}\n  class_splits: {lists}")
    with pytest.raises(DataError, match=part):
        load_tasks(card, split="train")


ASPECTS = """  row_split: part
  description: shared words
  tasks:
    topic: {column: topic, before: "/", split: train, description: about what}
    mood: {split: test, labels: {glad: happy}, label_paraphrases: {glad: [merry]}}
    both: {column: [topic, mood]}"""


def test_aspects_follow_their_split_and_rows_follow_theirs(tmp_path: Path) -> None:
    card = card_with(tmp_path, ASPECTS)
    train, test = load_tasks(card, split="train"), load_tasks(card, split="test")
    assert [task.card.id for task in train] == ["set/topic", "set/both"]
    assert [task.card.id for task in test] == ["set/mood", "set/both"]
    assert (len(train[0].texts), len(test[0].texts)) == (16, 8)
    assert not overlap(train, test).texts
    assert train[0].classes == ("sea", "sky") and train[0].card.description == "about what"
    assert test[0].card.description == "shared words"
    assert test[0].card.label_paraphrases == {"glad": ("merry",)}
    assert train[1].classes[0] == "sea/deep/glad"


def test_every_aspect_can_be_asked_of_the_test_rows(tmp_path: Path) -> None:
    tasks = load_tasks(card_with(tmp_path, ASPECTS), split="test", every_aspect=True)
    assert [task.card.id for task in tasks] == ["set/topic", "set/mood", "set/both"]
    assert len({task.texts for task in tasks}) == 1


def test_groups_map_labels_through_a_file(tmp_path: Path) -> None:
    block = "  tasks: {g: {column: topic, groups: groups.json}}"
    groups = {"up": ["sky/high", "sea/flat"], "down": ["sky/low", "sea/deep"]}
    (tmp_path / "groups.json").write_text(json.dumps(groups), encoding="utf-8")
    assert load_tasks(card_with(tmp_path, block))[0].classes == ("down", "up")
    (tmp_path / "groups.json").write_text(json.dumps({"up": ["sky/high"]}), encoding="utf-8")
    with pytest.raises(DataError, match="'sea/deep' in no group"):
        load_tasks(card_with(tmp_path, block))


def test_label_texts_are_read_in_every_documented_layout(tmp_path: Path) -> None:
    block = "  columns: {label: mood}\n  labels_from: labels.json"
    for values, text, others in (
        ({"glad": "happy", "sad": "down"}, "happy", None),
        ({m: {"name": m, "description": "a mood"} for m in ("glad", "sad")}, "glad: a mood", ("glad", "a mood")),
    ):
        (tmp_path / "labels.json").write_text(json.dumps(values), encoding="utf-8")
        card = load_tasks(card_with(tmp_path, block))[0].card
        assert card.labels["glad"] == text and (card.label_paraphrases or {}).get("glad") == others
    (tmp_path / "labels.json").write_text('{"glad": {"name": "x"}}', encoding="utf-8")
    with pytest.raises(DataError, match="entry 'glad' has no 'description', saw name"):
        load_tasks(card_with(tmp_path, block))


def test_missing_rows_say_what_was_tried_and_how_to_set_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TASKAWARE_DATA", raising=False)
    card = card_with(tmp_path, "  columns: {label: topic}")
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(DataError, match=r"tried .*rows\.jsonl; TASKAWARE_DATA is not set, set it to"):
        load_tasks(card)


def test_the_data_folder_wins_over_the_folder_of_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = card_with(tmp_path, "  columns: {label: topic}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.jsonl").write_text('{"text": "a", "topic": "b"}', encoding="utf-8")
    monkeypatch.setenv("TASKAWARE_DATA", str(tmp_path / "data"))
    assert load_tasks(card)[0].texts == ("a",)


def test_a_split_that_the_card_does_not_have_is_an_error(tmp_path: Path) -> None:
    card = card_with(tmp_path, "  columns: {label: topic}")
    with pytest.raises(DataError, match="has no splits"):
        load_tasks(card, split="test")
    with pytest.raises(DataError, match="expected one of train, validation, test"):
        load_tasks(card, split="dev")


def test_overlap_finds_texts_that_differ_in_case_and_white_space_only() -> None:
    def task(text: str, label: str) -> TextTask:
        return TextTask(TaskCard(id=f"d/{label}", dataset="d", labels={label: label}), (text,), (label,))

    found = overlap([task("Hello  World", "a")], [task("hello world ", "b")])
    assert found.leaks and found.texts == ("hello world",) and not found.classes and not found.task_ids
    assert overlap([task("x", "a")], [task("y", "a")]).classes == (("d/a", "a"),)
    assert overlap([task("x", "a")], [task("x", "a")]).leaks


def test_one_label_name_under_two_questions_is_two_classes() -> None:
    first, second = (
        TextTask(TaskCard(id=f"d/{name}", dataset="d", labels={"none": "none"}), (name,), ("none",)) for name in "ab"
    )
    assert not overlap([first], [second]).leaks


def test_labels_without_text_cannot_enter_a_task() -> None:
    with pytest.raises(DataError, match="'b' has no text"):
        TextTask(TaskCard(id="t", dataset="d", labels={"a": "a"}), ("x",), ("b",))


@needs_data
@pytest.mark.usefixtures("shared_data")
@pytest.mark.parametrize(
    ("name", "fold", "train_classes", "test_classes"),
    [
        ("banking77", "1", 25, 27),
        ("clinc150", "3", 50, 50),
        ("hwu64", "5", 25, 28),
        ("sgd", None, 42, 35),
        ("fewrel", None, 17, 16),
    ],
)
def test_the_published_class_splits_are_disjoint(
    name: str, fold: str | None, train_classes: int, test_classes: int
) -> None:
    card = find_card(name)
    train, test = load_tasks(card, split="train", fold=fold), load_tasks(card, split="test", fold=fold)
    assert (len(train[0].classes), len(test[0].classes)) == (train_classes, test_classes)
    assert len(test) == 1
    assert not overlap(train, test).classes


@needs_data
@pytest.mark.usefixtures("shared_data")
@pytest.mark.parametrize(
    ("name", "rows", "classes"),
    [
        ("banking77", 13083, [77]),
        ("clinc150", 22500, [150, 10]),
        ("hwu64", 11036, [64, 18]),
        ("sgd", 35295, [88, 45]),
        ("fewrel", 13700, [33]),
        ("amazon_reviews", 4350, [25, 2]),
        ("trec", 5452, [6]),
        ("movie_reviews", 6000, [2]),
        ("subjectivity", 6000, [2]),
    ],
)
def test_whole_data_sets_have_the_rows_and_classes_of_their_cards(name: str, rows: int, classes: list[int]) -> None:
    tasks = load_tasks(find_card(name))
    assert [len(task.classes) for task in tasks] == classes
    assert {len(task.texts) for task in tasks} == {rows}


@needs_data
@pytest.mark.usefixtures("shared_data")
def test_sgd_brings_five_other_wordings_of_every_intent_and_service() -> None:
    for task in load_tasks(find_card("sgd")):
        assert task.card.label_paraphrases is not None
        assert {len(task.card.label_paraphrases[name]) for name in task.classes} == {5}
    assert task.card.labels["Banks_1"] == "Manage bank accounts and transfer money"


@needs_data
@pytest.mark.usefixtures("shared_data")
def test_plain_label_names_describe_the_published_intents() -> None:
    labels = load_tasks(find_card("hwu64"), split="test", fold="1")[0].card.labels
    assert all(text == name.replace("/", " ").replace("_", " ") for name, text in labels.items())
