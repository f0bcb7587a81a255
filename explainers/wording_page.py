"""All wording as one page, for whoever has to read it and sign it off (GDPR Art. 12(1); PIPL Art. 17)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from riskgraph.core.catalog import FAMILIES, NodeSpec, catalog
from riskgraph.explainers.reasons import RELIEF, RISK
from riskgraph.explainers.texts import LANGUAGES, table
from riskgraph.explainers.values import concerns_others, label
from riskgraph.explainers.wording import node_table, why

DIRECTIONS = {RISK: "raised", RELIEF: "lowered"}
HEAD = """\
# What reasons say, word for word

Made by `make docs` from `explainers/data/`; edit that, not this page. It is what compliance staff read and
sign off; [reports](reports.md) says how reasons are chosen.

A reason states the fact of the node that leads it and says why it counted in its direction; for a pair, both
facts and why they counted together. Further facts of the same reason follow. `[…]` is the shopper's own
value, rounded. A row without a variant holds for every value that has none of its own: `zero`, `one`,
`several` (above one), `less` (below zero), `part` and `all` of a share, `cap` (the end of the range or more),
`some` (not zero), or a word of the catalogue. Of nodes marked † the value is not told, because it concerns
other people.

"Has learned" puts a term of the model in words: that of a node stands beside the absence of its value, that
of a pair beside the two taken singly. No sentence says how often orders of a kind go wrong.
"""


def wording_page() -> str:
    """The page in Markdown: nodes by family, pairs, and the sentences that all reasons share."""
    lines = [HEAD.rstrip("\n")]
    for family, (name, name_zh) in FAMILIES.items():
        lines += ["", f"## {family} {name} · {name_zh}"]
        for node in catalog():
            if node.family == family:
                lines += ["", f"### {_title(node)}", "", *_table(_node_rows(node))]
    lines += ["", "## Pairs", "", "Further pairs are told by both facts and a shared sentence (below)."]
    for key, parts in table("reasons/pairs").items():
        ends = tuple(key.split(" "))
        names = " × ".join(f"{end} {label(catalog()[end], 'en').lower()}" for end in ends)
        lines += ["", f"### {names}", "", *_table(_pair_rows(ends, parts))]
    return "\n".join([*lines, *_shared()])


def _title(node: NodeSpec) -> str:
    return f"{node.id} {label(node, 'en')} · {label(node, 'zh')}{' †' if concerns_others(node) else ''}"


def _node_rows(node: NodeSpec) -> Iterator[tuple[str, ...]]:
    parts = node_table()[node.id]
    for name, texts in parts["fact"].items():
        yield ("fact", name, *(texts[lang].replace("{value}", "[…]") for lang in LANGUAGES))
    for direction, word in DIRECTIONS.items():
        for name in dict.fromkeys([*parts.get(direction, {}), "any"]):
            yield (word, name, *(why((node.id,), ((name, "any"),), direction, lang) for lang in LANGUAGES))


def _pair_rows(ends: tuple[str, ...], parts: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for direction, word in DIRECTIONS.items():
        for name in [*parts.get(direction, {}), "any"]:
            held = tuple((part,) for part in (name.split(" ") if " " in name else ("any", "any")))
            yield (word, name, *(why(ends, held, direction, lang) for lang in LANGUAGES))


def _shared() -> list[str]:
    wording = table("wording")
    rows = [("far and not located", "", *(wording["seed"][lang] for lang in LANGUAGES))]
    rows += [
        (f"two facts, {word}", "", *(learned[lang] + wording["tails"][direction][lang] for lang in LANGUAGES))
        for direction, word in DIRECTIONS.items()
        for learned in (wording["learned"]["pair"][direction],)
    ]
    rows += [(name, "", *(texts[lang] for lang in LANGUAGES)) for name, texts in wording["tails"].items()]
    hints = [
        (key, name, *(texts[lang] for lang in LANGUAGES))
        for key, variants in wording["hints"].items()
        for name, texts in variants.items()
    ]
    return [
        *("", "## Shared sentences", "", *_table(rows)),
        *("", "## What a shopper can do, beside a fact that raised the risk", "", *_table(hints)),
    ]


def _table(rows: Any) -> list[str]:
    lines = ["| | for | 中文 | English |", "|---|---|---|---|"]
    for kind, name, *texts in rows:
        lines.append(f"| {kind} | {'' if name == 'any' else name} | {' | '.join(texts)} |")
    return lines
