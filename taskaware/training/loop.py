"""The outer loop: episodes, outer gradients, validation, checkpoints.

Meta-learning on a meta-batch of T tasks at once (Finn et al. 2017, https://arxiv.org/abs/1703.03400, algorithm 1, with
the inner loop of the learner); torch.func.vmap maps the learner over tasks, accelerate places it and reduces gradients.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from taskaware.core.errors import TrainingError
from taskaware.core.values import Episode
from taskaware.encoders import load_encoder
from taskaware.episodes import EncodedTask, Shape, check_disjoint, encode_task
from taskaware.innerloop.compiled import Compiled, compiled
from taskaware.learners import build_learner
from taskaware.learners.base import cross_entropy
from taskaware.pipeline import TaskAware
from taskaware.pipeline.batching import LookedUp, join, look_up, to_device
from taskaware.pipeline.retrieval import Library
from taskaware.training.ahead import Ahead, spare_core
from taskaware.training.checkpoint import Progressed, load_checkpoint, save_checkpoint
from taskaware.training.chunks import TaskChunks, cpu_chunk
from taskaware.training.config import RunConfig
from taskaware.training.distributed import from_main, reduce_gradients, share, total
from taskaware.training.episodes import training_request
from taskaware.training.optimizer import build_optimizer, set_rate
from taskaware.training.tasks import Codebook, TrainingLibraries, finished_memory, load_entry, load_training_tasks
from taskaware.training.tuned import tuned_encoder
from taskaware.training.validation import validation_accuracy


@dataclass(frozen=True)
class Progress:
    """What is reported while training: the step, its loss, and the validation score when there is a new one.

    stage: "tuning" while the encoder learns, then "training".
    """

    step: int
    steps: int
    loss: float
    score: float | None
    stage: str = "training"


Report = Callable[[Progress], None]


def train(config: RunConfig, *, resume: bool = False, report: Report = lambda progress: None) -> TaskAware:
    """Trains and returns the best model on validation; the checkpoint lies beside the run's folder.

    Raises TrainingError when the loss is not finite, DataError, EpisodeError, EncoderError, ConfigError.
    """
    return tuned_run(config, resume, report).go(resume, report)


def tuned_run(config: RunConfig, resume: bool, report: Report) -> "Run":
    """A run whose encoder has been tuned, when the configuration asks for it."""

    def tell(step: int, steps: int, loss: float) -> None:
        report(Progress(step, steps, loss, None, stage="tuning"))

    encoder = tuned_encoder(config, resume=resume, report=tell)
    return Run(config.model_copy(update={"encoder": encoder}))


@final
class Run:
    """One training run: what stays the same from step to step, and the few things that change."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.accelerator = Accelerator()
        self.encoder = load_encoder(config.encoder)
        with self.accelerator.main_process_first():
            self.tasks = load_training_tasks(config.data, self.encoder, config.seed)
            self.held_out = self._held_out()
        torch.manual_seed(config.seed)
        learner = build_learner(config.learner, self.encoder.dimension, self.encoder.width)
        learner.body.fit(torch.cat([torch.from_numpy(task.features) for task in self.tasks.tasks]))
        codebook = Codebook(self.tasks, learner.code_width)
        self.model = nn.ModuleDict({"learner": learner, "codebook": codebook}).to(self.accelerator.device)
        self.learner, self.codebook = learner, codebook
        self.libraries = TrainingLibraries(self.tasks, self.encoder, codebook)
        self.optimizer = build_optimizer(self.model, config.training)
        self.parameters = [each for each in self.model.parameters() if each.requires_grad]
        self.shelves = self.libraries.all()  # to draw from; their codes are those at birth
        early = spare_core(self.accelerator.device.type, self.accelerator.num_processes)
        self.ahead = Ahead(self._look_up, early=early)
        largest = Shape.largest(self.tasks.tasks, config.episodes)
        self.chunks = self._chunks(largest)
        self.task_losses = compiled(self._task_losses, config.training.compile, self.accelerator.device.type)
        self.shape = largest if isinstance(self.task_losses, Compiled) else None  # one shape for all steps
        self.checkpoint = Path(config.output) / f"{config.name}.checkpoint"
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        self.best_score, self.best_step = -math.inf, 0

    def go(self, resume: bool, report: Report) -> TaskAware:
        """Steps, with validation and a checkpoint every so often; ends with the best weights."""
        steps, every = self.config.training.steps, self.config.training.validate_every
        start = self._resume() if resume else 0
        if start == 0:
            self._keep_if_best(0)
            self._save(0)
        for step in range(start, steps):
            loss = self._step(step)
            score = None
            if (step + 1) % every == 0 or step + 1 == steps:
                found = self._keep_if_best(step + 1)
                score = found if self.held_out else None
                self._save(step + 1)
            report(Progress(step + 1, steps, loss, score))
        self.model.load_state_dict(self.best)
        return self._finished()

    def _step(self, step: int) -> float:
        training = self.config.training
        self.model.train()
        losses = self.chunks.accumulate(self._mine(), self._forget_gradients, partial(self._add_gradients, step))
        value = total(self.accelerator, sum(losses, torch.zeros((), device=self.accelerator.device)))
        self._check_finite("loss", value, step)
        reduce_gradients(self.accelerator, self.parameters)
        norm = nn.utils.clip_grad_norm_(self.parameters, training.clip)
        self._check_finite("gradient", norm.item(), step)
        set_rate(self.optimizer, training, step)
        self.optimizer.step()
        return value

    def _forget_gradients(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    def _add_gradients(self, step: int, indices: range) -> Tensor:
        loss = self._loss(step, indices)
        self.accelerator.backward(loss)
        return loss.detach()

    def _check_finite(self, what: str, value: float, step: int) -> None:
        """Stops before weights are touched; every process sees the same value, so all stop."""
        if not math.isfinite(value):
            raise TrainingError(
                f"the {what} is {value} at step {step + 1}; the last good checkpoint is kept in {self.checkpoint}; "
                "lower training.learning_rate or training.clip and train again with --resume auto"
            )

    def _loss(self, step: int, indices: range) -> Tensor:
        """Sum of the tasks' losses over the size of the global meta-batch."""
        parts = self.ahead.get((step, indices))
        following = self._following(step, indices)
        if following[0] < self.config.training.steps:
            self.ahead.prepare(following)
        batch = to_device(join(parts, self.codebook()), self.accelerator.device)
        with self.accelerator.autocast():
            losses: Tensor = self.task_losses(batch)
            return losses.sum() / self.config.training.meta_batch

    def _following(self, step: int, indices: range) -> tuple[int, range]:
        """Which tasks of which step come after these, if all goes well."""
        mine, size = self._mine(), self.chunks.size
        done = mine.index(indices[-1]) + 1
        return (step, mine[done : done + size]) if done < len(mine) else (step + 1, mine[:size])

    def _mine(self) -> range:
        accelerator = self.accelerator
        return share(self.config.training.meta_batch, accelerator.process_index, accelerator.num_processes)

    def _look_up(self, place: tuple[int, range]) -> LookedUp:
        """The episodes of these tasks of a step; a function of its place, whatever has been learned since."""
        step, indices = place
        episodes, drop, seed = self.config.episodes, self.config.training.drop, self.config.seed
        requests = [
            training_request(self.tasks, self.shelves, episodes, drop, (seed, step, index)) for index in indices
        ]
        return look_up(requests, self.config.retrieval, self.shape)

    def _task_losses(self, batch: Episode) -> Tensor:
        losses: Tensor = torch.func.vmap(self._task_loss)(batch)
        return losses

    def _task_loss(self, episode: Episode) -> Tensor:
        return cross_entropy(self.learner(episode).float(), episode.query)

    @torch.no_grad()
    def _keep_if_best(self, step: int) -> float:
        self.model.eval()
        scores: dict[str, float] = {}
        if self.held_out and self.accelerator.is_main_process:
            training = self.config.training
            memory = finished_memory(self.tasks, self.encoder, self.codebook())
            found = validation_accuracy(
                self.learner,
                Library(memory.view(), self.codebook()),
                self.held_out,
                training.validation_shots,
                training.validation_episodes,
                max(self.config.episodes.way),
                self.config.retrieval,
                self.config.seed,
            )
            scores = {f"{task}, {shots}-shot": value for (task, shots), value in found.items()}
        scores = from_main(scores)
        score = sum(scores.values()) / len(scores) if scores else float(step)
        self.history.append({"step": step, "score": score, **scores})
        if score > self.best_score:
            self.best_score, self.best_step = score, step
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        return score

    def _chunks(self, largest: Shape) -> TaskChunks:
        """As many tasks at a time as the configuration says; on a GPU memory itself says what is too many."""
        config = self.config
        if config.training.task_chunk != "auto":
            return TaskChunks(config.training.task_chunk, may_shrink=False)
        size = config.training.meta_batch
        if self.accelerator.device.type == "cpu":
            encoder = self.encoder
            size = cpu_chunk(largest, config.learner, config.retrieval, encoder.dimension, encoder.width)
        return TaskChunks(size, may_shrink=True)

    def _held_out(self) -> list[EncodedTask]:
        entries = self.config.validation
        texts = [task for entry in entries for task in load_entry(entry, self.config.seed)]
        tasks = [encode_task(task.card, task.texts, task.labels, self.encoder) for task in texts]
        check_disjoint(self.tasks.tasks, tasks, "validation")
        return tasks

    def _finished(self) -> TaskAware:
        memory = finished_memory(self.tasks, self.encoder, self.codebook())
        return TaskAware(self.config.model_part(), self.encoder, self.learner, memory)

    def _save(self, step: int) -> None:
        if self.accelerator.is_main_process:
            state = Progressed(step, self.best_score, self.best_step, self.history)
            save_checkpoint(self.checkpoint, state, self._identity(), self.model, self.best, self.optimizer)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> int:
        if not (self.checkpoint / "state.json").exists():
            return 0
        state, self.best = load_checkpoint(self.checkpoint, self._identity(), self.model, self.optimizer)
        self.best_score, self.best_step, self.history = state.best_score, state.best_step, state.history
        return state.step

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with this run; rates, clipping, speed may change when a run is resumed."""
        free = dict.fromkeys(("learning_rate", "scalar_rate", "clip", "compile", "task_chunk"), True)
        return self.config.model_dump(mode="json", exclude={"output": True, "training": free})
