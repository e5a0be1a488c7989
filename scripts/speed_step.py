"""Which share of a training step goes into making episodes, and what do more processes bring?

As a script it is one process of a run, started by torchrun: it prints the milliseconds of its steps.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from stopwatch import milliseconds

from taskaware.core.config import Config, build, override, read_yaml
from taskaware.pipeline.batching import join
from taskaware.training import RunConfig
from taskaware.training.ahead import Ahead
from taskaware.training.loop import Progress, Run


class StepConfig(Config):
    """A run's YAML, which learners to train by it, and for how many steps; processes: for weak scaling."""

    run: str
    learners: list[str]
    steps: int
    processes: list[int]


class Watched:
    """`Ahead`, with the milliseconds that each part of a meta-batch was waited for."""

    def __init__(self, ahead: Ahead[Any, Any]) -> None:
        self.ahead = ahead
        self.waits: list[float] = []
        self.parts: list[Any] = []

    def get(self, place: Any) -> Any:
        """As `Ahead.get`."""
        self.waits.append(milliseconds(lambda: self.parts.append(self.ahead.get(place))))
        return self.parts[-1]

    def prepare(self, place: Any) -> None:
        """As `Ahead.prepare`."""
        self.ahead.prepare(place)


def measure_steps(settings: StepConfig) -> dict[str, dict[str, float]]:
    """Median milliseconds of a step by learner and by whether a thread looks ahead; how much of it makes episodes."""
    return {
        f"{learner}, {'thread' if early else 'no thread'}": measure_step(settings, learner, early)
        for learner in settings.learners
        for early in (False, True)
    }


def measure_step(settings: StepConfig, learner: str, early: bool) -> dict[str, float]:
    """A step, the wait for what was looked up, and the stacking of it into a meta-batch."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_of(settings, learner, 1, folder)
        run.ahead = watched = Watched(Ahead(run.ahead.make, early=early))  # type: ignore[assignment]
        times = step_times(run)
        stacking = [milliseconds(lambda parts=parts: join(parts, run.codebook())) for parts in watched.parts]
    step, made = float(np.median(times)), float(np.median(watched.waits[3:]) + np.median(stacking))
    return {"step": step, "episodes": made, "share": made / step}


def measure_scaling(settings: StepConfig) -> dict[int, float]:
    """Milliseconds of a step by number of processes, each with a meta-batch of the configured size, on one thread."""
    return {count: launched(settings, count) for count in settings.processes}


def launched(settings: StepConfig, processes: int) -> float:
    """The median step of that many processes, as the first of them sees it."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, __file__, settings.model_dump_json(), str(processes)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return float(np.median(json.loads(done.stdout.strip().splitlines()[-1])))


def run_of(settings: StepConfig, learner: str, processes: int, folder: str) -> Run:
    """The run as configured, without validation, and with a meta-batch for every process."""
    values = read_yaml(Path(settings.run))
    tasks = values["training"]["meta_batch"] * processes
    changes = [f"learner.name={learner}", "validation=[]", f"output={folder}", f"training.steps={settings.steps}"]
    changes += [f"training.meta_batch={tasks}", f"training.validate_every={settings.steps}"]
    return Run(build(RunConfig, override(values, changes), settings.run))


def step_times(run: Run) -> list[float]:
    """Milliseconds of every step but the first three and the last, which is followed by a checkpoint."""
    ends: list[float] = []

    def report(progress: Progress) -> None:
        ends.append(time.perf_counter())

    run.go(resume=False, report=report)
    return (1e3 * np.diff(ends)[2:-1]).tolist()


def worker(settings: StepConfig, processes: int) -> None:
    """One process of a run."""
    from accelerate import PartialState

    with tempfile.TemporaryDirectory() as folder:
        run = run_of(settings, settings.learners[0], processes, folder)
        times = step_times(run)
        if run.accelerator.is_main_process:
            print(json.dumps(times))
        run.accelerator.wait_for_everyone()
    PartialState().destroy_process_group()


if __name__ == "__main__":
    worker(StepConfig.model_validate_json(sys.argv[1]), int(sys.argv[2]))
