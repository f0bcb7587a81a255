"""The policy table: what an order may give for training.

Jurisdiction × legal class × purpose. A node may be given where the rule of its own purpose and that of
``model_training`` allow it, whatever lies there; else it is absent: *refused* where the shopper did not
grant the purpose, *not delivered* where the table bars the cell. An order that may give nothing is left
out, and so is one whose shopper objected (GDPR Art. 21(1); PIPL Art. 44).

What is not known: the age of a shopper. Nothing in an order says whether it is a child's (consent of a
parent: GDPR Art. 8, PIPL Art. 31; under 14 every record is sensitive, PIPL Art. 28). So children's orders
are treated as adults'. A merchant that sells to children must not file ``model_training`` as granted
without that consent. Nor is it known whether the law of the jurisdiction in an order is the shopper's
own; an order that states two has to be filed under ``other``, which is no looser than any.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.canonical import canonical_json
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.order import JURISDICTIONS
from riskgraph.core.subgraph import State
from riskgraph.core.table import NODE_PURPOSES, OrderTable

SCHEMA = "training-policy/1"
CLASSES = ("N", "N*", "C", "R")
TRAINING = "model_training"
PURPOSES = (*NODE_PURPOSES, TRAINING)
# From loose to strict.
RULES = ("not_asked", "granted", "barred")
_GRANTED = RULES.index("granted")
_CLASS = np.array([CLASSES.index(n.pipl_class.removesuffix("·S")) for n in catalog()])
_OWN = [None if n.purpose == "none" else NODE_PURPOSES.index(n.purpose) for n in catalog()]
# Jurisdiction whose cells a law governs; where the law is not known, "other".
LAWS = {"gdpr": "EU", "pipl": "CN", "other": "other"}
FURTHER = "further_rules"
_WITH_NODES = {(n.pipl_class.removesuffix("·S"), p) for n in catalog() for p in (n.purpose, TRAINING)}
_PATTERNS = 1 << len(PURPOSES)


@dataclass(frozen=True)
class Policy:
    """A policy table.

    Attributes:
        version: Of the shipped table.
        rules: ``{"CN.C.behavior": "granted", …}``; a cell that is not there asks for nothing.
        grounds: What use for training rests on in each cell, by the same names.
        further: Other rules that apply to it.
    """

    version: str
    rules: Mapping[str, str]
    grounds: Mapping[str, str] = field(repr=False)
    further: Mapping[str, str] = field(repr=False)

    @classmethod
    def default(cls) -> Policy:
        """What the law asks for: the shipped table."""
        return _default()

    def tightened(self, own: Any) -> Policy:
        """This table with a merchant's stricter cells, ``{"CN": {"C": {"behavior": "barred"}}}``.

        Raises:
            Invalid: If a jurisdiction, class, purpose or rule is unknown, or a rule is looser than this
                table's; the field of merchant.toml is named.
        """
        rules = dict(self.rules)
        for name, rule in _cells(own, "training"):
            where = f"training.{name}"
            if rule not in RULES:
                raise Invalid(f"{where} must be one of {', '.join(RULES)}", field=where)
            least = rules.get(name, RULES[0])
            if RULES.index(rule) < RULES.index(least):
                article = self.grounds.get(name, "the shipped table")
                raise Invalid(f"{where} is {rule}, which is looser than {least} ({article})", field=where)
            rules[name] = rule
        return replace(self, rules=rules)

    @cached_property
    def sha256(self) -> str:
        """Digest of version and rules, for the record."""
        body = {"schema": SCHEMA, "version": self.version, "rules": dict(self.rules)}
        return hashlib.sha256(canonical_json(body)).hexdigest()

    @cached_property
    def stricter(self) -> dict[str, str]:
        """Cells in which a merchant goes beyond the shipped table."""
        shipped = Policy.default().rules
        return {name: rule for name, rule in sorted(self.rules.items()) if rule != shipped.get(name)}

    @cached_property
    def _may(self) -> NDArray[np.bool_]:
        """bool[3 * 32, 137]: whether an order with a code (:meth:`codes`) may give a node."""
        return self._over_nodes(
            (np.arange(_PATTERNS)[:, None] >> np.arange(len(PURPOSES)) & 1).astype(np.bool_)
        )

    @cached_property
    def _open(self) -> NDArray[np.bool_]:
        """bool[3 * 32, 137]: whether it might give the node, had every purpose been granted."""
        return self._over_nodes(np.ones((_PATTERNS, len(PURPOSES)), dtype=np.bool_))

    def _over_nodes(self, granted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """bool[3 * 32, 137] from the grants of each pattern, bool[32, 5]."""
        rule = np.zeros((len(JURISDICTIONS), len(CLASSES), len(PURPOSES)), dtype=np.int8)
        for name, word in self.rules.items():
            place, kind, purpose = name.split(".")
            at = JURISDICTIONS.index(place), CLASSES.index(kind), PURPOSES.index(purpose)
            rule[at] = RULES.index(word)
        # [jurisdiction, class, pattern of grants, purpose]
        allowed: NDArray[np.bool_] = (rule < _GRANTED)[:, :, None, :] | (
            (rule == _GRANTED)[:, :, None, :] & granted
        )
        training = allowed[..., PURPOSES.index(TRAINING)]
        nodes = [
            training[:, kind] & (True if own is None else allowed[:, kind, :, own])
            for kind, own in zip(_CLASS.tolist(), _OWN, strict=True)
        ]
        return np.stack(nodes, axis=-1).reshape(-1, len(nodes))

    def codes(self, table: OrderTable) -> NDArray[np.int16]:
        """Jurisdiction and granted purposes of each order in one number: int16[N].

        Raises:
            Invalid: If a jurisdiction or the shape of the purposes is not that of an ``OrderTable``.
        """
        if len(table) and not 0 <= table.jurisdiction.min() <= table.jurisdiction.max() < len(JURISDICTIONS):
            raise Invalid("jurisdiction: an order lies under none of the known", field="jurisdiction")
        if table.purposes.shape != (len(table), len(NODE_PURPOSES)):
            raise Invalid(f"purposes: expected [N, {len(NODE_PURPOSES)}]", field="purposes")
        granted = np.column_stack([table.purposes == 1, table.training_consent])
        bits = granted @ (1 << np.arange(len(PURPOSES), dtype=np.int16))
        out: NDArray[np.int16] = table.jurisdiction.astype(np.int16) * _PATTERNS + bits
        return out

    def may_give(self, codes: NDArray[np.int16]) -> NDArray[np.bool_]:
        """bool[N, 137]: which nodes orders with these codes may give."""
        out: NDArray[np.bool_] = self._may[codes]
        return out

    def cause(self, codes: NDArray[np.int16]) -> NDArray[np.uint8]:
        """uint8[N, 137]: the cause of absence of a node that such an order may not give."""
        return np.where(self._open[codes], State.REFUSED, State.NOT_DELIVERED).astype(np.uint8)

    def gives_nothing(self, codes: NDArray[np.int16]) -> NDArray[np.bool_]:
        """bool[N]: orders that may give no node at all."""
        empty = np.asarray(~self._may.any(axis=1), dtype=np.bool_)
        out: NDArray[np.bool_] = empty[codes]
        return out

    def as_dict(self) -> dict[str, Any]:
        """For manifest and audit record."""
        return {"version": self.version, "sha256": self.sha256, "stricter": self.stricter}

    def legal_basis(self, places: Collection[str]) -> dict[str, list[str] | None]:
        """Grounds that use for training rests on, by law, and further rules that apply.

        Only of cells that can have given anything: those of the jurisdictions in ``places`` that are not
        barred, nor their class for training. ``other`` holds where the law is not known; null where no
        order of a jurisdiction was used.
        """
        used = [name for name in self.rules if self._gives(name) and name.split(".")[0] in places]
        out: dict[str, list[str] | None] = {}
        for law, place in LAWS.items():
            out[law] = _cited(self.grounds[n] for n in used if n.startswith(f"{place}.")) or None
        return {**out, FURTHER: _cited(self.further[n] for n in used) or None}

    def _gives(self, name: str) -> bool:
        """Whether a cell rests on a grant, its class may be used for training, and it has nodes."""
        place, kind, purpose = name.split(".")
        rules = [self.rules.get(cell, RULES[0]) for cell in (name, f"{place}.{kind}.{TRAINING}")]
        return rules[0] == "granted" and rules[1] != "barred" and (kind, purpose) in _WITH_NODES


def _cited(cells: Iterable[str]) -> list[str]:
    """Each citation once, sorted."""
    return sorted({part for cell in cells for part in cell.split("; ")})


def objectors(table: OrderTable, unit: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """bool[N]: orders whose shopper objected, in whatever order of the same person it was said.

    An objection is a person's (GDPR Art. 21(1); PIPL Art. 44): it holds for every order of the account, and
    of the unit where units are known. An order without an account stands for itself.

    Args:
        table: N orders.
        unit: int64[N], unit of each order (``find_units``).
    """
    known = table.account >= 0
    said = np.unique(table.account[table.objected & known])
    out: NDArray[np.bool_] = table.objected | (known & np.isin(table.account, said))
    return out if unit is None else out | np.isin(unit, np.unique(unit[out]))


def _cells(table: Any, where: str) -> list[tuple[str, Any]]:
    """``(CN.C.behavior, value)`` of a nested table whose keys must be known."""
    levels = (JURISDICTIONS, CLASSES, PURPOSES)
    found = [("", table)]
    for known in levels:
        deeper = []
        for path, inner in found:
            name = f"{where}{path}"
            if not isinstance(inner, Mapping):
                raise Invalid(f"{name} must be a table", field=name)
            for key, value in inner.items():
                if key not in known:
                    raise Invalid(f"{name}.{key} must be one of {', '.join(known)}", field=f"{name}.{key}")
                deeper.append((f"{path}.{key}", value))
        found = deeper
    return [(path[1:], value) for path, value in found]


@lru_cache(maxsize=1)
def _default() -> Policy:
    text = resources.files("riskgraph.sandbox").joinpath("data", "policy.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    if data.pop("schema") != SCHEMA:
        raise RuntimeError("policy.toml has another schema")
    version = data.pop("version")
    cells = dict(_cells(data, "policy"))
    return Policy(
        version,
        {name: cell["rule"] for name, cell in cells.items()},
        {name: cell["ground"] for name, cell in cells.items()},
        {name: cell["further"] for name, cell in cells.items()},
    )
