"""`taskaware copy`: a run of one's own from a model that came with the package, or a small copy to publish."""

from pathlib import Path
from typing import Annotated

import typer

from taskaware.cli.console import console


def copy_command(
    run: Annotated[Path, typer.Argument(help="a run folder, or a model that came with the package: general")],
    out: Annotated[Path, typer.Argument(help="the folder to write")],
    packed: Annotated[
        bool, typer.Option("--packed", help="memory in half the precision, in one file; read only")
    ] = False,
) -> None:
    """Copies a model; the copy of a packed one can remember tasks."""
    from taskaware.core.runs import run_folder
    from taskaware.pipeline.copying import copy_run

    copy_run(run_folder(run), out, packed=packed)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    console.print(f"copied to {out} ({size / 1e6:.1f} MB)", highlight=False, soft_wrap=True)
