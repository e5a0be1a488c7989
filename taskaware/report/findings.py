"""Which numbers does a report show, and what do they say in words?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from taskaware.evaluation.metrics import Interval, mean_interval
from taskaware.evaluation.results import NONE, ONLY, AblationResult, Contrast, attribution, contrasts
from taskaware.evaluation.statistics import Paired

WORDING = "description: wording "
Verdict = Literal["worse", "better", "unclear"]


@dataclass(frozen=True)
class Findings:
    """A result with everything that is computed from it, so that all parts of a report show the same numbers."""

    result: AblationResult
    contrasts: tuple[Contrast, ...]
    attribution: dict[int, dict[str, Interval]]

    def contrast(self, arm: str, shots: int) -> Contrast | None:
        """The contrast of `arm` at `shots`; None for the reference and where it was not measured."""
        return next((item for item in self.contrasts if (item.arm, item.shots) == (arm, shots)), None)

    def accuracy(self, arm: str, shots: int) -> Interval:
        """Mean accuracy of an arm with its 95% interval."""
        return mean_interval(self.result.accuracy(arm, shots))


def find(result: AblationResult) -> Findings:
    """Runs all comparisons once."""
    return Findings(result, tuple(contrasts(result)), attribution(result))


def verdict(paired: Paired) -> Verdict:
    """Where the interval of arm minus reference lies; one that touches 0 says nothing."""
    return "worse" if paired.high < 0 else "better" if paired.low > 0 else "unclear"


def wordings(result: AblationResult) -> list[str]:
    """The arms that only word the description in another way."""
    return [arm for arm in result.arms if arm.startswith(WORDING)]


def single_factors(result: AblationResult) -> list[str]:
    """The arms that change one thing: neither the reference, nor a wording, nor a choice of sources."""
    skip = (WORDING, ONLY)
    return [arm for arm in result.arms if arm not in (result.reference, NONE) and not arm.startswith(skip)]


def shuffled_labels(result: AblationResult) -> str | None:
    """The arm whose label texts belong to other classes, however it is spelled ("label shuffled", ...)."""
    return next((arm for arm in result.arms if arm.startswith("label") and arm.endswith("shuffled")), None)


def examples(shots: int) -> str:
    """A number of shots in words."""
    return {0: "no example", 1: "1 example"}.get(shots, f"{shots} examples")


def percent(interval: Interval) -> str:
    """For example "87.1% (86.4 to 87.8)"."""
    return f"{100 * interval.mean:.1f}% ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def points(value: float) -> str:
    """A difference of accuracies in percentage points with its sign; a hyphen would read as a range."""
    return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")


def summary(findings: Findings) -> str:
    """One paragraph: how good, what helped, what harmed, and where the interval includes 0."""
    sentences = [_levels(findings)]
    if findings.attribution:
        sentences += _sources(findings.attribution)
        sentences += _arms(findings, "better", "Better than the full model, so worth a look:")
    else:
        sentences += _arms(findings, "worse", "Worse than the full model:")
        sentences += _arms(findings, "better", "Better than the full model, so worth a look:")
        sentences += _arms(findings, "unclear", "No difference shown, the interval includes 0:")
    return " ".join(sentences + _worst_wording(findings))


def worst_wording(findings: Findings, shots: int) -> str | None:
    """The wording with the lowest mean accuracy at `shots`."""
    arms = [arm for arm in wordings(findings.result) if findings.result.has(arm, shots)]
    return min(arms, key=lambda arm: findings.accuracy(arm, shots).mean, default=None)


def _levels(findings: Findings) -> str:
    result = findings.result
    levels = [f"{percent(findings.accuracy(result.reference, shots))} with {examples(shots)}" for shots in result.shots]
    text = f"With all its metadata the model reaches {_join(levels)} per class"
    bare = [shots for shots in result.shots if result.has(NONE, shots)]
    if bare:
        gains = [
            f"{points(findings.accuracy(result.reference, shots).mean - findings.accuracy(NONE, shots).mean)} points "
            f"with {examples(shots)}"
            for shots in bare
        ]
        text += f"; compared with no metadata at all that is {_join(gains)}"
    return text + "."


def _sources(shares: Mapping[int, Mapping[str, Interval]]) -> list[str]:
    """Sentences about the share of each source, grouped by the side of 0 on which its interval lies."""
    groups: dict[str, list[str]] = {"helped": [], "harmed": [], "unclear": []}
    for source in dict.fromkeys(source for by_source in shares.values() for source in by_source):
        found: dict[str, list[str]] = {"helped": [], "harmed": [], "unclear": []}
        for shots, by_source in shares.items():
            if source in by_source:
                share = by_source[source]
                side = "helped" if share.low > 0 else "harmed" if share.high < 0 else "unclear"
                found[side].append(f"{points(share.mean)} with {examples(shots)}")
        for side, places in found.items():
            if places:
                groups[side].append(f"{source} ({', '.join(places)})")
    heads = {
        "helped": "What helped, in points of accuracy:",
        "harmed": "What cost accuracy:",
        "unclear": "Neither help nor harm is shown, because the interval includes 0, for",
    }
    sentences = [f"{heads[side]} {_join(names)}." for side, names in groups.items() if names]
    return sentences if groups["helped"] else ["No source of metadata is shown to help.", *sentences]


def _arms(findings: Findings, wanted: Verdict, head: str) -> list[str]:
    names = []
    for arm in single_factors(findings.result):
        items = [item for item in findings.contrasts if item.arm == arm and verdict(item.paired) == wanted]
        places = ", ".join(f"{points(item.paired.difference)} with {examples(item.shots)}" for item in items)
        names += [f"{arm} ({places})"] if items else []
    return [f"{head} {_join(names)}."] if names else []


def _worst_wording(findings: Findings) -> list[str]:
    lows = []
    for shots in findings.result.shots:
        arm = worst_wording(findings, shots)
        if arm is not None:
            mean = 100 * findings.accuracy(arm, shots).mean
            lows.append(f"{mean:.1f}% with {examples(shots)} ({arm.removeprefix('description: ')})")
    return [f"The worst wording of the description still reaches {_join(lows)}."] if lows else []


def _join(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]
