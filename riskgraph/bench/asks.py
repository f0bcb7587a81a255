"""What a figure is asked to reach, told beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from riskgraph.bench import Figure


@dataclass(frozen=True, slots=True)
class Ask:
    """A bound, and on which side of it a figure should be; the bound itself is enough."""

    bound: float
    least: bool = False

    def __str__(self) -> str:
        return f"at {'least' if self.least else 'most'} {self.bound:,g}"

    def met(self, value: float) -> bool:
        return value >= self.bound if self.least else value <= self.bound


def at_least(bound: float) -> Ask:
    return Ask(bound, least=True)


def at_most(bound: float) -> Ask:
    return Ask(bound)


def beside_asks(figures: list[Figure], asks: Mapping[str, Ask]) -> list[Figure]:
    """The figures with their asks first in the note; one that fell short says so.

    A figure without an ask is left as it is. One that was not measured keeps its reason.
    """
    return [replace(f, note=_note(f, asks[f.name])) if f.name in asks else f for f in figures]


def _note(figure: Figure, ask: Ask) -> str:
    short = figure.value is not None and not ask.met(figure.value)
    return "; ".join(filter(None, [f"ask: {ask}{', fell short' if short else ''}", figure.note]))
