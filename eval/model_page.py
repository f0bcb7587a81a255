"""Tables of models side by side, as Markdown for people and JSON for programs, with a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from riskgraph.eval.backtest_page import spread
from riskgraph.eval.backtest_report import plain_json
from riskgraph.eval.model_table import READINGS, ModelTable
from riskgraph.eval.plots import plot_camouflage

_SAID = {
    "score": "frozen score",
    "ranked": "same false positives",
    "reject": "reject",
    "reject_or_review": "reject or review",
}


def write_tables(
    out: Path, facts: Mapping[str, Any], tables: Mapping[str, ModelTable], champion: str, seeds: int = 1
) -> None:
    """Write ``models.json``, ``models.md`` and ``camouflage.svg`` (of the champion) into a folder.

    Args:
        out: Made if it is not there; files of these names are replaced.
        facts: What a reader must know: ``where`` the orders come from, and the like.
        tables: By a few words.
        champion: Name of a model that stands in all tables.
        seeds: Training seeds of the first table.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = {title: {name: row.figures for name, row in t.rows.items()} for title, t in tables.items()}
    gaps = {title: t.gaps(champion) for title, t in tables.items()}
    by_seed = next(iter(tables.values())).by_seed(seeds)
    body = plain_json({**facts, "by_seed": by_seed, "tables": rows, "recall_for_new_minus_champion": gaps})
    (out / "models.json").write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    text = [
        f"# Models side by side\n\n{facts['where']}. Shares with 95 % intervals, for which gangs are drawn "
        f"whole and models stay as they were trained. *Reject* and *review* of {champion} are those of the "
        "service, gates included; those of others are their thresholds alone.\n"
    ]
    if seeds > 1:
        text.append(_seed_table(by_seed))
    for title, by_model in body["tables"].items():
        text += [f"## {title.capitalize()}\n", *_sections(by_model)]
    (out / "models.md").write_text("\n".join(text), encoding="utf-8")
    steps = next(iter(body["tables"].values()))[champion]["camouflage"]
    if steps:
        plot_camouflage(out, steps, f"Recall against camouflage, {champion}", True)


def _sections(models: Mapping[str, Any]) -> Iterator[str]:
    yield _table(
        "Families left out of training, and all",
        ["recall, new families", "recall, known families", "false positives", "precision"],
        [
            [
                f"{name}, {_SAID[reading]}",
                *(spread(part[f"recall_{reading}"]) for part in figures["novelty"]),
                spread(figures["overall"][reading]["fpr"]),
                spread(figures["overall"][reading]["precision"]),
            ]
            for name, figures in models.items()
            for reading in READINGS
        ],
    )
    yield _table(
        "Honest orders sent to review; the worst kind of honest person",
        ["review", *(f"worst by {_SAID[r]}" for r in READINGS)],
        [
            [
                name,
                spread(figures["honest_review_share"]),
                *(_worst(figures["slice_fpr_max"][reading]) for reading in READINGS),
            ]
            for name, figures in models.items()
        ],
    )
    for title, key, figure in (
        ("Recall by kind of fraud", "archetype", "recall_score"),
        ("Recall by availability class", "availability", "recall_score"),
        ("False positives by availability class", "availability", "fpr_score"),
        ("False positives by kind of honest person", "honest_type", "fpr_score"),
        ("Recall of reject or review against camouflage", "camouflage", "recall_reject_or_review"),
    ):
        yield _by_slice(title, models, key, figure)


def _seed_table(by_seed: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Training seeds side by side: their spread is in no interval."""
    count = len(next(iter(by_seed.values())))
    return _table(
        "Recall, new families, and honest orders flagged: each training seed, frozen score",
        [f"seed {seed}" for seed in range(count)],
        [
            [name, *(f"{row['recall_new']:.3f} at {row['fpr']:.4f}" for row in rows)]
            for name, rows in by_seed.items()
        ],
    )


def _worst(row: Mapping[str, Any] | None) -> str:
    return "–" if row is None else f"{spread(row)} {row['honest_type'].replace('_', ' ')}"


def _by_slice(title: str, models: Mapping[str, Any], key: str, figure: str) -> str:
    """One line a slice, one column a model; at the frozen score unless the title says otherwise."""
    # The same slices in the same order for all, since they judge the same orders.
    same = zip(*(figures[key] for figures in models.values()), strict=True)
    return _table(
        title, list(models), [[_name(rows[0], key), *(spread(r[figure]) for r in rows)] for rows in same]
    )


def _name(row: Mapping[str, Any], key: str) -> str:
    if key == "camouflage":
        return f"from {row['from']:.2f}"
    name = str(row[key]).replace("_", " ")
    return f"{name}, left out of training" if row.get("new") else name


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose lines begin with their name."""
    head = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    return "\n".join([f"### {title}\n", *head, *(f"| {' | '.join(row)} |" for row in rows), ""])
