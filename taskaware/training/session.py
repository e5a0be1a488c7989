"""What does a whole training session leave behind? The run folder with its model card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState

from taskaware.data import find_card
from taskaware.pipeline.model_card import run_card
from taskaware.training.config import RunConfig
from taskaware.training.loop import Report, Run, tuned_run


@dataclass(frozen=True)
class Finished:
    """Where the run lies and a few lines about it."""

    folder: Path
    summary: str


def train_and_save(config: RunConfig, *, resume: bool, report: Report) -> Finished:
    """Trains, then the main process writes runs/NAME; returns what to tell the user."""
    run = tuned_run(config, resume, report)
    model = run.go(resume, report)
    folder = Path(config.output) / config.name
    if PartialState().is_main_process:
        training = config.model_dump(mode="json", exclude={"encoder", "learner", "retrieval"})
        training["history"] = run.history
        model.save_pretrained(folder, run_card(config.name, _facts(run), _results(run)), training)
    PartialState().wait_for_everyone()
    first, best = run.history[0], max(run.history, key=lambda entry: float(entry["score"]))
    lines = [f"saved {folder} ({len(model.memory)} past tasks in its memory)"]
    if run.held_out:
        lines.append(
            f"validation accuracy: {first['score']:.1%} before training (the training-free mix), "
            f"{best['score']:.1%} at step {best['step']}, which is kept"
        )
    return Finished(folder, "\n".join(lines))


def _facts(run: Run) -> dict[str, str]:
    config = run.config
    cards = ", ".join(
        f"{entry.card}" + (f" (fold {entry.fold})" if entry.fold else "") + f" [{entry.adapter} adapters]"
        for entry in config.data
    )
    return {
        "learner": f"{config.learner.name}, conditioner {config.learner.conditioner}",
        "encoder": f"{config.encoder.name}, {_tuned(config)} ({run.encoder.fingerprint})",
        "training data": f"{cards}: {len(run.tasks.tasks)} tasks, {sum(len(t.labels) for t in run.tasks.tasks)} rows",
        "licences of the training data": _licences(config),
        "episodes": f"way {config.episodes.way}, shots {config.episodes.shots}, {config.training.steps} steps of "
        f"{config.training.meta_batch} tasks, seed {config.seed}",
        "weights kept": f"step {run.best_step}, by mean validation accuracy",
    }


def _licences(config: RunConfig) -> str:
    """Each licence with the data sets that are under it, as their cards say."""
    found: dict[str, list[str]] = {}
    for card in dict.fromkeys(entry.card for entry in config.data):
        found.setdefault(", ".join(find_card(card).header.license), []).append(Path(card).stem)
    return "; ".join(f"{licence}: {', '.join(names)}" for licence, names in found.items())


def _tuned(config: RunConfig) -> str:
    if config.encoder.adapter is None:
        return "frozen" if config.tuning is None else "frozen: validation chose it over the tuned one"
    if config.tuning is None:
        return "with a low-rank adapter that was given"
    mean = f", the mean of {config.tuning.soup} tunings" if config.tuning.soup > 1 else ""
    return f"tuned for {config.tuning.steps} steps by an adapter of rank {config.tuning.rank}{mean}"


def _results(run: Run) -> list[dict[str, str]]:
    if not run.held_out:
        return []
    first = run.history[0]
    best = next(entry for entry in run.history if entry["step"] == run.best_step)
    names = [key for key in first if key not in ("step", "score")]
    return [_row(name, first, best) for name in ["score", *names]]


def _row(name: str, first: dict[str, Any], best: dict[str, Any]) -> dict[str, str]:
    title = "mean" if name == "score" else name
    return {"task": title, "before training, %": f"{100 * first[name]:.1f}", "kept, %": f"{100 * best[name]:.1f}"}
