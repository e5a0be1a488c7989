"""What do the speed results look like? results.json, table.md and speed.png."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

BASE = "learn2learn"


def write_report(found: dict[str, Any], out: Path) -> None:
    """Writes the three files into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text("\n\n".join(sections(found)) + "\n", encoding="utf-8")
    draw(found, out / "speed.png")


def sections(found: dict[str, Any]) -> list[str]:
    """The head, and a section for everything that was measured."""
    parts = {
        "workloads": table,
        "growth": growth,
        "adapt": adapting,
        "read": reading,
        "step": stepping,
        "scaling": scaling,
    }
    return [head(found), *(part(found) for name, part in parts.items() if found[name])]


def head(found: dict[str, Any]) -> str:
    """The machine, in a sentence."""
    machine = found["machine"]
    return (
        f"{machine['device']} ({machine['name']}), torch {machine['torch']}, {machine['threads']} threads; "
        f"a 1024 x 1024 float32 product runs at {machine['matmul_gflops']:.0f} GFLOP/s."
    )


def table(found: dict[str, Any]) -> str:
    """Median time of every way, and how many times as fast as learn2learn, round by round."""
    lines = ["| workload | way | ms | times as fast as learn2learn (quartiles) |", "|---|---|---|---|"]
    for name, work in found["workloads"].items():
        title = f"({name}) {work['title']}"
        for way, times in work["times"].items():
            lines.append(f"| {title} | {way} | {np.median(times):.1f} | {ratio(work['times'], way)} |")
        for way, reason in work["missing"].items():
            lines.append(f"| {title} | {way} | not measured | {reason} |")
        floor = 1e3 * work["flops"] / found["machine"]["matmul_gflops"] / 1e9
        lines.append(f"| {title} | the plain loop's products alone, at the rate above | {floor:.1f} | |")
    return "\n".join(lines)


def ratio(times: dict[str, list[float]], way: str) -> str:
    """Median and quartiles of the ratio within a round."""
    if BASE not in times or way == BASE:
        return ""
    low, middle, high = np.percentile(np.array(times[BASE]) / np.array(times[way]), [25, 50, 75])
    return f"**{middle:.2f}** ({low:.2f} to {high:.2f})"


def growth(found: dict[str, Any]) -> str:
    """Workload a with one number changed."""
    lines = ["| workload a with | taskaware, ms | learn2learn, ms | ratio |", "|---|---|---|---|"]
    for number, values in found["growth"].items():
        for value, times in values.items():
            base = times.get(BASE)
            tail = f"{base:.1f} | {base / times['taskaware']:.2f}" if base else "| "
            lines.append(f"| {number} = {value} | {times['taskaware']:.1f} | {tail} |")
    return "\n".join(lines)


def adapting(found: dict[str, Any]) -> str:
    """The wait for a large task, by stage."""
    settings = found["settings"]["adapt"]
    names = list(next(iter(found["adapt"].values())))
    lines = [
        f"Adapting to {settings['classes']} classes x {settings['shots']} examples, ms:",
        "",
        f"| learner | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for learner, stages in found["adapt"].items():
        lines.append(f"| {learner} | {' | '.join(f'{stages[name]:.1f}' for name in names)} |")
    return "\n".join(lines)


def reading(found: dict[str, Any]) -> str:
    """The wait from raw texts, beside the encoder's own time for them."""
    lines = ["From raw texts, ms:", "", "| learner | the encoder alone | adapt | ratio |", "|---|---|---|---|"]
    for learner, times in found["read"].items():
        lines.append(f"| {learner} | {times['encoder']:.0f} | {times['adapt']:.0f} | {times['ratio']:.2f} |")
    return "\n".join(lines)


def stepping(found: dict[str, Any]) -> str:
    """How much of a training step makes episodes."""
    lines = ["| a training step | ms | making episodes, ms | share |", "|---|---|---|---|"]
    for name, times in found["step"].items():
        lines.append(f"| {name} | {times['step']:.1f} | {times['episodes']:.1f} | {times['share']:.1%} |")
    return "\n".join(lines)


def scaling(found: dict[str, Any]) -> str:
    """Weak scaling: the same work for every process."""
    times = found["scaling"]
    one = next(iter(times.values()))
    lines = ["| processes, each with a whole meta-batch | a step, ms | efficiency |", "|---|---|---|"]
    lines += [f"| {count} | {time:.1f} | {one / time:.2f} |" for count, time in times.items()]
    return "\n".join(lines)


def draw(found: dict[str, Any], path: Path) -> None:
    """Bars of every workload, and a curve for every number that grows."""
    work, curves = found["workloads"], found["growth"]
    columns = max(len(work), len(curves), 1)
    figure, axes = plt.subplots(2, columns, figsize=(4 * columns, 7), squeeze=False, layout="constrained")
    for axis, (name, each) in zip(axes[0], work.items(), strict=False):
        ways = list(each["times"])[::-1]
        colours = ["tab:blue" if way.startswith("taskaware") else "tab:gray" for way in ways]
        axis.barh(ways, [np.median(each["times"][way]) for way in ways], color=colours)
        axis.set_title(f"({name}) {each['title']}", fontsize=9)
        axis.set_xlabel("milliseconds")
    for axis, (number, values) in zip(axes[1], curves.items(), strict=False):
        for way in ("taskaware", BASE):
            points = [(float(value), times[way]) for value, times in values.items() if way in times]
            if points:
                axis.loglog(*zip(*points, strict=True), "o-", label=way)
        axis.set_xlabel(number)
        axis.set_xticks([float(value) for value in values], [str(value) for value in values])
        axis.minorticks_off()
        axis.set_ylabel("milliseconds")
        axis.legend()
    for axis in [*axes[0][len(work) :], *axes[1][len(curves) :]]:
        axis.set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
