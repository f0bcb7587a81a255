"""What a release says about itself: certificate, manifest and audit record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.order import JURISDICTIONS
from riskgraph.sandbox.audit import empty_record
from riskgraph.sandbox.bins import NOISE_SD
from riskgraph.sandbox.count import CHECKER
from riskgraph.sandbox.draw import DRAWN_MOST, DRAWS
from riskgraph.sandbox.groups import MEAN_NOISE, PRESENCE_NOISE, SD_NOISE, Groups
from riskgraph.sandbox.intake import Rejected
from riskgraph.sandbox.measures import (
    diversity,
    dominance,
    loss,
    not_measured,
    risk,
    size_histogram,
)
from riskgraph.sandbox.partition import Persons, orders_cap
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.published import Told, shares, told, told_share, total
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.strata import Pattern
from riskgraph.sandbox.tables import Tables
from riskgraph.sandbox.units import ClassUnits

SCHEMA = "riskgraph.release/1"
_AFTER_INTAKE = ("cap", "residual")
ALGORITHM = "method-g/2"
UNIT = "account, merged over shared card, or device and address; entities on over 8 accounts merge nobody"


@dataclass(frozen=True)
class Order:
    """What was asked for, a hash that binds its seed without telling it, and the policy table.

    ``chunked`` is how the history was cut up (``Chunking.sizes``), None if it was not.
    """

    request: ReleaseRequest
    seed_commitment: str
    policy: Policy
    chunked: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Facts:
    """What is known about the input, exactly; ``_window`` says what is told of it.

    Attributes:
        counts: Under the cap on orders of a unit; once groups are known, of the rows in them alone.
        places: Orders of ``counts`` by jurisdiction, as many as there are ``JURISDICTIONS``.
        dropped: Orders left out by reason. clipped: Values. withheld: Nodes.
        found: Fields of the whole history in whose values a special category was found.
    """

    counts: tuple[ClassUnits, ...]
    places: tuple[int, ...]
    dropped: dict[str, int]
    clipped: int
    withheld: int
    found: tuple[Rejected, ...] = ()

    def in_groups(
        self, counts: tuple[ClassUnits, ...], places: tuple[int, ...], lost: Mapping[str, int]
    ) -> Facts:
        """The same of the rows in groups, and what was ``lost`` by grouping."""
        dropped = {r: self.dropped.get(r, 0) + lost.get(r, 0) for r in {**self.dropped, **lost}}
        return replace(self, counts=counts, places=places, dropped=dropped)

    def classes(self, k: int) -> list[dict[str, Told]]:
        """Persons of each class, as they may be told.

        Exact ones, less those that R1 counts by group, would be the few who stand in several groups.
        """
        return [
            {"label": c.label, "orders": told(c.orders, k), "units": told(c.units, k),
             "components": told(c.components, k)}
            for c in self.counts
        ]  # fmt: skip

    def left_out(self, k: int) -> int:
        """Orders that were accepted and then left out, at least."""
        return total(told(self.dropped.get(reason, 0), k) for reason in _AFTER_INTAKE)


def stamp(seconds: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def certificate(
    k: int, items: Persons, group: NDArray[np.int32], groups: Groups, independent: Mapping[str, Any]
) -> dict[str, Any]:
    """The partition's own count beside the independent one."""
    clans, persons = [], []
    for number in range(len(groups)):
        members = np.flatnonzero(group == number)
        rows = items.rows[members]
        _, place = np.unique(items.component[members], return_inverse=True)
        by_row = np.bincount(place, weights=rows).max() / rows.sum()
        clans.append(max(float(np.bincount(place).max() / len(members)), float(by_row)))
        persons.append(float(rows.max() / rows.sum()))
    return {
        "k": k,
        "size_histogram": size_histogram(groups.label, groups.units, groups.components, k),
        "groups": len(groups),
        "fraud_groups": int((groups.label == 1).sum()),
        "min_units": int(groups.units.min()),
        "min_components": int(groups.components.min()),
        "min_rows": int(groups.rows.min()),
        "max_component_share": told_share(max(clans)),
        "max_unit_share": told_share(max(persons)),
        "independent": {**independent, "checker": CHECKER},
    }


def _algorithm(order: Order) -> dict[str, Any]:
    return {
        "name": ALGORITHM,
        "k": order.request.k,
        "unit_def": UNIT,
        "label_mode": "apart",
        "whole_units": "per stratum",
        "orders_per_unit_and_class": orders_cap(order.request.k),
        "noise_sd": {
            "mean": MEAN_NOISE,
            "sd": SD_NOISE,
            "presence": PRESENCE_NOISE,
            # of rows: the least behind what R2 tells of a group, and what counts of R3 and R4 carry
            "mean_rows": NOISE_SD,
            "sd_rows": NOISE_SD,
            "presence_rows": NOISE_SD,
            "bin_rows": NOISE_SD,
            "pair_cells": NOISE_SD,
        },
        "draws": {"honest": DRAWS[0], "fraud": DRAWS[1], "rows_most": DRAWN_MOST},
        "corr_mode": "honest residuals",
        "chunked": dict(order.chunked) if order.chunked else None,
        "seed_commitment": order.seed_commitment,
    }


