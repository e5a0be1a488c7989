"""How does a model become a run of one's own, or small enough to travel with a package?"""

import shutil
from pathlib import Path

from taskaware.core.errors import CheckpointError
from taskaware.core.files import atomic_folder
from taskaware.memory import TaskMemory
from taskaware.memory.memory import FOLDER
from taskaware.pipeline.saving import RUN_FILES, check_target, load_run


def copy_run(source: Path, target: Path, *, packed: bool = False) -> None:
    """Writes a copy of the run to `target`, complete or not at all; logs and reports are left behind.

    packed: its memory as one file in half the precision and without label texts, which can be read but not added to.
    Raises CheckpointError for what is no run or must not be replaced.
    """
    load_run(source)
    if source.resolve() == target.resolve():
        raise CheckpointError(f"{target}: the run lies there already; name another folder to copy to")
    check_target(target, "run")
    with atomic_folder(target) as folder, TaskMemory.of_run(source, None) as memory:
        for name in RUN_FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)
        if packed:
            memory.pack(folder)
        else:
            memory.copy_to(folder / FOLDER)
