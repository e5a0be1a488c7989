"""`taskaware train`: from a YAML file to a run folder."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress as ProgressBar
from rich.progress import TaskID

from taskaware.cli.console import console, progress_bar
from taskaware.core.config import build, override, read_yaml
from taskaware.core.errors import ConfigError

if TYPE_CHECKING:
    from taskaware.training import Progress

_ALONE = (
    "accelerate was asked for several processes and started one, as it does on CPUs without MPI; for several, use "
    "`ACCELERATE_USE_CPU=true torchrun --standalone --nproc_per_node N -m taskaware train ...`"
)


def train_command(
    config: Annotated[Path, typer.Argument(help="a run's YAML file, e.g. configs/quickstart.yaml")],
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value over the file; repeatable")
    ] = None,
    resume: Annotated[str, typer.Option(help="auto: go on from the run's checkpoint; never: start anew")] = "never",
) -> None:
    """Meta-trains a model and writes it to runs/NAME. Start it with `accelerate launch` for several processes."""
    from taskaware.training import Progress, RunConfig
    from taskaware.training.session import train_and_save

    if resume not in ("auto", "never"):
        raise ConfigError(f"--resume {resume!r}: expected auto or never")
    run = build(RunConfig, override(read_yaml(config), assignments or []), str(config))
    if "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
        console.print(f"notice: {_ALONE}", highlight=False, soft_wrap=True)
    leader = os.environ.get("RANK", "0") == "0"
    with progress_bar() as bar:
        task = bar.add_task(f"training {run.name}", total=run.training.steps, note="reading data", visible=leader)

        def show(progress: Progress) -> None:
            if not leader:
                return
            bar.update(task, description=f"{progress.stage} {run.name}", total=progress.steps)
            _advance(bar, task, progress)

        result = train_and_save(run, resume=resume == "auto", report=show)
    if leader:
        console.print(result.summary, highlight=False)


def _advance(bar: ProgressBar, task: TaskID, progress: "Progress") -> None:
    """Moves the bar; prints every validation and, where no bar can be drawn (a log), every twentieth of a stage."""
    step, note = progress.step, f"loss {progress.loss:.3f}"
    if progress.score is not None:
        note += f", validation accuracy {progress.score:.1%}"
    bar.update(task, completed=step, note=note)
    logged = not bar.console.is_terminal and step % max(1, progress.steps // 20) == 0
    if progress.score is not None or logged:
        bar.console.print(f"{progress.stage}, step {step} of {progress.steps}: {note}", highlight=False)
