"""`taskaware cards`: which data cards are there, what do they say, and are they in order?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taskaware.core.errors import TaskawareError
from taskaware.data.cards import DataCard, card_paths, find_card, read_card
from taskaware.data.inspection import Inspection, inspect_rows
from taskaware.data.sources import find_source

app = typer.Typer(help="List, show and validate data cards.", no_args_is_help=True)


@app.command("list")
def list_cards() -> None:
    """List the cards in ./data_cards and those shipped with taskaware."""
    table = Table("card", "what", "tasks", "licence", "rows here")
    failed = []
    for name, path in card_paths().items():
        try:
            card = read_card(path)
        except TaskawareError as error:
            failed.append(str(error))
            continue
        tasks = ", ".join(card.block.tasks) or "1"
        table.add_row(
            *map(escape, (name, card.header.pretty_name, tasks, ", ".join(card.header.license), _where(card)))
        )
    Console().print(table)
    _fail(failed)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A card's name or path.")]) -> None:
    """Show what a card says about its tasks."""
    console = Console()
    try:
        card = find_card(name)
    except TaskawareError as error:
        _fail([str(error)])
        return
    console.print(f"[bold]{escape(card.header.pretty_name or card.name)}[/bold]  {escape(str(card.path))}")
    console.print(
        f"licence {', '.join(card.header.license)}; language {', '.join(card.header.language)}; {_where(card)}"
    )
    for task, aspect in card.aspects().items():
        table = Table("field", "value", title=task, title_justify="left", show_header=False)
        table.add_row("description", escape(aspect.description) or "none")
        for field, texts in (("paraphrase", aspect.paraphrases), ("background", aspect.background)):
            for text in texts:
                table.add_row(field, escape(text))
        for label, text in aspect.labels.items():
            table.add_row(f"label {escape(label)}", escape(text))
        if aspect.split:
            table.add_row("split", aspect.split)
        console.print(table)
    if card.body:
        console.print(card.body, markup=False)


@app.command()
def validate(cards: Annotated[list[str], typer.Argument(metavar="PATH...", help="Paths or names of cards.")]) -> None:
    """Check cards, and their rows where these are on this machine. Exit code 1 when a card is invalid."""
    table = Table("card", "task", "rows", "classes", "labels without text", "label texts without rows")
    failed = []
    for name in cards:
        try:
            card = read_card(Path(name)) if Path(name).suffix == ".md" else find_card(name)
            inspections = inspect_rows(card)
        except TaskawareError as error:
            failed.append(str(error))
            continue
        if inspections is None:
            table.add_row(escape(card.name), str(len(card.aspects())) + " task(s)", _where(card), "", "", "")
        for inspection in inspections or []:
            table.add_row(*map(escape, _cells(card, inspection)))
    if table.row_count:
        Console().print(table)
    _fail(failed)


def _cells(card: DataCard, found: Inspection) -> tuple[str, ...]:
    missing, surplus = _some(found.labels_without_text), _some(found.texts_without_rows)
    return card.name, found.task, str(found.rows), str(found.classes), missing, surplus


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "none"


def _where(card: DataCard) -> str:
    if not card.has_rows:
        return "needs none"
    source = card.block.source
    if find_source(card) is not None:
        return "yes"
    return f"no, on the hub: {source.hub}" if source is not None and source.hub else "no (set TASKAWARE_DATA)"


def _fail(messages: list[str]) -> None:
    """Prints errors to stderr and leaves with exit code 1, if there are any."""
    console = Console(stderr=True)
    for message in messages:
        console.print(f"[red]invalid[/red] {escape(message)}", soft_wrap=True)
    if messages:
        raise typer.Exit(1)
