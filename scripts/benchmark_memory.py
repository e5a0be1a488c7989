"""How does the task memory do with ten thousand, a hundred thousand and a million tasks?

    OMP_NUM_THREADS=1 python scripts/benchmark_memory.py configs/benchmarks/memory.yaml

Every size is written by one process and read by another, whose resident memory is reported. A search with exclusions
names another task each time, as training does, so that no mask is there from the search before. Recall is against
exact search. Needs about 5 GB of memory and 4 GB of disk for the million, and about ten minutes.
"""

import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from memory_report import write_report
from numpy.typing import NDArray
from rich.console import Console
from stopwatch import milliseconds, seconds

from taskaware.core.config import Config, build, read_yaml
from taskaware.core.seeds import generator
from taskaware.memory import ClassRecord, Exclusion, TaskMemory, TaskRecord
from taskaware.memory.index import IndexPlan, VectorIndex, choose_index
from taskaware.memory.memory import TASK_INDEX

console = Console(soft_wrap=True, highlight=False)
Floats = NDArray[np.float32]

_BATCH = 5000  # tasks added in one transaction


class MemoryBenchmark(Config):
    """configs/benchmarks/memory.yaml. sizes: how many tasks, and how many classes each of them has."""

    seed: int
    dimension: int
    sizes: dict[int, int]
    topics: int
    subjects: int
    noise: float
    datasets: int
    queries: int
    k: int
    batch: int


def main(
    config: Annotated[Path, typer.Argument(help="configs/benchmarks/memory.yaml")],
    out: Annotated[Path, typer.Option(help="folder for the results")] = Path("runs/benchmarks/memory"),
    sizes: Annotated[str, typer.Option(help="numbers of tasks to measure, with commas; empty = all")] = "",
    scratch: Annotated[Path | None, typer.Option(help="folder for the stores; a temporary one by default")] = None,
) -> None:
    """Writes, reads and searches a store of every size; writes results.json, table.md and memory.png."""
    settings = build(MemoryBenchmark, read_yaml(config), str(config))
    chosen = [int(each) for each in sizes.split(",") if each] or list(settings.sizes)
    found: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "sizes": {}}
    for size in chosen:
        folder = Path(tempfile.mkdtemp(dir=scratch))
        try:
            found["sizes"][size] = apart(write_store, folder, settings, size)
            found["sizes"][size] |= apart(read_store, folder, settings, size)
        finally:
            shutil.rmtree(folder)
        console.print(f"{size} tasks: {found['sizes'][size]}")
        write_report(found, out)
    console.print((out / "table.md").read_text(encoding="utf-8"))


