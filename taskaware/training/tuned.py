"""Which encoder does a run read with? The one given, or one that learned from the training tasks first.

Tunings of several seeds are averaged, as weights: what they learned of the tasks they share, what they made of chance
they do not (Wortsman et al. 2022, "Model soups", https://arxiv.org/abs/2203.05482). How much of the change is kept is
chosen on validation tasks, between the frozen encoder and the tuned one: weights between the two generalise best to
what neither saw (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", https://arxiv.org/abs/2109.01903).
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from taskaware.core.errors import TrainingError
from taskaware.core.files import write_text
from taskaware.encoders import EncoderConfig, load_encoder
from taskaware.encoders.adapters import average_adapters, save_adapter
from taskaware.episodes import encode_task
from taskaware.learners import LearnerConfig, build_learner
from taskaware.memory import TaskMemory
from taskaware.pipeline.retrieval import Library
from taskaware.pipeline.saving import read_json
from taskaware.training.config import RunConfig, TuningConfig
from taskaware.training.distributed import from_main
from taskaware.training.sharding import sharding_requested
from taskaware.training.tasks import load_entry
from taskaware.training.tuning import Tuning
from taskaware.training.validation import validation_accuracy

TuningReport = Callable[[int, int, float], None]  # step, steps of all tunings, loss


def tuned_encoder(config: RunConfig, *, resume: bool, report: TuningReport) -> EncoderConfig:
    """Tunes the encoder as `config.tuning` says; its configuration names the adapter, or stays when none is better.

    Files lie in <output>/<name>.encoder; with `resume`, those of the same configuration are taken as they are.
    """
    accelerator = Accelerator()
    sharded = sharding_requested(accelerator)
    if config.tuning is None:
        if sharded:
            raise TrainingError(
                "FSDP shards the encoder while it is tuned, and `tuning` is not set; launch without FSDP"
            )
        return config.encoder
    folder = Path(config.output) / f"{config.name}.encoder"
    wanted = config.model_dump(mode="json", include={"encoder", "data", "validation", "tuning", "seed"})
    stored = _stored(folder / "tuning.json") if resume else None
    if stored is None or stored["config"] != wanted:
        stored = {"config": wanted, "scores": _tune(config, config.tuning, accelerator, folder, report)}
        if accelerator.is_main_process:
            write_text(folder / "tuning.json", json.dumps(stored, indent=1))
    accelerator.wait_for_everyone()
    scores: dict[str, float] = stored["scores"]
    best = float(max(scores, key=lambda strength: scores[strength]))
    return config.encoder.model_copy(update={"adapter": str(_file(folder, best))}) if best else config.encoder


def _tune(
    config: RunConfig, tuning: TuningConfig, accelerator: Accelerator, folder: Path, report: TuningReport
) -> dict[str, float]:
    """Tunes once per seed, writes one adapter per strength to `folder`; validation score by strength."""
    adapters: list[dict[str, Tensor]] = []
    for number in range(tuning.soup):
        learning = Tuning(config, tuning, accelerator, seed=config.seed + number)
        for step in range(tuning.steps):
            report(number * tuning.steps + step + 1, tuning.soup * tuning.steps, learning.step(step))
        adapters.append(learning.encoder.adapter())
    if accelerator.is_main_process:
        for strength in filter(None, tuning.strengths):
            save_adapter(_file(folder, strength), average_adapters(adapters), strength)
    accelerator.wait_for_everyone()
    return from_main(_scores(config, tuning.strengths, folder) if accelerator.is_main_process else {})


def _scores(config: RunConfig, strengths: Sequence[float], folder: Path) -> dict[str, float]:
    """Mean validation accuracy of the training-free mix in the space of each strength."""
    texts = [task for entry in config.validation for task in load_entry(entry, config.seed)]
    if not texts:
        return {str(max(strengths)): 1.0}
    training = config.training
    scores = {}
    for strength in strengths:
        adapter = str(_file(folder, strength)) if strength else None
        encoder = load_encoder(config.encoder.model_copy(update={"adapter": adapter}))
        tasks = [encode_task(task.card, task.texts, task.labels, encoder) for task in texts]
        learner = build_learner(LearnerConfig(conditioner=config.learner.conditioner), encoder.dimension, encoder.width)
        memory = TaskMemory.in_memory(encoder.fingerprint, encoder.dimension)
        found = validation_accuracy(
            learner.eval(),
            Library(memory.view(), torch.zeros(0, learner.code_width)),
            tasks,
            training.validation_shots,
            training.validation_episodes,
            max(config.episodes.way),
            config.retrieval,
            config.seed,
        )
        scores[str(strength)] = sum(found.values()) / len(found)
    return scores


def _file(folder: Path, strength: float) -> Path:
    return folder / f"adapter-{strength:g}.safetensors"


def _stored(path: Path) -> dict[str, Any] | None:
    return read_json(path, "a tuning") if path.is_file() else None
