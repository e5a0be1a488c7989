"""What do the memory's results look like? results.json, table.md and memory.png."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_SEARCHES = {"1": "one query", "1, excluding": "one query, excluding", "1, exact": "one query, exact search"}


def write_report(found: dict[str, Any], out: Path) -> None:
    """Writes the three files into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(f"{searching(found)}\n\n{keeping(found)}\n", encoding="utf-8")
    draw(found, out / "memory.png")


def searching(found: dict[str, Any]) -> str:
    """Times and recall of searches."""
    batch, k = found["settings"]["batch"], found["settings"]["k"]
    lines = [
        f"| tasks | index | recall@{k} | one query, ms | with exclusions | {batch} queries | exact search, one query |",
        "|---" * 7 + "|",
    ]
    for size, each in found["sizes"].items():
        search = each["search"]
        times = [both(search[key]) for key in ("1", "1, excluding", str(batch), "1, exact")]
        lines.append(f"| {int(size):,} | {each['index']} | {each['recall']:.3f} | {' | '.join(times)} |")
    return "\n".join([*lines, "", "Milliseconds: median / 99th percentile."])


def keeping(found: dict[str, Any]) -> str:
    """What it takes to write, to keep and to open a store."""
    lines = [
        "| tasks | classes each | SQLite: add, s | get one, ms | read all, s | disk, MB "
        "| index: build, s | disk, MB | open to first answer, s | resident, MB |",
        "|---" * 10 + "|",
    ]
    for size, each in found["sizes"].items():
        classes = found["settings"]["sizes"].get(str(size), 0)
        values = [
            f"{int(size):,}",
            f"{classes}",
            f"{each['add_s']:.1f}",
            f"{each['get']['p50']:.2f}",
            f"{each['snapshot_s']:.1f}",
            f"{each['sqlite_mb']:.0f}",
            f"{each['index_s']:.1f}",
            f"{each['index_mb']:.0f}",
            f"{each['open_s']:.1f}",
            f"{each['resident_mb']:.0f}",
        ]
        lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines)


def both(times: dict[str, float]) -> str:
    """Median and 99th percentile."""
    return f"{times['p50']:.2f} / {times['p99']:.2f}"


def draw(found: dict[str, Any], path: Path) -> None:
    """How the time of one query grows with the memory, and what the memory takes."""
    sizes = [int(size) for size in found["sizes"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for key, title in _SEARCHES.items():
        left.loglog(sizes, [each["search"][key]["p50"] for each in found["sizes"].values()], "o-", label=title)
    left.set_ylabel("milliseconds, median")
    for key, title in (("sqlite_mb", "SQLite on disk"), ("index_mb", "index on disk"), ("resident_mb", "resident")):
        right.loglog(sizes, [each[key] for each in found["sizes"].values()], "o-", label=title)
    right.set_ylabel("megabytes")
    for axis in (left, right):
        axis.set_xlabel("tasks")
        axis.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)
