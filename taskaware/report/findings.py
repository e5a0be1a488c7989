"""Which numbers does a report show, and what do they say in words?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from taskaware.evaluation.metrics import Interval, mean_interval
from taskaware.evaluation.results import NONE, ONLY, SOURCES, AblationResult, Contrast, attribution, contrasts
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
    text = f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text


def summary(findings: Findings) -> str:
    """One paragraph: how good, what helped, what harmed, and where the interval includes 0."""
    sentences = [_levels(findings)]
    arms = single_factors(findings.result)
    if findings.attribution:
        sentences += _sources(findings.attribution)
        arms = [arm for arm in arms if not arm.startswith(SOURCES)]  # their sources were accounted for
    sentences += _arms(findings, arms, "worse", "Changes that made the model worse:")
    sentences += _arms(findings, single_factors(findings.result), "better", "Changes that made it better:")
    sentences += _arms(findings, arms, "unclear", "Changes with 0 in the interval, so neither is shown:")
    return " ".join(sentences + _worst_wording(findings))


def worst_wording(findings: Findings, shots: int) -> str | None:
    """The wording with the lowest mean accuracy at `shots`."""
    arms = [arm for arm in wordings(findings.result) if findings.result.has(arm, shots)]
    return min(arms, key=lambda arm: findings.accuracy(arm, shots).mean, default=None)


def _levels(findings: Findings) -> str:
    result = findings.result
    means = {shots: findings.accuracy(result.reference, shots).mean for shots in result.shots}
    levels = _series([(f"{100 * mean:.1f}%", shots) for shots, mean in means.items()])
    text = f"With all its metadata the model reaches {levels} (examples per class)"
    bare = {shots: findings.accuracy(NONE, shots).mean for shots in result.shots if result.has(NONE, shots)}
    if bare:
        gains = _series([(points(means[shots] - mean), shots) for shots, mean in bare.items()])
        text += f"; compared with no metadata at all that is, in points, {gains}"
    return text + "."


def _sources(shares: Mapping[int, Mapping[str, Interval]]) -> list[str]:
    """Sentences about the share of each source, grouped by the side of 0 on which its interval lies."""
    groups: dict[str, list[str]] = {"helped": [], "harmed": [], "unclear": []}
    for source in dict.fromkeys(source for by_source in shares.values() for source in by_source):
        found: dict[str, list[tuple[str, int]]] = {side: [] for side in groups}
        for shots, by_source in shares.items():
            share = by_source[source]
            side = "helped" if share.low > 0 else "harmed" if share.high < 0 else "unclear"
            found[side].append((points(share.mean), shots))
        for side, places in found.items():
            words = _counts([shots for _, shots in places]) if side == "unclear" else _series(places)
            groups[side] += [f"{source} ({words})"] if places else []
    heads = {
        "helped": "What helped, in points of accuracy:",
        "harmed": "What cost accuracy:",
        "unclear": "Neither is shown, because the interval includes 0, for:",
    }
    sentences = [f"{heads[side]} {_join(names)}." for side, names in groups.items() if names]
    return sentences if groups["helped"] else ["No source of metadata is shown to help.", *sentences]


def _arms(findings: Findings, arms: Sequence[str], wanted: Verdict, head: str) -> list[str]:
    names = []
    for arm in arms:
        items = [item for item in findings.contrasts if item.arm == arm and verdict(item.paired) == wanted]
        places = [(points(item.paired.difference), item.shots) for item in items]
        words = _counts([shots for _, shots in places]) if wanted == "unclear" else _series(places)
        names += [f"\N{LEFT DOUBLE QUOTATION MARK}{arm}\N{RIGHT DOUBLE QUOTATION MARK} ({words})"] if items else []
    return [f"{head} {_join(names)}."] if names else []


def _worst_wording(findings: Findings) -> list[str]:
    worst = [(shots, worst_wording(findings, shots)) for shots in findings.result.shots]
    lows = [(f"{100 * findings.accuracy(arm, shots).mean:.1f}%", shots) for shots, arm in worst if arm]
    return [f"The worst wording of the description reaches {_series(lows)}."] if lows else []


def _series(values: Sequence[tuple[str, int]]) -> str:
    """For example "83.9% with no example, 87.0% with 1 and 90.6% with 3"; only the first says what is counted."""
    parts = [f"{text} with {shots if place else examples(shots)}" for place, (text, shots) in enumerate(values)]
    return _join(parts)


def _counts(shots: Sequence[int]) -> str:
    """For example "0, 1 and 3 examples"."""
    return examples(shots[0]) if len(shots) == 1 else _join([str(count) for count in shots]) + " examples"


def _join(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " and " + parts[-1]
