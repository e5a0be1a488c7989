"""How is a benchmark run? Every data set and fold, each shape, each group of methods, on the same test tasks.

Three parts are stored for each: the model with its arms, what needs no model, and SetFit, which is slow; so a new model
is not a reason to fit the rivals again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from taskaware.data import TextTask
from taskaware.encoders import TextEncoder, load_encoder
from taskaware.episodes import Draw, EncodedTask, encode_task
from taskaware.evaluation.ablation import fingerprint
from taskaware.evaluation.arms import build_arms, label_wording, nonsense_labels
from taskaware.evaluation.benchmarks import protocols, timing
from taskaware.evaluation.benchmarks.leaks import Shared, without_leaks
from taskaware.evaluation.benchmarks.models import Say, finished_model, held_out_task, run_of, trained_model
from taskaware.evaluation.benchmarks.rivals import INVERSE_PENALTY, logistic_regression_scores, require
from taskaware.evaluation.benchmarks.setfit_rival import SETFIT, setfit_scores
from taskaware.evaluation.benchmarks.settings import NONSENSE, BenchmarkConfig, Dataset, Shape
from taskaware.evaluation.benchmarks.source import source_digest
from taskaware.evaluation.benchmarks.store import Floats, Part, stored_part
from taskaware.evaluation.evaluate import Condition, baseline_scores, score
from taskaware.pipeline import TaskAware

MODEL = "taskaware"


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One data set and fold at one shape, measured. A method with fewer values saw the first of the test tasks."""

    dataset: str
    fold: str | None
    shape: Shape
    accuracy: dict[str, Floats]
    seconds: dict[str, dict[str, float]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class _Tested:
    """The model and the held-out task of one data set and fold."""

    dataset: Dataset
    fold: str | None
    model: TaskAware
    test: TextTask
    shared: Shared

    def draws(self, settings: BenchmarkConfig, shape: Shape, encoder: TextEncoder) -> list[Draw]:
        """The test tasks as this encoder reads them; the rows are the same for all."""
        task = encode_task(self.test.card, self.test.texts, self.test.labels, encoder)
        return protocols.draw(settings, self.test, task, shape)


def run_benchmark(settings: BenchmarkConfig, out: Path, run: Path | None, say: Say) -> Iterator[Unit]:
    """Measures what is not stored yet. `run`: a finished run, instead of training one for each data set and fold."""
    require("sklearn", "logistic regression")
    if settings.setfit is not None:
        require("setfit", "SetFit (or leave it out: --set setfit=null)")
    given = finished_model(run) if run is not None else None
    folds: Sequence[str | None] = settings.folds or (None,)
    for dataset in settings.datasets:
        for fold in folds:
            held_out = held_out_task(settings, dataset, fold)
            measured = given or trained_model(run_of(settings, dataset, fold, out), say)
            test, shared = without_leaks(held_out, measured.train, measured.validation, measured.model)
            say(dataset.name + (f", fold {fold}" if fold else "") + f": {shared.summary()}")
            yield from _units(settings, out, _Tested(dataset, fold, measured.model, test, shared), say)


def _units(settings: BenchmarkConfig, out: Path, tested: _Tested, say: Say) -> Iterator[Unit]:
    for shape in settings.shapes:
        fold = [f"fold{tested.fold}"] if tested.fold else []
        stem = "-".join([tested.dataset.name, *fold, shape.name])
        parts = _parts(settings, out / "parts" / stem, tested, shape, say)
        facts = {name: value for part in parts for name, value in part.facts.items()}
        unit = Unit(
            dataset=tested.dataset.name,
            fold=tested.fold,
            shape=shape,
            accuracy={name: values for part in parts for name, values in part.accuracy.items()},
            seconds={name: dict(each) for part in parts for name, each in part.seconds.items()},
            facts={**tested.shared.to_json(), **facts},
        )
        say(f"{stem}: " + ", ".join(f"{name} {100 * values.mean():.1f}" for name, values in unit.accuracy.items()))
        yield unit


def _parts(settings: BenchmarkConfig, stem: Path, tested: _Tested, shape: Shape, say: Say) -> list[Part]:
    """The parts; each is keyed by the test tasks and by what else it depends on."""
    model, test = tested.model, tested.test
    encoder = load_encoder(model.config.encoder.untuned())
    frozen_reads = encoder.fingerprint == model.encoder.fingerprint
    draws = tested.draws(settings, shape, model.encoder)
    plain = draws if frozen_reads else tested.draws(settings, shape, encoder)
    tasks = {"tasks": protocols.digest(draws, test)}

    def part(name: str, key: dict[str, Any], measure: Callable[[], Part]) -> Part:
        return stored_part(stem.with_name(f"{stem.name}-{name}.json"), {**tasks, **key}, measure)

    timed = {"timed": settings.timed, "wordings": settings.wordings}
    theirs = {**timed, "encoder": encoder.fingerprint, "C": INVERSE_PENALTY}
    own = {"encoder": model.encoder.fingerprint, "layers": list(model.encoder.layers)}
    ours = {**timed, **own, "model": fingerprint(model), "source": source_digest(), "arms": list(settings.arms)}
    ours |= model.config.model_dump(mode="json", exclude={"encoder"})
    parts = [
        part("model", ours, lambda: _model_part(settings, model, test, draws)),
        part("frozen", theirs, lambda: _frozen_part(settings, model, test, plain)),
    ]
    if not frozen_reads:
        parts.append(part("tuned", {**own, "C": INVERSE_PENALTY}, lambda: _tuned_part(draws)))
    tuned = settings.setfit
    if tuned is not None and (shape.shots or tuned.label_texts) and (not tuned.shots or shape.shots in tuned.shots):
        few = draws[: tuned.episodes]
        key = {"tasks": protocols.digest(few, test), "encoder": encoder.fingerprint, "max_steps": tuned.max_steps}
        key["label_texts"] = tuned.label_texts
        parts.append(part("setfit", key, lambda: _setfit_part(settings, model, test, few, say)))
    return parts


def _model_part(settings: BenchmarkConfig, model: TaskAware, test: TextTask, draws: list[Draw]) -> Part:
    conditions = {MODEL: Condition(), **_arms(settings, model, draws[0].task)}
    accuracy = {name: score(model, draws, condition).accuracy for name, condition in conditions.items()}
    return Part(accuracy, {MODEL: timing.model_seconds(model, draws[: settings.timed], test)})


def _tuned_part(draws: list[Draw]) -> Part:
    """The rivals in the space of an encoder that the run itself has changed."""
    found = {**baseline_scores(draws), **logistic_regression_scores(draws)}
    return Part({f"{name}, tuned encoder": values for name, values in found.items()})


def _arms(settings: BenchmarkConfig, model: TaskAware, task: EncodedTask) -> dict[str, Condition]:
    known = build_arms(["label texts"], [task], model.encoder, np.zeros((0, model.encoder.dimension), np.float32))
    known[NONSENSE] = nonsense_labels(model.encoder)
    arms = {name: known[name] for name in settings.arms}
    return arms | {f"{MODEL}, wording {index + 1}": label_wording(index) for index in _others(settings, task)}


def _frozen_part(settings: BenchmarkConfig, model: TaskAware, test: TextTask, draws: list[Draw]) -> Part:
    accuracy = {**baseline_scores(draws), **logistic_regression_scores(draws)}
    for index in _others(settings, draws[0].task):
        reworded = baseline_scores([replace(draw, wording=index) for draw in draws])
        accuracy |= {f"{name}, wording {index + 1}": reworded[name] for name in ("label", "mix")}
    return Part(accuracy, timing.frozen_seconds(model.config.encoder.untuned(), draws[: settings.timed], test))


def _others(settings: BenchmarkConfig, task: EncodedTask) -> range:
    """The wordings of the label texts beside the first."""
    return range(1, task.words.labels.shape[1] if settings.wordings else 1)


def _setfit_part(settings: BenchmarkConfig, model: TaskAware, test: TextTask, draws: list[Draw], say: Say) -> Part:
    assert settings.setfit is not None

    def report(index: int, right: float, seconds: float) -> None:
        say(f"  SetFit {index + 1}/{len(draws)}: {100 * right:.1f} in {seconds:.1f} s")

    found = setfit_scores(draws, test, settings.setfit, model.config.encoder, report)
    facts = {"setfit_steps": found.steps.tolist(), "setfit_seconds": found.seconds.tolist()}
    return Part({SETFIT: found.accuracy}, {SETFIT: {timing.TEXT: float(np.median(found.seconds))}}, facts)
