"""Do benchmarks draw fair test tasks, refuse leaks, fit rivals that learn, and make nothing twice?"""

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner, Result

from taskaware.core.config import build, override, read_yaml
from taskaware.core.errors import ConfigError, EpisodeError
from taskaware.core.values import TaskCard
from taskaware.data import TextTask
from taskaware.encoders import EncoderConfig
from taskaware.encoders.hashing import HashingEncoder
from taskaware.episodes import Draw, EncodedTask, Words, draw_episode, encode_task
from taskaware.evaluation.arms import label_wording, nonsense_labels
from taskaware.evaluation.baselines import baseline_centres, baseline_predictions
from taskaware.evaluation.benchmarks import findings
from taskaware.evaluation.benchmarks.leaks import without_leaks
from taskaware.evaluation.benchmarks.measure import MODEL, Unit
from taskaware.evaluation.benchmarks.protocols import digest, draw_full_label_sets
from taskaware.evaluation.benchmarks.rivals import LR, LR_TEXTS, logistic_regression_scores, require
from taskaware.evaluation.benchmarks.setfit_rival import backbone, planned_steps
from taskaware.evaluation.benchmarks.settings import BenchmarkConfig, Shape
from taskaware.evaluation.benchmarks.source import source_digest
from taskaware.evaluation.benchmarks.store import Part, stored_part
from taskaware.evaluation.benchmarks.tables import markdown
from taskaware.evaluation.evaluate import draw_episodes
from taskaware.pipeline import ModelConfig, TaskAware

ROOT = Path(__file__).parents[2]
KINDS = [
    "dogs puppy bark",
    "rain cloud storm",
    "bread loaf bake",
    "saws wood cut",
    "trains rail go",
    "songs choir sing",
]
ENCODER = {"name": "hashing", "dimension": 32, "layers": [1], "cache": False}
CARD = """\
---
pretty_name: Folded
license: cc0-1.0
language: en
taskaware:
  description: "say what it is about"
  source: {path: folded.jsonl}
  class_splits: {file: folds.json}
---
"""


def kinds_task(rows: int = 12) -> TextTask:
    rng = np.random.default_rng(0)
    names = [words.split()[0] for words in KINDS]
    texts = [f"{' '.join(rng.choice(words.split(), 2))} {number}" for words in KINDS for number in range(rows)]
    card = TaskCard(
        id="kinds",
        dataset="kinds",
        labels=dict(zip(names, KINDS, strict=True)),
        description="which kind",
        label_paraphrases={name: (f"all of {name}", f"{name} only") for name in names},
    )
    return TextTask(card, tuple(texts), tuple(name for name in names for _ in range(rows)))


@pytest.fixture
def kinds() -> TextTask:
    return kinds_task()


def encoded(task: TextTask) -> EncodedTask:
    return encode_task(task.card, task.texts, task.labels, HashingEncoder(64, layers=(1,)))


def full(task: TextTask, shots: int, draws: int = 3, seed: int = 1) -> list[Draw]:
    return draw_full_label_sets(task, encoded(task), shots=shots, query=4, draws=draws, seed=seed)


def test_full_label_sets_ask_the_same_queries_of_every_draw_and_nest_the_supports(kinds: TextTask) -> None:
    one, three = full(kinds, 1), full(kinds, 3)
    for few, more in zip(one, three, strict=True):
        assert np.array_equal(few.query, one[0].query) and np.array_equal(more.query, one[0].query)
        assert set(few.support) < set(more.support)
        assert not set(more.support) & set(more.query)
        assert np.array_equal(np.bincount(more.support_labels), [3] * 6)
        assert np.array_equal(more.task.labels[more.support], more.support_labels)
        assert np.array_equal(more.task.labels[more.query], more.query_labels)
    assert set(three[0].support) != set(three[1].support)
    assert digest(one, kinds) == digest(full(kinds, 1), kinds) != digest(full(kinds, 1, seed=2), kinds)


