"""`taskaware ablate`: what each piece of metadata contributed, as tables, figures and one page."""

from pathlib import Path
from typing import Annotated

import typer

from taskaware.cli.console import console, progress_bar, show_table
from taskaware.core.config import build, override, read_yaml
from taskaware.evaluation.results import ONLY, AblationResult, Contrast, contrasts


def ablate_command(
    run: Annotated[Path, typer.Argument(help="a run folder, or a model that came with the package: general")],
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
    _show(result)
    console.print(f"report: {files.page}", highlight=False, soft_wrap=True)


def _show(result: AblationResult) -> None:
    """Accuracy of each arm and its difference to the reference; the combinations are in the report alone."""
    found = {(each.arm, each.shots): each for each in contrasts(result)}
    names = [arm for arm in result.arms if not arm.startswith(ONLY) and arm != result.reference]
    reference = [f"{100 * result.accuracy(result.reference, shots).mean():.1f}" for shots in result.shots]
    rows = [(f"{result.reference} (accuracy, %)", *reference)]
    rows += [(name, *(_difference(found.get((name, shots))) for shots in result.shots)) for name in names]
    title = f"difference to `{result.reference}` in points of accuracy; * Holm-adjusted p < 0.05"
    show_table(title, ["arm", *(f"{shots}-shot" for shots in result.shots)], rows)


def _difference(contrast: Contrast | None) -> str:
    if contrast is None:
        return ""
    return f"{100 * contrast.paired.difference:+.1f}{'*' if contrast.adjusted < 0.05 else ' '}"
