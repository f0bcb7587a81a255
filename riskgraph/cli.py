"""The ``riskgraph`` command."""

from __future__ import annotations

import sys
from typing import Any

import typer

from riskgraph import __version__
from riskgraph.commands import (
    audit,
    backtest,
    bench,
    catalog,
    demo,
    graph,
    keys,
    model,
    neo4j,
    retention,
    review,
    sandbox,
    score,
    serve,
    subject,
    world,
)
from riskgraph.commands.ui import err
from riskgraph.core.errors import RiskgraphError

app = typer.Typer(
    name="riskgraph",
    help="Fraud decisions for web shops: exact reasons, lawful reports, k-anonymous training.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 a check or gate did not hold.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for _part in (
    demo,
    serve,
    score,
    graph,
    retention,
    review,
    world,
    sandbox,
    model,
    backtest,
    catalog,
    keys,
    subject,
    audit,
    neo4j,
    bench,
):
    _part.register(app)


# Newer Typers carry their own click and older ones import it: what Typer exports leads to the right one.
UsageError: type[Any] = typer.BadParameter.__mro__[1]


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"riskgraph {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Entry point: every expected failure is one line that says what to do."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except UsageError as failure:
        _tell(failure.format_message())
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        err.print("interrupted; nothing was left half-written")
        sys.exit(1)
    except RiskgraphError as failure:
        _tell(failure.message)
        sys.exit(failure.exit_code)
    except OSError as failure:
        _tell(of_the_system(failure))
        sys.exit(1)


def of_the_system(failure: OSError) -> str:
    """What the operating system refused, with the file first where it names one."""
    what = failure.strerror or str(failure) or type(failure).__name__
    return what if failure.filename is None else f"{failure.filename}: {what}"


def _tell(message: str) -> None:
    """One line on stderr; nothing where the help was shown instead."""
    line = " ".join(message.split())
    if line:
        err.print(f"error: {line}", markup=False, highlight=False, soft_wrap=True)
