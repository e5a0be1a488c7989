"""Do approximate indexes find nearly what exact search finds, and never what is excluded?"""

from pathlib import Path

import numpy as np
import pytest

from taskaware.core.seeds import generator
from taskaware.memory.index import EXACT_ROWS, GRAPH_ROWS, VISITED_ROWS, IndexPlan, VectorIndex, choose_index

ROWS = 3000
PLANS = [
    choose_index(ROWS),
    choose_index(ROWS, exact_rows=500),
    choose_index(ROWS, exact_rows=500, graph_rows=600, visited_rows=500),
]


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    values = generator("vectors").normal(size=(ROWS, 16)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values


@pytest.fixture(scope="module", params=PLANS, ids=[plan.kind for plan in PLANS])
def index(request: pytest.FixtureRequest, vectors: np.ndarray) -> VectorIndex:
    return VectorIndex.build(vectors, request.param)


def test_the_kind_of_index_follows_the_number_of_rows() -> None:
    rows = (0, EXACT_ROWS, EXACT_ROWS + 1, GRAPH_ROWS, GRAPH_ROWS + 1)
    assert [choose_index(each).kind for each in rows] == ["exact", "exact", "graph", "graph", "lists"]
    plan = choose_index(4_000_000)
    assert plan.probes * 4_000_000 / plan.lists == pytest.approx(VISITED_ROWS, rel=0.02)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.4, 0.7, 0.999])
def test_recall_is_high_whatever_share_is_excluded(index: VectorIndex, vectors: np.ndarray, share: float) -> None:
    excluded = generator("excluded").random(ROWS) < share
    queries = vectors[:50]
    hits = index.search(queries, 10, excluded if share else None)
    similarity = np.where(excluded, -np.inf, queries @ vectors.T) if share else queries @ vectors.T
    take = min(10, ROWS - int(excluded.sum()))
    best = np.argsort(-similarity, axis=1)[:, :take]
    found = hits.rows[:, :take]
    recall = np.mean([len(set(a) & set(b)) / take for a, b in zip(best, found, strict=True)])
    assert recall == 1.0 if index.plan.kind == "exact" else recall > 0.85
    assert not excluded[found].any()
    assert (hits.rows[:, take:] == -1).all()
    rows = np.arange(50)[:, None]
    np.testing.assert_allclose(hits.similarity[:, :take], similarity[rows, found], atol=1e-5)
    assert (np.diff(hits.similarity[:, :take], axis=1) <= 1e-6).all()


def test_where_the_whole_neighbourhood_is_excluded_the_next_rows_are_found(
    index: VectorIndex, vectors: np.ndarray
) -> None:
    """The hard case for a filtered index. Many rows are nearly as near, so similarity is what must not suffer."""
    for query in range(20):
        order = np.argsort(-(vectors @ vectors[query]))
        excluded = np.zeros(ROWS, dtype=np.bool_)
        excluded[order[:1000]] = True
        hits = index.search(vectors[query : query + 1], 5, excluded)
        assert (hits.rows >= 0).all()
        assert not excluded[hits.rows].any()
        best = vectors[order[1000:1005]] @ vectors[query]
        np.testing.assert_allclose(hits.similarity[0], best, atol=0.02)


def test_an_index_read_back_answers_alike(tmp_path: Path, vectors: np.ndarray) -> None:
    index = VectorIndex.build(vectors)
    index.write(tmp_path / "index.faiss", "contents 1")
    again = VectorIndex.read(tmp_path / "index.faiss", "contents 1", vectors)
    assert again is not None
    np.testing.assert_array_equal(again.search(vectors[:9], 4).rows, index.search(vectors[:9], 4).rows)
    assert VectorIndex.read(tmp_path / "index.faiss", "contents 2", vectors) is None
    assert VectorIndex.read(tmp_path / "index.faiss", "contents 1", vectors[:-1]) is None


def test_no_queries_no_rows_and_no_hits_wanted_are_ordinary(vectors: np.ndarray) -> None:
    index, empty = VectorIndex.build(vectors), VectorIndex.build(vectors[:0])
    assert index.search(vectors[:0], 3).rows.shape == (0, 3)
    assert index.search(vectors[:2], 0).rows.shape == (2, 0)
    assert empty.search(vectors[:2], 3).rows.tolist() == [[-1, -1, -1]] * 2


def test_an_approximate_index_keeps_its_kind_in_its_file(tmp_path: Path, vectors: np.ndarray) -> None:
    VectorIndex.build(vectors, IndexPlan("graph")).write(tmp_path / "index.faiss", "contents")
    assert VectorIndex.read(tmp_path / "index.faiss", "contents", vectors) is None  # 3000 rows call for exact search
