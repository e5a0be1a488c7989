"""Is the conditioned model better than what one would otherwise use, on classes that it never saw?

    TASKAWARE_DATA=path/to/data python scripts/benchmark_text.py configs/benchmarks/intents.yaml
    TASKAWARE_DATA=path/to/data python scripts/benchmark_text.py configs/benchmarks/sgd.yaml --run general

Trains a model for each data set and fold, or measures a finished run (--run), with all baselines and arms on the same
test tasks. What is finished is kept in --out and not made again; delete it after a change of code. results.json and
table.md sum up. Needs the extra `bench`.
"""

import json
import shlex
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from taskaware.core.config import build, override, read_yaml
from taskaware.core.errors import TaskawareError
from taskaware.core.files import write_text
from taskaware.evaluation.benchmarks import findings
from taskaware.evaluation.benchmarks.measure import Unit, run_benchmark
from taskaware.evaluation.benchmarks.settings import BenchmarkConfig
from taskaware.evaluation.benchmarks.tables import markdown

console = Console(soft_wrap=True, highlight=False, markup=False)
PACKAGES = ("taskaware", "torch", "transformers", "sentence-transformers", "scikit-learn", "setfit")


def main(
    config: Annotated[Path, typer.Argument(help="one of configs/benchmarks, e.g. intents.yaml")],
    out: Annotated[Path | None, typer.Option(help="folder of results; default runs/benchmarks/NAME")] = None,
    run: Annotated[Path | None, typer.Option(help="a finished run to measure, instead of training")] = None,
    assignments: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable")] = None,
) -> None:
    """Runs what is not done yet, then writes the tables."""
    try:
        settings = build(BenchmarkConfig, override(read_yaml(config), assignments or []), str(config))
        folder = out or Path("runs/benchmarks") / settings.name
        units = list(run_benchmark(settings, folder, run, console.print))
    except TaskawareError as error:
        Console(stderr=True, soft_wrap=True, markup=False, highlight=False).print(f"error: {error}")
        raise typer.Exit(1) from error
    command = shlex.join(["python", *sys.argv])
    table = markdown(settings, units, command)
    write_text(
        folder / "results.json", json.dumps(_results(settings, units, command, run), indent=1, allow_nan=False) + "\n"
    )
    write_text(folder / "table.md", table)
    console.print(table)


def _results(settings: BenchmarkConfig, units: list[Unit], command: str, run: Path | None) -> dict[str, Any]:
    """All that table.md says, and every test task's accuracy."""
    return {
        "command": command,
        "versions": {name: _version(name) for name in PACKAGES},
        "run": str(run) if run else None,
        "settings": settings.model_dump(mode="json"),
        "units": [
            {
                "dataset": unit.dataset,
                "fold": unit.fold,
                **unit.shape.model_dump(),
                "accuracy": {name: values.tolist() for name, values in unit.accuracy.items()},
                "seconds": unit.seconds,
                "facts": unit.facts,
            }
            for unit in units
        ],
        "by_fold": [_plain(each) for each in findings.by_fold(units)],
        "differences": [_plain(each) for each in findings.pooled_differences(units)],
        "wordings": [_plain(each) for each in findings.wordings(units)],
    }


def _plain(found: findings.Difference | findings.Wordings) -> dict[str, Any]:
    """As JSON values; an effect size may be infinite and becomes null, as does a p-value that was not asked for."""
    values: dict[str, Any] = json.loads(
        json.dumps({**asdict(found), "shape": found.shape.model_dump()}), parse_constant=_null
    )
    return values


def _null(constant: str) -> None:
    """NaN and Infinity are no JSON."""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


if __name__ == "__main__":
    typer.run(main)