def apart(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """work(*arguments) in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def write_store(folder: Path, settings: MemoryBenchmark, size: int) -> dict[str, Any]:
    """Seconds in SQLite and for the index, and what lies on disk afterwards."""
    with TaskMemory.create(folder / "memory", "synthetic", settings.dimension) as memory:
        adding = sum(seconds(lambda part=part: memory.add(part)) for part in records(settings, size))
        reading = seconds(memory.snapshot)
        indexing = seconds(lambda: memory.search_tasks(vectors(settings, 1, "warm"), 1))
    files = {path.name: path.stat().st_size / 1e6 for path in (folder / "memory").iterdir()}
    return {
        "index": choose_index(size).kind,
        "add_s": adding,
        "snapshot_s": reading,
        "index_s": indexing,
        "sqlite_mb": sum(value for name, value in files.items() if "sqlite" in name),
        "index_mb": sum(value for name, value in files.items() if "faiss" in name),
        "writer_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def read_store(folder: Path, settings: MemoryBenchmark, size: int) -> dict[str, Any]:
    """Seconds until the first answer, resident memory then, and times and recall of searches."""
    empty, queries = resident(), vectors(settings, settings.queries, "queries")
    start = time.perf_counter()
    with TaskMemory.open(folder / "memory", "synthetic") as memory:
        memory.search_tasks(queries[:1], settings.k)
        found: dict[str, Any] = {"open_s": time.perf_counter() - start, "resident_mb": resident() - empty}
        found["search"] = {
            "1": spread([lambda at=at: memory.search_tasks(queries[at : at + 1], settings.k) for at in range(256)]),
            f"{settings.batch}": spread(batches(memory, queries, settings)),
            "1, excluding": spread(excluding(memory, queries, settings, size)),
        }
        ids = generator("get", settings.seed).integers(size, size=200)
        found["get"] = spread([lambda each=each: memory.get(name(int(each))) for each in ids])
        stored = memory.snapshot().task_embeddings
        exact = VectorIndex.build(stored, IndexPlan("exact"))
        found["search"]["1, exact"] = spread(
            [lambda at=at: exact.search(queries[at : at + 1], settings.k) for at in range(32)]
        )
        seen, best = memory.search_tasks(queries, settings.k).rows, exact.search(queries, settings.k).rows
        found["recall"] = float(np.mean([len(set(a) & set(b)) / settings.k for a, b in zip(seen, best, strict=True)]))
        found["index_read"] = (folder / "memory" / TASK_INDEX).exists()
    return found


def batches(memory: TaskMemory, queries: Floats, settings: MemoryBenchmark) -> list[Callable[[], Any]]:
    """Searches of `batch` queries at a time, four times over."""
    starts = list(range(0, len(queries) - settings.batch + 1, settings.batch)) * 4
    return [lambda at=at: memory.search_tasks(queries[at : at + settings.batch], settings.k) for at in starts]


def excluding(memory: TaskMemory, queries: Floats, settings: MemoryBenchmark, size: int) -> list[Callable[[], Any]]:
    """Searches that must return neither some task nor one of the data sets."""

    def search(at: int) -> None:
        task, dataset = name(at * 37 % size), f"set {at % settings.datasets}"
        exclude = Exclusion(tasks=frozenset({task}), datasets=frozenset({dataset}))
        hits = memory.search_tasks(queries[at : at + 1], settings.k, exclude)
        assert not (memory.snapshot().task_datasets[hits.rows] == dataset).any()

    return [lambda at=at: search(at) for at in range(128)]


def records(settings: MemoryBenchmark, size: int) -> Iterator[list[TaskRecord]]:
    """All tasks of a store, a transaction at a time."""
    classes = settings.sizes[size]
    for start in range(0, size, _BATCH):
        numbers = range(start, min(start + _BATCH, size))
        drawn = vectors(settings, len(numbers) * (1 + 2 * classes), start).reshape(len(numbers), -1, settings.dimension)
        yield [record(number, settings, each) for number, each in zip(numbers, drawn, strict=True)]


def record(number: int, settings: MemoryBenchmark, drawn: Floats) -> TaskRecord:
    """A task with its own description and as many classes as there are pairs of vectors left."""
    pairs = drawn[1:].reshape(-1, 2, settings.dimension)
    classes = tuple(
        ClassRecord(f"class {index}", f"words of class {index}", text, prototype, 5)
        for index, (text, prototype) in enumerate(pairs)
    )
    return TaskRecord(name(number), f"set {number % settings.datasets}", f"question {number}", drawn[0], classes)


def name(number: int) -> str:
    """The id of a task; ids sort as numbers do."""
    return f"task {number:08d}"


def vectors(settings: MemoryBenchmark, count: int, place: int | str) -> Floats:
    """Clustered unit vectors [count, D]; a function of seed and place."""
    centres = generator("centres", settings.seed)
    topics = centres.standard_normal((settings.topics, settings.dimension), dtype=np.float32)
    subjects = centres.standard_normal((settings.subjects, settings.dimension), dtype=np.float32)
    rng = generator("tasks", settings.seed, place)
    chosen = rng.integers(settings.subjects, size=count)
    own = rng.standard_normal((count, settings.dimension), dtype=np.float32)
    drawn = topics[chosen % settings.topics] + 0.7 * subjects[chosen] + settings.noise * own
    result: Floats = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return result


def spread(works: list[Callable[[], Any]]) -> dict[str, float]:
    """Milliseconds: median and 99th percentile over pieces of work, after one unmeasured one."""
    works[0]()
    times = [milliseconds(work) for work in works]
    return {"p50": float(np.median(times)), "p99": float(np.percentile(times, 99))}


def resident() -> float:
    """Megabytes of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1e6


if __name__ == "__main__":
    typer.run(main)
