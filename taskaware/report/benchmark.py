"""How is a benchmark written as Markdown and JSON?

Markdown holds rounded percent and percentage points; JSON holds fractions in full precision, without the episodes,
which are in the parts' own files.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from taskaware.evaluation.benchmark import MODEL, Part
from taskaware.evaluation.metrics import Interval, mean_interval
from taskaware.report.benchmark_findings import BEST_BASELINE, POOLED, Difference, pool

METHODS = (MODEL, "mix", "proto", "mix.5", "label")
_NOTE = """\
Intervals are 95%, over episodes: they do not tell how another training seed would end. Differences are paired, with
bootstrapped intervals; p is Wilcoxon's, adjusted by Holm over a data set's differences of all shots (those of its parts
and the pooled ones apart). "better of proto, mix.5" is chosen on the measured episodes, which favours the baseline."""


def benchmark_markdown(
    parts: Sequence[Part],
    differences: Sequence[Difference],
    provenance: Mapping[str, str],
    *,
    word: str,
    each_part: bool,
) -> str:
    """Accuracies, differences to the baselines, then to the arms. word: what a part is; each_part: a row for each."""
    arms = [each for each in differences if each.rival not in (BEST_BASELINE, *METHODS)]
    baselines = [each for each in differences if each not in arms]
    lines = [f"- {name}: {value}" for name, value in provenance.items()]
    lines += ["", _NOTE, "", "## Accuracy, %", "", *_accuracies(parts, word, each_part)]
    lines += ["", "## The model minus what needs no training, points", "", *_differences(baselines, word)]
    lines += ["", "## The model minus itself with other words, points", "", *_differences(arms, word)]
    lines += ["", "## What training shares with the test", "", *_shared(parts, word)]
    return "\n".join(lines) + "\n"


def benchmark_json(parts: Sequence[Part], differences: Sequence[Difference], provenance: Mapping[str, Any]) -> str:
    """The same numbers for programs; an infinite effect size is null."""
    values = {
        "provenance": dict(provenance),
        "parts": [
            {
                "dataset": part.dataset,
                "part": part.name,
                "facts": dict(part.facts),
                "milliseconds": {str(shots): value for shots, value in part.milliseconds.items()},
                "accuracy": {
                    shots: {name: vars(mean_interval(v)) for name, v in each.items()}
                    for shots, each in part.accuracy.items()
                },
            }
            for part in parts
        ],
        "differences": [_plain(each) for each in differences],
    }
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(difference: Difference) -> dict[str, Any]:
    paired = {name: value if math.isfinite(value) else None for name, value in vars(difference.paired).items()}
    return {**vars(difference), "paired": paired}


def _accuracies(parts: Sequence[Part], word: str, each_part: bool) -> list[str]:
    lines = _head(["data", word, "shots", *METHODS, "adapt, ms"], text=2)
    for dataset in dict.fromkeys(part.dataset for part in parts):
        group = [part for part in parts if part.dataset == dataset]
        shown = [([part], part.name) for part in group] if each_part or len(group) == 1 else []
        if len(group) > 1:
            shown.append((group, POOLED))
        for chosen, name in shown:
            for shots in group[0].accuracy:
                pooled = pool(chosen, shots)
                cells = [_accuracy(mean_interval(pooled[each])) if each in pooled else "" for each in METHODS]
                milliseconds = float(np.median([part.milliseconds[shots] for part in chosen]))
                lines.append(_row([dataset, name, str(shots), *cells, f"{milliseconds:.1f}"]))
    return lines


def _differences(differences: Sequence[Difference], word: str) -> list[str]:
    lines = _head(["data", word, "shots", "minus", "difference [95%]", "p (Holm)"], text=2)
    for each in differences:
        paired = each.paired
        interval = f"{_points(paired.difference)} [{_points(paired.low)}, {_points(paired.high)}]"
        adjusted = "<0.001" if each.adjusted < 0.001 else f"{each.adjusted:.3f}"
        bold = "**" if each.part == POOLED else ""
        cells = [each.dataset, each.part, str(each.shots), each.against, interval, adjusted]
        lines.append(_row([f"{bold}{cell}{bold}" for cell in cells]))
    return lines


def _shared(parts: Sequence[Part], word: str) -> list[str]:
    lines = _head(["data", word, "overlap"], text=3)
    return lines + [_row([part.dataset, part.name, str(part.facts.get("overlap", ""))]) for part in parts]


def _accuracy(interval: Interval) -> str:
    return f"{100 * interval.mean:.1f} ± {100 * (interval.high - interval.mean):.1f}"


def _points(value: float) -> str:
    return f"{100 * value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _head(columns: Sequence[str], text: int) -> list[str]:
    return [_row(columns), "|" + ":---|" * text + "---:|" * (len(columns) - text)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
