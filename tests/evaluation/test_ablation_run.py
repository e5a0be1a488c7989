"""Is an ablation paired, does each arm change what it says, and are the baselines what one computes by hand?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taskaware.bodies import BodyConfig
from taskaware.core.errors import ConfigError
from taskaware.core.seeds import generator
from taskaware.core.values import TaskCard
from taskaware.encoders import EncoderConfig
from taskaware.episodes import Draw, EncodedTask, Wordings, Words, draw_episode, encode_task
from taskaware.evaluation import ablation
from taskaware.evaluation.ablation import AblationConfig, run_ablation
from taskaware.evaluation.arms import build_arms, subset
from taskaware.evaluation.baselines import baseline_predictions
from taskaware.evaluation.evaluate import Condition, Scores, draw_episodes, evaluate, score
from taskaware.learners import LearnerConfig
from taskaware.memory import TaskMemory
from taskaware.pipeline import ModelConfig, RetrievalConfig, TaskAware
from taskaware.pipeline.records import record_of

KINDS = {"animal": "dog cat horse", "weather": "rain snow fog", "food": "bread soup rice", "tool": "saw drill nail"}


def make_model(seed: int = 0) -> TaskAware:
    encoder = EncoderConfig(name="hashing", dimension=64, layers=(), cache=False)
    config = ModelConfig(
        encoder=encoder,
        learner=LearnerConfig(body=BodyConfig(hidden=6)),
        retrieval=RetrievalConfig(tasks=2, classes=2),
    )
    model, chance = TaskAware.fresh(config), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.learner.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=chance))
    for name in ("one", "two", "three"):
        labels = {"a": f"{name} dog", "b": f"{name} rain"}
        card = TaskCard(id=name, dataset=name, labels=labels, description=f"which kind, {name}")
        task = encode_task(card, ["dog cat", "snow"], ["a", "b"], model.encoder)
        code = torch.randn(model.learner.code_width, generator=chance)
        model.memory.add([record_of(task, code.numpy())])
    return model


def make_task(model: TaskAware, name: str = "toy") -> EncodedTask:
    rows = [(f"{word} {number}", kind) for kind, words in KINDS.items() for word in words.split() for number in "1234"]
    labels = {kind: f"about {words}" for kind, words in KINDS.items()}
    card = TaskCard(id=name, dataset=name, labels=labels, description="which kind", background=("kinds differ",))
    return encode_task(card, [text for text, _ in rows], [kind for _, kind in rows], model.encoder)


def config_of(**changes: object) -> AblationConfig:
    values = {"name": "toy", "card": "toy", "way": 3, "shots": (0, 1), "episodes": 6, **changes}
    return AblationConfig.model_validate(values)


def test_every_arm_is_measured_on_the_same_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    monkeypatch.setattr(ablation, "load_ablation_tasks", lambda *args: [make_task(model), make_task(model, "other")])
    seen: dict[int, list[list[Draw]]] = {}

    def spy(model: TaskAware, draws: Sequence[Draw], condition: Condition) -> Scores:
        seen.setdefault(len(draws[0].support) // 3, []).append(list(draws))
        return score(model, draws, condition)

    monkeypatch.setattr(ablation, "score", spy)
    result = run_ablation(model, config_of(), tmp_path, "command")
    assert {shots: len(runs) for shots, runs in seen.items()} == dict.fromkeys((0, 1), len(result.arms))
    for runs in seen.values():
        assert all(len(draws) == 12 for draws in runs)
        for draws in runs[1:]:
            for one, other in zip(runs[0], draws, strict=True):
                assert one.task.id == other.task.id
                for field in ("classes", "support", "query"):
                    np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_the_true_arm_is_a_plain_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    monkeypatch.setattr(ablation, "load_ablation_tasks", lambda *args: [make_task(model)])
    result = run_ablation(model, config_of(seed=3), tmp_path, "command")
    for shots in (0, 1):
        plain = evaluate(model, make_task(model), way=3, shots=shots, episodes=6, seed=3)
        assert result.accuracy("true", shots).tolist() == plain.per_episode["taskaware"].tolist()


def test_hiding_a_source_equals_a_task_that_never_had_it() -> None:
    model = make_model()
    arms = build_arms(["description", "background", "memory"], [make_task(model)], model.encoder, np.zeros((0, 64)))
    task = make_task(model)
    bare = {
        "description: none": EncodedTask(
            **{**vars(task), "words": Wordings(task.words.descriptions[:0], task.words.background, task.words.labels)}
        ),
        "background: off": EncodedTask(
            **{**vars(task), "words": Wordings(task.words.descriptions, task.words.background[:0], task.words.labels)}
        ),
    }
    draws = draw_episodes(task, way=3, shots=1, episodes=8, seed=0)
    plain = score(model, draws).confidence
    for name, other in bare.items():
        expected = score(model, draw_episodes(other, way=3, shots=1, episodes=8, seed=0)).confidence
        hidden = score(model, draws, arms[name]).confidence
        np.testing.assert_allclose(hidden, expected, atol=1e-6)
    assert not np.allclose(score(model, draws, arms["description: none"]).confidence, plain, atol=1e-4)
    forgetful = TaskAware(
        model.config, model.encoder, model.learner, TaskMemory.in_memory(model.memory.fingerprint, 64)
    )
    expected = score(forgetful, draws).confidence
    np.testing.assert_allclose(score(model, draws, arms["memory: off"]).confidence, expected, atol=1e-6)
    assert not np.allclose(expected, plain, atol=1e-4)


def test_all_sources_are_the_true_arm_and_none_of_them_reads_examples_alone() -> None:
    model = make_model()
    draws = draw_episodes(make_task(model), way=3, shots=1, episodes=8, seed=0)
    everything = subset(("description", "background", "label texts", "memory"))
    np.testing.assert_array_equal(score(model, draws, everything).confidence, score(model, draws).confidence)
    silent = make_task(model)
    other = Wordings(silent.words.descriptions[:, ::-1].copy(), silent.words.background * 0, silent.words.labels[::-1])
    changed = EncodedTask(**{**vars(silent), "words": other})
    unread = draw_episodes(changed, way=3, shots=1, episodes=8, seed=0)
    expected = score(model, draws, subset(())).confidence
    np.testing.assert_array_equal(score(model, unread, subset(())).confidence, expected)


@given(way=st.integers(2, 4), place=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_shuffled_label_texts_leave_no_class_its_own(way: int, place: int) -> None:
    vectors = np.eye(4, dtype=np.float32)
    draw = toy_draw(vectors, way=way)
    words = Words.of(draw)
    arm = build_arms(["label texts"], [draw.task], None, vectors)["label texts: shuffled"]  # type: ignore[arg-type]
    shown = arm.words(words, draw, generator(place)).labels
    assert not (shown == words.labels).all(axis=1).any()
    assert sorted(shown.argmax(1)) == sorted(words.labels.argmax(1))


def test_a_shuffled_description_is_another_task_s() -> None:
    model = make_model()
    task, others = make_task(model), model.memory.snapshot().task_embeddings
    arm = build_arms(["description"], [task], model.encoder, others)["description: shuffled"]
    draw = draw_episode(task, way=3, shots=1, query=1, rng=generator(0))
    for place in range(10):
        shown = arm.words(Words.of(draw), draw, generator(place)).description
        assert any(np.array_equal(shown, other) for other in others)


def toy_draw(labels: np.ndarray, way: int = 2, support: Sequence[int] = (0, 1, 3, 4)) -> Draw:
    """Two classes of rows in a plane (padded to the labels' width): rows 0-2 are of class 0, rows 3-5 of class 1."""
    plane = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.0], [-0.6, 0.8]]
    features = np.zeros((6, labels.shape[1]), dtype=np.float32)
    features[:, :2] = plane
    classes = tuple(f"class {index}" for index in range(len(labels)))
    numbers = np.array([0, 0, 0, 1, 1, 1])
    task = EncodedTask(
        card=TaskCard(id="plane", dataset="plane", labels={name: name for name in classes}),
        classes=classes,
        features=features,
        labels=numbers,
        rows=tuple(np.flatnonzero(numbers == index) for index in range(len(classes))),
        words=Wordings(
            np.zeros((0, labels.shape[1]), np.float32), np.zeros((0, labels.shape[1]), np.float32), labels[:, None]
        ),
    )
    rows = np.array(support, dtype=np.int64)
    query = np.array([2, 5])
    return Draw(task, np.arange(way), rows, numbers[rows], query, numbers[query])


