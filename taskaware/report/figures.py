"""How do the findings look as pictures?

Colours are those of Okabe & Ito 2008, "Color Universal Design", https://jfly.uni-koeln.de/color/, safe for colour-blind
readers; shape or hatch tells the same as colour. Figures are made without pyplot, so no global state is touched.
A function returns None where the arms it shows were not measured.
"""

import io
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from taskaware.evaluation.metrics import Interval
from taskaware.evaluation.results import NONE, ONLY
from taskaware.report.findings import (
    WORDING,
    Findings,
    points,
    shuffled_labels,
    verdict,
    wordings,
    worst_wording,
)

BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#6E6E6E"
INK, RULE = "#222222", "#DDDDDD"
SMALL, NORMAL = 8, 9
Style = dict[str, Any]  # keyword arguments of one Matplotlib artist
_SOURCES = {
    "description": (BLUE, ""),
    "background": (ORANGE, "///"),
    "label texts": (GREEN, "..."),
    "memory": (PURPLE, "xxx"),
}
_VERDICTS = {"worse": (RED, "o", RED), "better": (BLUE, "D", BLUE), "unclear": (GREY, "s", "white")}


def contribution(findings: Findings) -> Figure | None:
    """Shapley value of each source by shots, bars with 95% intervals; the bars of a group sum to the total gain."""
    shares = findings.attribution
    if not shares:
        return None
    sources = list(dict.fromkeys(source for by_source in shares.values() for source in by_source))
    figure = _figure(max(5.2, 1.9 + 1.25 * len(shares)), 3.4)
    for axes, shown in _by_shots(figure, tuple(shares)):
        for place, source in enumerate(sources):
            at = [index + (place - (len(sources) - 1) / 2) * 0.85 / len(sources) for index in range(len(shown))]
            _bars(axes, at, [shares[shots][source] for shots in shown], source, 0.85 / len(sources))
        totals = [sum(share.mean for share in shares[shots].values()) for shots in shown]
        ticks = [f"{shots}\n(sum {points(total)})" for shots, total in zip(shown, totals, strict=True)]
        axes.set_xticks(range(len(ticks)), ticks)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.margins(x=0.04, y=0.12)
        _dress(axes, "", "")
        axes.spines["bottom"].set_visible(False)
    figure.supxlabel("examples per class", fontsize=NORMAL, color=INK)
    figure.axes[0].set_ylabel("contribution to accuracy (points)", fontsize=NORMAL, color=INK)
    _legend(figure, len(sources))
    return figure


def forest(findings: Findings) -> Figure | None:
    """Difference of each arm from the reference with its 95% interval, one panel per number of shots."""
    result = findings.result
    arms = [arm for group in ("", WORDING, ONLY) for arm in result.arms if _group(arm) == group]
    arms.remove(result.reference)
    if not arms:
        return None
    figure = _figure(max(5.6, 2.4 + 1.9 * len(result.shots)), 1.1 + 0.2 * len(arms))
    panels = _panels(figure, len(result.shots))
    breaks = [height for height in range(1, len(arms)) if _group(arms[height]) != _group(arms[height - 1])]
    for panel, shots in zip(panels, result.shots, strict=True):
        for height, arm in enumerate(arms):
            _difference(panel, findings, arm, shots, height)
        panel.axvline(0, color=INK, linewidth=0.8)
        for height in breaks:
            panel.axhline(height - 0.5, color=GREY, linewidth=0.6, linestyle=":")
        _dress(panel, "difference (points)", _examples(shots))
        panel.set_ylim(len(arms) - 0.4, -0.6)
    panels[0].set_yticks(range(len(arms)), [_arm_name(arm) for arm in arms], fontsize=SMALL, parse_math=False)
    names = {"worse": "worse", "better": "better", "unclear": "interval includes 0"}
    for key, (colour, marker, face) in _VERDICTS.items():
        style: Style = {"color": colour, "marker": marker, "markerfacecolor": face, "markersize": 5, "linewidth": 1.2}
        panels[0].plot([], [], label=names[key], **style)
    _legend(figure, 3)
    return figure


