"""What did an ablation measure, and what follows from it?

An arm is one way to present the same episodes. `true` is the reference (all metadata as it is), `none` has no
metadata, `only:description+memory` has just those sources. Letters: E episodes.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import ConfigError
from taskaware.core.files import write_text
from taskaware.core.seeds import generator
from taskaware.evaluation.metrics import Interval, mean_interval
from taskaware.evaluation.shapley import coalition_name, shapley
from taskaware.evaluation.statistics import Paired, holm, paired_difference

Floats = NDArray[np.float64]

TRUE = "true"
NONE = "none"
ONLY = "only:"
SOURCES = ("description", "background", "label texts", "memory")


@dataclass(frozen=True)
class Measurement:
    """Accuracy of one arm at one number of shots, for each of the E episodes in their order."""

    arm: str
    shots: int
    accuracy: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class AblationResult:
    """All measurements of one ablation and how to get them again. A note under an arm's name explains that arm."""

    name: str
    dataset: str
    way: int
    episodes: int
    seed: int
    query: int
    created: str
    command: str
    reference: str = TRUE
    measurements: tuple[Measurement, ...]
    notes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ConfigError unless every arm saw the same episodes and each number of shots has its reference."""
        if self.episodes < 2:
            raise ConfigError(f"{self.name}: saw {self.episodes} episodes, at least 2 needed for an interval")
        for item in self.measurements:
            if len(item.accuracy) != self.episodes:
                seen = f"{len(item.accuracy)} accuracies, expected {self.episodes}"
                raise ConfigError(f"{self.name}: arm {item.arm!r} at {item.shots} shots has {seen}, one per episode")
        if len(self._table) != len(self.measurements):
            raise ConfigError(f"{self.name}: an arm is measured twice at the same number of shots; keep one")
        for shots in self.shots:
            self.accuracy(self.reference, shots)

    @cached_property
    def _table(self) -> dict[tuple[str, int], Floats]:
        return {(item.arm, item.shots): np.array(item.accuracy, dtype=np.float64) for item in self.measurements}

    @property
    def arms(self) -> tuple[str, ...]:
        """Arm names in the order of the measurements, the reference first."""
        return tuple(dict.fromkeys([self.reference, *(item.arm for item in self.measurements)]))

    @property
    def shots(self) -> tuple[int, ...]:
        """Numbers of shots, ascending."""
        return tuple(sorted({item.shots for item in self.measurements}))

    def has(self, arm: str, shots: int) -> bool:
        """Whether `arm` was measured at `shots`."""
        return (arm, shots) in self._table

    def accuracy(self, arm: str, shots: int) -> Floats:
        """Accuracy per episode [E]. Raises ConfigError that lists the arms when there is no such measurement."""
        if not self.has(arm, shots):
            known = ", ".join(sorted({item.arm for item in self.measurements if item.shots == shots})) or "none at all"
            raise ConfigError(f"{self.name}: no arm {arm!r} at {shots} shots; measured there: {known}")
        return self._table[arm, shots]


@dataclass(frozen=True)
class Contrast:
    """One arm against the reference: negative differences say that the reference is better. adjusted: Holm's p."""

    arm: str
    shots: int
    accuracy: Interval
    paired: Paired
    adjusted: float


def contrasts(result: AblationResult) -> list[Contrast]:
    """Every arm but the reference against it, by shots; Holm over all of them together. The same on every call."""
    places = [(arm, shots) for shots in result.shots for arm in result.arms if result.has(arm, shots)]
    places = [place for place in places if place[0] != result.reference]
    paired = [_against_reference(result, arm, shots) for arm, shots in places]
    adjusted = holm(np.array([item.p_value for item in paired], dtype=np.float64))
    return [
        Contrast(arm, shots, mean_interval(result.accuracy(arm, shots)), item, float(p_value))
        for (arm, shots), item, p_value in zip(places, paired, adjusted, strict=True)
    ]


