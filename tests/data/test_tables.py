"""Laws of tables: the same rows in any format, and errors that say which row and what to do."""

import json
from pathlib import Path

import pytest

from taskaware.core.errors import DataError
from taskaware.data.tables import Table, check_labels, read_examples, read_texts

ROWS = [("Where is my book?", "books"), ("A, quoted; text", "toys")]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_examples(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_the_same_rows_are_read_from_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"few.{suffix}"
    if suffix == "parquet":
        arrow = pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.table({"text": [t for t, _ in ROWS], "label": [n for _, n in ROWS]}), path)
    elif suffix == "jsonl":
        write(path, "\n".join(json.dumps({"text": text, "label": label}) for text, label in ROWS) + "\n\n")
    else:
        mark = "," if suffix == "csv" else "\t"
        write(path, f"text{mark}label\r\n" + "".join(f'"{text}"{mark}{label}\r\n' for text, label in ROWS))
    texts, labels = zip(*ROWS, strict=True)
    assert read_examples(path) == Table(texts, labels)
    assert read_texts(path) == Table(texts)


def test_a_byte_order_mark_and_odd_column_order_are_accepted(tmp_path: Path) -> None:
    path = write(tmp_path / "few.csv", b"\xef\xbb\xbfnote,label , text\nx,books,caf\xc3\xa9\n")
    assert read_examples(path) == Table(("café",), ("books",))


def test_a_line_separator_inside_a_json_text_does_not_end_the_row(tmp_path: Path) -> None:
    path = write(tmp_path / "few.jsonl", '{"text": "one\u2028two", "label": 3}\n')
    assert read_examples(path) == Table(("one\u2028two",), ("3",))


def test_missing_columns_list_those_seen_and_the_one_expected(tmp_path: Path) -> None:
    message = error_of(write(tmp_path / "few.csv", "sentence,label\na,b\n"))
    assert "no column 'text'" in message and "'sentence', 'label'" in message
    assert "semicolons" in error_of(write(tmp_path / "few.csv", "text;label\na;b\n"))


def test_a_file_that_is_not_utf8_names_the_byte_and_what_to_do(tmp_path: Path) -> None:
    message = error_of(write(tmp_path / "few.csv", b"text,label\ncaf\xe9,a\n"))
    assert "byte 14" in message and "save the file as UTF-8" in message


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("few.csv", "", "empty"),
        ("few.csv", "text,label\n", "no rows"),
        ("few.jsonl", "\n", "no rows"),
        ("few.csv", "text,label\na,x\n  ,x\n", "row 2: column text is blank"),
        ("few.csv", "text,label\na,x\nb\n", "row 2: column label is blank"),
        ("few.csv", "text,label\na, b,x\n", "row 1: 1 cells too many"),
        ("few.csv", 'text,label\n"a,x\n', "line"),
        ("few.csv", "text,text,label\na,b,c\n", "appears twice"),
        ("few.jsonl", '{"text": "a", "label": "b"}\n{oops\n', "line 2: not json"),
        ("few.jsonl", "[1]\n", "line 1: expected an object"),
        ("few.jsonl", '{"text": null, "label": "b"}\n', "row 1: column text is blank"),
        ("few.xlsx", "x", "cannot read .xlsx"),
        ("few.parquet", "x", "cannot be read as parquet"),
    ],
)
def test_a_damaged_file_is_named_with_its_row(tmp_path: Path, name: str, text: str, part: str) -> None:
    assert part in error_of(write(tmp_path / name, text))


def test_a_file_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    assert "no such file" in error_of(tmp_path / "absent.csv")


def test_an_unknown_label_names_row_value_and_nearest_label() -> None:
    table = Table(("a", "b"), ("books", "toy"))
    with pytest.raises(DataError, match=r"few.csv: row 2: label 'toy' .* did you mean 'toys'\?"):
        check_labels(table, {"books": "", "toys": ""}, "few.csv")
    check_labels(table, ["books", "toy"], "few.csv")
