"""Where does a stopped benchmark go on? Each finished part lies in a JSON file with all that decided its numbers."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import ConfigError
from taskaware.core.files import write_text

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Some methods on the same test tasks: method -> accuracy [E], method -> seconds by kind, and other facts."""

    accuracy: Mapping[str, Floats]
    seconds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def stored_part(path: Path, settings: Mapping[str, Any], measure: Callable[[], Part]) -> Part:
    """The part in the file if it was measured under these settings, otherwise measured now and written there.

    Raises ConfigError for a damaged file.
    """
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    found = _read(path, key)
    if found is None:
        found = measure()
        accuracy = {name: values.tolist() for name, values in found.accuracy.items()}
        values = {"key": key, "settings": settings, **vars(found), "accuracy": accuracy}
        write_text(path, json.dumps(values, ensure_ascii=False) + "\n")
    return found


def _read(path: Path, key: str) -> Part | None:
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["key"] != key:
            return None
        accuracy = {name: np.array(each, dtype=np.float64) for name, each in values["accuracy"].items()}
        return Part(accuracy, values["seconds"], values["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: damaged ({error!r}); delete it to measure this part again") from error
