"""How is an ablation written as Markdown, CSV and JSON?

One row per arm and number of shots. CSV and JSON hold fractions in full precision; Markdown holds rounded percent.
"""

import csv
import io
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from taskaware.evaluation.metrics import Interval
from taskaware.evaluation.results import Contrast
from taskaware.report.findings import Findings, points

COLUMNS = (
    *("arm", "shots", "episodes", "accuracy", "accuracy_low", "accuracy_high"),
    *("difference", "difference_low", "difference_high", "effect_size", "p_value", "p_holm"),
)


@dataclass(frozen=True)
class Row:
    """One arm at one number of shots; the reference has no contrast."""

    arm: str
    shots: int
    accuracy: Interval
    contrast: Contrast | None


def rows(findings: Findings) -> list[Row]:
    """All measurements by shots, the reference first."""
    result = findings.result
    return [
        Row(arm, shots, findings.accuracy(arm, shots), findings.contrast(arm, shots))
        for shots in result.shots
        for arm in result.arms
        if result.has(arm, shots)
    ]


def markdown(findings: Findings) -> str:
    """A table for people: percent and percentage points."""
    lines = [
        "| shots | arm | accuracy % [95%] | difference [95%] | d_z | p (Holm) |",
        "|---:|:---|---:|---:|---:|---:|",
    ]
    for row in rows(findings):
        arm = row.arm.replace("|", "\\|")
        lines.append(f"| {row.shots} | {arm} | {accuracy_text(row.accuracy)} | " + " | ".join(cells(row)) + " |")
    return "\n".join(lines) + "\n"


def comma_separated(findings: Findings) -> str:
    """A table for programs; the cells of differences are empty for the reference."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows(findings):
        levels = [row.accuracy.n, row.accuracy.mean, row.accuracy.low, row.accuracy.high]
        compared: list[float | str] = [""] * 6
        if row.contrast is not None:
            paired = row.contrast.paired
            ends = [paired.difference, paired.low, paired.high]
            compared = [*ends, paired.effect_size, paired.p_value, row.contrast.adjusted]
        writer.writerow([row.arm, row.shots, *levels, *compared])
    return stream.getvalue()


def json_text(findings: Findings) -> str:
    """The whole result with its contrasts and attribution; an infinite effect size is null (JSON has no infinity)."""
    values = {
        "result": asdict(findings.result),
        "contrasts": [asdict(item) for item in findings.contrasts],
        "attribution": {
            str(shots): {source: asdict(share) for source, share in shares.items()}
            for shots, shares in findings.attribution.items()
        },
    }
    return json.dumps(_finite(values), ensure_ascii=False, allow_nan=False) + "\n"


def accuracy_text(accuracy: Interval) -> str:
    """For example "87.1 [86.4, 87.8]", in percent."""
    return f"{100 * accuracy.mean:.1f} [{100 * accuracy.low:.1f}, {100 * accuracy.high:.1f}]"


def cells(row: Row) -> tuple[str, str, str]:
    """Difference with its interval, effect size and adjusted p as text; dashes for the reference."""
    if row.contrast is None:
        return ("\N{EN DASH}",) * 3
    paired, adjusted = row.contrast.paired, row.contrast.adjusted
    difference = f"{points(paired.difference)} [{points(paired.low)}, {points(paired.high)}]"
    effect = f"{paired.effect_size:+.2f}".replace("-", "\N{MINUS SIGN}").replace("inf", "\N{INFINITY}")
    return difference, effect, "<0.001" if adjusted < 0.001 else f"{adjusted:.3f}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
