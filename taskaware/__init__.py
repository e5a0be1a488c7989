"""taskaware: meta-learning that reads.

A new task arrives as a description, optional background, label texts and 0 to a few examples; `TaskAware.adapt` turns
them into a predictor in milliseconds and says what each piece of metadata contributed.
"""

from typing import TYPE_CHECKING, Any

from taskaware.core.values import TaskCard

if TYPE_CHECKING:
    from taskaware.pipeline import AdaptedTask, TaskAware

__version__ = "0.1.0"
__all__ = ["AdaptedTask", "TaskAware", "TaskCard", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports the pipeline when it is first used: cards and memories do without torch."""
    if name in ("AdaptedTask", "TaskAware"):
        from taskaware import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'taskaware' has no attribute {name!r}")
