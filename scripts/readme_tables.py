"""Writes the results of the benchmarks into the tables of README.md.

    python scripts/readme_tables.py            # every table whose results lie under runs/benchmarks
    python scripts/readme_tables.py --check    # changes nothing; status 1 where README.md differs or results lack

A table stands between `<!-- table NAME -->` and `<!-- end -->`; the text around it is written by hand.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from taskaware.evaluation.metrics import mean_interval

Rows = list[list[str]]
RESULTS = Path("runs/benchmarks")
METHODS = ("taskaware", "mix", "mix.5", "proto", "label", "LR", "LR + texts")
WORDS = {"without words": "none", "shuffled": "label texts: shuffled", "nonsense": "label texts: nonsense"}
_TABLE = re.compile(r"(<!-- table ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(
    readme: Annotated[Path, typer.Argument(help="the file with the tables")] = Path("README.md"),
    check: Annotated[bool, typer.Option(help="only say what differs")] = False,
) -> None:
    """Fills the tables in. Those without results stay as they are, and are named."""
    before = readme.read_text(encoding="utf-8")
    unknown = sorted({match[2] for match in _TABLE.finditer(before)} - set(TABLES))
    if unknown:
        raise SystemExit(f"{readme}: no table {unknown[0]!r}; known: {', '.join(TABLES)}")
    missing: list[str] = []

    def filled(match: re.Match[str]) -> str:
        try:
            rows = TABLES[match[2]]()
        except FileNotFoundError as error:
            missing.append(f"{match[2]}: no {error.filename}")
            return match[0]
        if len(rows) == 1:
            missing.append(f"{match[2]}: left out of these results")
            return match[0]
        return f"{match[1]}{markdown(rows)}{match[3]}"

    after = _TABLE.sub(filled, before)
    print(
        "\n".join([*missing, f"{len(TABLES) - len(missing)} tables {'differ' if after != before else 'as they were'}"])
    )
    if check:
        raise typer.Exit(int(after != before or bool(missing)))
    readme.write_text(after, encoding="utf-8")


def markdown(rows: Rows) -> str:
    """A table whose first row is the head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def results(name: str) -> Any:
    """What a benchmark wrote."""
    return json.loads((RESULTS / name / "results.json").read_text(encoding="utf-8"))


def percent(values: Any) -> str:
    """Mean and half-width of its 95% interval."""
    found = mean_interval(100 * np.array(values))
    return f"{found.mean:.1f} ± {found.high - found.mean:.1f}"


def units(name: str) -> dict[tuple[str, int, int], list[Any]]:
    """A benchmark's measurements by (data set, way, shots); several folds are pooled."""
    found: dict[tuple[str, int, int], list[Any]] = {}
    for unit in results(name)["units"]:
        found.setdefault((unit["dataset"], unit["way"] or 0, unit["shots"]), []).append(unit)
    return dict(sorted(found.items()))


def accuracies(parts: Sequence[Any], method: str) -> list[float]:
    """All episodes of a method, [] where it was not measured everywhere."""
    lists = [part["accuracy"].get(WORDS.get(method, method)) for part in parts]
    return [] if None in lists else [value for values in lists for value in values]


def accuracy_table(names: Sequence[str], methods: Sequence[str], *, way: bool) -> Rows:
    """One row for each data set, way and shots."""
    rows = [["accuracy, %", *(["way"] if way else []), "shots", *methods]]
    for name in names:
        for (data, ways, shots), parts in units(name).items():
            cells = [percent(found) if (found := accuracies(parts, method)) else "" for method in methods]
            cells[0] = f"**{cells[0]}**"
            rows.append([data, *([str(ways or "all")] if way else []), str(shots), *cells])
    return rows


def general_table() -> Rows:
    """The general model beside those of single data sets, on the same folds and episodes."""
    rivals = ("mix, tuned encoder", "LR + texts, tuned encoder")
    rows = [["data", "way", "shots", "general", "own model", "difference", "mix, tuned", "LR + texts, tuned"]]
    for name in ("intents", "sgd", "fewrel"):
        own = units(name)
        for key, parts in units(f"{name}-general").items():
            folds = [part["fold"] for part in parts]
            ours = np.array(accuracies(parts, "taskaware"))
            theirs = np.array(accuracies([part for part in own[key] if part["fold"] in folds], "taskaware"))
            rows.append(
                [
                    key[0] + (" (fold 1)" if name == "intents" else ""),
                    *(str(key[1]), str(key[2]), percent(ours), percent(theirs), difference(ours - theirs)),
                    *(percent(found) if (found := accuracies(parts, rival)) else "" for rival in rivals),
                ]
            )
    return rows


def setfit_table() -> Rows:
    """SetFit on the draws that it was run on, beside others on the same draws, and the seconds from raw text."""
    others = ("taskaware", "LR", "LR + texts")
    rows = [["accuracy, %", "shots", "draws", "SetFit", *others, "steps", "SetFit, s", "taskaware, s"]]
    for (data, _, shots), (part,) in units("full_label_sets").items():
        if (found := part["accuracy"].get("SetFit")) is None:
            continue
        draws, seconds = len(found), part["seconds"]
        means = [f"{100 * np.mean(part['accuracy'][name][:draws]):.1f}" for name in others]
        row = [data, str(shots), str(draws), f"{100 * np.mean(found):.1f}", f"**{means[0]}**", *means[1:]]
        row += [str(part["facts"]["setfit_steps"][0]), f"{seconds['SetFit']['text']:.0f}"]
        rows.append([*row, f"{seconds['taskaware']['text']:.1f}"])
    return rows


