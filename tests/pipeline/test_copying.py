"""Is a copy of a run the same model, small where it is packed, and never in the way of anything else?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from taskaware import TaskAware, TaskCard
from taskaware.core.errors import CheckpointError
from taskaware.pipeline.copying import copy_run

Teach = Callable[..., TaskAware]
CARD = TaskCard(
    id="shop", dataset="shop", description="which shelf is it about", labels={"books": "books", "toys": "toys"}
)
EXAMPLES = [("a book of prints", "books"), ("a wooden toy", "toys")]
TEXTS = ["a print", "a toy train"]


def predict(run: Path) -> np.ndarray:
    model = TaskAware.from_pretrained(run)
    probabilities = model.adapt(CARD, EXAMPLES).probabilities(TEXTS)
    model.memory.close()
    return probabilities


@pytest.fixture
def run(teach: Teach, tmp_path: Path) -> Path:
    teach().save_pretrained(tmp_path / "run", "# a card", {"data": []})
    return tmp_path / "run"


def test_a_copy_predicts_the_same(run: Path, tmp_path: Path) -> None:
    copy_run(run, tmp_path / "copy")
    np.testing.assert_array_equal(predict(tmp_path / "copy"), predict(run))
    for name in ("config.json", "README.md"):
        assert (tmp_path / "copy" / name).read_bytes() == (run / name).read_bytes()


def test_a_packed_copy_predicts_the_same_to_float16_and_stays_as_it_is(run: Path, tmp_path: Path) -> None:
    copy_run(run, tmp_path / "packed", packed=True)
    files = {path: path.read_bytes() for path in (tmp_path / "packed").rglob("*")}
    np.testing.assert_allclose(predict(tmp_path / "packed"), predict(run), atol=1e-2)
    assert {path: path.read_bytes() for path in (tmp_path / "packed").rglob("*")} == files


def test_a_copy_of_a_packed_run_is_the_same_model_and_can_remember(run: Path, tmp_path: Path) -> None:
    copy_run(run, tmp_path / "packed", packed=True)
    copy_run(tmp_path / "packed", tmp_path / "own")
    np.testing.assert_array_equal(predict(tmp_path / "own"), predict(tmp_path / "packed"))
    assert TaskAware.from_pretrained(tmp_path / "own").memory.kept


def test_what_is_no_run_is_neither_copied_nor_replaced(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a run folder"):
        copy_run(tmp_path / "nothing", tmp_path / "copy")
    with pytest.raises(CheckpointError, match="lies there already"):
        copy_run(run, run)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letters.txt").write_text("keep me")
    with pytest.raises(CheckpointError, match="no older run"):
        copy_run(run, tmp_path / "mine")
    assert not (tmp_path / "copy").exists()
