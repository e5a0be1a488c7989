"""Are all arms and baselines measured on the same episodes, and do arms change what they say?"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from taskaware.bodies import BodyConfig
from taskaware.core.errors import EpisodeError
from taskaware.core.seeds import generator
from taskaware.core.values import TaskCard
from taskaware.encoders import EncoderConfig
from taskaware.episodes import Draw, EncodedTask, Words, draw_episode, encode_task
from taskaware.evaluation import ablation
from taskaware.evaluation.ablation import AblationConfig, run_ablation
from taskaware.evaluation.arms import FACTORS, build_arms
from taskaware.evaluation.baselines import baseline_predictions
from taskaware.evaluation.evaluate import Condition, draw_episodes, evaluate, score
from taskaware.evaluation.results import contrasts
from taskaware.learners import LearnerConfig, build_learner
from taskaware.pipeline import ModelConfig, RetrievalConfig, TaskAware
from taskaware.report import write_report

KINDS = {"animal": "dog cat horse", "weather": "rain snow fog", "food": "bread soup rice"}


@pytest.fixture
def model() -> TaskAware:
    torch.manual_seed(0)
    encoder = EncoderConfig(name="hashing", dimension=64, layers=(), cache=False)
    learner = LearnerConfig(body=BodyConfig(hidden=6))
    made = TaskAware.fresh(ModelConfig(encoder=encoder, learner=learner, retrieval=RetrievalConfig(tasks=2, classes=2)))
    for name in ("one", "two"):
        card = TaskCard(id=name, dataset=name, labels={"a": f"{name} a", "b": f"{name} b"}, description=f"task {name}")
        made.remember(made.adapt(card))
    return made


@pytest.fixture
def task(model: TaskAware) -> EncodedTask:
    rows = [
        (f"{word} {number}", kind) for kind, words in KINDS.items() for word in words.split() for number in range(5)
    ]
    labels = {kind: f"about {words}" for kind, words in KINDS.items()}
    card = TaskCard(id="toy", dataset="toy", labels=labels, description="which kind", paraphrases=("what sort",))
    return encode_task(card, [text for text, _ in rows], [kind for _, kind in rows], model.encoder)


def test_an_evaluation_is_repeatable_and_depends_on_its_seed(model: TaskAware, task: EncodedTask) -> None:
    one, two = (evaluate(model, task, way=3, shots=1, episodes=20, seed=5) for _ in range(2))
    other = evaluate(model, task, way=3, shots=1, episodes=20, seed=6)
    for name, values in one.per_episode.items():
        assert values.tolist() == two.per_episode[name].tolist()
    assert any(values.tolist() != other.per_episode[name].tolist() for name, values in one.per_episode.items())


def test_an_untrained_model_scores_as_the_training_free_mix_but_for_centring_and_the_gate(
    model: TaskAware, task: EncodedTask
) -> None:
    model.learner.body.config = model.learner.body.config.model_copy(update={"centring": False})
    with torch.no_grad():
        model.learner.conditioner.gate.doubt.zero_()  # type: ignore[union-attr]
        model.learner.conditioner.gate.refuted.zero_()  # type: ignore[union-attr]
        model.learner.conditioner.gate.even.zero_()  # type: ignore[union-attr]
    for shots, name in ((0, "label"), (1, "mix")):
        found = evaluate(model, task, way=3, shots=shots, episodes=20).per_episode
        assert found["taskaware"].tolist() == found[name].tolist()


def test_baselines_are_the_nearest_centres(task: EncodedTask) -> None:
    draw = draw_episode(task, way=3, shots=2, query=4, rng=generator(1))
    support, queries = task.features[draw.support].reshape(3, 2, -1), task.features[draw.query]
    centres = support.mean(1)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    assert baseline_predictions(draw)["proto"].tolist() == (queries @ centres.T).argmax(1).tolist()


def test_way_beyond_what_has_enough_examples_is_an_error(task: EncodedTask) -> None:
    with pytest.raises(EpisodeError, match="lower the way or the shots"):
        draw_episodes(task, way=3, shots=100, episodes=2, seed=0)


def test_arms_change_what_they_say(model: TaskAware, task: EncodedTask) -> None:
    arms = build_arms(FACTORS, [task], model.encoder, model.memory.snapshot().task_embeddings)
    draw = draw_episode(task, way=3, shots=1, query=1, rng=generator(0))
    words = Words.of(draw)
    shown = {name: arm.words(words, draw, generator(name)) for name, arm in arms.items()}
    assert shown["true"] is words
    assert shown["none"].present == (False, False, False) and arms["none"].memory == "off"
    shuffled = shown["label texts: shuffled"].labels
    assert not any(np.array_equal(*pair) for pair in zip(shuffled, words.labels, strict=True))
    assert sorted(shuffled.sum(1)) == pytest.approx(sorted(words.labels.sum(1)))
    assert not np.allclose(shown["description: wording 1"].description, shown["description: wording 2"].description)
    assert not shown["description: none"].present[0] and shown["description: random words"].present[0]
    assert len([name for name in arms if name.startswith("only:")]) == 14


def test_an_arm_may_show_more_background_than_the_task_has(model: TaskAware, task: EncodedTask) -> None:
    passages = task.words.labels[:, 0]

    def tell(words: Words, draw: Draw, rng: np.random.Generator) -> Words:
        return replace(words, background=passages, present=(True, True, True))

    draws = draw_episodes(task, way=3, shots=1, episodes=4, seed=0)
    assert len(score(model, draws, Condition(words=tell)).accuracy) == 4


def test_clear_examples_are_followed_by_the_logistic_head_alone(model: TaskAware, task: EncodedTask) -> None:
    arms = build_arms(["clear examples"], [task], model.encoder, np.zeros((0, 64), np.float32))
    draws = draw_episodes(task, way=3, shots=3, episodes=5, seed=0)
    for name, same in (("protonet", True), ("logistic", False)):
        config = LearnerConfig(name=name, body=model.config.learner.body)
        learner = build_learner(config, model.encoder.dimension, model.encoder.width)
        other = TaskAware(model.config, model.encoder, learner, model.memory)
        found = [score(other, draws, arms[arm]).confidence for arm in ("true", "clear examples: not followed")]
        assert np.allclose(*found) == same


def test_the_gate_is_tried_on_the_examples_where_there_are_several(model: TaskAware, task: EncodedTask) -> None:
    arms = build_arms(["gate trial"], [task], model.encoder, np.zeros((0, 64), np.float32))
    for shots, same in ((1, True), (3, False)):
        draws = draw_episodes(task, way=3, shots=shots, episodes=5, seed=0)
        found = [score(model, draws, arms[arm]).confidence for arm in ("true", "gate: not tried on examples")]
        assert np.allclose(*found) == same


def test_scoring_under_a_switch_leaves_the_model_as_it_was(model: TaskAware, task: EncodedTask) -> None:
    draws = draw_episodes(task, way=3, shots=1, episodes=5, seed=0)
    before = score(model, draws).confidence
    arms = build_arms(["film", "prototypes"], [task], model.encoder, np.zeros((0, 64), np.float32))
    assert not np.allclose(score(model, draws, arms["prototype modulation: off"]).confidence, before)
    np.testing.assert_array_equal(score(model, draws).confidence, before)


def test_an_ablation_resumes_and_writes_a_report(
    model: TaskAware, task: EncodedTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "load_ablation_tasks", lambda *args: [task])
    config = AblationConfig(name="toy", card="toy", way=3, shots=(0, 1), episodes=6)
    first = run_ablation(model, config, tmp_path, "command")

    def unwanted(*args: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(ablation, "score", unwanted)
    second = run_ablation(model, config, tmp_path, "command")
    assert first.measurements == second.measurements
    assert {each.arm for each in contrasts(first)} == set(first.arms) - {"true"}
    assert write_report(second, tmp_path).page.exists()
