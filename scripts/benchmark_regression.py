"""What is one sentence worth when a function must be learned from ten points?

Trains the regressor with descriptions and the same one without words on ARML's six families of functions, then tests
both on the same tasks, described in phrasings that training never read; with missing, shuffled (another family's) and
nonsense descriptions; with its memory of one description per family emptied; and against what needs no meta-training:
a Gaussian process, ridge regression and the mean.
Finished trainings are kept in --out and skipped the next time; results.json and table.md sum up.

    python scripts/benchmark_regression.py configs/benchmarks/regression.yaml
"""

import copy
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from pydantic import Field
from rich.console import Console
from safetensors.torch import load_file, save_file
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import RidgeCV
from torch import Tensor

from taskaware import __version__
from taskaware.core.config import Config, build, override, read_yaml
from taskaware.core.files import write_text
from taskaware.core.seeds import generator
from taskaware.core.values import map_tensors
from taskaware.data.functions import FAMILIES, RegressionTasks, draw_tasks, families
from taskaware.encoders import EncoderConfig, TextEncoder, load_encoder
from taskaware.evaluation.metrics import mean_interval
from taskaware.evaluation.statistics import paired_difference
from taskaware.learners.regression import DescribedPoints, Regressor, RegressorConfig
from taskaware.training.regression import RegressionTraining, as_points, as_tensor, train_regressor

console = Console(soft_wrap=True, highlight=False)
NONSENSE = (
    "Purple elephants knit quietly under the invoice.",
    "the the lamp of yesterday sings cheese",
    "Grandmother's recipe for lentil soup",
    "zxq brr flim flam wub",
    "Please return the umbrella to the left of Tuesday.",
    "seventeen borrowed spoons, alphabetically",
)
WORDS, NONE = "with words", "trained without words"
GIVEN = {WORDS: "held out", "words missing": "missing", "words shuffled": "shuffled", "words nonsense": "nonsense"}
FORGETFUL = {"with words, nothing remembered": "held out", "words missing, nothing remembered": "missing"}


class BenchmarkConfig(Config):
    """tasks: of the test, families at random; support and query points of each; the two models differ in words only."""

    name: str
    seed: int
    tasks: int = Field(ge=100)  # so that every family occurs
    support: int = Field(ge=1)
    query: int = Field(ge=1)
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    regressor: RegressorConfig
    training: RegressionTraining


def main(
    config: Annotated[Path, typer.Argument(help="configs/benchmarks/regression.yaml")],
    out: Annotated[Path, typer.Option(help="folder for trained models, results and table")] = Path(
        "runs/benchmarks/regression"
    ),
    assignments: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable")] = None,
) -> None:
    """Trains what is not trained yet, tests, and writes the table."""
    settings = build(BenchmarkConfig, override(read_yaml(config), assignments or []), str(config))
    encoder = load_encoder(settings.encoder)
    models = {name: train_once(settings, name, encoder, out) for name in (WORDS, NONE)}
    tasks = draw_tasks(settings.tasks, settings.support, settings.query, settings.seed, "test")
    points = {name: _told(tasks, given, encoder, settings.seed) for name, given in {**GIVEN, **FORGETFUL}.items()}
    errors = {name: _score(models[WORDS], points[name], tasks) for name in GIVEN}
    forgetful = copy.deepcopy(models[WORDS])
    forgetful.memory = forgetful.memory[:0]
    errors |= {name: _score(forgetful, points[name], tasks) for name in FORGETFUL}
    errors[NONE] = _score(models[NONE], points["words missing"], tasks)
    milliseconds = {name: _speed(models[name], points[WORDS]) for name in (WORDS, NONE)}
    for name, (method, spent) in _baselines(tasks).items():
        errors[name], milliseconds[name] = method, spent
    command = " ".join(["python", *sys.argv])
    facts = {"command": command, "taskaware": __version__, "torch": torch.__version__, **settings.model_dump()}
    stored = {name: values.tolist() for name, values in errors.items()}
    results = {"settings": facts, "family": tasks.family.tolist(), "errors": stored, "milliseconds": milliseconds}
    write_text(out / "results.json", json.dumps(results))
    text = table(settings, tasks, errors, milliseconds, command)
    write_text(out / "table.md", text)
    console.print(text, markup=False)


def train_once(settings: BenchmarkConfig, name: str, encoder: TextEncoder, out: Path) -> Regressor:
    """The model called `name`: read from --out when it was trained with these settings, trained otherwise."""
    wanted = settings.model_dump(mode="json", exclude={"tasks"})
    arm = "description" if name == WORDS else "none"
    weights, facts = out / f"{arm}.safetensors", out / f"{arm}.json"
    torch.manual_seed(settings.seed)
    values = {**settings.regressor.model_dump(), "conditioner": arm}
    memory = _encode(encoder, [family.description for family in families().values()])
    regressor = Regressor(build(RegressorConfig, values, settings.name), 2, memory)
    if facts.exists() and json.loads(facts.read_text(encoding="utf-8"))["settings"] == wanted:
        regressor.load_state_dict(load_file(weights))
        return regressor
    out.mkdir(parents=True, exist_ok=True)
    phrasings = torch.stack([_encode(encoder, families()[family].training_texts) for family in FAMILIES])
    start, losses = time.perf_counter(), []

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if (step + 1) % 500 == 0:
            console.print(f"{name}, step {step + 1}: MSE {np.mean(losses[-500:]):.3f}")

    train_regressor(regressor, phrasings, settings.training, settings.seed, report)
    seconds = time.perf_counter() - start
    console.print(f"{name}: {settings.training.steps} steps in {seconds:.0f} s")
    save_file(regressor.state_dict(), weights)
    write_text(facts, json.dumps({"settings": wanted, "seconds": seconds}))
    return regressor


