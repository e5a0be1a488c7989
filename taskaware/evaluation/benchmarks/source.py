"""Which code made a prediction? A model and its figures belong to the code that trained and measured them."""

import hashlib
from functools import cache
from pathlib import Path

import taskaware

_WITHOUT = ("cli", "evaluation", "report")  # commands, measuring and showing decide no prediction


@cache
def source_digest() -> str:
    """A hash over the package's Python files that decide predictions, by path and content."""
    root = Path(taskaware.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if name.parts[0] not in _WITHOUT:
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
