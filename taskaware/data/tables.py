"""How are files of texts and labels read (csv, tsv, jsonl, parquet)?

Plain parsing with errors a user can act on: which row, what was seen, what was expected.
"""

import csv
import difflib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any

from taskaware.core.errors import DataError

Row = Mapping[str, Any]
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Table:
    """Texts, and a label for each unless only texts were asked for."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] | None = None


def read_examples(path: Path, *, text: str = "text", label: str = "label") -> Table:
    """A file of labelled texts (few.csv). Raises DataError."""
    rows = read_rows(path)
    return Table(texts_of(rows, (text,), str(path)), texts_of(rows, (label,), str(path)))


def read_texts(path: Path, *, text: str = "text") -> Table:
    """A file of texts to predict (new.csv); other columns are ignored. Raises DataError."""
    return Table(texts_of(read_rows(path), (text,), str(path)))


def check_labels(table: Table, known: Iterable[str], origin: str) -> None:
    """Raises DataError when a label of `table` is none of the card's."""
    names = list(known)
    for number, label in enumerate(table.labels or (), start=1):
        if label not in names:
            nearest = difflib.get_close_matches(label, names, n=1)
            hint = f", did you mean {nearest[0]!r}?" if nearest else ""
            expected = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            raise DataError(
                f"{origin}: row {number}: label {label!r} is not in the card{hint} Expected one of: {expected}"
            )


def texts_of(
    rows: Sequence[Row], columns: Sequence[str], origin: str, separator: str = " ", form: str | None = None
) -> tuple[str, ...]:
    """The text of `columns` for every row: joined, or as `form` ("{column} ...") says.

    Raises DataError for a missing column, and where all columns are blank.
    """
    texts = []
    for number, row in enumerate(rows, start=1):
        missing = [column for column in columns if column not in row]
        if missing:
            raise DataError(_missing(missing[0], row, origin, number))
        parts = [_text(row[column]) for column in columns]
        joined = separator.join(part for part in parts if part)
        if not joined:
            raise DataError(
                f"{origin}: row {number}: column {', '.join(columns)} is blank, expected text; fill or remove it"
            )
        texts.append(_filled(form, dict(zip(columns, parts, strict=True))) if form else joined)
    return tuple(texts)


def read_rows(path: Path) -> list[Row]:
    """The rows of a csv, tsv, jsonl or parquet file as mappings from column to value. Raises DataError."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: cannot read {suffix or 'a file without extension'}, expected {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if suffix == ".parquet":
        rows = _read_parquet(path)
    elif suffix == ".jsonl":
        rows = _read_jsonl(path)
    else:
        rows = _read_delimited(path, "\t" if suffix == ".tsv" else ",")
    if not rows:
        raise DataError(f"{path}: no rows, expected at least one below the column names")
    return rows


def _text(value: Any) -> str:
    """Words of one cell: a list keeps its texts only (FewRel: ["name", [positions]] -> "name")."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return " ".join(part.strip() for part in value if isinstance(part, str) and part.strip())
    return str(value).strip()


def _filled(form: str, parts: Mapping[str, str]) -> str:
    return "".join(literal + (parts[name] if name else "") for literal, name, _, _ in Formatter().parse(form))


def _missing(column: str, row: Row, origin: str, number: int) -> str:
    seen = ", ".join(repr(name) for name in row) or "none"
    names = [str(name) for name in row]
    separators = {";": "semicolons", "\t": "tabs"}
    hint = "".join(
        f"; the file seems to be separated by {word}, expected commas"
        for mark, word in separators.items()
        if len(names) == 1 and mark in names[0]
    )
    return f"{origin}: row {number}: no column {column!r}, saw columns {seen}{hint}; rename one to {column!r}"


def _decode(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 "
            "(in a spreadsheet: save as 'CSV UTF-8 (comma delimited)')"
        ) from error


def _read_delimited(path: Path, delimiter: str) -> list[Row]:
    reader = csv.DictReader(io.StringIO(_decode(path), newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or []]
        if not columns:
            raise DataError(f"{path}: the file is empty, expected column names in the first line")
        if len(set(columns)) < len(columns):
            raise DataError(f"{path}: a column name appears twice: {', '.join(columns)}; rename one")
        reader.fieldnames = columns
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}") from error
    for number, row in enumerate(rows, start=1):
        if None in row:
            extra = len(row[None])  # DictReader files surplus cells under None
            raise DataError(
                f"{path}: row {number}: {extra} cells too many, expected {len(columns)}; quote texts with commas"
            )
    return [dict(row) for row in rows]


def _read_jsonl(path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(_decode(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}: line {number}: not json: {error.msg} at character {error.pos}") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number}: expected an object {{...}}, saw {type(row).__name__}")
        rows.append(row)
    return rows


def _read_parquet(path: Path) -> list[Row]:
    try:
        import pyarrow  # type: ignore[import-untyped, unused-ignore]
        import pyarrow.parquet  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise DataError(f"{path}: parquet needs pyarrow; `pip install pyarrow`, or save as csv") from error
    try:
        rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as parquet: {error}") from error
    return rows
