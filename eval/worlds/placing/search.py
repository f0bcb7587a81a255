"""The search: try variants, keep the one that is found least, and look at it again on another seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from riskgraph.core.errors import Invalid, NotFound
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.placing.variants import vary
from riskgraph.eval.worlds.profiles import Archetype
from riskgraph.eval.worlds.streams import stream
from riskgraph.eval.worlds.writer import Progress, quiet


@dataclass(frozen=True)
class Finding:
    """What a model finds of a family in one world, as a backtest counts it; shares are 0 to 1.

    Attributes:
        orders: Orders of the family.
        gangs: Its gangs.
        honest: Honest orders since the family began.
        flagged: Share of the family's orders that the service would reject or review.
        rejected: Share that it would reject.
        auc: Chance that an order of the family outscores an honest one.
        score: Mean calibrated probability of the family's orders.
        honest_flagged: Share of the honest orders that would be rejected or reviewed.
    """

    orders: int
    gangs: int
    honest: int
    flagged: float
    rejected: float
    auc: float
    score: float
    honest_flagged: float

    @property
    def rank(self) -> tuple[float, float, float, float]:
        """Lower is found less: verdicts first, and scores where verdicts are the same."""
        return self.flagged, self.rejected, self.auc, self.score


Measure = Callable[[Family, int], Finding]


@dataclass(frozen=True)
class Try:
    """One variant, and what the model found of it on the search seed."""

    archetype: Archetype
    finding: Finding


@dataclass(frozen=True)
class Placed:
    """The variant that the model finds least.

    Attributes:
        family: The family with the figures of that variant.
        seed: Seed of the search.
        check_seed: Seed of the worlds that the search never saw.
        base: What the model finds of the base family on the search seed.
        best: What it finds of the variant there; less, by construction.
        base_check: The same of the base on the other seed.
        best_check: The same of the variant there.
        tries: All variants in the order in which they were tried.
    """

    family: Family
    seed: int
    check_seed: int
    base: Finding
    best: Finding
    base_check: Finding
    best_check: Finding
    tries: tuple[Try, ...]

    def to_json(self) -> dict[str, Any]:
        """Figures of base and variant on both seeds, the variant, and all tries."""
        worlds = (
            (self.seed, "base", self.base),
            (self.seed, "placed", self.best),
            (self.check_seed, "base", self.base_check),
            (self.check_seed, "placed", self.best_check),
        )
        return {
            "family": self.family.name,
            "archetype": asdict(self.family.archetype),
            "found": [{"seed": seed, "of": of, **asdict(finding)} for seed, of, finding in worlds],
            "tries": [asdict(one) for one in self.tries],
        }


def place(
    base: Family, measure: Measure, *, tries: int, seed: int, days: float, progress: Progress = quiet
) -> Placed:
    """Place a family where a model finds it least.

    Each try changes the best so far (``vary``). The same arguments give the same variant.

    Args:
        base: The family whose habits are varied; its play stays.
        measure: Tells what the model finds of a family in a world of the given seed.
        tries: How many variants, 1 or more.
        seed: Seed of the variants and of all worlds of the search; the check is on ``seed + 1``.
        days: Days from the family's start to the end of the world.
        progress: Called with (step, done, total).

    Raises:
        Invalid: If ``tries`` is below 1.
        NotFound: If the model finds no variant less than the base.
    """
    if tries < 1:
        raise Invalid(f"tries must be 1 or more, got {tries}", field="tries")
    rng = stream(seed, "placing", base.name)
    worlds = tries + 3

    def found(family: Family, at: int, number: int) -> Finding:
        progress("worlds", number, worlds)
        return measure(family, at)

    first = best = Try(base.archetype, found(base, seed, 0))
    tried: list[Try] = []
    for number in range(tries):
        kind = vary(rng, first.archetype, best.archetype, days)
        tried.append(Try(kind, found(replace(base, archetype=kind), seed, number + 1)))
        best = min(best, tried[-1], key=lambda one: one.finding.rank)
    if best is first:
        raise NotFound(
            f"of all variants tried ({tries}) the model finds none less than the family as it is"
            f" ({first.finding.flagged:.1%} of its orders): try more, or another seed or family",
            field="tries",
        )
    chosen = replace(base, archetype=best.archetype)
    base_check, best_check = found(base, seed + 1, tries + 1), found(chosen, seed + 1, tries + 2)
    progress("worlds", worlds, worlds)
    return Placed(chosen, seed, seed + 1, first.finding, best.finding, base_check, best_check, tuple(tried))
