"""What a release says about itself: certificate, manifest and audit record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from riskgraph.core.catalog import catalog
from riskgraph.sandbox.audit import empty_record
from riskgraph.sandbox.count import CHECKER, GroupCount
from riskgraph.sandbox.draw import DRAWS
from riskgraph.sandbox.groups import MEAN_NOISE, PRESENCE_NOISE, SD_NOISE, Groups
from riskgraph.sandbox.intake import Rejected
from riskgraph.sandbox.pairs import NOISE_SD
from riskgraph.sandbox.partition import Grouped, orders_cap
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.strata import Pattern
from riskgraph.sandbox.units import ClassUnits

SCHEMA = "riskgraph.release/1"
ALGORITHM = "method-g-raked/1"
UNIT = "account, merged over shared card, or device and address; entities on over 8 accounts merge nobody"


@dataclass(frozen=True)
class Order:
    """What was asked for, a hash that binds its seed without telling it, and the policy table."""

    request: ReleaseRequest
    seed_commitment: str
    policy: Policy


@dataclass(frozen=True)
class Facts:
    """What is known about the input after intake.

    Attributes:
        counts, accepted: Before the cap on orders of a unit.
        rejected: Fields in whose values a special category was found.
    """

    counts: tuple[ClassUnits, ...]
    records: int
    accepted: int
    dropped: dict[str, int]
    clipped: int
    withheld: int
    rejected: tuple[Rejected, ...] = ()


def stamp(seconds: float) -> str:
    """ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def certificate(k: int, grouped: Grouped, groups: Groups, independent: GroupCount) -> dict[str, Any]:
    """The partition's own count beside the independent one."""
    items, group = grouped.items, grouped.split.group
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
        "groups": len(groups),
        "fraud_groups": int((groups.label == 1).sum()),
        "min_units": int(groups.units.min()),
        "min_components": int(groups.components.min()),
        "min_rows": int(groups.rows.min()),
        "max_component_share": max(clans),
        "max_unit_share": max(persons),
        "independent": {**independent.as_dict(), "checker": CHECKER},
    }


def _algorithm(order: Order) -> dict[str, Any]:
    return {
        "name": ALGORITHM,
        "k": order.request.k,
        "unit_def": UNIT,
        "label_mode": "apart",
        "whole_units": "per stratum",
        "orders_per_unit_and_class": orders_cap(order.request.k),
        "noise_sd": {"mean": MEAN_NOISE, "sd": SD_NOISE, "presence": PRESENCE_NOISE, "pair_cells": NOISE_SD},
        "draws": {"honest": DRAWS[0], "fraud": DRAWS[1]},
        "corr_mode": "honest residuals",
        "seed_commitment": order.seed_commitment,
    }


def _window(order: Order, facts: Facts) -> dict[str, Any]:
    return {
        "until": order.request.until.isoformat(),
        "records": facts.records,
        "accepted": facts.accepted,
        "dropped": facts.dropped,
        "clipped_values": facts.clipped,
        "withheld_nodes": facts.withheld,
        "policy": order.policy.as_dict(),
        "classes": [c.as_dict() for c in facts.counts],
    }


def _fields(rejected: Sequence[Rejected]) -> dict[str, Any]:
    return {
        "accepted_hash": catalog().sha256,
        "rejected": [r.as_dict() for r in rejected],
        "bounds_version": catalog().version,
    }


def audit_of_refusal(
    order: Order, facts: Facts | None, code: str, message: str, rejected: Sequence[Rejected] = ()
) -> dict[str, Any]:
    """Audit record of a release that was not made; ``rejected`` are refused fields."""
    return {
        **empty_record(),
        "ts": stamp(order.request.now),
        "event": "refusal",
        "actor": {"service": "sandbox", "uid": None, "code_commit": order.request.code},
        "legal_basis": order.policy.legal_basis(),
        "input": _window(order, facts) if facts else {"until": order.request.until.isoformat()},
        "fields": _fields(rejected),
        "algorithm": _algorithm(order),
        "verdict": "refused",
        "refused_reasons": [{"code": code, "message": message}],
    }


def audit_of_release(
    order: Order, facts: Facts, held: Mapping[str, Any], output: Mapping[str, Any], destroyed: str
) -> dict[str, Any]:
    """Audit record of a release; ``held`` is its certificate."""
    return {
        **empty_record(),
        "ts": stamp(order.request.now),
        "event": "release",
        "actor": {"service": "sandbox", "uid": None, "code_commit": order.request.code},
        "legal_basis": order.policy.legal_basis(),
        "input": _window(order, facts),
        "fields": _fields(facts.rejected),
        "algorithm": _algorithm(order),
        "output": dict(output),
        "k_check": dict(held),
        "dominance": {"max_share": held["max_unit_share"], "cells_fixed": facts.dropped.get("cap")},
        "mapping_destroyed_at": destroyed,
        "verdict": "released",
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
