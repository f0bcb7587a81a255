"""Reasons in plain Chinese and English, with the subject's own values.

A text states a fact and says why it counted in its direction. It never varies with the distance to a
threshold, and never gives a threshold, a weight or an exact share (GDPR Art. 15(1)(h), 15(4);
PIPL Art. 24(3)). Of what concerns other people it names the fact and not the value (GDPR Art. 15(4)).

The tables under ``data/reasons/`` have for each node a sentence of the fact and a name for its value, and
for pairs that matter a name of their own. Names fill the sentence of what the system has learned: no reason
claims how often orders of a kind go wrong. Clauses of plain circumstance go before it. Facts and clauses
have variants by the value; ``any`` holds for every value that has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import product
from typing import Any

from riskgraph.core.catalog import Form, NodeSpec, catalog
from riskgraph.core.report import Reason
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.reasons import RISK, SEED_CODE, leading
from riskgraph.explainers.texts import table
from riskgraph.explainers.values import scale_word, spaced, told

NODE_TABLES = ("page", "form_and_payment", "order_and_account", "address_and_links")


def read_tables() -> None:
    """Read what reasons are worded from, so that no order waits for it."""
    for name in ("wording", "reasons/pairs"):
        table(name)
    node_table()


def reason_text(reason: Reason, subgraph: OrderSubgraph, lang: str) -> str:
    """One reason as a data subject reads it.

    Args:
        reason: Chosen by :func:`~riskgraph.explainers.reasons.choose_reasons`.
        subgraph: The order it speaks about; its nodes are all present.
        lang: ``zh`` or ``en``.
    """
    first = leading(reason)
    rest = reason.nodes[len(first) :]
    sentences = [_leading(reason, first, subgraph, lang), *(fact_text(key, subgraph, lang) for key in rest)]
    if rest:
        sentences.append(_tail(f"also_{'all_' if len(rest) > 1 else ''}{reason.direction}", lang))
    if reason.direction == RISK:
        # The seed's text has a hint of its own.
        hinted = rest if reason.code == SEED_CODE else reason.nodes
        hints = (_hint(key, variants(catalog()[key], subgraph.value(key)), lang) for key in hinted)
        sentences += dict.fromkeys(filter(None, hints))
    return ("" if lang == "zh" else " ").join(sentences)


def fact_text(key: str, subgraph: OrderSubgraph, lang: str) -> str:
    """The fact behind a node as one sentence.

    Raises:
        ValueError: If the node is absent: what is not there is no fact about anyone.
    """
    value = subgraph.value(key)
    if value is None:
        raise ValueError(f"{key} is absent and cannot be stated as a fact")
    return _fact(key, value, lang) if isinstance(value, dict) else _scalar_fact(key, value, lang)


def variants(node: NodeSpec, value: Any) -> tuple[str, ...]:
    """Names of the variants that hold for a value, the most special first; the last is always ``any``.

    For numbers: ``zero``; ``less`` below zero; ``cap`` for a number at the end of its range; ``part`` and
    ``all`` of a share; ``one`` and ``several`` (above one) of anything else; ``some`` for any but zero.
    """
    if node.form is Form.FLAG:
        return ("true" if value else "false", "any")
    if node.form is Form.CLASS:
        return (str(value), "any")
    if node.form is Form.CONTEXT:
        return (_record(value), "any")
    if node.form is Form.HISTOGRAM:
        return ("any",)
    if node.unit == "robust z":
        return (scale_word(value), "any")
    if value == 0:
        return ("zero", "any")
    share = node.unit.startswith("0-1")
    holds = {
        "less": value < 0,
        "cap": value >= node.bounds[1],
        "all": share and value == 1,
        "part": share and 0 < value < 1,
        "one": not share and value == 1,
        "several": not share and value > 1,
    }
    return (*(name for name, so in holds.items() if so), "some", "any")


def _record(value: Mapping[str, float]) -> str:
    """What a context node shows in words: nothing of other people beyond ``many``."""
    if "shared_kinds" in value:
        return "some" if value["shared_kinds"] else "alone"
    if value.get("accounts_30d", 0.0) >= 2:
        return "many"
    return "some" if "days_since_last" in value else "first"


def _leading(reason: Reason, nodes: tuple[str, ...], subgraph: OrderSubgraph, lang: str) -> str:
    """Facts of the leading term, and why they counted."""
    if reason.code == SEED_CODE:
        return str(table("wording")["seed"][lang])
    facts = [fact_text(key, subgraph, lang) for key in nodes]
    held = tuple(variants(catalog()[key], subgraph.value(key)) for key in nodes)
    return ("" if lang == "zh" else " ").join((*facts, why(nodes, held, reason.direction, lang)))


@cache
def why(nodes: tuple[str, ...], held: tuple[tuple[str, ...], ...], direction: str, lang: str) -> str:
    """Why a fact, or two together, counted in a direction, as one sentence.

    A plain circumstance where the value has one, else what the system has learned. Of a pair that is what
    the two add to their own terms, so relief says that they count for less than singly, not that they are
    well.

    Args:
        nodes: One node or the two of a pair.
        held: The :func:`variants` of each.
        direction: ``risk`` or ``relief``.
        lang: ``zh`` or ``en``.
    """
    single = len(nodes) == 1
    parts = node_table()[nodes[0]] if single else table("reasons/pairs").get(" ".join(nodes), {})
    circumstances = parts.get(direction, {})
    name = next((name for name in map(" ".join, product(*held)) if name in circumstances), None)
    clause = str(circumstances[name][lang]) if name else _learned(parts, single, direction, lang)
    joined = single and direction == RISK and not catalog()[nodes[0]].alone
    return clause + _tail(f"{'joined_' if joined else ''}{direction}", lang)


def _learned(parts: Mapping[str, Any], single: bool, direction: str, lang: str) -> str:
    kind = "node" if single else "mix" if parts else "pair"
    sentence = str(table("wording")["learned"][kind][direction][lang])
    return sentence.format(what=parts["what"][lang]) if parts else sentence


@cache
def node_table() -> Mapping[str, Any]:
    """``fact``, ``what``, ``risk`` and ``relief`` of all 137 nodes, the last two where there are any."""
    found: dict[str, Any] = {}
    for name in NODE_TABLES:
        found |= table(f"reasons/{name}")
    return found


def _fact(key: str, value: Any, lang: str) -> str:
    node = catalog()[key]
    template = str(_first(node_table()[key]["fact"], variants(node, value))[lang])
    return spaced(template.format(value=told(node, value, lang)) if "{" in template else template, lang)


# Words and flags make up most reasons, and there are few of them.
_scalar_fact = lru_cache(maxsize=4096)(_fact)


@cache
def _hint(key: str, held: tuple[str, ...], lang: str) -> str:
    """What the shopper can do about a node's fact; empty where there is nothing."""
    hints = table("wording")["hints"].get(key, {})
    return next((str(hints[name][lang]) for name in held if name in hints), "")


def _first(by_variant: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, str]:
    found: Mapping[str, str] = by_variant[next(name for name in names if name in by_variant)]
    return found


def _tail(name: str, lang: str) -> str:
    return str(table("wording")["tails"][name][lang])
