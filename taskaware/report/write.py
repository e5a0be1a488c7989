"""Which files does a report consist of, and where do they go?"""

from dataclasses import dataclass
from pathlib import Path

from taskaware.core.files import atomic_path, write_text
from taskaware.evaluation.results import AblationResult
from taskaware.report import figures
from taskaware.report.findings import find
from taskaware.report.html import page
from taskaware.report.tables import comma_separated, json_text, markdown


@dataclass(frozen=True)
class ReportFiles:
    """Where the report lies. figures: name -> PNG; only those whose arms were measured."""

    page: Path
    table: Path
    csv: Path
    json: Path
    figures: dict[str, Path]


def write_report(result: AblationResult, folder: Path) -> ReportFiles:
    """Writes tables, figures and the page into `folder`; each file replaces its older version as a whole.

    A figure that an older report left there and that this one lacks is removed. Raises ConfigError for a set of
    `only:` arms that lacks a combination.
    """
    findings = find(result)
    drawn = {
        "contribution": figures.contribution(findings),
        "shots": figures.by_shots(findings),
        "forest": figures.forest(findings),
        "wording": figures.wording(findings),
    }
    pictures = {name: figures.png(figure) for name, figure in drawn.items() if figure is not None}
    paths = {name: folder / f"{name}.png" for name in drawn}
    files = ReportFiles(
        page=folder / "report.html",
        table=folder / "table.md",
        csv=folder / "table.csv",
        json=folder / "result.json",
        figures={name: paths[name] for name in pictures},
    )
    for name, path in paths.items():
        if name in pictures:
            with atomic_path(path) as temporary:
                temporary.write_bytes(pictures[name])
        else:
            path.unlink(missing_ok=True)
    write_text(files.table, markdown(findings))
    write_text(files.csv, comma_separated(findings))
    write_text(files.json, json_text(findings))
    write_text(files.page, page(findings, pictures))
    return files
