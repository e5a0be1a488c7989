"""Do configs, seeds, files and values keep their promises?"""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import Field

from taskaware.core.config import AutoOnOff, Config, build, override, read_yaml
from taskaware.core.errors import ConfigError
from taskaware.core.files import atomic_folder, write_text
from taskaware.core.registry import Registry
from taskaware.core.seeds import generator
from taskaware.core.values import Examples, map_tensors, stack
from taskaware.core.vectors import unit


class Inner(Config):
    learning_rate: float = 0.1


class Outer(Config):
    steps: int = 3
    inner: Inner = Field(default_factory=Inner)


class Switched(Config):
    fast: AutoOnOff = "auto"


def test_an_unknown_key_suggests_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"learning_rat'.*did you mean 'learning_rate'"):
        build(Outer, {"inner": {"learning_rat": 1.0}}, "x.yaml")


def test_a_wrong_type_names_the_value_seen() -> None:
    with pytest.raises(ConfigError, match=r"steps.*'many'"):
        build(Outer, {"steps": "many"}, "x.yaml")


def test_overrides_reach_nested_sections_and_leave_the_original_alone() -> None:
    values = {"inner": {"learning_rate": 0.5}}
    changed = override(values, ["inner.learning_rate=0.25", "steps=7"])
    assert build(Outer, changed, "x").inner.learning_rate == 0.25
    assert values == {"inner": {"learning_rate": 0.5}}


@pytest.mark.parametrize(("written", "meant"), [("on", "on"), ("off", "off"), ("'on'", "on"), ("auto", "auto")])
def test_a_bare_on_or_off_in_yaml_is_the_word(written: str, meant: str) -> None:
    assert build(Switched, override({}, [f"fast={written}"]), "x").fast == meant
    with pytest.raises(ConfigError, match="'always'"):
        build(Switched, {"fast": "always"}, "x")


@pytest.mark.parametrize(("written", "meant"), [("1e-3", 0.001), ("5E2", 500.0), ("-.5e+1", -5.0), ("1.5e-1", 0.15)])
def test_a_number_with_an_exponent_is_a_number_on_the_command_line_and_in_a_file(
    written: str, meant: float, tmp_path: Path
) -> None:
    assert build(Inner, override({}, [f"learning_rate={written}"]), "x").learning_rate == meant
    write_text(tmp_path / "x.yaml", f"learning_rate: {written}\nname: 1e-x\n")
    assert read_yaml(tmp_path / "x.yaml") == {"learning_rate": meant, "name": "1e-x"}


def test_an_override_without_a_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        override({}, ["steps"])


def test_an_unknown_name_suggests_the_nearest_registered_one() -> None:
    registry: Registry[int] = Registry("learner")
    registry.register("protonet")(1)
    with pytest.raises(ConfigError, match="did you mean 'protonet'"):
        registry["protonets"]


def test_randomness_depends_on_its_place_alone() -> None:
    assert generator("a", 1).random() == generator("a", 1).random() != generator("a", 2).random()


def test_a_failing_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_folder_keeps_the_old_one(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "a").write_text("old")

    def fail() -> None:
        with atomic_folder(tmp_path / "run") as folder:
            (folder / "a").write_text("new")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert (tmp_path / "run" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_stacked_values_map_back_to_their_parts() -> None:
    parts = [Examples(torch.full((2, 3), float(i)), torch.tensor([0, 1]), torch.ones(2)) for i in range(3)]
    batch = stack(parts)
    assert batch.features.shape == (3, 2, 3)
    assert torch.equal(map_tensors(lambda tensor: tensor[1], batch).features, parts[1].features)


def test_unit_vectors_have_finite_second_derivatives_at_zero() -> None:
    hessian = torch.autograd.functional.hessian(lambda x: unit(x).sum(), torch.zeros(4))
    assert torch.isfinite(hessian).all()
    assert np.isclose(float(unit(torch.tensor([3.0, 4.0])).norm()), 1.0, atol=1e-6)