def wording(findings: Findings) -> Figure | None:
    """Accuracy of every wording of the description with 95% intervals; the worst is marked."""
    result, arms = findings.result, wordings(findings.result)
    shown = [shots for shots in result.shots if any(result.has(arm, shots) for arm in arms)]
    if not arms:
        return None
    figure = _figure(max(5.2, 1.4 + 1.9 * len(shown)), 1.3 + 0.26 * len(arms))
    panels = _panels(figure, len(shown))
    for panel, shots in zip(panels, shown, strict=True):
        worst = worst_wording(findings, shots)
        for height, arm in enumerate(arms):
            if result.has(arm, shots):
                level = findings.accuracy(arm, shots)
                colour, marker = (RED, "v") if arm == worst else (BLUE, "o")
                style: Style = {
                    "color": colour,
                    "marker": marker,
                    "markersize": 6 if arm == worst else 4.5,
                    "linewidth": 1.3,
                }
                panel.errorbar([100 * level.mean], [height], xerr=_reach([level]), capsize=2, **style)
        reference = findings.accuracy(result.reference, shots)
        panel.axvline(100 * reference.mean, color=INK, linewidth=1, linestyle="--")
        panel.axvspan(100 * reference.low, 100 * reference.high, color=INK, alpha=0.08, linewidth=0)
        _dress(panel, "accuracy (%)", _examples(shots))
        panel.set_ylim(len(arms) - 0.4, -0.6)
    names = [arm.removeprefix("description: ") for arm in arms]
    panels[0].set_yticks(range(len(arms)), names, fontsize=SMALL, parse_math=False)
    panels[0].plot([], [], color=RED, marker="v", linewidth=1.3, label="worst wording")
    panels[0].plot([], [], color=BLUE, marker="o", linewidth=1.3, label="other wordings")
    panels[0].plot([], [], color=INK, linestyle="--", linewidth=1, label=f"reference ({result.reference})")
    _legend(figure, 3)
    return figure


def by_shots(findings: Findings) -> Figure:
    """Accuracy by shots of the reference, of no metadata and of shuffled label texts, with 95% bands."""
    result = findings.result
    lines = [(result.reference, "all metadata", BLUE, "o", "-"), (NONE, "no metadata", RED, "s", "--")]
    shuffled = shuffled_labels(result)
    lines += [(shuffled, "label texts of other classes", GREY, "^", "-.")] if shuffled else []
    figure = _figure(5.6, 3.4)
    for axes, shown in _by_shots(figure, result.shots):
        for arm, name, colour, marker, dash in lines:
            at = [index for index, shots in enumerate(shown) if result.has(arm, shots)]
            levels = [findings.accuracy(arm, shown[index]) for index in at]
            if not levels:
                continue
            low, high = [100 * level.low for level in levels], [100 * level.high for level in levels]
            axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.errorbar(at, _means(levels), _reach(levels), fmt="none", ecolor=colour, elinewidth=1, capsize=3)
            style: Style = {"color": colour, "marker": marker, "linestyle": dash, "markersize": 5, "linewidth": 1.5}
            axes.plot(at, _means(levels), label=name, **style)
        if 0 in shown:
            axes.axhline(100 / result.way, color=INK, linewidth=1, linestyle=":", label="chance")
        axes.set_xticks(range(len(shown)), [str(shots) for shots in shown])
        axes.margins(x=0.06 if len(shown) > 1 else 0.5, y=0.08)
        _dress(axes, "", "")
    figure.supxlabel("examples per class", fontsize=NORMAL, color=INK)
    figure.axes[0].set_ylabel("accuracy (%)", fontsize=NORMAL, color=INK)
    _legend(figure, 2)
    return figure


