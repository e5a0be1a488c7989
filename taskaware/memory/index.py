"""How are the nearest vectors found? The only home of FAISS.

Douze et al. 2024, "The Faiss library", https://arxiv.org/abs/2401.08281. Exact inner product while that is quick, a
navigable graph (HNSW, Malkov & Yashunin 2018, https://arxiv.org/abs/1603.09320) for more, inverted lists beyond.
Letters: R rows, Q queries, K hits per query, D width.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import faiss
import numpy as np
from numpy.typing import NDArray

from taskaware.core.files import atomic_path, sha256, write_text
from taskaware.core.seeds import generator
from taskaware.memory.records import Floats, Integers

Mask = NDArray[np.bool_]

EXACT_ROWS = 50_000
GRAPH_ROWS = 200_000  # beyond, a graph takes minutes to build (scripts/benchmark_memory.py)
VISITED_ROWS = 20_000  # of the nearest lists, per query
_NEIGHBOURS = 32  # links per node of the graph
_SAMPLES_PER_LIST = 40  # FAISS asks for 39 at least

_faiss: Any = faiss  # where its type stubs lack the keyword arguments that it takes


@dataclass(frozen=True)
class Hits:
    """The K nearest rows of each query, best first. Where there is none, similarity [Q, K] is 0 and rows [Q, K] -1."""

    similarity: Floats
    rows: Integers


@dataclass(frozen=True)
class IndexPlan:
    """How to index: lists and probes (lists visited per query) matter to "lists" only."""

    kind: Literal["exact", "graph", "lists"]
    lists: int = 0
    probes: int = 0


def choose_index(
    rows: int, exact_rows: int = EXACT_ROWS, graph_rows: int = GRAPH_ROWS, visited_rows: int = VISITED_ROWS
) -> IndexPlan:
    """Exact up to exact_rows, a graph up to graph_rows, then lists that visit about visited_rows rows per query."""
    if rows <= exact_rows:
        return IndexPlan("exact")
    if rows <= graph_rows:
        return IndexPlan("graph")
    lists = max(1, 4 * math.isqrt(rows))
    return IndexPlan("lists", lists, min(lists, math.ceil(visited_rows * lists / rows)))


@final
class VectorIndex:
    """Searches vectors [R, D] by inner product; `build` or `read` makes one."""

    def __init__(self, index: faiss.Index, vectors: Floats, plan: IndexPlan) -> None:
        self._index = index
        self._vectors = vectors
        self.plan = plan

    @classmethod
    def build(cls, vectors: Floats, plan: IndexPlan | None = None) -> "VectorIndex":
        """Indexes vectors [R, D] as planned, by default as their number asks for."""
        plan = plan or choose_index(len(vectors))
        index = _empty(vectors.shape[1], plan)
        if plan.kind == "lists":
            index.train(_sample(vectors, _SAMPLES_PER_LIST * plan.lists))
        if len(vectors):
            index.add(vectors)
        return cls(index, vectors, plan)

    def search(self, queries: Floats, k: int, excluded: Mask | None = None) -> Hits:
        """Nearest rows of queries [Q, D]; rows where excluded [R] is true are never returned.

        As many hits as there are rows left, up to k: where a graph or lists miss some, those queries search exactly.
        """
        left = len(self._vectors) - (0 if excluded is None else int(excluded.sum()))
        take = min(k, left)
        similarity = np.zeros((len(queries), k), dtype=np.float32)
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        if take > 0 and len(queries):
            found = self._search(queries, take, excluded, left)
            short = (found.rows < 0).any(axis=1)
            if short.any():
                exact = _exact(self._vectors, queries[short], take, excluded)
                found.similarity[short], found.rows[short] = exact.similarity, exact.rows
            similarity[:, :take], rows[:, :take] = found.similarity, found.rows
        return Hits(similarity, rows)

    def _search(self, queries: Floats, take: int, excluded: Mask | None, left: int) -> Hits:
        if self.plan.kind != "exact" and 2 * left < len(self._vectors):  # filtered graphs lose their way
            return _exact(self._vectors, queries, take, excluded)
        selector = None if excluded is None else _faiss.IDSelectorBitmap(np.packbits(~excluded, bitorder="little"))
        similarity, rows = self._index.search(queries, take, params=self._parameters(take, left, selector))
        return Hits(similarity, rows)

    def _parameters(self, take: int, left: int, selector: Any) -> Any:
        if self.plan.kind == "graph":
            return _faiss.SearchParametersHNSW(efSearch=max(128, 4 * take), sel=selector)
        if self.plan.kind == "lists":  # excluded rows may fill the nearest lists: visit as many lists more
            excluded = len(self._vectors) - left
            probes = self.plan.probes + math.ceil(excluded * self.plan.lists / len(self._vectors))
            return _faiss.SearchParametersIVF(nprobe=min(self.plan.lists, probes), sel=selector)
        return None if selector is None else _faiss.SearchParameters(sel=selector)

    def write(self, path: Path, checksum: str) -> None:
        """Writes the index, then beside it the checksum of the contents it belongs to and its own hash."""
        with atomic_path(path) as temporary:
            try:
                faiss.write_index(self._index, str(temporary))
            except RuntimeError as error:  # what FAISS makes of a full disk
                raise OSError(f"{path}: cannot be written: {error}") from error
            about = {"store": checksum, "plan": vars(self.plan), "sha256": sha256(temporary)}
        write_text(sidecar(path), json.dumps(about))

    @classmethod
    def read(cls, path: Path, checksum: str, vectors: Floats) -> "VectorIndex | None":
        """The index at `path` if it is whole and belongs to these contents, else None: build it anew."""
        plan = choose_index(len(vectors))
        if index_problem(path, checksum, plan):
            return None
        try:
            index = faiss.read_index(str(path))
        except RuntimeError:  # whole, but of a FAISS that this one does not know
            return None
        return cls(index, vectors, plan) if (index.ntotal, index.d) == vectors.shape else None


def index_problem(path: Path, checksum: str, plan: IndexPlan) -> str:
    """Why the index at `path` cannot serve these contents; empty if it can."""
    try:
        about = json.loads(sidecar(path).read_text(encoding="utf-8"))
        seen = sha256(path)
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError) as error:
        return f"unreadable: {error}"
    expected = {"store": checksum, "plan": vars(plan), "sha256": seen}
    if not isinstance(about, dict) or about.get("sha256") != seen:
        return "damaged: its bytes are not those that were written"
    return "" if about == expected else "stale: made from other contents"


def sidecar(path: Path) -> Path:
    """Where the description of the index at `path` lies."""
    return path.with_name(f"{path.name}.json")


def _empty(dimension: int, plan: IndexPlan) -> faiss.Index:
    if plan.kind == "exact":
        return faiss.IndexFlatIP(dimension)
    description = f"HNSW{_NEIGHBOURS},Flat" if plan.kind == "graph" else f"IVF{plan.lists},Flat"
    return faiss.index_factory(dimension, description, faiss.METRIC_INNER_PRODUCT)


def _sample(vectors: Floats, size: int) -> Floats:
    """At most `size` rows, always the same ones."""
    if len(vectors) <= size:
        return vectors
    chosen: Floats = vectors[generator("memory index", size).choice(len(vectors), size, replace=False)]
    return chosen


def _exact(vectors: Floats, queries: Floats, take: int, excluded: Mask | None) -> Hits:
    """The same answer without an index; needs as many rows as `take`."""
    similarity = queries @ vectors.T
    if excluded is not None:
        similarity[:, excluded] = -np.inf
    rows = np.argpartition(-similarity, take - 1, axis=1)[:, :take]
    values = np.take_along_axis(similarity, rows, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return Hits(np.take_along_axis(values, order, axis=1), np.take_along_axis(rows, order, axis=1))
