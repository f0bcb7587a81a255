"""The kinds of model behind the one ``Scorer`` port."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["order2", "additive", "logistic", "gbdt", "xgbgraph", "rgcn", "gatv2"]
KINDS: tuple[str, ...] = get_args(Kind)
# Sums of terms: compiled to the same lookup tables and explained exactly.
COMPILED = ("order2", "additive", "logistic")
TREES = ("gbdt", "xgbgraph")
DEEP = ("rgcn", "gatv2")
# Their own terms keep what the catalogue demands: directions, nodes that may not raise the score alone, and
# the neutrality of consent.
CONSTRAINED = ("order2", "additive")
_FITTED_WITH_TORCH = ("order2", "additive", *DEEP)


def extra_to_train(kind: str) -> str:
    """The optional extra that training a kind needs."""
    return "train" if kind in _FITTED_WITH_TORCH else "lab"