def test_without_examples_the_queries_are_drawn_anew(kinds: TextTask) -> None:
    none = full(kinds, 0)
    assert not len(none[0].support) and set(none[0].query) != set(none[1].query)
    assert np.array_equal(none[0].query, full(kinds, 1)[0].query)


def test_no_support_text_is_also_a_query(kinds: TextTask) -> None:
    doubled = TextTask(kinds.card, kinds.texts + tuple(text.upper() for text in kinds.texts), kinds.labels * 2)
    for draw in full(doubled, 5):
        rows = [doubled.texts[row].casefold() for row in (*draw.support, *draw.query)]
        assert len(set(rows)) == len(rows)
    with pytest.raises(EpisodeError, match="9 needed"):
        full(doubled, 9)


def test_logistic_regression_beats_chance_and_reads_label_texts_where_there_is_no_example(kinds: TextTask) -> None:
    found = logistic_regression_scores(full(kinds, 3))
    assert found[LR].mean() > 0.5 and found[LR_TEXTS].mean() > 0.5
    assert set(logistic_regression_scores(full(kinds, 0))) == {LR_TEXTS}


def test_baselines_in_another_wording_use_that_wording(kinds: TextTask) -> None:
    task = encoded(kinds)
    draw = draw_episodes(task, way=3, shots=1, episodes=1, seed=0)[0]
    other = replace(draw, wording=1)
    np.testing.assert_array_equal(baseline_centres(other)["label"], task.words.labels[draw.classes, 1])
    np.testing.assert_array_equal(baseline_centres(other)["proto"], baseline_centres(draw)["proto"])
    assert set(baseline_predictions(draw)) == set(baseline_centres(draw))


def test_a_wording_changes_label_texts_alone_and_nonsense_is_other_for_every_class(kinds: TextTask) -> None:
    task, rng = encoded(kinds), np.random.default_rng(0)
    draw = draw_episode(task, way=4, shots=1, query=1, rng=rng)
    words = Words.of(draw)
    changed = label_wording(2).words(words, draw, rng)
    np.testing.assert_array_equal(changed.labels, task.words.labels[draw.classes, 2])
    np.testing.assert_array_equal(changed.description, words.description)
    random = nonsense_labels(HashingEncoder(64), count=6).words(words, draw, rng).labels
    assert random.shape == words.labels.shape and len(np.unique(random, axis=0)) == 4


def test_test_rows_that_training_saw_are_removed_and_shared_classes_refused(kinds: TextTask) -> None:
    model = TaskAware.fresh(build(ModelConfig, {"encoder": ENCODER}, "test"))
    other = TextTask(
        replace(kinds.card, id="other", labels={"x": "dogs puppy bark"}), (kinds.texts[0].upper(),), ("x",)
    )
    clean, shared = without_leaks(kinds, [other], [], model)
    assert len(clean.texts) == len(kinds.texts) - 1 and kinds.texts[0] not in clean.texts
    assert (shared.removed_rows, shared.label_texts, shared.task_ids) == (1, 1, 0)
    with pytest.raises(EpisodeError, match="classes in training and test"):
        without_leaks(kinds, [kinds], [], model)
    model.remember(model.adapt(replace(kinds.card, description="known")))
    with pytest.raises(EpisodeError, match="classes in the memory"):
        without_leaks(kinds, [other], [], model)


def test_setfit_plans_the_steps_of_its_own_default_epoch() -> None:
    assert planned_steps([0, 1, 2, 3, 4]) == 2  # 10 pairs of different classes, twice, in batches of 16
    assert planned_steps([label for label in range(5) for _ in range(5)]) == 32
    with pytest.raises(ConfigError, match="hashing"):
        backbone(EncoderConfig(name="hashing"))


def test_a_missing_rival_names_the_extra_to_install() -> None:
    with pytest.raises(ConfigError, match=r"SetFit needs the package no_such_package .*taskaware\[bench\]"):
        require("no_such_package", "SetFit")


