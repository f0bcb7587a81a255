"""The figures of a release, each printed by a command that anyone can run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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
