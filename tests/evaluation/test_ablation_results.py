"""Laws of results: paired on the same episodes, and a stopped run goes on where it was."""

import json
from pathlib import Path

import numpy as np
import pytest

from taskaware.core.errors import ConfigError
from taskaware.evaluation.results import (
    SOURCES,
    AblationResult,
    Measurement,
    MeasurementStore,
    attribution,
    contrasts,
    only,
)
from taskaware.evaluation.shapley import coalitions

EPISODES = 40
CONFIG = {"dataset": "mail", "episodes": EPISODES, "shots": (1, 5)}


def measurement(arm: str, shots: int, mean: float = 0.5) -> Measurement:
    rng = np.random.default_rng([shots, *arm.encode()])
    return Measurement(arm, shots, tuple((rng.binomial(20, mean, EPISODES) / 20).tolist()))


def result(*measurements: Measurement, reference: str = "true") -> AblationResult:
    return AblationResult(
        name="test",
        dataset="mail",
        way=5,
        episodes=EPISODES,
        seed=1,
        query=4,
        created="2026-01-01",
        command="taskaware ablate",
        reference=reference,
        measurements=measurements,
    )


def complete(shots: int, sources: tuple[str, ...] = SOURCES) -> list[Measurement]:
    chosen = [only(*coalition) for coalition in coalitions(sources) if 0 < len(coalition) < len(sources)]
    return [measurement(arm, shots) for arm in ("true", "none", *chosen)]


def test_contrasts_cover_every_arm_but_the_reference_and_adjust_over_all_of_them() -> None:
    arms = [measurement(arm, shots) for shots in (5, 1) for arm in ("none", "true", "memory: off")]
    found = contrasts(result(*arms))
    assert [(item.arm, item.shots) for item in found] == [
        ("none", 1),
        ("memory: off", 1),
        ("none", 5),
        ("memory: off", 5),
    ]
    assert all(item.adjusted >= item.paired.p_value for item in found)
    assert contrasts(result(*arms)) == found


def test_an_arm_equal_to_the_reference_has_difference_zero_and_p_one() -> None:
    accuracy = measurement("true", 1).accuracy
    (contrast,) = contrasts(result(Measurement("true", 1, accuracy), Measurement("same", 1, accuracy)))
    assert (contrast.paired.difference, contrast.paired.p_value, contrast.adjusted) == (0, 1, 1)
    assert contrast.accuracy.mean == pytest.approx(np.mean(accuracy))


def test_a_contrast_does_not_depend_on_the_other_arms() -> None:
    arms = [measurement(arm, 1) for arm in ("true", "none", "memory: off")]
    assert contrasts(result(*arms))[0].paired == contrasts(result(*arms[:2]))[0].paired


def test_attribution_sums_to_the_gain_of_all_metadata() -> None:
    whole = result(*complete(0), *complete(1), measurement("true", 5))
    shares = attribution(whole)
    assert list(shares) == [0, 1] and tuple(shares[0]) == SOURCES
    for shots, by_source in shares.items():
        gain = (whole.accuracy("true", shots) - whole.accuracy("none", shots)).mean()
        assert sum(share.mean for share in by_source.values()) == pytest.approx(gain, abs=1e-12)
        assert all(share.low <= share.mean <= share.high for share in by_source.values())


def test_attribution_takes_the_sources_that_the_arms_name_in_any_order() -> None:
    whole = result(*complete(1, ("description", "label texts", "memory")))
    assert tuple(attribution(whole)[1]) == ("description", "label texts", "memory")
    named = [Measurement(item.arm, 1, item.accuracy) for item in whole.measurements]
    turned = [
        Measurement("only:memory+description", 1, item.accuracy)
        for item in named
        if item.arm == only("description", "memory")
    ]
    kept = [item for item in named if item.arm != only("description", "memory")]
    assert attribution(result(*kept, *turned)) == attribution(whole)


def test_attribution_names_a_missing_combination_and_an_unknown_source() -> None:
    arms = [item for item in complete(1) if item.arm != only("background", "memory")]
    with pytest.raises(ConfigError, match=r"not measured: background\+memory"):
        attribution(result(*arms))
    with pytest.raises(ConfigError, match="unknown source"):
        attribution(result(measurement("true", 1), measurement("only:weather", 1)))
    assert attribution(result(measurement("true", 1), measurement("none", 1))) == {}


def test_results_that_are_not_paired_are_errors() -> None:
    with pytest.raises(ConfigError, match="expected 40"):
        result(Measurement("true", 1, (0.5, 0.5)))
    with pytest.raises(ConfigError, match="twice"):
        result(measurement("true", 1), measurement("true", 1))
    with pytest.raises(ConfigError, match="no arm 'true' at 5 shots; measured there: none"):
        result(measurement("true", 1), measurement("none", 5))


def test_a_second_run_finds_what_the_first_one_measured(tmp_path: Path) -> None:
    MeasurementStore(tmp_path, CONFIG).add(measurement("true", 1))
    store = MeasurementStore(tmp_path, {**CONFIG, "shots": [1, 5]})
    assert store.find("true", 1) == measurement("true", 1)
    assert store.find("true", 5) is None
    store.add(measurement("none", 1))
    assert store.finished() == (measurement("true", 1), measurement("none", 1))
    with pytest.raises(ConfigError, match="already measured"):
        store.add(measurement("none", 1))


def test_another_config_in_the_same_folder_is_an_error_that_names_the_change(tmp_path: Path) -> None:
    MeasurementStore(tmp_path, CONFIG)
    with pytest.raises(ConfigError, match=r"another config \(episodes 40 there, 80 now\)"):
        MeasurementStore(tmp_path, {**CONFIG, "episodes": 80})


@pytest.mark.parametrize("keep", [1, 30, -1])
def test_a_last_line_that_a_crash_cut_off_is_measured_again(tmp_path: Path, keep: int) -> None:
    store = MeasurementStore(tmp_path, CONFIG)
    store.add(measurement("true", 1))
    whole = store.path.read_bytes()
    store.add(measurement("none", 1))
    store.path.write_bytes(whole + store.path.read_bytes()[len(whole) :][:keep])
    store = MeasurementStore(tmp_path, CONFIG)
    assert store.finished() == (measurement("true", 1),)
    store.add(measurement("memory: off", 1))
    assert MeasurementStore(tmp_path, CONFIG).finished() == (measurement("true", 1), measurement("memory: off", 1))
    assert all(json.loads(line) for line in store.path.read_text().splitlines())


def test_damage_before_the_last_line_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    store = MeasurementStore(tmp_path, CONFIG)
    store.add(measurement("true", 1))
    store.add(measurement("none", 1))
    lines = store.path.read_text().splitlines(keepends=True)
    store.path.write_text(lines[0] + "{nonsense\n" + lines[2])
    with pytest.raises(ConfigError, match="line 2 is damaged"):
        store.finished()
    store.path.write_text("{nonsense\n" + lines[1])
    with pytest.raises(ConfigError, match="no header"):
        MeasurementStore(tmp_path, CONFIG)
