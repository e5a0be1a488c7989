"""How fast is a meta-gradient, beside learn2learn, higher, TorchOpt and easyfsl?

    OMP_NUM_THREADS=2 python scripts/benchmark_speed.py configs/benchmarks/speed.yaml --peers /tmp/peers

The gradient comes first: every way must agree with a plain float64 loop, or nothing is timed. Then all ways take turns,
round by round, so that a busy machine slows them alike; reported are medians and the ratio of each round (median and
quartiles). `--peers` is a folder of packages outside the environment, for learn2learn (it asks for a qpth that does not
build) and easyfsl (it asks for torchvision):

    pip install --no-deps --target /tmp/peers higher torchopt optree graphviz easyfsl
    pip download --no-deps --no-binary :all: learn2learn==0.2.0 && tar xzf learn2learn-0.2.0.tar.gz
    cp -r learn2learn-0.2.0/learn2learn /tmp/peers/
"""

import math
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from rich.console import Console
from speed_adapt import AdaptConfig, measure_adapting, measure_reading
from speed_peers import PEERS, RATE, UnavailableError
from speed_report import write_report
from speed_step import StepConfig, measure_scaling, measure_steps
from stopwatch import seconds
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from taskaware.bodies.conv4 import Conv4, ConvConfig
from taskaware.bodies.mlp_stack import LinearStack, StackConfig
from taskaware.core.config import Config, build, read_yaml
from taskaware.core.values import map_tensors
from taskaware.innerloop import InnerLoop, InnerLoopConfig
from taskaware.innerloop.meta_batch import MetaBatch, meta_batch
from taskaware.innerloop.speed import SpeedConfig
from taskaware.learners.vectors import fast_maml_loss, fast_protonet_loss, parameter_names

console = Console(soft_wrap=True, highlight=False)
Way = Callable[[], Tensor]


class Workload(Config):
    """One piece of work; outputs of the body (0 = as many as ways); rounds 0 = as everywhere.

    Gradients must agree in float64; check_float32: ours in float32 too (its noise can open another ReLU, or choose
    another pixel of a max pool, so that the difference says nothing of a network with many of them).
    """

    title: str
    kind: Literal["maml", "protonet"]
    order: Literal[1, 2]
    body: Literal["stack", "conv4"]
    tasks: int
    ways: int
    shots: int
    queries: int
    steps: int
    width: int = 256
    outputs: int = 0
    check_float32: bool = True
    rounds: int = 0


class SpeedBenchmark(Config):
    """configs/benchmarks/speed.yaml."""

    seed: int
    threads: int
    rounds: int
    tolerance: float
    compiled: bool
    workloads: dict[str, Workload]
    growth: dict[str, list[int]]
    growth_rounds: int
    adapt: AdaptConfig
    step: StepConfig


