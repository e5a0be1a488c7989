"""Laws of data cards: what is accepted, and that every mistake is named."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from taskaware.cli.cards import app
from taskaware.core.errors import CardError
from taskaware.data.cards import card_paths, find_card, read_card
from taskaware.data.labels import readable

OWN_TASK = """---
pretty_name: Museum shop mail
license: cc0-1.0
language: en
taskaware:
  description: "Decide which shelf of the museum shop a letter is about."
  background: ["Books and prints are upstairs, toys and food downstairs."]     # optional
  paraphrases: ["Which shelf?"]                                                # optional
  labels: {books: "books and prints", toys: "toys and games", food: "things to eat"}
---

Some prose.
"""


def write(folder: Path, block: str, name: str = "task.md", top: str = "license: mit") -> Path:
    path = folder / name
    path.write_text(f"---\n{top}\ntaskaware:\n{block}\n---\n", encoding="utf-8")
    return path


def error_of(folder: Path, block: str, top: str = "license: mit") -> str:
    path = write(folder, block, top=top)
    with pytest.raises(CardError) as caught:
        read_card(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_card_for_a_task_of_ones_own_needs_no_source(tmp_path: Path) -> None:
    path = tmp_path / "task.md"
    path.write_text(OWN_TASK, encoding="utf-8")
    card = read_card(path)
    task = card.task_card()
    assert task.labels == {"books": "books and prints", "toys": "toys and games", "food": "things to eat"}
    assert (task.id, task.language, task.licence, task.source) == ("task", "en", "cc0-1.0", "")
    assert task.background == ("Books and prints are upstairs, toys and food downstairs.",)
    assert card.body == "Some prose."


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "task.md"
    path.write_bytes(b"\xef\xbb\xbf" + OWN_TASK.replace("\n", "\r\n").encode())
    assert read_card(path).task_card().labels["toys"] == "toys and games"


def test_an_empty_description_is_allowed(tmp_path: Path) -> None:
    assert read_card(write(tmp_path, "  labels: {a: x, b: y}")).task_card().description == ""


def test_labels_called_yes_no_and_1_stay_text(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, "  labels: {yes: yes, no: refusal, 1: one}", top="language: no"))
    assert card.task_card().labels == {"yes": "yes", "no": "refusal", "1": "one"}
    assert card.task_card().language == "no"


@pytest.mark.parametrize("labels", ["{a: x, b: y, a: z}", '{a: x, " a ": y}'])
def test_a_label_that_appears_twice_is_an_error_with_its_line(tmp_path: Path, labels: str) -> None:
    message = error_of(tmp_path, f"  description: d\n  labels: {labels}")
    assert "'a' appears twice" in message and "line 5" in message


def test_an_unknown_key_names_the_nearest_one(tmp_path: Path) -> None:
    assert "did you mean 'description'?" in error_of(tmp_path, "  descripton: d\n  labels: {a: x}")
    assert "did you mean 'license'?" in error_of(tmp_path, "  labels: {a: x}", top="licence: mit")
    nested = "  source: {path: x.csv}\n  tasks: {mood: {colum: label}}"
    message = error_of(tmp_path, nested)
    assert "taskaware.tasks.mood.colum" in message and "did you mean 'column'?" in message


def test_a_wrong_value_is_named_with_field_value_seen_and_value_expected(tmp_path: Path) -> None:
    message = error_of(tmp_path, "  paraphrases: just one\n  labels: {a: 5}")
    assert "taskaware.paraphrases: expected a list of texts" in message and "saw 'just one'" in message
    assert "taskaware.labels.a: expected text" in message and "saw 5" in message
    assert "taskaware.labels: expected a mapping" in error_of(tmp_path, "  labels: [a, b]")
    assert "taskaware.labels.a: expected text" in error_of(tmp_path, "  labels: {a: ' '}")


def test_no_labels_and_no_source_is_an_error(tmp_path: Path) -> None:
    assert "labels is empty and there is no source" in error_of(tmp_path, "  description: d\n  labels: {}")


def test_settings_for_rows_without_a_source_are_an_error(tmp_path: Path) -> None:
    assert "row_split need rows; add source" in error_of(tmp_path, "  labels: {a: x}\n  row_split: part")


def test_a_paraphrased_label_must_exist(tmp_path: Path) -> None:
    message = error_of(tmp_path, "  labels: {refund: x}\n  label_paraphrases: {refnd: [y]}")
    assert "'refnd'" in message and "refund" in message


def test_a_card_without_front_matter_end_or_block_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    for text, part in (
        ("# Title\n", "expected '---'"),
        ("", "expected '---'"),
        ("---\nlicense: mit\n", "never closed"),
        ("---\nlicense: mit\n---\n", "taskaware: missing"),
        ("---\nlicense: [mit\n---\n", "line 3"),
        ("---\n- a\n---\n", "saw list"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(CardError, match=part):
            read_card(path)


def test_a_card_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_bytes(b"---\nlicense: caf\xe9\n---\n")
    with pytest.raises(CardError, match="byte 16 is not UTF-8"):
        read_card(path)


def test_a_card_is_found_by_path_by_local_name_and_among_the_shipped_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data_cards").mkdir()
    write(tmp_path / "data_cards", "  labels: {a: x}", name="mine.md")
    assert find_card("mine").name == find_card(tmp_path / "data_cards" / "mine.md").name == "mine"
    assert find_card("banking77").header.license == ("cc-by-4.0",)
    with pytest.raises(CardError, match="did you mean 'banking77'"):
        find_card("banking7")
    with pytest.raises(CardError, match="no such file"):
        find_card("absent.md")


@pytest.mark.parametrize("name", card_paths())
def test_every_shipped_card_is_valid_and_describes_its_tasks(name: str) -> None:
    card = find_card(name)
    assert card.body and card.header.pretty_name
    for aspect in card.aspects().values():
        assert aspect.description
        assert len(aspect.paraphrases) >= 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Refund_not_showing_up", "refund not showing up"),
        ("iot/hue_lightdim", "iot hue lightdim"),
        ("Restaurants_2/FindRestaurants", "restaurants 2 find restaurants"),
        ("reverted_card_payment?", "reverted card payment?"),
        ("P177", "P177"),
        ("___", "___"),
    ],
)
def test_a_bare_label_name_becomes_words(name: str, words: str) -> None:
    assert readable(name) == words


def test_cards_list_show_and_validate_work_from_the_command_line(tmp_path: Path) -> None:
    run = CliRunner()
    good = write(tmp_path, "  source: {path: rows.csv}\n  labels: {a: x, c: z}", name="good.md")
    (tmp_path / "rows.csv").write_text("text,label\none,a\ntwo,b\n", encoding="utf-8")
    bad = write(tmp_path, "  labels: {}", name="bad.md")
    listing = run.invoke(app, ["list"], env={"COLUMNS": "200"})
    assert listing.exit_code == 0 and "banking77" in listing.output
    shown = run.invoke(app, ["show", "trec"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0 and "kind of answer" in shown.output
    valid = run.invoke(app, ["validate", str(good)], env={"COLUMNS": "200"})
    assert valid.exit_code == 0 and "good" in valid.output and "2" in valid.output
    invalid = run.invoke(app, ["validate", str(good), str(bad)], env={"COLUMNS": "200"})
    assert invalid.exit_code == 1 and "labels is empty" in invalid.output
    assert run.invoke(app, ["show", "absent"]).exit_code == 1
