"""How should a meta-gradient be computed? Options that change time and memory, never the result."""

from typing import Literal

from pydantic import Field

from taskaware.core.config import AutoOnOff, Config


class SpeedConfig(Config):
    """How, not what: every setting gives the same meta-gradient (bf16: up to its rounding).

    path: dual (linear stacks: per-task weights are formed only where they are small), images (Conv4 on a CPU: all
    tasks' images in one tensor), vmap (any body, all tasks at once), loop (any body, task by task); auto chooses.
    compile: torch.compile the step (images excepted); auto does where that was measured to pay. checkpoint: recompute
    each inner step in the outer backward instead of keeping its activations. task_chunk: tasks whose graphs are alive
    together (auto = all that fit). autocast: bf16 matrix products in the body, with float32 inner updates.
    """

    path: Literal["auto", "dual", "images", "vmap", "loop"] = "auto"
    compile: AutoOnOff = "auto"
    checkpoint: bool = False
    task_chunk: Literal["auto"] | int = Field(default="auto")
    autocast: bool = False
