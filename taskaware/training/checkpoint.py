"""How does a run survive an interruption?

After each validation the whole state (weights, codes, optimiser, best so far) goes to <run>.checkpoint/, as safetensors
and JSON, atomically. `--resume auto` continues from it; episodes need no state, since they derive from the step.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from taskaware.core.errors import CheckpointError
from taskaware.core.files import atomic_folder
from taskaware.pipeline.saving import read_json, read_tensors


@dataclass(frozen=True)
class Progressed:
    """Where a run stands: the next step, the best validation score, when it was, and the log so far."""

    step: int
    best_score: float
    best_step: int
    history: list[dict[str, Any]]


def save_checkpoint(
    folder: Path,
    state: Progressed,
    config: dict[str, Any],
    model: nn.Module,
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Writes the state as a whole."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for index, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in values.items()}
    with atomic_folder(folder) as temporary:
        save_file(
            {name: value.detach().cpu().clone() for name, value in tensors.items()}, temporary / "state.safetensors"
        )
        text = json.dumps({**vars(state), "config": config})
        (temporary / "state.json").write_text(text, encoding="utf-8")


def load_checkpoint(
    folder: Path, config: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progressed, dict[str, Tensor]]:
    """Fills model and optimiser; returns where the run stood and the best weights. Raises CheckpointError."""
    values = read_json(folder / "state.json", "a checkpoint")
    if values.pop("config") != json.loads(json.dumps(config)):
        raise CheckpointError(f"{folder}: belongs to another configuration; remove it or train without --resume")
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    for name, tensor in read_tensors(folder / "state.safetensors").items():
        group, _, rest = name.partition(".")
        parts[group][rest] = tensor
    model.load_state_dict(parts["model"])
    state = optimizer.state_dict()
    state["state"] = {}
    for name, tensor in parts["optimizer"].items():
        index, _, key = name.partition(".")
        state["state"].setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict(state)
    return Progressed(**values), parts["best"]
