"""Does the model that comes with the package do what it is there for?"""

from pathlib import Path

import numpy as np
import pytest

from taskaware import TaskAware
from taskaware.core.errors import CheckpointError
from taskaware.core.runs import published, run_folder
from taskaware.data import find_card, load_tasks
from taskaware.encoders import load_encoder
from taskaware.episodes import encode_task
from taskaware.evaluation.evaluate import evaluate

ROOT = Path(__file__).resolve().parents[2]
PAIRS = ROOT / "data_cards" / "pairs"


@pytest.fixture(scope="module")
def general() -> TaskAware:
    return TaskAware.from_pretrained("general")


def test_it_is_found_by_name_unless_a_folder_of_that_name_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "general" in published()
    assert (run_folder("general") / "config.json").is_file()
    (tmp_path / "general").mkdir()
    assert run_folder("general") == Path("general")
    with pytest.raises(CheckpointError, match="came with the package: general"):
        TaskAware.from_pretrained("generall")


def test_using_it_leaves_its_files_alone(general: TaskAware) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run_folder("general").rglob("*") if path.is_file()}

    before = files()
    task = general.adapt(str(ROOT / "data_cards" / "examples" / "museum_mood.md"), [("Lovely!", "delight")])
    task.predict(["We waited an hour and nobody came."])
    task.explain()
    assert files() == before
    assert sum(map(len, before.values())) < 15e6


def test_it_knows_no_class_of_the_texts_that_test_it(general: TaskAware) -> None:
    datasets = {key.partition("/")[0] for key in general.library.class_keys}
    assert datasets.isdisjoint({path.stem for path in PAIRS.glob("*.md")} | {"amazon_reviews"})
    assert len(datasets) > 40


@pytest.mark.parametrize("shots", [0, 3])
def test_it_answers_questions_of_manner_that_embeddings_do_not(general: TaskAware, shots: int) -> None:
    """Fifteen points above the training-free mix of the untuned encoder, on the mean of three questions."""
    plain = load_encoder(general.config.encoder.untuned())
    gained = []
    for name, aspect in (("taxi_dispatch", "urgency"), ("board_games", "basis"), ("train_letters", "tone")):
        tasks = load_tasks(find_card(PAIRS / f"{name}.md"), split=None, every_aspect=True)
        texts = next(task for task in tasks if task.card.id.endswith(f"/{aspect}"))
        task, untuned = (
            encode_task(texts.card, texts.texts, texts.labels, encoder) for encoder in (general.encoder, plain)
        )
        found = evaluate(general, task, way=3, shots=shots, episodes=40, seed=0, untuned=untuned).per_episode
        gained.append(found["taskaware"].mean() - found["mix"].mean())
    assert np.mean(gained) > 0.15
