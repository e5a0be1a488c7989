"""Which values do the stages exchange?

Letters for shapes: S support, Q query, N ways, D embedding width, B background passages, K neighbour tasks,
M neighbour classes. All are frozen dataclasses; the tensor-valued ones are pytrees, so torch.func maps over them and
`stack` makes a meta-batch [T, ...] of them. Padding is explicit: a mask entry is 1.0 for real and 0.0 for padding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class TaskCard:
    """What is known about a task in words; every word is optional except the label names.

    labels maps a label's name (as in the data) to its text (a word, phrase or sentence that explains it).
    """

    id: str
    dataset: str
    labels: dict[str, str]
    kind: str = "classification"
    description: str = ""
    paraphrases: tuple[str, ...] = ()
    background: tuple[str, ...] = ()
    label_paraphrases: dict[str, tuple[str, ...]] | None = None
    language: str = "en"
    licence: str = "unknown"
    source: str = ""


@dataclass(frozen=True)
class Examples:
    """A labelled set. features [S, D] float, labels [S] int64 in 0..N-1, mask [S] float."""

    features: Tensor
    labels: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Neighbours:
    """What the task memory knows nearby. Unused slots have similarity 0 and mask 0.

    adapters [K, A] codes of past tasks, task_similarity [K, 3] (description, label texts, background), task_mask [K];
    class_texts [N, M, D], class_prototypes [N, M, D], class_similarity [N, M], class_slots [N, M] (mask).
    """

    adapters: Tensor
    task_similarity: Tensor
    task_mask: Tensor
    class_texts: Tensor
    class_prototypes: Tensor
    class_similarity: Tensor
    class_slots: Tensor


@dataclass(frozen=True)
class TaskContext:
    """The words of one task as vectors. Missing words are zero vectors, told apart by `present`.

    description [D]; background [B, D] with background_mask [B]; label_texts [N, D]; class_mask [N] (1 real, 0 padding);
    present [3] = (description, background, label texts) in {0., 1.}; code_mask [A] multiplies the code (dropout in
    training, otherwise ones); neighbours from the memory.
    """

    description: Tensor
    background: Tensor
    background_mask: Tensor
    label_texts: Tensor
    class_mask: Tensor
    present: Tensor
    code_mask: Tensor
    neighbours: Neighbours


@dataclass(frozen=True)
class Episode:
    """One task to learn: `adapt` sees support and context only, so query labels cannot leak."""

    support: Examples
    query: Examples
    context: TaskContext


def register_value(kind: type[Any]) -> None:
    """Makes a frozen dataclass of tensors a pytree, so that torch.func.vmap and tree_map reach into it."""
    names = [field.name for field in fields(kind)]

    def flatten(value: Any) -> tuple[list[Any], None]:
        return [getattr(value, name) for name in names], None

    def unflatten(children: Any, _: Any) -> Any:
        return kind(*children)

    pytree.register_pytree_node(kind, flatten, unflatten)


for _kind in (Examples, Neighbours, TaskContext, Episode):
    register_value(_kind)


def map_tensors(function: Callable[[Tensor], Tensor], value: Value) -> Value:
    """Applies `function` to every tensor inside a value."""
    result: Value = pytree.tree_map(function, value)
    return result


def stack(values: Sequence[Value]) -> Value:
    """A meta-batch: values of equal shapes -> one value whose tensors carry a leading task axis [T, ...]."""
    flat, structure = zip(*(pytree.tree_flatten(value) for value in values), strict=True)
    stacked: Value = pytree.tree_unflatten([torch.stack(leaves) for leaves in zip(*flat, strict=True)], structure[0])
    return stacked