def png(figure: Figure) -> bytes:
    """The picture's bytes, the same for the same numbers."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return stream.getvalue()


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _panels(figure: Figure, count: int) -> list[Axes]:
    """Panels side by side that share their rows, named once on the left; each has its own scale of values."""
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for panel in panels:
        panel.xaxis.set_major_locator(MaxNLocator(4))
    return panels


def _by_shots(figure: Figure, shots: Sequence[int]) -> list[tuple[Axes, tuple[int, ...]]]:
    """Axes with the shots they show. No example at all gets axes of its own: its scale would flatten the others."""
    groups = [tuple(n for n in shots if n == 0), tuple(n for n in shots if n > 0)]
    groups = [group for group in groups if group]
    widths = [len(group) + 0.3 for group in groups]
    axes = figure.subplots(1, len(groups), squeeze=False, width_ratios=widths)[0]
    return list(zip(axes, groups, strict=True))


def _legend(figure: Figure, columns: int) -> None:
    """One entry per name above the panels, whichever panel has it."""
    found = [axes.get_legend_handles_labels() for axes in figure.axes]
    entries = {label: handle for handles, labels in found for handle, label in zip(handles, labels, strict=True)}
    style: Style = {"loc": "outside upper center", "frameon": False, "fontsize": NORMAL, "ncols": columns}
    figure.legend(list(entries.values()), list(entries), **style)


def _bars(axes: Axes, at: Sequence[float], shares: Sequence[Interval], source: str, width: float) -> None:
    colour, hatch = _SOURCES[source]
    style: Style = {"color": colour, "edgecolor": "white", "linewidth": 0.6, "hatch": hatch, "label": source}
    axes.bar(at, _means(shares), width, **style)
    axes.errorbar(at, _means(shares), _reach(shares), fmt="none", ecolor=INK, elinewidth=1, capsize=2)
    for x, share in zip(at, shares, strict=True):
        above = share.mean >= 0
        edge = 100 * (share.high if above else share.low)
        place: Style = {"xytext": (0, 2 if above else -2), "textcoords": "offset points", "ha": "center"}
        axes.annotate(points(share.mean), (x, edge), va="bottom" if above else "top", fontsize=6.5, color=INK, **place)


def _dress(axes: Axes, horizontal: str, title: str) -> None:
    """Values run across where `horizontal` names them, upwards otherwise; the grid follows the values."""
    axes.set_xlabel(horizontal, fontsize=NORMAL, color=INK)
    axes.set_title(title, fontsize=NORMAL, color=INK)
    axes.tick_params(labelsize=SMALL, colors=INK, length=0)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(INK)
    axes.grid(axis="x" if horizontal else "y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def _difference(panel: Axes, findings: Findings, arm: str, shots: int, height: int) -> None:
    contrast = findings.contrast(arm, shots)
    if contrast is None:
        return
    colour, marker, face = _VERDICTS[verdict(contrast.paired)]
    low, high = 100 * contrast.paired.low, 100 * contrast.paired.high
    panel.plot([low, high], [height, height], color=colour, linewidth=1.4, solid_capstyle="butt")
    style: Style = {"color": colour, "marker": marker, "markerfacecolor": face, "markersize": 4.5}
    panel.plot([100 * contrast.paired.difference], [height], **style)


def _means(levels: Sequence[Interval]) -> list[float]:
    return [100 * level.mean for level in levels]


def _reach(levels: Sequence[Interval]) -> list[list[float]]:
    below = [100 * (level.mean - level.low) for level in levels]
    return [below, [100 * (level.high - level.mean) for level in levels]]


def _examples(shots: int) -> str:
    return "1 example per class" if shots == 1 else f"{shots} examples per class"


def _arm_name(arm: str) -> str:
    return f"only {arm.removeprefix(ONLY).replace('+', ' + ')}" if arm.startswith(ONLY) else arm


def _group(arm: str) -> str:
    return WORDING if arm.startswith(WORDING) else ONLY if arm.startswith(ONLY) else ""