def _window(order: Order, facts: Facts) -> dict[str, Any]:
    """What went in, as far as it may be told (``published``): each total is the sum of what is told."""
    k = order.request.k
    classes = facts.classes(k)
    dropped = {reason: told(count, k) for reason, count in facts.dropped.items()}
    inside = total(c["orders"] for c in classes)
    places = dict(zip(JURISDICTIONS, facts.places, strict=True))
    return {
        "until": order.request.until.isoformat(),
        "records": inside + total(dropped.values()),
        "accepted": inside + facts.left_out(k),
        "by_jurisdiction": shares(places, inside, k),
        "dropped": dropped,
        "clipped_values": told(facts.clipped, k),
        "withheld_nodes": told(facts.withheld, k),
        "rounded_to": k,
        "policy": order.policy.as_dict(),
        "classes": classes,
    }


def _legal_basis(order: Order, facts: Facts | None) -> dict[str, Any]:
    """Grounds and rules of the orders that were used; none where no order was read, or none is a person's."""
    if order.request.provenance == "simulated" or facts is None:
        return dict(empty_record()["legal_basis"])
    return order.policy.legal_basis({p for p, n in zip(JURISDICTIONS, facts.places, strict=True) if n})


def _record(
    order: Order, event: str, facts: Facts | None, rejected: Sequence[Rejected], found: Sequence[Rejected]
) -> dict[str, Any]:
    record = empty_record()
    record["actor"]["code_commit"] = order.request.code
    record["fields"] = {
        "accepted_hash": catalog().sha256,
        "rejected": [r.as_dict() for r in rejected],
        "found": [{**f.as_dict(), "count": told(f.count, order.request.k)} for f in found],
        "bounds_version": catalog().version,
    }
    now = stamp(order.request.now)
    return {**record, "ts": now, "event": event, "legal_basis": _legal_basis(order, facts)}


def audit_of_refusal(
    order: Order, facts: Facts | None, code: str, message: str, *, rejected: Sequence[Rejected] = (),
    found: Sequence[Rejected] = (),
) -> dict[str, Any]:  # fmt: skip
    """Audit record of a release that was not made.

    Args:
        order: What was asked for.
        facts: What is known of the input; None before it was read.
        code: Of the error.
        message: Why it was refused.
        rejected: Fields that were refused by name.
        found: Fields of the whole history in whose values a special category was found.
    """
    return {
        **_record(order, "refusal", facts, rejected, found),
        "input": _window(order, facts) if facts else {"until": order.request.until.isoformat()},
        "algorithm": _algorithm(order),
        "verdict": "refused",
        "refused_reasons": [{"code": code, "message": message}],
    }


def audit_of_release(
    order: Order, facts: Facts, held: Mapping[str, Any], tables: Tables, extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Audit record of a release.

    Args:
        order: What was asked for.
        facts: What went in.
        held: The certificate.
        tables: What is released, for measures of it.
        extra: ``output``, ``composition`` (None where no ledger is kept) and ``mapping_destroyed_at``.
    """
    provenance, groups = order.request.provenance, tables.groups
    exempt = {"exempt": "simulated"} if provenance == "simulated" else {"exempt": None}
    unknown = {"records_already_released": None, "releases_overlapping": None}
    return {
        **_record(order, "release", facts, (), facts.found),
        "input": _window(order, facts),
        "algorithm": _algorithm(order),
        "k_check": dict(held),
        "diversity": diversity(groups),
        "dominance": dominance(held, told(facts.dropped.get("cap", 0), order.request.k)),
        "loss": loss(groups, tables.sse_ratio, order.request.k, facts.left_out(order.request.k)),
        "risk": risk(groups),
        "verdict": "released",
        "not_measured": not_measured(provenance, extra["composition"] is not None),
        **extra,
        "composition": extra["composition"] or {**exempt, **unknown},
    }


def manifest_of(
    order: Order,
    facts: Facts,
    held: Mapping[str, Any],
    files: Mapping[str, Mapping[str, Any]],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest; ``extra`` holds release_id, mapping_destroyed_at, timings and the signing key."""
    return {
        "schema": SCHEMA,
        "catalog": {"version": catalog().version, "sha256": catalog().sha256},
        "created_at": stamp(order.request.now),
        "code": order.request.code,
        "provenance": order.request.provenance,
        "input": _window(order, facts),
        "algorithm": _algorithm(order),
        "certificate": dict(held),
        "files": {name: dict(entry) for name, entry in files.items()},
        **extra,
    }


def strata_of(groups: Groups) -> dict[str, dict[str, int]]:
    """Groups and rows of each stratum and class."""
    out: dict[str, dict[str, int]] = {}
    for code in np.unique(groups.stratum):
        for label, word in ((0, "honest"), (1, "fraud")):
            mine = (groups.stratum == code) & (groups.label == label)
            entry = out.setdefault(Pattern.of(int(code)).name, {})
            entry |= {f"{word}_groups": int(mine.sum()), f"{word}_rows": int(groups.rows[mine].sum())}
    return out