def difference(values: Any) -> str:
    """Mean of paired differences in points with its 95% interval."""
    found = mean_interval(100 * values)
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def wordings_table() -> Rows:
    """The worst wording of SGD's descriptions against the original."""
    rows, found = [["worst wording", "taskaware", "mix", "label"]], results("sgd")["wordings"]
    for shots in sorted({each["shape"]["shots"] for each in found}):
        methods = {each["method"]: each for each in found if each["shape"]["shots"] == shots}
        rows.append([f"{shots}-shot", *(_worst(methods[name]) for name in rows[0][1:])])
    return rows


def _worst(each: Any) -> str:
    loss, worst = each["loss"], 100 * each["means"][each["worst"]]
    return f"{worst:.1f} ({100 * loss['difference']:+.1f} [{100 * loss['low']:+.1f}, {100 * loss['high']:+.1f}])"


def pairs_table() -> Rows:
    """Every question of the pairs: taskaware, mix and their difference by shots."""
    rows = [["asks for", "task", "way", "0 examples: taskaware / mix", "1 example", "3 examples"]]
    tasks: dict[tuple[str, str, int], list[Any]] = {}
    for each in results("pairs"):
        tasks.setdefault((each["kind"], each["task"], each["way"]), []).append(each)
    for (kind, task, way), found in tasks.items():
        rows.append([kind, task, str(way), *(_pair(each) for each in sorted(found, key=lambda each: each["shots"]))])
    return rows


def _pair(each: Any) -> str:
    ours, mix, low, high = (100 * each[name] for name in ("taskaware", "mix", "low", "high"))
    return f"**{ours:.1f}** / {mix:.1f}, {ours - mix:+.1f} [{low:+.1f}, {high:+.1f}]"


def pair_means(name: str) -> Rows:
    """Means over the questions of a kind."""
    columns = ("taskaware", "mix", "LR + texts", "no words", "swapped")
    rows, found = [["mean of", "tasks", "examples", *columns]], results(name)
    for kind in dict.fromkeys(each["kind"] for each in found):
        for shots in sorted({each["shots"] for each in found}):
            group = [each for each in found if each["kind"] == kind and each["shots"] == shots]
            means = [f"{100 * np.mean([each[column] for each in group]):.1f}" for column in columns]
            rows.append([kind, str(len(group)), str(shots), f"**{means[0]}**", *means[1:]])
    return rows


def speed_table() -> Rows:
    """Milliseconds of ours and of learn2learn, and everybody's ratio to learn2learn, round by round."""
    peers = ("higher", "TorchOpt", "easyfsl")
    rows = [["workload", "taskaware, ms", "learn2learn, ms", "ratio", *peers]]
    for letter, work in results("speed")["workloads"].items():
        times = {name: np.array(each) for name, each in work["times"].items()}
        ratios = {name: times["learn2learn"] / each for name, each in times.items()}
        low, middle, high = np.quantile(ratios["taskaware"], [0.25, 0.5, 0.75])
        medians = [f"{np.median(times[name]):.3g}" for name in ("taskaware", "learn2learn")]
        theirs = [f"{np.median(ratios[name]):.2f}" if name in ratios else "" for name in peers]
        ours = f"**{middle:.2f}** ({low:.2f} to {high:.2f})"
        rows.append([f"({letter}) {work['title']}", *medians, ours, *theirs])
    return rows


def growth_table() -> Rows:
    """Workload (a) with one number changed: times as fast as learn2learn."""
    rows = [["(a) with", "taskaware, ms", "learn2learn, ms", "ratio"]]
    for number, values in results("speed")["growth"].items():
        for value, each in values.items():
            ours, theirs = each["taskaware"], each["learn2learn"]
            rows.append([f"{number} = {value}", f"{ours:.3g}", f"{theirs:.3g}", f"{theirs / ours:.2f}"])
    return rows


TABLES: dict[str, Callable[[], Rows]] = {
    "pairs": pairs_table,
    "pair-means": lambda: pair_means("pairs"),
    "development-means": lambda: pair_means("pairs-development"),
    "intents": lambda: accuracy_table(["intents"], METHODS, way=False),
    "intents-words": lambda: accuracy_table(["intents"], ("taskaware", *WORDS), way=False),
    "full": lambda: accuracy_table(["full_label_sets"], METHODS, way=False),
    "full-words": lambda: accuracy_table(["full_label_sets"], ("taskaware", *WORDS), way=False),
    "setfit": setfit_table,
    "unseen": lambda: accuracy_table(["sgd", "fewrel"], METHODS, way=True),
    "unseen-words": lambda: accuracy_table(["sgd", "fewrel"], ("taskaware", *WORDS), way=True),
    "wordings": wordings_table,
    "general": general_table,
    "speed": speed_table,
    "growth": growth_table,
}

if __name__ == "__main__":
    typer.run(main)
