"""All attacks on one release, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from riskgraph.core.table import OrderTable
from riskgraph.sandbox.attack.criteria import linkability, single_out
from riskgraph.sandbox.attack.findings import (
    BROKEN,
    OPEN,
    RULES,
    Finding,
    Trials,
    judge,
    pooled,
    worst,
)
from riskgraph.sandbox.attack.inference import infer
from riskgraph.sandbox.attack.linkage import link
from riskgraph.sandbox.attack.membership import membership, model_membership
from riskgraph.sandbox.attack.published import Published
from riskgraph.sandbox.attack.records import Raw, Records, encode
from riskgraph.sandbox.attack.split import Split

if TYPE_CHECKING:
    from riskgraph.ports import Progress

# Probability of fraud of each record: float64[N].
Scorer = Callable[[Raw], NDArray[np.float64]]
NAMES = ("linkage", "membership_data_auc", "membership_model_auc", "singling_out", "linkability", "inference")
_ATTACK_OF = {"membership_data_auc": "membership_data", "membership_model_auc": "membership_model"}
OF_ONE_COMPONENT = 20


@dataclass(frozen=True)
class Effort:
    """How much is tried: rows per class and side, predicates, and pairs of halves."""

    rows: int = 8_000
    predicates: int = 10_000
    halves: int = 4_000


@dataclass(frozen=True)
class Result:
    """Every line of every attack."""

    findings: tuple[Finding, ...]

    @property
    def broken(self) -> list[Finding]:
        """Lines whose bound does not hold."""
        return [f for f in self.findings if f.verdict == BROKEN]

    @property
    def open(self) -> list[Finding]:
        """Lines that are neither held nor broken: the bound lies within their interval."""
        return [f for f in self.findings if f.verdict == OPEN]

    @property
    def verdict(self) -> str:
        """Of all lines together: ``broken``, else ``open``, else ``held``."""
        return "broken" if self.broken else "open" if self.open else "held"

    def to_json(self) -> list[dict[str, Any]]:
        return [f.to_json() for f in self.findings]


def raw_of(entered: OrderTable, rows: NDArray[np.intp], split: Split) -> Raw:
    """Orders as their owner knows them, without what the policy withholds: it is public.

    Args:
        entered: M orders (``Grouping.entered``).
        rows: intp[M], their places in the history that was split.
        split: The halves.
    """
    return Raw(
        components=entered.components,
        states=entered.states,
        availability=entered.availability,
        label=entered.label,
        unit=split.unit[rows],
        component=split.component[rows],
    )


def attack_release(
    published: Published, members: Raw, group: NDArray[np.int32], controls: Raw, scorer: Scorer | None,
    *, seed: int, effort: Effort | None = None, progress: Progress | None = None,
) -> list[Trials]:  # fmt: skip
    """Attack a release with people who are in it and people who are not.

    Args:
        published: The release, as anybody reads it.
        members: N raw records that went into it.
        group: int32[N], their true groups.
        controls: Raw records of persons of whom nothing went into it, from the same time.
        scorer: A model trained on the release, or None.
        seed: Seed of samples, hidden values and predicates.
        effort: How much is tried.
        progress: Told of each step.

    Returns:
        The trials of every line, always in the same order; ``settle`` judges them.
    """
    found = list[Trials]()
    with threadpool_limits(limits=1, user_api="blas"):
        whole = encode(published, members), encode(published, controls)
        steps = _steps(published, whole, group, scorer, effort or Effort(), np.random.default_rng(seed))
        for done, step in enumerate(steps):
            if progress is not None:
                progress("attack", done, len(steps))
            found += step()
    return found


def _steps(
    published: Published, whole: tuple[Records, Records], group: NDArray[np.int32], scorer: Scorer | None,
    effort: Effort, rng: np.random.Generator,
) -> list[Callable[[], list[Trials]]]:  # fmt: skip
    """The attacks, in this order always: they draw from one source of random numbers."""
    drawn = encode(published, drawn_of(published))
    kept = [spread(side, effort.rows, rng) for side in whole]
    inside, outside = (side.take(rows) for side, rows in zip(whole, kept, strict=True))
    both = inside.join(outside)
    member = np.repeat([True, False], [len(inside), len(outside)])
    return [
        lambda: link(published, inside, group[kept[0]], drawn),
        lambda: membership(published, both, member, drawn),
        lambda: [] if scorer is None else model_membership(log_loss(scorer, both), both, member),
        lambda: infer(published, inside, outside, drawn, rng),
        lambda: single_out(*whole, drawn, effort.predicates, rng),
        lambda: linkability(inside, outside, drawn, effort.halves, rng),
    ]


def drawn_of(published: Published) -> Raw:
    """The drawn rows as records of nobody."""
    rows = published.drawn
    nobody = np.arange(len(rows), dtype=np.int64)
    return Raw(rows.components, rows.states, rows.availability, rows.label, nobody, nobody)


def spread(records: Records, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most ``most`` rows of each class, and of these at most 20 of a component.

    Without that limit a ring with hundreds of orders would decide how members differ from controls.
    """
    parts = []
    for label in (0, 1):
        mine = rng.permutation(np.flatnonzero(records.label == label))
        order = np.argsort(records.raw.component[mine], kind="stable")
        _, start = np.unique(records.raw.component[mine][order], return_index=True)
        turn = np.empty(len(mine), dtype=np.intp)
        turn[order] = np.arange(len(mine)) - np.repeat(start, np.diff(np.append(start, len(mine))))
        parts.append(mine[turn < OF_ONE_COMPONENT][:most])
    return np.sort(np.concatenate(parts))


def log_loss(scorer: Scorer, records: Records) -> NDArray[np.float64]:
    """float64[N]: minus the log probability that a model gives to the true label.

    Of records without the blocks that their stratum lost: as training saw them, if it did.
    """
    fraud = np.clip(scorer(records.raw), 1e-12, 1 - 1e-12)
    return -np.log(np.where(records.label == 1, fraud, 1 - fraud))


def settle(attacks: Sequence[Sequence[Trials]]) -> Result:
    """One result of attacks on several releases of halves of the same persons, every line judged.

    Each split is attacked both ways, members and controls changing places: what makes one half easier to
    describe than the other helps the attacker once and hinders once, and so drops out. What a release
    tells of its members does not. Over several splits the chance of one cut counts less; all that a
    person gave is one cluster.
    """
    if any([t.line for t in attack] != [t.line for t in attacks[0]] for attack in attacks):
        raise ValueError("attacks on different lines cannot be added up")
    return Result(judge([pooled(line) for line in zip(*attacks, strict=True)]))


def figures(result: Result) -> dict[str, dict[str, Any]]:
    """The worst line of each attack that a figure is asked of, by the figure's name.

    Each has ``value`` (what is judged: the value or the upper end), ``lower``, ``upper``, ``bound``,
    ``judged_by``, ``rule``, ``pass`` and ``note``; all but the note are None where nothing was measured.
    """
    return {name: _figure(worst(result.findings, _ATTACK_OF.get(name, name))) for name in NAMES}


def _figure(line: Finding | None) -> dict[str, Any]:
    if line is None:
        keys = ("value", "lower", "upper", "bound", "judged_by", "rule", "pass")
        return {**dict.fromkeys(keys), "note": "not measured"}
    return {
        "value": line.judged,
        "lower": line.lower,
        "upper": line.upper,
        "bound": line.bound,
        "judged_by": line.by,
        "rule": RULES[line.by],
        "pass": line.verdict != BROKEN,
        "note": f"{line.subjects}, per {line.per}, {line.method}",
    }