def test_a_part_is_measured_once_under_its_settings(tmp_path: Path) -> None:
    calls: list[int] = []

    def measure() -> Part:
        calls.append(1)
        return Part({"mix": np.array([0.5, 0.75])}, {"mix": {"cached": 0.1}}, {"note": 1})

    for seed, count in ((1, 1), (1, 1), (2, 2)):
        part = stored_part(tmp_path / "part.json", {"seed": seed}, measure)
        assert part.accuracy["mix"].tolist() == [0.5, 0.75] and part.facts == {"note": 1} and len(calls) == count
    (tmp_path / "part.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match="delete it"):
        stored_part(tmp_path / "part.json", {"seed": 1}, measure)


def unit(dataset: str = "mail", fold: str | None = "1", shots: int = 1, **accuracy: list[float]) -> Unit:
    base = {name: [0.5, 0.6, 0.7] for name in (MODEL, "mix", "mix.5", "proto", "label")}
    values = {name: np.array(each) for name, each in {**base, **accuracy}.items()}
    facts = {"task_ids": 0, "label_texts": 0, "removed_rows": 0, "validation_classes": 0}
    return Unit(dataset=dataset, fold=fold, shape=Shape(way=5, shots=shots), accuracy=values, seconds={}, facts=facts)


def test_a_rival_on_fewer_tasks_is_compared_on_those_alone() -> None:
    units = [unit(SetFit=[0.4, 0.6]), unit(fold="2", SetFit=[0.5, 0.5])]
    found = {each.rival: each for each in findings.pooled_differences(units)}
    assert found["SetFit"].tasks == 4 and found["mix"].tasks == 6
    assert found["SetFit"].paired.difference == pytest.approx(0.05)


def test_holm_counts_the_differences_of_one_data_set_only() -> None:
    better = {MODEL: [0.9] * 8, "mix": [0.1] * 8, "mix.5": [0.1] * 8, "proto": [0.1] * 8, "label": [0.1] * 8}
    alone = findings.pooled_differences([unit("a", **better)])
    both = findings.pooled_differences([unit("a", **better), unit("b", **better)])
    assert [each.adjusted for each in both[:4]] == [each.adjusted for each in alone]
    assert all(each.adjusted >= each.paired.p_value for each in both)


def test_the_worst_wording_is_never_above_the_original() -> None:
    better, worse = [0.9, 0.9, 0.9], [0.1, 0.1, 0.4]
    found = findings.wordings([unit(**{"taskaware, wording 2": better, "taskaware, wording 3": worse})])
    assert [each.method for each in found] == [MODEL]
    assert found[0].worst == 2 and found[0].loss.difference == pytest.approx(-0.4)
    original = findings.wordings([unit(**{"taskaware, wording 2": better})])[0]
    assert original.worst == 0 and original.loss.difference == 0


def test_tables_show_every_fold_and_mark_who_saw_fewer_tasks() -> None:
    values: dict[str, Any] = {"name": "x", "datasets": ["mail"], "shapes": [{"way": 5, "shots": 1}]}
    settings = build(BenchmarkConfig, {**values, "setfit": {"episodes": 2, "max_steps": 9}}, "x")
    text = markdown(settings, [unit(SetFit=[0.4, 0.6]), unit(fold="2", SetFit=[0.5, 0.5])], "python x")
    assert "(4 tasks)" in text and "| mail | 2 | 5 | 1 |" in text and "at most 9 steps" in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shapes": [{"shots": 1}]}, "way is needed"),
        ({"protocol": "full_label_sets"}, "left out"),
        ({"shapes": [{"way": 5, "shots": 1}] * 2}, "different"),
        ({"arms": ["lost"]}, "saw 'lost'"),
    ],
)
def test_a_wrong_benchmark_says_what_is_expected(values: dict[str, object], message: str) -> None:
    base: dict[str, object] = {"name": "x", "datasets": ["mail"], "shapes": [{"way": 5, "shots": 1}]}
    with pytest.raises(ConfigError, match=message):
        build(BenchmarkConfig, {**base, **values}, "x")