def test_baselines_equal_what_one_computes_by_hand() -> None:
    """Queries (0.8, 0.6) and (-0.6, 0.8); class means (0.8, 0.4) and (-0.5, 0.5); label texts (-1, 0) and (1, 0).

    proto: cosines 0.98 against -0.14, and -0.18 against 0.99: classes 0 and 1. label: the wrong way round, 1 and 0.
    mix: centres (-0.2, 0.4) and (0.5, 0.5) give 0.18 < 0.99 and 0.98 > 0.14: 1 and 0.
    mix.5: centres (0.3, 0.4) and (0, 0.5) give 0.96 > 0.6 and 0.28 < 0.8: 0 and 1.
    """
    labels = np.array([[-1.0, 0.0], [1.0, 0.0]], dtype=np.float32)
    found = {name: values.tolist() for name, values in baseline_predictions(toy_draw(labels)).items()}
    assert found == {"proto": [0, 1], "label": [1, 0], "mix": [1, 0], "mix.5": [0, 1]}
    without = {name: values.tolist() for name, values in baseline_predictions(toy_draw(labels, support=())).items()}
    assert without == {"label": [1, 0], "mix": [1, 0], "mix.5": [1, 0]}


def test_an_ablation_that_was_stopped_measures_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    monkeypatch.setattr(ablation, "load_ablation_tasks", lambda *args: [make_task(model)])
    calls: list[Condition] = []

    def stopping(model: TaskAware, draws: Sequence[Draw], condition: Condition) -> Scores:
        calls.append(condition)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return score(model, draws, condition)

    monkeypatch.setattr(ablation, "score", stopping)
    config = config_of(factors=("description", "memory"))
    with pytest.raises(KeyboardInterrupt):
        run_ablation(model, config, tmp_path / "stopped", "command")
    resumed = run_ablation(model, config, tmp_path / "stopped", "command")
    assert len(calls) == len(resumed.measurements) + 1
    whole = run_ablation(model, config, tmp_path / "whole", "command")
    assert resumed.measurements == whole.measurements


def test_measurements_of_another_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = make_model(0), make_model(1)
    monkeypatch.setattr(ablation, "load_ablation_tasks", lambda *args: [make_task(one)])
    config = config_of(factors=("memory",), episodes=20)
    expected = run_ablation(other, config, tmp_path / "other", "command").measurements
    assert expected != run_ablation(one, config, tmp_path / "one", "command").measurements
    with pytest.raises(ConfigError, match="another"):
        run_ablation(other, config, tmp_path / "one", "command")
