"""How does the encoder itself learn from the training tasks, before the conditioner does?

Episodic meta-training with words: in every episode, texts must be nearer to their own class than to the others, where a
class is its label text, the mean of its other examples (Snell et al. 2017, https://arxiv.org/abs/1703.05175), and the
sum of both. Only a low-rank adapter learns (`encoders/lora.py`).

Shapes: N classes, K examples of each, D width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from taskaware.core.errors import TrainingError
from taskaware.core.seeds import generator
from taskaware.core.vectors import unit
from taskaware.data import TextTask
from taskaware.training.config import RunConfig, TuningConfig
from taskaware.training.distributed import reduce_gradients, share, total
from taskaware.training.sharding import shard, sharding_requested
from taskaware.training.tasks import load_entry

_TOGETHER = 4  # episodes that are read together, in as many batches of texts of like length


@dataclass(frozen=True)
class TextEpisode:
    """N classes: K texts of each, class by class, and a text about each."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True)
class _Source:
    """A task's texts by class; classes with fewer than K texts are left out."""

    task: TextTask
    rows: dict[str, list[str]]
    weight: float


@final
class Tuning:
    """One tuning: the tasks, the encoder with its adapter, and the optimiser. `seed` decides adapter and episodes."""

    def __init__(self, config: RunConfig, tuning: TuningConfig, accelerator: Accelerator, *, seed: int) -> None:
        self.tuning, self.accelerator, self.seed = tuning, accelerator, seed
        self.sources = _sources(config, tuning)
        from taskaware.encoders.tunable import TunableEncoder  # takes seconds to import

        self.encoder = TunableEncoder(config.encoder, rank=tuning.rank, length=tuning.length, seed=seed)
        self.bfloat16 = use_bfloat16(tuning.bfloat16, accelerator.device.type)
        if sharding_requested(accelerator):
            shard(accelerator, self.encoder, bfloat16=self.bfloat16)
        elif self.bfloat16:
            self.encoder.round_frozen()
        self.encoder.to(accelerator.device)
        self.log_scale = nn.Parameter(torch.tensor(math.log(tuning.scale), device=accelerator.device))
        self.adapter = [each for each in self.encoder.parameters() if each.requires_grad]
        groups: list[dict[str, Any]] = [{"params": self.adapter}, {"params": [self.log_scale], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=tuning.learning_rate, weight_decay=tuning.weight_decay)

    def step(self, step: int) -> float:
        """One step of the optimiser on a meta-batch of episodes; their mean loss. Raises TrainingError."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.accelerator.device)
        meta_batch, processes = self.tuning.meta_batch, self.accelerator.num_processes
        filled = meta_batch + -meta_batch % processes  # layers of a sharded encoder are gathered by all or by none
        mine = share(filled, self.accelerator.process_index, processes)
        for first in range(0, len(mine), _TOGETHER):
            part = self._loss(step, mine[first : first + _TOGETHER])
            self.accelerator.backward(part)
            loss = loss + part.detach()
        parameters = [*self.adapter, self.log_scale]
        value = total(self.accelerator, loss)
        reduce_gradients(self.accelerator, parameters)
        norm = nn.utils.clip_grad_norm_(parameters, self.tuning.clip)
        if not math.isfinite(value) or not math.isfinite(norm.item()):
            raise TrainingError(f"the loss is {value} at tuning step {step + 1}; lower tuning.learning_rate")
        self._set_rates(step)
        self.optimizer.step()
        return value

    def _set_rates(self, step: int) -> None:
        """Linear warm-up, then cosine decay; the scale of cosines learns ten times as fast."""
        warm = min(1.0, (step + 1) / max(self.tuning.warmup, 1))
        rate = self.tuning.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / self.tuning.steps))
        for group, factor in zip(self.optimizer.param_groups, (1.0, 10.0), strict=True):
            group["lr"] = rate * factor

    def _loss(self, step: int, indices: range) -> Tensor:
        """Sum of some episodes' losses over the size of the global meta-batch; those that fill it up count nothing."""
        draws = [generator("tuning", self.seed, step, index) for index in indices]
        episodes = [draw_texts(self.sources, self.tuning, rng) for rng in draws]
        vectors = self._read([text for each in episodes for text in (*each.texts, *each.labels)], len(episodes))
        sizes = [len(each.texts) + len(each.labels) for each in episodes]
        loss = vectors.new_zeros(())
        for index, episode, own in zip(indices, episodes, torch.split(vectors, sizes), strict=True):
            ways = len(episode.labels)
            examples = own[:-ways].view(ways, -1, own.shape[-1])
            counted = float(index < self.tuning.meta_batch) / self.tuning.meta_batch
            loss = loss + counted * words_and_examples_loss(examples, own[-ways:], self.log_scale.exp())
        return loss

    def _read(self, texts: list[str], batches: int) -> Tensor:
        """n texts -> [n, D], read in batches of texts of like length, which need little padding."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        parts = [part.tolist() for part in np.array_split(order, batches)]
        with torch.autocast(self.accelerator.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            vectors = torch.cat([self.encoder([texts[index] for index in part]) for part in parts])
        return vectors[torch.from_numpy(np.argsort(order)).to(vectors.device)]


def draw_texts(sources: Sequence[_Source], tuning: TuningConfig, rng: np.random.Generator) -> TextEpisode:
    """Picks a task by weight, then a wording of its labels, up to `way` classes and `examples` texts of each."""
    weights = np.array([source.weight for source in sources])
    source = sources[int(rng.choice(len(sources), p=weights / weights.sum()))]
    card, names = source.task.card, list(source.rows)
    wording = int(rng.integers(1 << 30))
    picked = [names[index] for index in rng.permutation(len(names))[: tuning.way]]
    texts, labels = [], []
    for name in picked:
        rows = source.rows[name]
        texts += [rows[index] for index in rng.choice(len(rows), tuning.examples, replace=False)]
        worded = (card.labels[name], *(card.label_paraphrases or {}).get(name, ()))
        labels.append(worded[wording % len(worded)])
    return TextEpisode(texts, labels)


def words_and_examples_loss(examples: Tensor, labels: Tensor, scale: Tensor) -> Tensor:
    """examples [N, K, D], labels [N, D], both of unit length -> []: mean cross-entropy of three classifiers.

    Each text is told from the other classes by label texts, by class means and by the unit sum of both; a text's own
    class mean leaves it out.
    """
    ways, count, _ = examples.shape
    targets = torch.arange(ways, device=examples.device).repeat_interleave(count)
    flat, own_labels = examples.flatten(0, 1), labels.repeat_interleave(count, 0)
    means = examples.mean(1)
    others = ((examples.sum(1, keepdim=True) - examples) / (count - 1)).flatten(0, 1)
    told = functional.cross_entropy(scale * flat @ labels.mT, targets)
    shown = _own_excluded(flat, unit(means), unit(others), targets, scale)
    mixed = _own_excluded(flat, unit(means + labels), unit(others + own_labels), targets, scale)
    return (told + 0.5 * shown + mixed) / 2.5


def _own_excluded(flat: Tensor, classes: Tensor, own: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy where the logit of a text's own class comes from `own`, made without that text."""
    logits = scale * flat @ classes.mT
    mine = scale * (flat * own).sum(-1, keepdim=True)
    return functional.cross_entropy(logits.scatter(1, targets[:, None], mine), targets)


def use_bfloat16(choice: str, device: str) -> bool:
    """Whether texts are read in bfloat16. "auto": where the hardware multiplies it."""
    if choice != "auto":
        return choice == "on"
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _sources(config: RunConfig, tuning: TuningConfig) -> list[_Source]:
    """All training tasks that have two classes of enough texts; an entry's weight is spread over its tasks."""
    sources = []
    for entry in config.data:
        tasks = load_entry(entry, config.seed)
        for task in tasks:
            rows: dict[str, list[str]] = {}
            for text, label in zip(task.texts, task.labels, strict=True):
                rows.setdefault(label, []).append(text)
            enough = {name: texts for name, texts in rows.items() if len(texts) >= tuning.examples}
            if len(enough) > 1:
                sources.append(_Source(task, enough, entry.weight / len(tasks)))
    if not sources:
        raise TrainingError(f"tuning: no task has 2 classes of {tuning.examples} texts; lower tuning.examples")
    return sources