@pytest.mark.parametrize("name", ["intents", "full_label_sets", "sgd", "fewrel"])
def test_the_benchmarks_of_the_repository_are_valid(name: str) -> None:
    settings = build(BenchmarkConfig, read_yaml(ROOT / f"configs/benchmarks/{name}.yaml"), name)
    assert settings.name == name and settings.run is not None


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_text", ROOT / "scripts" / "benchmark_text.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(script: ModuleType, *arguments: object) -> Result:
    app = Typer(pretty_exceptions_enable=False)
    app.command()(script.main)
    return CliRunner().invoke(app, [str(each) for each in arguments])


def benchmark_file(folder: Path) -> Path:
    """A benchmark over folds of six small classes that trains in a second."""
    task = kinds_task(rows=8)
    rows = [{"text": text, "label": label} for text, label in zip(task.texts, task.labels, strict=True)]
    (folder / "folded.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    names = list(task.card.labels)
    folds = {"1": {"train": names[:2], "validation": names[2:4], "test": names[4:]}}
    (folder / "folds.json").write_text(json.dumps(folds), encoding="utf-8")
    (folder / "folded.md").write_text(CARD, encoding="utf-8")
    training = {"steps": 2, "meta_batch": 2, "validate_every": 2, "validation_episodes": 2, "validation_shots": [1]}
    run = {"encoder": ENCODER, "learner": {"body": {"hidden": 4}}, "training": training}
    values: dict[str, Any] = {"name": "tiny", "datasets": [str(folder / "folded.md")], "folds": ["1"], "run": run}
    values |= {"shapes": [{"way": 2, "shots": 0}, {"way": 2, "shots": 2}], "query": 2, "episodes": 4, "timed": 1}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_a_fold_is_trained_and_measured_once_and_more_episodes_train_nothing(
    script: ModuleType, tmp_path: Path
) -> None:
    config, out = benchmark_file(tmp_path), tmp_path / "out"
    first = call(script, config, "--out", out)
    assert first.exit_code == 0, first.output
    assert "no class" in first.output
    model = out / "models" / source_digest()[:12] / "folded-1/model.safetensors"
    part = out / "parts/folded-fold1-2way-2shot-model.json"
    before = model.stat().st_mtime_ns, part.stat().st_mtime_ns
    table = (out / "table.md").read_text(encoding="utf-8")
    assert all(word in table for word in ("LR + texts", "label texts: nonsense", "taskaware, from text"))
    again = call(script, config, "--out", out)
    assert again.exit_code == 0 and (model.stat().st_mtime_ns, part.stat().st_mtime_ns) == before
    more = call(script, config, "--out", out, "--set", "episodes=5")
    assert more.exit_code == 0 and model.stat().st_mtime_ns == before[0] and part.stat().st_mtime_ns != before[1]
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert len(results["units"][0]["accuracy"]["taskaware"]) == 5


def test_a_finished_run_is_measured_and_its_own_classes_are_refused(
    script: ModuleType, tmp_path: Path, write_run: Callable[[Path], Path]
) -> None:
    from taskaware.training import RunConfig
    from taskaware.training.session import train_and_save

    run = build(RunConfig, override(read_yaml(write_run(tmp_path)), ["training.steps=1"]), "tiny")
    folder = train_and_save(run, resume=False, report=lambda progress: None).folder
    config, out = benchmark_file(tmp_path), tmp_path / "out"
    found = call(script, config, "--run", folder, "--out", out)
    assert found.exit_code == 0 and not (out / "models").exists(), found.output
    leaked = ["datasets=[" + str(tmp_path / "things.md") + "]", "folds=[]", "split=null"]
    refused = call(script, config, "--run", folder, "--out", out, *[each for one in leaked for each in ("--set", one)])
    assert refused.exit_code == 1 and "classes in training and test" in refused.stderr


def test_setfit_without_its_package_is_an_error_before_anything_is_trained(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "setfit", None)
    found = call(script, benchmark_file(tmp_path), "--out", tmp_path / "out", "--set", "setfit={episodes: 2}")
    assert found.exit_code == 1 and "taskaware[bench]" in found.stderr and not (tmp_path / "out").exists()