def _encode(encoder: TextEncoder, texts: list[str]) -> Tensor:
    return as_tensor(encoder.encode(texts))


def _told(tasks: RegressionTasks, given: str, encoder: TextEncoder, seed: int) -> DescribedPoints:
    """The support sets with the words that an arm gives: one phrasing a task, at random."""
    rng = generator(seed, "test words", given)
    count = len(tasks.family)
    family = tasks.family
    if given == "shuffled":
        family = (family + rng.integers(1, len(FAMILIES), count)) % len(FAMILIES)
    phrasings = torch.stack([_encode(encoder, families()[name].held_out) for name in FAMILIES])
    descriptions = phrasings[family, rng.integers(phrasings.shape[1], size=count)]
    if given == "nonsense":
        descriptions = _encode(encoder, list(NONSENSE))[rng.integers(len(NONSENSE), size=count)]
    return as_points(tasks, descriptions, torch.full((count,), float(given != "missing")))


@torch.no_grad()
def _score(regressor: Regressor, points: DescribedPoints, tasks: RegressionTasks) -> np.ndarray:
    """Mean squared error of each task [T] over its queries."""
    predicted = torch.func.vmap(regressor, chunk_size=500)(points, as_tensor(tasks.query_x))
    squares = np.square(predicted.double().numpy() - tasks.query_y)
    return np.asarray(squares.mean(1))


@torch.no_grad()
def _speed(regressor: Regressor, points: DescribedPoints, count: int = 20) -> float:
    """Milliseconds to adapt to one task, alone: the median of `count`."""
    spent = []
    for index in range(min(count, len(points.targets))):
        one = map_tensors(lambda each, place=index: each[place], points)  # type: ignore[misc]
        start = time.perf_counter()
        regressor.adapt(one)
        spent.append(1000 * (time.perf_counter() - start))
    return float(np.median(spent))


def _baselines(tasks: RegressionTasks) -> dict[str, tuple[np.ndarray, float]]:
    """Errors [T] and milliseconds a task of what a user would otherwise pick, fitted to the ten points alone."""
    kernel = ConstantKernel(1.0, (1e-3, 1e4)) * RBF(2.0, (0.1, 100.0)) + WhiteKernel(0.1, (1e-4, 10.0))
    methods: dict[str, Any] = {
        "Gaussian process": lambda: GaussianProcessRegressor(kernel, normalize_y=True),
        "ridge": lambda: RidgeCV(alphas=np.logspace(-2, 3, 11)),
    }
    found = {}
    for name, method in methods.items():
        start, errors = time.perf_counter(), []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for x, y, queries, targets in zip(
                tasks.support_x, tasks.support_y, tasks.query_x, tasks.query_y, strict=True
            ):
                errors.append(np.square(method().fit(x, y).predict(queries) - targets).mean())
        found[name] = np.array(errors), 1000 * (time.perf_counter() - start) / len(errors)
    mean = np.square(tasks.support_y.mean(1, keepdims=True) - tasks.query_y).mean(1)
    return {**found, "mean of the points": (mean, 0.0)}


def table(
    settings: BenchmarkConfig,
    tasks: RegressionTasks,
    errors: dict[str, np.ndarray],
    milliseconds: dict[str, float],
    command: str,
) -> str:
    """MSE overall and per family, then the paired differences from the model without words."""
    names = [name.replace("_", " ") for name in FAMILIES]
    lines = [
        f"{settings.tasks} test tasks, {settings.support} points each, {settings.training.steps} training steps, seed "
        f"{settings.seed}; MSE over {settings.query} queries, 95% intervals over tasks. Command: `{command}`"
    ]
    lines += ["", _row(["MSE", "all", *names, "ms a task"]), _row(["---"] * (len(names) + 3))]
    for name, values in errors.items():
        cells = [_interval(values[tasks.family == index]) for index in range(len(FAMILIES))]
        spent = f"{milliseconds[name]:.1f}" if name in milliseconds else ""
        lines.append(_row([name, _interval(values), *cells, spent]))
    lines += ["", _row(["paired difference of MSE", "minus", "[95%]"]), _row(["---"] * 3)]
    contrasts = [(WORDS, rival) for rival in (NONE, "Gaussian process", "words missing", "words shuffled")]
    told, untold = FORGETFUL
    contrasts += [("words nonsense", "words missing"), (told, untold)]
    for name, rival in contrasts:
        rng = generator("benchmark", name, rival)
        paired = paired_difference(errors[name], errors[rival], rng)
        lines.append(_row([name, rival, f"{paired.difference:+.3f} [{paired.low:+.3f}, {paired.high:+.3f}]"]))
    share = errors[WORDS].mean() / errors[NONE].mean()
    return "\n".join([*lines, "", f"With words the error is {share:.2f} of that of the model without."]) + "\n"


def _interval(values: np.ndarray) -> str:
    found = mean_interval(values)
    return f"{found.mean:.3f} ± {found.high - found.mean:.3f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    typer.run(main)
