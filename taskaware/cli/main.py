"""The command line: one verb per thing that a person wants."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from taskaware.cli import ablate, adapt, cards, copy, evaluate, memory, train
from taskaware.core.errors import TaskawareError

app = typer.Typer(help="Few-shot learning that reads task descriptions.", no_args_is_help=True, add_completion=False)
app.command("train")(train.train_command)
app.command("adapt")(adapt.adapt_command)
app.command("predict")(adapt.predict_command)
app.command("explain")(adapt.explain_command)
app.command("evaluate")(evaluate.evaluate_command)
app.command("ablate")(ablate.ablate_command)
app.command("copy")(copy.copy_command)
app.add_typer(memory.app, name="memory")
app.add_typer(cards.app, name="cards")


def main() -> None:
    """Runs the command line; an error of taskaware or the disk is shown as its text, without a traceback."""
    try:
        app()
    except (TaskawareError, OSError) as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(1)