def attribution(result: AblationResult) -> dict[int, dict[str, Interval]]:
    """Shapley value of each source with its 95% interval, by shots: points of accuracy (0..1) it is responsible for.

    From the arms `only:...`, `none` and the reference (all sources). Shots without `only:` arms are left out. Raises
    ConfigError that names a missing combination or an unknown source.
    """
    named = {arm: frozenset(arm.removeprefix(ONLY).split("+")) for arm in result.arms if arm.startswith(ONLY)}
    sources = [source for source in SOURCES if any(source in coalition for coalition in named.values())]
    for arm, coalition in named.items():
        if not coalition <= set(SOURCES):
            raise ConfigError(f"{result.name}: arm {arm!r} names an unknown source; known: {', '.join(SOURCES)}")
    found = {}
    for shots in result.shots:
        arms = {coalition: arm for arm, coalition in named.items() if result.has(arm, shots)}
        if not arms:
            continue
        if result.has(NONE, shots):
            arms[frozenset()] = NONE
        arms[frozenset(sources)] = result.reference
        values = {coalition: result.accuracy(arm, shots) for coalition, arm in arms.items()}
        shares = shapley(values, sources)
        found[shots] = {source: mean_interval(share) for source, share in shares.items()}
    return found


def only(*sources: str) -> str:
    """The name of the arm that has just these sources, e.g. only("memory", "description")."""
    return ONLY + coalition_name(frozenset(sources), SOURCES)


def _against_reference(result: AblationResult, arm: str, shots: int) -> Paired:
    rng = generator(result.seed, "bootstrap", arm, shots)
    return paired_difference(result.accuracy(arm, shots), result.accuracy(result.reference, shots), rng)


@final
class MeasurementStore:
    """Finished measurements of one ablation in a folder, so that a stopped run goes on where it was.

    One JSON line per (arm, shots) below a header with the config and its hash. A line cut off by a crash is dropped.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Opens or starts the store. Raises ConfigError when the folder holds measurements of another config."""
        self.path = folder / "measurements.jsonl"
        text = json.dumps(config, sort_keys=True, default=str)
        header = {"hash": hashlib.sha256(text.encode("utf-8")).hexdigest(), "config": json.loads(text)}
        if not self.path.exists():
            write_text(self.path, json.dumps(header) + "\n")
        _check_header(self.path, header)

    def finished(self) -> tuple[Measurement, ...]:
        """All whole measurements in their order. Raises ConfigError for a damaged line before the last."""
        return self._read()[0]

    def find(self, arm: str, shots: int) -> Measurement | None:
        """The measurement of `arm` at `shots`, or None while it is still to be made."""
        return next((item for item in self.finished() if (item.arm, item.shots) == (arm, shots)), None)

    def add(self, measurement: Measurement) -> None:
        """Appends one line in one write and waits for the disk. Raises ConfigError if it is there already."""
        measurements, size = self._read()
        if any((item.arm, item.shots) == (measurement.arm, measurement.shots) for item in measurements):
            raise ConfigError(f"{self.path}: arm {measurement.arm!r} at {measurement.shots} shots is already measured")
        line = (json.dumps(asdict(measurement)) + "\n").encode("utf-8")
        with self.path.open("r+b", buffering=0) as stream:
            stream.truncate(size)  # drops a line that a crash cut off
            stream.seek(size)
            if stream.write(line) != len(line):
                raise OSError(f"{self.path}: the disk took only part of a line; free some space and start again")
            os.fsync(stream.fileno())

    def _read(self) -> tuple[tuple[Measurement, ...], int]:
        """The measurements and how many bytes of the file are whole."""
        header, *lines = self.path.read_bytes().splitlines(keepends=True)
        measurements, size = [], len(header)
        for number, line in enumerate(lines, start=2):
            item = _measurement(line)
            if item is None and number <= len(lines):
                raise ConfigError(f"{self.path}: line {number} is damaged; delete that line to measure it again")
            if item is not None:
                measurements.append(item)
                size += len(line)
        return tuple(measurements), size


def _check_header(path: Path, expected: dict[str, Any]) -> None:
    with path.open("rb") as stream:
        line = stream.readline()
    try:
        seen = json.loads(line)
        same, config = seen["hash"] == expected["hash"], dict(seen["config"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: the first line is no header of an ablation; use another folder") from None
    if not same:
        keys = [key for key in {**config, **expected["config"]} if config.get(key) != expected["config"].get(key)]
        changes = ", ".join(f"{key} {config.get(key)!r} there, {expected['config'].get(key)!r} now" for key in keys)
        raise ConfigError(f"{path}: holds measurements of another config ({changes}); use another folder or delete it")


def _measurement(line: bytes) -> Measurement | None:
    try:
        values = json.loads(line)
        whole = line.endswith(b"\n")
        return Measurement(values["arm"], values["shots"], tuple(values["accuracy"])) if whole else None
    except (ValueError, KeyError, TypeError):
        return None
