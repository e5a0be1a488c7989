"""How is a benchmark written as Markdown? Percent and percentage points, every figure with its interval."""

from collections.abc import Sequence

import numpy as np

from taskaware.evaluation.benchmarks import findings
from taskaware.evaluation.benchmarks.findings import Difference, Wordings
from taskaware.evaluation.benchmarks.measure import MODEL, Unit
from taskaware.evaluation.benchmarks.rivals import LR, LR_TEXTS
from taskaware.evaluation.benchmarks.setfit_rival import SETFIT
from taskaware.evaluation.benchmarks.settings import BenchmarkConfig, Shape
from taskaware.evaluation.benchmarks.store import Floats
from taskaware.evaluation.benchmarks.timing import CACHED, TEXT, TRAINING_FREE
from taskaware.evaluation.metrics import mean_interval
from taskaware.evaluation.statistics import Paired

METHODS = (MODEL, "mix", "mix.5", "proto", "label", LR, LR_TEXTS, SETFIT)


def markdown(settings: BenchmarkConfig, units: Sequence[Unit], command: str) -> str:
    """The whole table.md: accuracy, fold by fold, paired differences, wordings, seconds, what was shared."""
    sections = [
        ("Accuracy, %", _accuracy(units)),
        ("Fold by fold against the better baseline", _by_fold(findings.by_fold(units), units)),
        ("taskaware minus each other method and arm, points", _differences(findings.pooled_differences(units))),
        ("Every wording of the label texts, %", _wordings(findings.wordings(units))),
        ("Seconds to learn one task (median)", _seconds(units)),
        ("What training and test share", _shared(units)),
    ]
    lines = [_head(settings), "", f"Command: `{command}`"]
    for title, rows in sections:
        if len(rows) > 2:
            lines += ["", f"## {title}", "", *rows]
    return "\n".join(lines) + "\n"


def _head(settings: BenchmarkConfig) -> str:
    full = settings.protocol == "full_label_sets"
    tasks = "draws of the examples for one sample of queries (at 0 shots: of queries)" if full else "episodes a fold"
    text = f"{settings.episodes} {tasks}, {settings.query} queries a class, seed {settings.seed}. "
    text += "± is half a 95% interval over " + ("draws" if full else "episodes")
    text += "; those of differences are bootstrapped over the same, paired; p by Holm within a data set."
    if settings.setfit is not None:
        cap = settings.setfit.max_steps
        text += f" SetFit: its defaults{f', at most {cap} steps' if cap else ''}"
        text += f"{', label texts as examples' if settings.setfit.label_texts else ''}; on the number of tasks given."
    return text


def _accuracy(units: Sequence[Unit]) -> list[str]:
    named = [name for name in METHODS if any(name in unit.accuracy for unit in units)]
    rows = [["data", "way", "shots", *named]]
    for group in findings.groups(units):
        most = len(findings.pool(group, MODEL))
        present = findings.methods(group)
        cells = [_interval(findings.pool(group, name), most) if name in present else "" for name in named]
        rows.append([group[0].dataset, *_place(group[0].shape), *cells])
    return _table(rows)


def _by_fold(differences: Sequence[Difference], units: Sequence[Unit]) -> list[str]:
    rows = [["data", "fold", "way", "shots", MODEL, "against", "difference [95%]"]]
    for each, unit in zip(differences, units, strict=True):
        place = [each.dataset, each.fold or "", *_place(each.shape)]
        rows.append([*place, _interval(unit.accuracy[MODEL]), each.against, _paired(each.paired)])
    return _table(rows)


def _differences(differences: Sequence[Difference]) -> list[str]:
    rows = [["data", "way", "shots", "minus", "tasks", "difference [95%]", "p (Holm)"]]
    for each in differences:
        p_value = "<0.001" if each.adjusted < 0.001 else f"{each.adjusted:.3f}"
        rows.append([each.dataset, *_place(each.shape), each.rival, str(each.tasks), _paired(each.paired), p_value])
    return _table(rows)


def _wordings(found: Sequence[Wordings]) -> list[str]:
    most = max((len(each.means) for each in found), default=1)
    numbers = ["original", *(f"wording {index + 1}" for index in range(1, most))]
    rows = [["data", "way", "shots", "method", *numbers, "worst", "worst minus original [95%]"]]
    for each in found:
        means = [f"{100 * mean:.1f}" for mean in each.means] + [""] * (most - len(each.means))
        worst = f"{100 * each.means[each.worst]:.1f} ({numbers[each.worst]})"
        rows.append([each.dataset, *_place(each.shape), each.method, *means, worst, _paired(each.loss)])
    return _table(rows)


def _seconds(units: Sequence[Unit]) -> list[str]:
    columns = [(MODEL, CACHED), (TRAINING_FREE, CACHED), (LR, CACHED), (LR_TEXTS, CACHED)]
    columns += [(MODEL, TEXT), (LR, TEXT), (LR_TEXTS, TEXT), (SETFIT, TEXT)]
    heads = [f"{name}, {'from text' if kind == TEXT else 'cached'}" for name, kind in columns]
    rows = [["data", "way", "shots", *heads, f"{SETFIT} / {MODEL}, from text"]]
    for group in findings.groups(units):
        found = [_median_seconds(group, *column) for column in columns]
        ratio = f"{found[-1] / found[4]:.0f}" if found[-1] is not None and found[4] else ""
        cells = ["" if value is None else f"{value:.4f}" for value in found]
        rows.append([group[0].dataset, *_place(group[0].shape), *cells, ratio])
    return _table(rows)


def _median_seconds(group: Sequence[Unit], method: str, kind: str) -> float | None:
    values = [unit.seconds[method][kind] for unit in group if kind in unit.seconds.get(method, {})]
    return float(np.median(values)) if values else None


def _shared(units: Sequence[Unit]) -> list[str]:
    names = ["task_ids", "label_texts", "removed_rows", "validation_classes"]
    rows = [["data", "fold", "classes", *(name.replace("_", " ") for name in names)]]
    for unit in {(unit.dataset, unit.fold): unit for unit in units}.values():
        rows.append([unit.dataset, unit.fold or "", "0", *(str(unit.facts[name]) for name in names)])
    return _table(rows)


def _place(shape: Shape) -> list[str]:
    return [str(shape.way or "all"), str(shape.shots)]


def _interval(values: Floats, most: int | None = None) -> str:
    found = mean_interval(values)
    fewer = f" ({len(values)} tasks)" if most is not None and len(values) < most else ""
    return f"{100 * found.mean:.1f} ± {100 * (found.high - found.mean):.1f}{fewer}"


def _paired(paired: Paired) -> str:
    return f"{100 * paired.difference:+.2f} [{100 * paired.low:+.2f}, {100 * paired.high:+.2f}]"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]
