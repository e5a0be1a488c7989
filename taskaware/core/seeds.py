"""Where does randomness come from?

Every draw is a function of numbers that name its place (seed, step, task index), never of the process or of what was
drawn before: W processes see exactly the episodes of one, and a resumed run needs no loader state.
"""

import hashlib

import numpy as np


def generator(*place: int | str) -> np.random.Generator:
    """A generator that depends on `place` alone, e.g. generator(seed, "train", step, task_index)."""
    text = "/".join(str(part) for part in place)
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
