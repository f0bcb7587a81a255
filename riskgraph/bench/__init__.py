"""The figures of a release, each printed by a command that anyone can run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

_Bench = TypeVar("_Bench")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure (contracts, section 7).

    Attributes:
        value: None when it could not be measured; ``note`` says why.
        lower, upper: 95 % interval, where there is one.
        baseline, ratio: What ran beside it in the same run, and ``value / baseline``.
    """

    name: str
    value: float | None
    unit: str
    note: str = ""
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.value is not None and self.baseline else None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio}


def measure(
    parts: Mapping[Callable[[_Bench], list[Figure]], tuple[str, ...]], bench: _Bench, only: set[str]
) -> list[Figure]:
    """The figures of all parts, or the named ones; a part that fails is reported, never left out."""
    figures: list[Figure] = []
    for part, names in parts.items():
        if only and not only & set(names):
            continue
        try:
            found = part(bench)
        except Exception as failure:  # one part that cannot run must not hide the others
            found = [Figure(name, None, "", f"{type(failure).__name__}: {failure}") for name in names]
        figures += [f for f in found if not only or f.name in only]
    return figures
