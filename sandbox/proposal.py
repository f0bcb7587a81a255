"""Further pairs of nodes, proposed by data inside the sandbox, as a signed file.

Pairs are looked for in the locked process (``utility_process``), on the very rows that would enter a release.
What leaves it are node ids in their order, with gains of one digit, of pairs that crowds show
(``proposal_process``). A proposal changes nothing: somebody adopts it into the catalogue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from riskgraph.core.canonical import canonical_json
from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.core.table import OrderTable
from riskgraph.core.units import LEAST_K, Units
from riskgraph.ports import PairScreener, Progress
from riskgraph.sandbox.choice import choose, window
from riskgraph.sandbox.partition import MIN_GROUPS, too_few
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.proposal_process import PairJob, rounded
from riskgraph.sandbox.units import count_units
from riskgraph.sandbox.utility import ask
from riskgraph.sandbox.utility_process import RawRows, lines_of

if TYPE_CHECKING:
    from riskgraph.ports import Signer, Verifier

SCHEMA = "pair_proposal/1"
MOST = 300
RULE = (
    "A gain is that of the best cut of both nodes of which each quadrant holds, in each class, at least k "
    "persons from at least 5 components, no component above half of them and no person above a fifth of "
    "the rows. Told are pairs that gain more than the best of all did in 20 draws of labels from the "
    "additive terms, one level a person."
)


@dataclass(frozen=True)
class PairRequest:
    """What is looked for.

    Attributes:
        until: Day on which labels are read; orders end 70 days earlier.
        count: Most pairs.
        k: Persons in each quadrant.
        seed: Of the fit.

    Raises:
        Invalid: If a number is out of range; the field is named.
    """

    until: date
    count: int
    k: int = LEAST_K
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("count", 1, MOST), ("k", LEAST_K, 10_000)):
            if not low <= getattr(self, name) <= high:
                raise Invalid(f"{name} must be {low} to {high}, got {getattr(self, name)}", field=name)


@dataclass(frozen=True, slots=True)
class FoundPair:
    """Node ids, and what the pair gains beyond additive terms: loss in nats over all rows, times two."""

    nodes: tuple[str, str]
    gain: float


def find_pairs(
    table: OrderTable,
    screener: PairScreener,
    request: PairRequest,
    progress: Progress | None = None,
    libraries: Sequence[str] = (),
    *,
    policy: Policy,
) -> tuple[FoundPair, ...]:
    """Look for pairs in a process of its own.

    Args:
        table: A history, labels as known on the day.
        screener: A function of a module, since it goes to the process by name.
        request: What is asked for.
        progress: Told of each step.
        libraries: Modules that the screener needs and that must be loaded before the process locks itself.
        policy: What an order may give.

    Raises:
        CheckFailed: If there are too few persons to release, the fit fails, or an answer is none.
        Unavailable: If the process ends without an answer.
    """
    history = window(table, request.until)
    intake, units = choose(history, until=request.until, k=request.k, policy=policy)
    mine = Units(units.unit[intake.rows], units.component[intake.rows])
    rows = RawRows.of(history, intake)
    for c in count_units(mine, rows.label):
        missing = MIN_GROUPS * request.k - c.units
        if missing > 0:
            raise too_few(c.label, c.units, c.components, 0, request.k, missing)
    job = PairJob(rows, mine.unit, mine.component, screener, request.count, request.k, request.seed)

    def read(message: bytes) -> list[FoundPair] | tuple[int, int]:
        got = lines_of(message, 0)
        return got if isinstance(got, tuple) else _checked(got, request.count)

    found = ask(job, read, 64 + 64 * request.count, "look for pairs", progress, tuple(libraries))
    return tuple(found)


def _checked(lines: Sequence[Sequence[float]], count: int) -> list[FoundPair]:
    """Pairs of an answer.

    Raises:
        CheckFailed: If a line is no pair that data may propose, with a rounded gain, in order.
    """
    out, last, seen = [], np.inf, set()
    for line in lines:
        ends = tuple(line[:2])
        named = len(line) == 3 and all(isinstance(n, int) and 0 <= n < NODE_COUNT for n in ends)
        if not named or ends in seen or ends[0] >= ends[1] or not catalog().may_find(*map(int, ends)):
            raise CheckFailed("the utility process sent a pair that data may not propose", field="utility")
        if not 0 < line[2] <= last or rounded(line[2]) != line[2]:
            raise CheckFailed(
                "the utility process sent a gain that is not rounded or in order", field="utility"
            )
        seen.add(ends)
        last = line[2]
        first, second = (catalog().nodes[int(n)].id for n in ends)
        out.append(FoundPair((first, second), float(last)))
    if len(out) > count:
        raise CheckFailed(f"the utility process sent {len(out)} pairs, {count} were asked", field="utility")
    return out


def signed_proposal(
    found: Sequence[FoundPair], request: PairRequest, signer: Signer, *, provenance: str, code: str, at: str
) -> dict[str, Any]:
    """The file of a proposal, signed over its canonical JSON."""
    body = {
        "schema": SCHEMA,
        "provenance": provenance,
        "catalog": {"version": catalog().version, "sha256": catalog().sha256},
        "window": {"until": request.until.isoformat()},
        "k": request.k,
        "rule": RULE,
        "asked": request.count,
        "seed": request.seed,
        "code": code,
        "at": at,
        "pairs": [{"rank": i + 1, "nodes": list(p.nodes), "gain": p.gain} for i, p in enumerate(found)],
    }
    return {**body, "key_id": signer.key_id, "signature": signer.sign(canonical_json(body)).hex()}


def proposal_sha256(proposal: Mapping[str, Any]) -> str:
    """Digest of what is signed."""
    return hashlib.sha256(_signed_part(proposal)).hexdigest()


def _signed_part(proposal: Mapping[str, Any]) -> bytes:
    return canonical_json({n: v for n, v in proposal.items() if n not in ("key_id", "signature")})


def read_proposal(data: bytes, verifier: Verifier) -> dict[str, Any]:
    """A verified proposal for the catalogue that is in force.

    Raises:
        CheckFailed: If it is no proposal, its signature does not hold, or it was made for another catalogue.
    """
    try:
        proposal: dict[str, Any] = json.loads(data)
        signature, signed = bytes.fromhex(proposal["signature"]), _signed_part(proposal)
        schema, made_for = proposal["schema"], proposal["catalog"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise CheckFailed("the file is no signed proposal of pairs", field="proposal") from wrong
    if not verifier.verify(signed, signature):
        raise CheckFailed(
            "the signature of the proposal does not hold, or is of another installation: name its key with "
            "--public-key",
            field="proposal",
        )
    if schema != SCHEMA:
        raise CheckFailed(f"unknown schema {schema!r}, expected {SCHEMA}", field="proposal.schema")
    if made_for["sha256"] != catalog().sha256:
        raise CheckFailed(
            f"the proposal was made for catalogue version {made_for['version']}, this installation has "
            f"another ({catalog().version}): propose again",
            field="proposal.catalog",
        )
    return proposal
