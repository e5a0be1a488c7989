"""What lies in a run folder and in an adapted task's folder?

Run: config.json, model.safetensors, memory/ (memory.safetensors where it was packed), README.md. Adapted task:
config.json, predictor.safetensors, explanation.json, README.md. Both: encoder.safetensors where the encoder was tuned.
Only JSON, safetensors and SQLite: nothing on a load path is pickled.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from taskaware.conditioners import Modulation
from taskaware.core.config import build
from taskaware.core.errors import CheckpointError, EncoderError
from taskaware.core.files import atomic_folder
from taskaware.core.runs import published
from taskaware.core.values import TaskCard
from taskaware.learners import Adapted
from taskaware.learners.base import Learner
from taskaware.memory import TaskMemory
from taskaware.memory.memory import FOLDER
from taskaware.pipeline.config import ModelConfig
from taskaware.pipeline.explanation import Explanation
from taskaware.pipeline.model_card import adapted_card

FORMAT = 1
_ADAPTER = "encoder.safetensors"
RUN_FILES = ("config.json", "model.safetensors", _ADAPTER, "README.md")


@dataclass(frozen=True)
class StoredRun:
    """A run folder's configuration and weights."""

    path: Path
    config: ModelConfig
    tensors: dict[str, Tensor]

    def load_into(self, learner: Learner) -> None:
        """Fills the learner. Raises CheckpointError when names or shapes differ."""
        load_weights(learner, self.tensors, self.path)


@dataclass(frozen=True)
class StoredTask:
    """An adapted task's folder."""

    path: Path
    config: ModelConfig
    card: TaskCard
    encoder: str
    tensors: dict[str, Tensor]
    adapted: Adapted
    explanation: Explanation

    def load_into(self, learner: Learner) -> None:
        """Fills the learner. Raises CheckpointError when names or shapes differ."""
        load_weights(learner, self.tensors, self.path)

    def check_encoder(self, fingerprint: str) -> None:
        """Raises EncoderError when the texts would be read by another encoder than the task was adapted with."""
        if fingerprint != self.encoder:
            raise EncoderError(
                f"{self.path}: adapted with encoder {self.encoder}, but encoder.name now gives {fingerprint}; "
                "adapt the task again"
            )


def save_run(
    path: Path, config: ModelConfig, learner: Learner, memory: TaskMemory, card: str, training: Mapping[str, object]
) -> None:
    """Writes a run folder as a whole; logs and reports of an older run of that name are not kept."""
    check_target(path, "run")
    with atomic_folder(path) as folder:
        values = {"format": FORMAT, **_portable(config, folder), "training": dict(training)}
        _write_json(folder / "config.json", values)
        save_file(_plain(learner.state_dict()), folder / "model.safetensors")
        memory.copy_to(folder / FOLDER)
        (folder / "README.md").write_text(card, encoding="utf-8")


def load_run(path: Path) -> StoredRun:
    """Reads config.json and model.safetensors. Raises CheckpointError."""
    others = f", or a model that came with the package: {', '.join(published())}" if published() else ""
    values = read_json(path / "config.json", f"a run folder (see `taskaware train`){others}")
    if "card" in values:
        raise CheckpointError(f"{path}: this is an adapted task, expected a run folder (see `taskaware train`)")
    return StoredRun(path, _model_config(values, path), read_tensors(path / "model.safetensors"))


def save_adapted(
    path: Path,
    card: TaskCard,
    config: ModelConfig,
    encoder: str,
    learner: Learner,
    adapted: Adapted,
    explanation: Explanation,
) -> None:
    """Writes an adapted task's folder as a whole."""
    check_target(path, "task")
    task = {f"task.{name}": value for name, value in vars(adapted).items() if isinstance(value, Tensor)}
    task |= {f"modulation.{name}": value for name, value in vars(adapted.modulation).items()}
    weights = {f"learner.{name}": value for name, value in learner.state_dict().items()}
    with atomic_folder(path) as folder:
        values = {"format": FORMAT, **_portable(config, folder), "fingerprint": encoder, "card": asdict(card)}
        _write_json(folder / "config.json", values)
        save_file(_plain({**weights, **task}), folder / "predictor.safetensors")
        _write_json(folder / "explanation.json", explanation.to_json())
        (folder / "README.md").write_text(adapted_card(card, explanation), encoding="utf-8")


def load_adapted(path: Path) -> StoredTask:
    """Reads what `save_adapted` wrote. Raises CheckpointError."""
    values = read_json(path / "config.json", "an adapted task (see `taskaware adapt`)")
    if "card" not in values:
        raise CheckpointError(f"{path}: this is a run folder, expected an adapted task; run `taskaware adapt` first")
    tensors = read_tensors(path / "predictor.safetensors")
    parts: dict[str, dict[str, Tensor]] = {"learner": {}, "task": {}, "modulation": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        parts[group][rest] = tensor
    return StoredTask(
        path=path,
        config=_model_config(values, path),
        card=_card(values["card"]),
        encoder=values["fingerprint"],
        tensors=parts["learner"],
        adapted=Adapted(**parts["task"], modulation=Modulation(**parts["modulation"])),
        explanation=Explanation.from_json(read_json(path / "explanation.json", "an adapted task")),
    )


def check_target(path: Path, kind: Literal["run", "task"]) -> None:
    """Raises CheckpointError when `path` holds something that a folder of this kind must not replace."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    wanted, other = ("model.safetensors", "predictor.safetensors") if kind == "run" else ("predictor.safetensors", "")
    if not (path / wanted).is_file() or (other and (path / other).is_file()):
        raise CheckpointError(f"{path}: exists and is no older {kind} of taskaware; name another folder or remove it")


def _portable(config: ModelConfig, folder: Path) -> dict[str, Any]:
    """The configuration as JSON values; the encoder's adapter, if any, is copied into `folder` and named from there."""
    values = config.model_dump(mode="json")
    if config.encoder.adapter:
        shutil.copyfile(config.encoder.adapter, folder / _ADAPTER)
        values["encoder"]["adapter"] = _ADAPTER
    return values


def _model_config(values: Mapping[str, Any], path: Path) -> ModelConfig:
    """The stored configuration, with the encoder's adapter found in the folder at `path`."""
    model = {key: values[key] for key in ModelConfig.model_fields if key in values}
    if model.get("encoder", {}).get("adapter"):
        model["encoder"] = {**model["encoder"], "adapter": str(path / _ADAPTER)}
    return build(ModelConfig, model, str(path / "config.json"))


def load_weights(learner: Learner, tensors: Mapping[str, Tensor], origin: Path) -> None:
    """Strictly loads a state dict; the error names what is missing, unexpected or misshapen."""
    try:
        learner.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise CheckpointError(f"{origin}: weights do not fit the configuration: {error}") from error


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON mapping. Raises CheckpointError saying what was expected there."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; expected {what}") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}; expected {what}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: expected a mapping, saw {type(values).__name__}")
    return values


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises CheckpointError."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    return tensors


def _card(values: dict[str, Any]) -> TaskCard:
    listed: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    paraphrases = listed.get("label_paraphrases")
    listed["label_paraphrases"] = {key: tuple(each) for key, each in paraphrases.items()} if paraphrases else None
    return TaskCard(**listed)


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
