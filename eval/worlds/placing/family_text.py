"""A placed family as a file: what was tried against which model, then the family to load."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.placing.ground import FAMILY_SHARE, FRAUD_SHARE
from riskgraph.eval.worlds.placing.newcomer import PLACED
from riskgraph.eval.worlds.placing.search import Finding, Placed
from riskgraph.eval.worlds.profiles import Archetype

NOTICE = (
    "Worlds with this family are simulated and measure the blind spots of that one model. Never compare",
    "models on them: the family was placed against one of the models, and that one fares worse for it.",
)
_COLUMNS = "{:<36}{:>7}{:>7}{:>18}{:>9}{:>8}{:>12}"


@dataclass(frozen=True)
class Against:
    """The model that a family is placed against.

    Attributes:
        model: Its name.
        model_sha256: Digest of its card.
        provenance: ``simulated`` or ``merchant``.
        tree_sha256: Digest of the decision tree behind the verdicts.
    """

    model: str
    model_sha256: str
    provenance: str
    tree_sha256: str


def family_text(placed: Placed, against: Against, config: WorldConfig, source: Path | None = None) -> str:
    """The family file: a header of comments, the base family, its new figures; the same input, the same text.

    Args:
        placed: The outcome of the search.
        against: The model.
        config: Configuration and size of the worlds of the search.
        source: File of a stranger's base family, which is taken in whole; None for one that ships.

    Raises:
        OSError: If the file cannot be read.
    """
    name = placed.family.name.removesuffix(PLACED)
    header = "\n".join(f"# {line}".rstrip() for line in _header(placed, against, config, name))
    if source is None:
        start, base = "from riskgraph.eval.worlds import FAMILIES", f'FAMILIES["{name}"]'
    else:
        start, base = _copied(source), "FAMILY"
    return f"{header}\n\n{start}\n\n{_figures(placed, against, base)}"


def _copied(source: Path) -> str:
    # Whole, so that one file is all that a world depends on and its digest covers the play too.
    with tokenize.open(source) as file:
        return f"# The base family, from {_one_line(source.name)}.\n{file.read().rstrip()}"


def _header(placed: Placed, against: Against, config: WorldConfig, name: str) -> Iterator[str]:
    yield f"{placed.family.name}: {name}, placed where one model finds it least (riskgraph world place)."
    yield ""
    kind, own = placed.family.archetype, FRAUD_SHARE * FAMILY_SHARE
    yield f"model   {_one_line(against.model)} ({against.provenance}), SHA-256 {against.model_sha256}"
    yield f"tree    SHA-256 {against.tree_sha256}"
    yield f"worlds  {config.name}, {config.orders} orders, of them {own:.0%} this family's"
    yield f"starts  {kind.starts}"
    yield f"tries   {len(placed.tries)} variants on seed {placed.seed}; the other seed had no part in it"
    yield ""
    yield _COLUMNS.format("found", "orders", "gangs", "review or reject", "reject", "AUC", "mean score")
    for seed, base, best in (
        (placed.seed, placed.base, placed.best),
        (placed.check_seed, placed.base_check, placed.best_check),
    ):
        yield _row(f"seed {seed}, {name}", base)
        yield _row(f"seed {seed}, placed", best)
    yield ""
    yield from NOTICE


def _one_line(name: str) -> str:
    # A line break in a name would end the comment, and what follows would be run.
    return " ".join(name.split())


def _row(what: str, found: Finding) -> str:
    return _COLUMNS.format(
        what, found.orders, found.gangs, f"{found.flagged:.1%}", f"{found.rejected:.1%}",
        f"{found.auc:.3f}", f"{found.score:.3f}",
    )  # fmt: skip


def _figures(placed: Placed, against: Against, base: str) -> str:
    kind = placed.family.archetype
    lines = []
    for spec in fields(Archetype):
        value = getattr(kind, spec.name)
        if spec.name == "shifts":
            rows = "".join(f"            ({_literal(driver)}, {by}),\n" for driver, by in value)
            lines.append(f"        shifts=(\n{rows}        ),\n")
        else:
            lines.append(f"        {spec.name}={_literal(value)},\n")
    # Names that a stranger's file will not have: its play reads the module's names when it is called.
    return (
        "from dataclasses import replace as _replaced\n\n"
        "from riskgraph.eval.worlds.profiles import Archetype as _Archetype\n\n"
        f"FAMILY = _replaced(\n    {base},\n    archetype=_Archetype(\n{''.join(lines)}    ),\n"
        f"    placed_against={_literal(against.model_sha256)},\n)\n"
    )


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
