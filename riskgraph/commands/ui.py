"""What every command shares: progress on stderr, one JSON value on stdout, options."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from riskgraph.core.errors import Invalid
from riskgraph.ports import Progress

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value on stdout and nothing else.")]
PublicKey = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, help="Public key of whoever signed; default: this installation's."
    ),
]

out = Console()
err = Console(stderr=True)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A callback ``(step, done, total)`` that draws one bar a step on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    bars = Bars(*columns, console=err, transient=False)
    tasks: dict[str, TaskID] = {}

    def report(step: str, done: int, total: int) -> None:
        name = step.partition(": ")[0]
        if not tasks:
            bars.start()
        if name not in tasks:
            tasks[name] = bars.add_task(step, total=total)
        bars.update(tasks[name], description=step, completed=done, total=total)

    try:
        yield report
        # A step whose last report was its beginning is over as well, and must not stand there as if it hung.
        for task in bars.tasks:
            bars.update(task.id, completed=task.total)
    finally:
        if tasks:
            bars.stop()


def emit(value: Any, as_json: bool, human: Callable[[Console], object]) -> None:
    """Print a result for a program or for a person."""
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    else:
        human(out)


def day(text: str, name: str) -> date:
    """A date option.

    Raises:
        Invalid: If the text is no ISO date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{name} must be a date such as 2026-06-30, got {text!r}", field=name) from None
