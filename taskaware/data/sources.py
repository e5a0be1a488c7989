"""Where do the rows of a card come from?

Package data, a file under $TASKAWARE_DATA (or beside the card, or absolute), or the Hugging Face hub; a local file
that exists wins. The only module that imports `datasets`.
"""

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from taskaware.core.errors import DataError
from taskaware.data.cards import DataCard
from taskaware.data.schema import Source
from taskaware.data.tables import Row, read_rows

VARIABLE = "TASKAWARE_DATA"


def find_source(card: DataCard) -> Path | None:
    """The local file with the card's rows, or None when there is none here (the hub may still have them)."""
    source = card.block.source
    if source is None:
        return None
    candidates = [_builtin(source.builtin)] if source.builtin else _candidates(card, source.path)
    return next((path for path in candidates if path.is_file()), None)


def read_source(card: DataCard) -> list[Row]:
    """All rows of a card. Raises DataError saying what was tried."""
    source = card.block.source
    if source is None:
        raise DataError(f"{card.path}: taskaware.source is missing, expected one of builtin, path, hub")
    path = find_source(card)
    if path is not None:
        return read_rows(path)
    if source.hub is not None:
        return _read_hub(card, source, source.hub)
    raise DataError(_tried(card, source.builtin or source.path or ""))


def read_json(card: DataCard, name: str) -> Any:
    """A json file that a card names. Raises DataError."""
    path = next((path for path in _candidates(card, name) if path.is_file()), None)
    if path is None:
        raise DataError(_tried(card, name))
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 json: {error}") from error


def _builtin(name: str) -> Path:
    return Path(str(resources.files("taskaware.data"))) / "builtin" / name


def _candidates(card: DataCard, name: str | None) -> list[Path]:
    """Where a file named in a card may be, best first."""
    if name is None:
        return []
    path = Path(name).expanduser()
    if path.is_absolute():
        return [path]
    folder = os.environ.get(VARIABLE)
    folders = [Path(folder).expanduser(), card.path.parent] if folder else [card.path.parent]
    return [parent / path for parent in folders]


def _tried(card: DataCard, name: str) -> str:
    source = card.block.source
    paths = [_builtin(name)] if source and source.builtin == name else _candidates(card, name)
    tried = ", ".join(str(path) for path in paths)
    folder = os.environ.get(VARIABLE)
    setting = f"{VARIABLE} is {folder!r}" if folder else f"{VARIABLE} is not set"
    return f"{card.path}: no file {name!r}, tried {tried}; {setting}, set it to the folder that holds {name}"


def _read_hub(card: DataCard, source: Source, hub: str) -> list[Row]:
    """Rows from the hub; numbered classes become their names."""
    tried = f" Before that: {_tried(card, source.path)}" if source.path else ""
    try:
        import datasets  # type: ignore[import-untyped, unused-ignore]
    except ImportError as error:
        raise DataError(f"{card.path}: hub {hub!r} needs `pip install datasets`.{tried}") from error
    try:
        data = datasets.load_dataset(hub, name=source.config, split=source.split or "train")
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{card.path}: hub {hub!r} cannot be loaded: {error}.{tried}") from error
    classes = {name: kind.names for name, kind in data.features.items() if isinstance(kind, datasets.ClassLabel)}
    return [{name: classes[name][value] if name in classes else value for name, value in row.items()} for row in data]
