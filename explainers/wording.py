"""Reasons in plain Chinese and English, with the subject's own values.

A text states facts and says which way they counted. It never varies with the distance to a
threshold, and never gives a threshold, a weight or an exact share (GDPR Art. 15(1)(h), 15(4);
PIPL Art. 24(3)).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.core.report import Reason
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.reasons import RISK, SEED_CODE
from riskgraph.explainers.texts import table
from riskgraph.explainers.values import label, scale_word, spaced, value_text

# By the number of facts in a reason.
_TAILS = ("", "", "pair_", "all_")


def reason_text(reason: Reason, subgraph: OrderSubgraph, lang: str) -> str:
    """One reason as a data subject reads it.

    Args:
        reason: Chosen by :func:`~riskgraph.explainers.reasons.choose_reasons`.
        subgraph: The order it speaks about; its nodes are all present.
        lang: ``zh`` or ``en``.
    """
    wording = table("wording")
    # The seed's sentence speaks for its own two nodes.
    seed = [str(wording["seed"][lang])] if reason.code == SEED_CODE else []
    nodes = reason.nodes[2:] if seed else reason.nodes
    facts = [fact_text(key, subgraph, lang) for key in nodes]
    hints = [_hint(key, subgraph, lang) for key in nodes] if reason.direction == RISK else []
    tail = f"{'also_' if seed else _TAILS[min(len(nodes), 3)]}{reason.direction}"
    tails = [str(wording["tails"][tail][lang])] if nodes else []
    sentences = [*seed, *facts, *tails, *dict.fromkeys(filter(None, hints))]
    return spaced(("" if lang == "zh" else " ").join(sentences), lang)


def fact_text(key: str, subgraph: OrderSubgraph, lang: str) -> str:
    """The fact behind a node as one sentence.

    Raises:
        ValueError: If the node is absent: what is not there is no fact about anyone.
    """
    value = subgraph.value(key)
    if value is None:
        raise ValueError(f"{key} is absent and cannot be stated as a fact")
    return _sentence(key, value, lang) if isinstance(value, dict) else _scalar_sentence(key, value, lang)


def _hint(key: str, subgraph: OrderSubgraph, lang: str) -> str:
    """What the shopper can do about a node's fact; empty where there is nothing."""
    variants = table("wording")["hints"].get(key, {})
    found = variants.get(_variant(catalog()[key], subgraph.value(key))) or variants.get("fact")
    return str(found[lang]) if found else ""


def _sentence(key: str, value: Any, lang: str) -> str:
    node, wording = catalog()[key], table("wording")
    variants = wording["facts"].get(key, {})
    template = variants.get(_variant(node, value)) or variants.get("fact") or wording["generic"]
    filled = str(template[lang]).format(label=label(node, lang), value=value_text(node, value, lang))
    return spaced(filled, lang)


# Words and flags make up most reasons, and there are few of them.
_scalar_sentence = lru_cache(maxsize=4096)(_sentence)


def _variant(node: NodeSpec, value: Any) -> str:
    """Which hand-written sentence fits the value."""
    if node.form is Form.FLAG:
        return "true" if value else "false"
    if node.form is Form.CLASS:
        return str(value)
    if node.form is Form.CONTEXT:
        if "shared_kinds" in value:
            return "fact" if value["shared_kinds"] else "alone"
        if value.get("accounts_30d", 0.0) >= 2:
            return "many"
        return "few" if "days_since_last" in value else "first"
    if node.unit == "robust z":
        return scale_word(value)
    return "zero" if value == 0 else "fact"
