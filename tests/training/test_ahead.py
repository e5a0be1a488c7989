"""Is what was made early what would have been made late?"""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from taskaware.core.config import build, override, read_yaml
from taskaware.training import RunConfig, train
from taskaware.training import loop as training_loop
from taskaware.training.ahead import Ahead, spare_core
from taskaware.training.loop import Run


def config_of(path: Path, *assignments: str) -> RunConfig:
    return build(RunConfig, override(read_yaml(path), ("validation=[]", *assignments)), str(path))


@given(asked=st.lists(st.integers(0, 3)), guessed=st.lists(st.integers(0, 3)), early=st.booleans())
def test_right_and_wrong_guesses_give_what_was_asked_for(asked: list[int], guessed: list[int], early: bool) -> None:
    ahead = Ahead(lambda place: ("made", place), early=early)
    for place, guess in zip(asked, guessed, strict=False):
        assert ahead.get(place) == ("made", place)
        ahead.prepare(guess)


def test_a_right_guess_is_made_once_and_its_error_comes_when_it_is_asked_for() -> None:
    made: list[int] = []

    def make(place: int) -> int:
        made.append(place)
        return 1 // place

    ahead = Ahead(make)
    ahead.prepare(1)
    assert ahead.get(1) == 1 and made == [1]
    ahead.prepare(0)
    with pytest.raises(ZeroDivisionError):
        ahead.get(0)
    assert ahead.get(1) == 1 and made == [1, 0, 1]


@pytest.mark.parametrize("chunk", ["auto", "2"])
def test_a_run_that_looks_ahead_equals_one_that_does_not_and_guesses_every_part(
    run_file: Path, chunk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(run_file, f"training.task_chunk={chunk}")
    found, made = {}, {}
    for early in (False, True):
        monkeypatch.setattr(training_loop, "spare_core", lambda *_, early=early: early)
        made[early] = []
        look_up = Run._look_up

        def spy(self: Run, place: tuple[int, range], look_up=look_up, early=early) -> object:  # type: ignore[no-untyped-def]
            made[early].append(place)
            return look_up(self, place)

        with monkeypatch.context() as patch:
            patch.setattr(Run, "_look_up", spy)
            found[early] = train(config).learner.state_dict()
    assert made[True] == made[False] and len(made[True]) == (6 if chunk == "auto" else 18)
    for name, value in found[False].items():
        assert torch.equal(value, found[True][name]), name


def test_a_thread_is_for_a_core_at_leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert spare_core("cuda", 8) and spare_core("cpu", 1) and not spare_core("cpu", 2)
