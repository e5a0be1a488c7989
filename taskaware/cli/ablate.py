"""`taskaware ablate`: what each piece of metadata contributed, as tables, figures and one page."""

from pathlib import Path
from typing import Annotated

import typer

from taskaware.cli.console import console, progress_bar
from taskaware.core.config import build, override, read_yaml


def ablate_command(
    run: Annotated[Path, typer.Argument(help="a run folder, e.g. runs/quickstart")],
    config: Annotated[Path, typer.Argument(help="an ablation's YAML file, e.g. configs/ablation/quickstart.yaml")],
    out: Annotated[Path, typer.Option(help="the folder for tables, figures and report.html")],
    assignments: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable")] = None,
) -> None:
    """Runs every arm over the same episodes and writes the report; a second call goes on where the first stopped."""
    from taskaware.evaluation.ablation import AblationConfig, run_ablation
    from taskaware.pipeline import TaskAware
    from taskaware.report import write_report

    settings = build(AblationConfig, override(read_yaml(config), assignments or []), str(config))
    model = TaskAware.from_pretrained(run)
    command = f"taskaware ablate {run} {config} --out {out}" + "".join(f" --set {each}" for each in assignments or [])
    with progress_bar() as bar:
        job = bar.add_task("ablating", total=None, note="")
        result = run_ablation(
            model,
            settings,
            out,
            command,
            lambda done, total, arm: bar.update(job, completed=done, total=total, note=arm),
        )
    files = write_report(result, out)
    console.print((out / "table.md").read_text(encoding="utf-8"), highlight=False, markup=False)
    console.print(f"report: {files.page}", highlight=False)
