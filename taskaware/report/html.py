"""How does a report become one self-contained page?

Everything is inside the file: no script, no link, no font or picture from elsewhere. The page's own policy forbids
browsers to load anything.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from taskaware.report.findings import (
    Findings,
    examples,
    percent,
    shuffled_labels,
    summary,
    verdict,
    wordings,
    worst_wording,
)
from taskaware.report.tables import Row, accuracy_text, cells, rows

_TEMPLATES = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """A figure with its words, and an alternative text for those who cannot see it.

    wide: panels side by side, which scroll on a narrow screen rather than shrink.
    """

    title: str
    caption: str
    alternative: str
    wide: bool
    source: str


@dataclass(frozen=True)
class Line:
    """A row of the page's tables as text; verdict is "worse", "better", "unclear" or "reference"."""

    arm: str
    note: str
    accuracy: str
    difference: str
    effect: str
    adjusted: str
    verdict: str


def page(findings: Findings, pictures: Mapping[str, bytes]) -> str:
    """The HTML text. pictures: figure name (contribution, shots, forest, wording) -> PNG bytes."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    result = findings.result
    words = {"contribution": _contribution, "shots": _shots, "forest": _forest, "wording": _wording}
    shown = [
        describe(findings, "data:image/png;base64," + base64.b64encode(pictures[name]).decode("ascii"))
        for name, describe in words.items()
        if name in pictures
    ]
    lines = [(row.shots, _line(findings, row)) for row in rows(findings)]
    return environment.get_template("page.html.jinja").render(
        result=result,
        summary=summary(findings),
        pictures=shown,
        tables={shots: [line for at, line in lines if at == shots] for shots in result.shots},
        tests=len(findings.contrasts),
        notes={name: text for name, text in result.notes.items() if name not in result.arms},
        attributed=bool(findings.attribution),
        examples=examples,
    )


def _line(findings: Findings, row: Row) -> Line:
    difference, effect, adjusted = cells(row)
    side = verdict(row.contrast.paired) if row.contrast else "reference"
    note = findings.result.notes.get(row.arm, "")
    return Line(row.arm, note, accuracy_text(row.accuracy), difference, effect, adjusted, side)


def _contribution(findings: Findings, source: str) -> Picture:
    caption = (
        "Shapley value of each source: its mean gain over every order in which the sources could have been added. "
        "Bars of one group sum to the total gain of all metadata over none; lines are 95% intervals, and one that "
        "crosses 0 shows no effect. No example at all has a scale of its own."
    )
    shares = "; ".join(
        f"with {examples(shots)}: " + ", ".join(f"{name} {100 * share.mean:+.1f}" for name, share in by_source.items())
        for shots, by_source in findings.attribution.items()
    )
    return Picture(
        "What each source contributed",
        caption,
        f"Grouped bar chart, points of accuracy {shares}.",
        wide=True,
        source=source,
    )


def _shots(findings: Findings, source: str) -> Picture:
    result = findings.result
    caption = "Mean accuracy with 95% bands. Where the lines meet, the examples alone say as much as the words."
    if 0 in result.shots:
        caption += " No example at all is shown apart, on its own scale; there the dotted line is guessing."
    if shuffled_labels(result):
        caption += " Label texts of other classes should cost accuracy: otherwise they are not read."
    levels = ", ".join(
        f"{percent(findings.accuracy(result.reference, shots))} with {examples(shots)}" for shots in result.shots
    )
    return Picture(
        "Accuracy by number of examples", caption, f"Line chart; all metadata: {levels}.", wide=False, source=source
    )


def _forest(findings: Findings, source: str) -> Picture:
    caption = (
        f"Difference of each arm from the reference ({findings.result.reference}) on the same episodes with bootstrap "
        "95% intervals; each panel has its own scale. Left of 0: the change costs accuracy."
    )
    counts = {side: sum(verdict(item.paired) == side for item in findings.contrasts) for side in ("worse", "better")}
    rest = len(findings.contrasts) - sum(counts.values())
    text = f"{counts['worse']} comparisons worse, {counts['better']} better, {rest} with 0 in the interval"
    return Picture(
        "Every change against the full model",
        caption,
        f"Forest plot: {text}. The tables below hold all numbers.",
        wide=True,
        source=source,
    )


def _wording(findings: Findings, source: str) -> Picture:
    result = findings.result
    caption = (
        "The same task described in other words, with 95% intervals. The triangle marks the worst wording, which is "
        "what a user must be ready for; the dashed line is the reference."
    )
    worst = [(shots, worst_wording(findings, shots)) for shots in result.shots]
    levels = ", ".join(
        f"{arm} with {examples(shots)}: {percent(findings.accuracy(arm, shots))}" for shots, arm in worst if arm
    )
    text = f"Dot plot of {len(wordings(result))} wordings. Worst: {levels}."
    return Picture("How much the wording of the description matters", caption, text, wide=True, source=source)
