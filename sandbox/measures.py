"""What an audit record says of diversity, dominance, loss and risk, from the groups as they are released."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.units import MAX_COMPONENT_SHARE, MIN_COMPONENTS
from riskgraph.sandbox.groups import Groups
from riskgraph.sandbox.partition import MAX_UNIT_SHARE

# GB/T 42460-2023, Annex D (as two guides to it tell): thresholds of 1/20 for public release, 1/5 for
# controlled sharing, 1/3 inside an enclave. A release is held to the strictest.
TAU = 1 / 20
_CLASSES = ((0, "honest"), (1, "fraud"))
NOT_MEASURED = {
    "approvals": "this version has no approval of a release by people",
    "consent_policy_version": "orders reach the sandbox with their consent, not with its policy's version",
    "loss.ncp": "no attribute is generalised to a range",
    "raw_ttl": "raw orders are not deleted after a period by this version",
    "risk.attacks": "attacks are run on a finished release and are records of their own",
    "risk.gbt42460.context": "not assessed; taken as 1, the worst",
    "risk.wp216": "measured by attacks on a finished release",
    "utility": "not measured while a release is made",
}


def size_histogram(
    label: NDArray[np.int8], units: NDArray[np.int64], components: NDArray[np.int64], k: int
) -> dict[str, dict[str, list[int]]]:
    """Groups by their units and by their components, per class; one entry a group.

    Each of ``edges`` begins a bin, the last one is open; it shows no more than R1's columns do.
    """
    edges = {
        "units": [k + k * i // 10 for i in range(11)],
        "components": [MIN_COMPONENTS, *(k * i // 5 for i in range(1, 11))],
    }
    sizes = {"units": units, "components": components}
    return {
        name: {"edges": edges[name]}
        | {word: _counts(sizes[name][label == value], edges[name]) for value, word in _CLASSES}
        for name in edges
    }


def _counts(sizes: NDArray[np.int64], edges: list[int]) -> list[int]:
    found = np.bincount(np.searchsorted(edges, sizes, side="right"), minlength=len(edges) + 1)
    counted: list[int] = found[1:].tolist()
    return counted


def diversity(groups: Groups) -> dict[str, float]:
    """Label within groups: every group holds one label by design, so l-diversity of the label is 1.

    ``t_max`` is the largest distance between a group's label shares and those of all rows (t-closeness,
    Li et al., ICDE 2007; for two labels the earth mover's distance is the difference of shares).
    """
    fraud = groups.label == 1
    share = float(groups.rows[fraud].sum() / groups.rows.sum())
    return {"max_prevalence": 1.0, "pure_share": 1.0, "t_max": round(max(share, 1 - share), 4)}


def dominance(held: Mapping[str, Any], cap: int | str) -> dict[str, Any]:
    """Largest shares of one unit and of one component in a group; ``cells_fixed`` counts rows left out."""
    return {
        "max_share": held["max_unit_share"],
        "max_component_share": held["max_component_share"],
        "asked": {"max_share": MAX_UNIT_SHARE, "max_component_share": MAX_COMPONENT_SHARE},
        "cells_fixed": cap,
    }


def loss(groups: Groups, sse_ratio: float, k: int, left_out: int) -> dict[str, Any]:
    """What the grouping costs.

    ``sse_ratio``: SSE/SST (Domingo-Ferrer and Mateo-Sanz, TKDE 2002). ``c_avg``: rows per group over k
    (LeFevre et al., ICDE 2006). ``discernibility``: sum of squared group sizes, a row that was left out
    counting as many as there are (Bayardo and Agrawal, ICDE 2005). ``suppression``: rows that were
    accepted and then left out.

    ``left_out`` counts at least so many (``published``), and so do the figures that follow from it.
    """
    rows = int(groups.rows.sum())
    everything = rows + left_out
    return {
        "sse_ratio": sse_ratio,
        "ncp": None,
        "n_avg": round(rows / len(groups), 2),
        "c_avg": round(rows / len(groups) / k, 3),
        "discernibility": int(np.square(groups.rows).sum()) + left_out * everything,
        "suppression": {"rows": left_out, "share": round(left_out / everything, 6)},
    }


def risk(groups: Groups) -> dict[str, Any]:
    """Risk of being singled out within a group of R1: θ = 1/persons.

    GB/T 42460-2023, Annex D: ``DRa`` is the share of persons whose θ exceeds τ, ``DRb`` the largest θ,
    ``DRc`` the mean over persons. R is 1 where any θ exceeds τ, else data risk × context risk. The
    context was not assessed and counts as 1, so R is an upper bound. Level 3 means: still holds
    quasi-identifiers, at an acceptable risk.
    """
    units = groups.units.astype(np.float64)
    theta = 1 / units
    over = float(units[theta > TAU].sum() / units.sum())
    worst, mean = float(theta.max()), float(len(units) / units.sum())
    bound = 1.0 if over else worst
    return {
        "prosecutor_max": worst,
        "average": mean,
        "gbt42460": {
            "tau": TAU,
            "DRa": over,
            "DRb": worst,
            "DRc": mean,
            "context": None,
            "R": bound,
            "level": 3 if bound <= TAU else 2,
        },
        "attacks": [],
        "wp216": {"singling_out": None, "linkability": None, "inference": None},
    }


def not_measured(provenance: str, ledger: bool) -> dict[str, str]:
    """Why a field of a release's record is null."""
    out = dict(NOT_MEASURED)
    if provenance == "simulated":
        out["legal_basis"] = "simulated orders: no natural person stands behind them"
        out["composition"] = "simulated orders are exempt: their records may enter several releases"
    elif not ledger:
        out["composition"] = "no ledger was given: what earlier releases hold is not known"
    return out