def main(
    config: Annotated[Path, typer.Argument(help="configs/benchmarks/speed.yaml")],
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("runs/benchmarks/speed"),
    peers: Annotated[Path | None, typer.Option(help="folder of packages outside the environment")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    only: Annotated[str, typer.Option(help="letters of the workloads to measure; empty = all")] = "",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 = as configured")] = 0,
    sections: Annotated[str, typer.Option(help="what to measure, with commas")] = "gradient,growth,adapt,step,scaling",
) -> None:
    """Checks gradients, times every way of every workload, and writes results.json, table.md and speed.png."""
    settings = build(SpeedBenchmark, read_yaml(config), str(config))
    settings = settings.model_copy(update={"threads": threads or settings.threads})
    torch.set_num_threads(settings.threads)
    if peers:
        sys.path.append(str(peers))
    asked = sections.split(",")
    chosen = {name: work for name, work in settings.workloads.items() if not only or name in only}
    found: dict[str, Any] = {"machine": machine(settings, device), "settings": settings.model_dump(mode="json")}
    found["workloads"] = {name: measure(work, settings, device) for name, work in chosen.items() if "gradient" in asked}
    found["growth"] = measure_growth(settings, device) if "growth" in asked and "a" in settings.workloads else {}
    found["adapt"] = measure_adapting(settings.adapt) if "adapt" in asked else {}
    found["read"] = measure_reading(settings.adapt) if "adapt" in asked else {}
    found["step"] = measure_steps(settings.step) if "step" in asked else {}
    found["scaling"] = measure_scaling(settings.step) if "scaling" in asked else {}
    write_report(found, out)
    console.print((out / "table.md").read_text(encoding="utf-8"))


def machine(settings: SpeedBenchmark, device: str) -> dict[str, Any]:
    """What it ran on, and the rate of torch's own large float32 product (the floor of any product)."""
    square = torch.randn(1024, 1024, device=device)
    seconds = min(timed(lambda: square @ square, device) for _ in range(10))
    return {
        "device": device,
        "name": torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        "torch": torch.__version__,
        "threads": settings.threads,
        "matmul_gflops": 2 * 1024**3 / seconds / 1e9,
    }


def measure(work: Workload, settings: SpeedBenchmark, device: str) -> dict[str, Any]:
    """Gradients, then interleaved times of one workload."""
    body, ways, differences, missing = checked(work, settings, device)
    times = race(ways, list(body.parameters()), work.rounds or settings.rounds, device)
    with FlopCounterMode(display=False) as counter:
        gradient(plain(work, body, tasks_of(work, settings.seed, device, torch.float32)), body)
    found = {"flops": counter.get_total_flops(), "times": times, "gradients": differences, "missing": missing}
    return {"title": work.title, **found}


def checked(
    work: Workload, settings: SpeedBenchmark, device: str
) -> tuple[nn.Module, dict[str, Way], dict[str, dict[str, float]], dict[str, str]]:
    """The body, the ways whose gradients agree with the float64 loop's, by how much, and why the others are missing."""
    torch.manual_seed(settings.seed)
    body, double = body_of(work).to(device), body_of(work).to(device).double()
    double.load_state_dict(body.state_dict())
    batch, exact = (tasks_of(work, settings.seed, device, kind) for kind in (torch.float32, torch.float64))
    expected = {squared: gradient(plain(work, double, exact, squared), double) for squared in (True, False)}
    ways = own_ways(work, body, batch, settings.compiled) | peer_ways(work, body, batch)
    differences: dict[str, dict[str, float]] = {}
    missing: dict[str, str] = {}
    for name, way in (own_ways(work, double, exact, settings.compiled) | peer_ways(work, double, exact)).items():
        try:
            right = expected[name != "easyfsl"]
            found = {"float64": relative(gradient(way(), double), right)}
            found["float32"] = relative(gradient(ways[name](), body), right)
        except UnavailableError as error:
            missing[name] = str(error)
            continue
        console.print(f"{work.title}: {name}: from the float64 loop's gradient: {found}")
        single = found["float32"] < settings.tolerance or not (work.check_float32 and name.startswith("taskaware"))
        if found["float64"] >= 1e-8 or not single:
            raise SystemExit(f"{work.title}: {name}: not the same meta-gradient; try another seed if float64 agrees")
        differences[name] = found
    return body, {name: ways[name] for name in differences}, differences, missing


def own_ways(work: Workload, body: nn.Module, batch: MetaBatch, compiled: bool) -> dict[str, Way]:
    """Ours: the automatic choice first, then each path by itself."""
    if work.kind == "protonet":
        result: dict[str, Way] = {"taskaware": lambda: fast_protonet_loss(body, batch)}
        if compiled:
            result["taskaware compiled"] = lambda: fast_protonet_loss(body, batch, SpeedConfig(compile="on"))
        return result
    settings = InnerLoopConfig(steps=work.steps, order=work.order, learning_rate=RATE, clip=0.0)
    inner = InnerLoop(settings, parameter_names(body)).to(batch.class_mask).requires_grad_(False)
    inner.log_rates.fill_(math.log(RATE))  # in the batch's precision
    speeds = {"taskaware": SpeedConfig()}
    paths: list[Literal["images", "loop", "dual", "vmap"]]
    paths = ["images", "loop"] if work.body == "conv4" else ["dual", "vmap"]
    speeds |= {f"taskaware {path}": SpeedConfig(path=path, compile="off") for path in paths}
    if compiled and "dual" in paths:
        speeds["taskaware dual, compiled"] = SpeedConfig(path="dual", compile="on")
    return {name: lambda speed=speed: fast_maml_loss(body, inner, batch, speed) for name, speed in speeds.items()}


def peer_ways(work: Workload, body: nn.Module, batch: MetaBatch) -> dict[str, Way]:
    """The other libraries on the same body and batch."""
    return {
        name: lambda peer=peer: peer(body, batch, work.steps, work.order) for name, peer in PEERS[work.kind].items()
    }


def plain(work: Workload, body: nn.Module, batch: MetaBatch, squared: bool = True) -> Tensor:
    """The oracle: a Python loop over tasks and steps. squared: ProtoNet's distances."""
    losses = []
    for task in range(batch.tasks):
        support, labels = batch.support.features[task], batch.support.labels[task]
        query, asked = batch.query.features[task], batch.query.labels[task]
        if work.kind == "protonet":
            embedded = body(support)
            means = torch.stack([embedded[labels == label].mean(0) for label in range(work.ways)])
            distances = torch.cdist(body(query), means)
            losses.append(F.cross_entropy(-(distances.square() if squared else distances), asked))
            continue
        parameters = dict(body.named_parameters())
        for _ in range(work.steps):
            loss = F.cross_entropy(torch.func.functional_call(body, parameters, (support,)), labels)
            moves = torch.autograd.grad(loss, list(parameters.values()), create_graph=work.order == 2)
            parameters = {
                name: value - RATE * move for (name, value), move in zip(parameters.items(), moves, strict=True)
            }
        losses.append(F.cross_entropy(torch.func.functional_call(body, parameters, (query,)), asked))
    return torch.stack(losses).mean()


def race(ways: dict[str, Way], parameters: list[Tensor], rounds: int, device: str) -> dict[str, list[float]]:
    """Milliseconds of every way in every round; within a round the ways take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            times[name].append(1e3 * timed(lambda way=way: torch.autograd.grad(way(), parameters), device))
    return {name: each[1:] for name, each in times.items()}  # the first round warms up


def timed(work: Callable[[], Any], device: str) -> float:
    """Seconds, with the device's queue empty before and after."""
    if device == "cuda":
        torch.cuda.synchronize()

    def done() -> None:
        work()
        if device == "cuda":
            torch.cuda.synchronize()

    return seconds(done)


def measure_growth(settings: SpeedBenchmark, device: str) -> dict[str, dict[int, dict[str, float]]]:
    """Median milliseconds of workload a with one number changed: ours and learn2learn."""
    result: dict[str, dict[int, dict[str, float]]] = {}
    for number, values in settings.growth.items():
        result[number] = {}
        for value in values:
            work = settings.workloads["a"].model_copy(update={number: value})
            body = body_of(work).to(device)
            batch = tasks_of(work, settings.seed, device, torch.float32)
            ways = {"taskaware": own_ways(work, body, batch, False)["taskaware"]}
            ways |= {name: way for name, way in peer_ways(work, body, batch).items() if name == "learn2learn"}
            try:
                times = race(ways, list(body.parameters()), settings.growth_rounds, device)
            except UnavailableError:
                times = race({"taskaware": ways["taskaware"]}, list(body.parameters()), settings.growth_rounds, device)
            result[number][value] = {name: float(np.median(each)) for name, each in times.items()}
    return result


def body_of(work: Workload) -> nn.Module:
    """The body that every way shares."""
    outputs = work.outputs or work.ways
    if work.body == "conv4":
        return Conv4(ConvConfig(), 1, 28, outputs)
    return LinearStack(StackConfig(widths=(work.width, work.width)), 384, outputs)


def tasks_of(work: Workload, seed: int, device: str, dtype: torch.dtype) -> MetaBatch:
    """Gaussian classes with noise, the same numbers for every dtype."""
    rng = torch.Generator().manual_seed(seed)
    shape = (1, 28, 28) if work.body == "conv4" else (384,)
    centres = torch.randn(work.tasks, work.ways, 1, *shape, generator=rng, dtype=torch.float64)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        noise = torch.randn(work.tasks, work.ways, count, *shape, generator=rng, dtype=torch.float64)
        labels = torch.arange(work.ways).repeat_interleave(count).expand(work.tasks, -1).contiguous()
        return (centres + noise).flatten(1, 2).float().to(dtype), labels

    return map_tensors(
        lambda tensor: tensor.to(device), meta_batch(*draw(work.shots), *draw(work.queries), ways=work.ways)
    )


def gradient(loss: Tensor, body: nn.Module) -> list[Tensor]:
    """d loss / d body."""
    return list(torch.autograd.grad(loss, list(body.parameters())))


def relative(seen: list[Tensor], expected: list[Tensor]) -> float:
    """The norm of all differences over the norm of all expected gradients."""
    difference = sum(float((a.double() - b).square().sum()) for a, b in zip(seen, expected, strict=True))
    return (difference / sum(float(each.square().sum()) for each in expected)) ** 0.5


if __name__ == "__main__":
    typer.run(main)
