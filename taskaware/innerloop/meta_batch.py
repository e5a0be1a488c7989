"""What does an inner loop over plain vectors or images take in, and how is it padded?

A `MetaBatch` holds T tasks of equal size. Tasks of other sizes are padded with masks (1.0 real, 0.0 padding), and
`bucketed` rounds support, query and ways up to a few sizes, so that a compiled step meets few shapes.

Shapes: T tasks, S support, Q query, N ways, `...` the axes of one input (D for vectors, C H W for images).
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from taskaware.core.values import Examples, register_value

_BUCKETS = (1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 40, 50, 64, 75, 100, 128)


@final
@dataclass(frozen=True)
class MetaBatch:
    """T tasks. support: features [T, S, ...], labels and mask [T, S]; query likewise; class_mask [T, N]."""

    support: Examples
    query: Examples
    class_mask: Tensor

    @property
    def tasks(self) -> int:
        """T."""
        return len(self.class_mask)

    @property
    def ways(self) -> int:
        """N, padding included."""
        return self.class_mask.shape[1]


register_value(MetaBatch)


def meta_batch(support: Tensor, support_labels: Tensor, query: Tensor, query_labels: Tensor, *, ways: int) -> MetaBatch:
    """Tasks of equal size, nothing padded: features [T, S, ...], labels [T, S] in 0..N-1, and the same for queries."""
    return MetaBatch(
        Examples(support, support_labels, torch.ones(support_labels.shape, dtype=support.dtype, device=support.device)),
        Examples(query, query_labels, torch.ones(query_labels.shape, dtype=query.dtype, device=query.device)),
        torch.ones(len(support), ways, dtype=support.dtype, device=support.device),
    )


def bucket(size: int) -> int:
    """The bucket of a size: the smallest of a short list that holds it, then multiples of 64."""
    for known in _BUCKETS:
        if size <= known:
            return known
    return -(-size // 64) * 64


def bucketed(batch: MetaBatch, *, pad_ways: bool = True) -> MetaBatch:
    """Pads support, query and (where the head allows any number) ways up to their buckets; means stay the same."""
    ways = bucket(batch.ways) if pad_ways else batch.ways
    return MetaBatch(
        _padded(batch.support, bucket(batch.support.labels.shape[1])),
        _padded(batch.query, bucket(batch.query.labels.shape[1])),
        F.pad(batch.class_mask, (0, ways - batch.ways)),
    )


def slice_tasks(batch: MetaBatch, first: int, last: int) -> MetaBatch:
    """The tasks first..last-1."""
    return MetaBatch(
        _sliced(batch.support, first, last), _sliced(batch.query, first, last), batch.class_mask[first:last]
    )


def _sliced(examples: Examples, first: int, last: int) -> Examples:
    return Examples(examples.features[first:last], examples.labels[first:last], examples.mask[first:last])


def _padded(examples: Examples, size: int) -> Examples:
    missing = size - examples.labels.shape[1]
    if missing == 0:
        return examples
    axes = (0, 0) * (examples.features.dim() - 2)
    return Examples(
        F.pad(examples.features, (*axes, 0, missing)),
        F.pad(examples.labels, (0, missing)),
        F.pad(examples.mask, (0, missing)),
    )
