"""What a release is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from riskgraph.core.errors import Invalid
from riskgraph.core.units import LEAST_K

PROVENANCES = ("simulated", "merchant")


@dataclass(frozen=True)
class ReleaseRequest:
    """A request for a release, checked when it is made.

    Attributes:
        until: Day on which the labels are read; only orders placed 70 days earlier or more count.
        seed: Makes draw and noise repeatable; kept out of the release.
        provenance: ``simulated`` or ``merchant``.
        now: Seconds since the epoch, UTC.
        code: Version or commit of the code, for the record.
        k: Least persons per group, at least 50.

    Raises:
        Invalid: If k or provenance is wrong; the field is named.
    """

    until: date
    seed: int
    provenance: str
    now: float
    code: str
    k: int = LEAST_K

    def __post_init__(self) -> None:
        if self.k < LEAST_K:
            raise Invalid(f"k is {self.k}, at least {LEAST_K} is needed", field="k")
        if self.provenance not in PROVENANCES:
            raise Invalid(f"provenance must be one of {', '.join(PROVENANCES)}", field="provenance")
