"""The backtest as one web page: tables and pictures, no script, nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from riskgraph.eval.backtest_words import heading

Row = Sequence[str]
NONE = "–"
# Stand for "fewer than 50 persons" and "withheld" until the page is put together in its language.
FEW = "{few}"
UNTOLD = "{untold}"
# A narrow space that does not break, so that number and sign stay together.
PERCENT = "\u202f%"


@dataclass(frozen=True)
class Section:
    """A headed part of the page: sentences, a picture, a table; each may be missing."""

    title: str
    notes: Sequence[str] = ()
    picture: tuple[str, str] | None = None
    columns: Sequence[str] = ()
    rows: Sequence[Row] = ()

    def worded(self, few: str, untold: str) -> Section:
        """The section with words in place of what is withheld."""

        def said(text: str) -> str:
            return text.replace(FEW, few).replace(UNTOLD, untold)

        picture = self.picture and (self.picture[0], said(self.picture[1]))
        notes, rows = [said(note) for note in self.notes], [[said(cell) for cell in row] for row in self.rows]
        return replace(self, picture=picture, notes=notes, rows=rows)


def render_page(report: Mapping[str, Any], lang: str = "en") -> str:
    """HTML of a report whose undefined figures are None.

    Args:
        report: What ``report.json`` says, without its list of files.
        lang: Language of the headings, ``en`` or ``zh``.
    """
    source = resources.files("riskgraph.eval").joinpath("templates", "backtest.html").read_text("utf-8")
    # A name that is missing stops the page: a hole in a table would read as "nothing to report".
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

    def words(key: str) -> str:
        return heading(key, lang)

    sections = [s.worded(words("few"), words("untold")) for build in _SECTIONS for s in build(report, words)]
    return page.from_string(source).render(report=report, lang=lang, words=words, sections=sections)


Words = Callable[[str], str]


def percent(share: float | None) -> str:
    """A share in percent, two decimals."""
    return NONE if share is None else f"{100 * share:.2f}{PERCENT}"


def spread(figure: Mapping[str, Any], form: Callable[[float | None], str] = percent) -> str:
    """A figure and its 95 % interval, or the bound on one that is withheld."""
    if figure["value"] is None:
        return _bound(figure, form) if "withheld" in figure else NONE
    if figure["lower"] is None:
        return form(figure["value"])
    low, high = (form(figure[k]).removesuffix(PERCENT) for k in ("lower", "upper"))
    return f"{form(figure['value'])} ({low} to {high})"


def _bound(figure: Mapping[str, Any], form: Callable[[float | None], str]) -> str:
    low, high = figure["lower"], figure["upper"]
    if high is None:
        return UNTOLD
    return f"{FEW} (≤ {form(high)})" if low == 0 else f"{FEW} (≥ {form(low)})"


def _four(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _count(value: int | None) -> str:
    # Every count is defined, so one that is missing is withheld; of few, or since few would follow from it.
    return UNTOLD if value is None else f"{value:,}"


def _name(code: str) -> str:
    return code.replace("_", " ")


def _key_figures(report: Mapping[str, Any], words: Words) -> list[Section]:
    metrics = report["metrics"]
    kinds = list(metrics["frozen"].values())
    gangs = [k["gangs"] for k in kinds]
    rows = [
        ["recall, orders", *(spread(k["recall"]) for k in kinds)],
        ["recall, gangs (half of the orders flagged)", *(spread(g["recall"]) for g in gangs)],
        ["gangs caught", *(f"{_count(g['caught'])} of {_count(g['count'])}" for g in gangs)],
        ["false-positive rate", *(spread(k["fpr"]) for k in kinds)],
        ["precision", *(spread(k["precision"]) for k in kinds)],
        ["base rate of fraud", *(percent(k["base_rate"]) for k in kinds)],
        *(
            [f"precision if the base rate were {100 * float(b):g} %",
             *(percent(k["precision_at_base_rate"][b]) for k in kinds)]
            for b in kinds[0]["precision_at_base_rate"]
        ),
        *([text, *(_count(k[key]) for k in kinds)]
          for text, key in (("fraud flagged", "tp"), ("honest flagged", "fp"),
                            ("fraud let go", "fn"), ("honest let go", "tn"))),
    ]  # fmt: skip
    soft = metrics["softened_by_a_gate"]
    notes = [
        f"Honest orders sent to review: {spread(metrics['review_share_honest'])}. At most 1 % is asked.",
        f"A gate turned {_count(soft['fraud'])} fraudulent and {_count(soft['honest'])} honest would-be "
        "rejects into reviews.",
        "Reference, not ours: 92.7 % recall at 0.38 % false positives.",
    ]
    columns = ["figure, 95 % interval", *(_name(k["flagged"]) for k in kinds)]
    return [Section(words("frozen"), notes, None, columns, rows)]


def _roc(report: Mapping[str, Any], words: Words) -> list[Section]:
    figures = report["metrics"]["ranking"]
    area = spread(figures["auc"], _four)
    rows = [
        ["area under the ROC curve", area],
        ["average precision", spread(figures["average_precision"], _four)],
        *([f"recall at {100 * float(f):g} % false positives", spread(r)]
          for f, r in figures["recall_at_fpr"].items()),
    ]  # fmt: skip
    rule = report.get("cells", {"notes": []})["notes"]
    note = (
        "Recall at a fixed false-positive rate is read off this window's own curve: it compares "
        "rankings and is not what the frozen threshold does."
    )
    # Alternative texts carry the figures: the page has to work without its pictures.
    alt = f"ROC curve on a linear and a logarithmic axis. Area {area}. The rows below give the same figures."
    return [
        Section(words("ranking"), [note, *rule], ("roc.svg", alt), ["figure, 95 % interval", "model"], rows)
    ]


def _baselines(report: Mapping[str, Any], words: Words) -> list[Section]:
    fixed = "recall_at_fpr_0.0038"
    rows = [
        [
            _name(b["name"]),
            spread(b["ranking"]["auc"], _four),
            spread(b["model_minus_baseline"]["auc"], _four),
            spread(b["ranking"]["recall_at_fpr"]["0.0038"]),
            spread(b["model_minus_baseline"][fixed]),
            spread(b["frozen"]["reject"]["recall"]),
            spread(b["frozen"]["reject"]["fpr"]),
            _name(b["outcome"]),
        ]
        for b in report["baselines"]
    ]
    columns = ["baseline", "AUC", "model minus baseline", "recall at 0.38 % FPR", "model minus baseline",
               "recall, reject", "FPR, reject", "outcome"]  # fmt: skip
    return [Section(words("baselines"), [statement(b) for b in report["baselines"]], None, columns, rows)]


def statement(baseline: Mapping[str, Any]) -> str:
    """What the comparison with one baseline comes to, in a sentence."""
    name = _name(baseline["name"])
    return {
        "model_beats": f"The model beats {name}, both in area and in recall at 0.38 % false positives.",
        "no_difference_shown": f"The model does not beat {name}: an interval of the difference includes 0.",
        "model_is_beaten": f"The model does not beat {name}: {name} is better in area, or in recall at "
        "0.38 % false positives.",
        "withheld": f"Whether the model beats {name} cannot be told: of one of the two there is no curve.",
    }[baseline["outcome"]]


def _pictures(report: Mapping[str, Any], words: Words) -> list[Section]:
    steps = report["slices"].get("camouflage", [])
    alt = "Recall falls or holds as gangs look more like honest people; the rows give the figures."
    rows = [
        [f"{s['from']:.2f} to {s['to']:.2f}", _count(s["orders"]), _count(s["gangs"]), *_both(s, "recall")]
        for s in steps
    ]
    columns = ["camouflage", "fraudulent orders", "gangs", "recall, reject", "recall, reject or review"]
    curve = [Section(words("camouflage"), (), ("camouflage.svg", alt), columns, rows)] if steps else []
    calibration = report["metrics"]["calibration"]
    note = f"Brier score {calibration['brier']:.5f}; expected calibration error {calibration['ece']:.5f}."
    bins = [
        [_count(b["orders"]), percent(b["probability"]), percent(b["fraud"])] for b in calibration["bins"]
    ]
    histogram = ("scores.svg", "Histogram of scores of honest and of fraudulent orders.")
    columns = ["orders", "mean probability", "share of fraud"]
    return [*curve, Section(words("calibration"), [note], histogram, columns, bins)]


def _both(row: Mapping[str, Any], figure: str) -> list[str]:
    return [spread(row[f"{figure}_reject"]), spread(row[f"{figure}_reject_or_review"])]


# Table, its first columns with their form, and the pairs of shares that follow.
_TABLES: tuple[tuple[str, tuple[tuple[str, Callable[[Any], str]], ...], tuple[str, ...]], ...] = (
    ("availability", (("availability", str), ("orders", _count), ("fraud", _count),
                      ("review_threshold", _four), ("reject_threshold", _four), ("auc", _four),
                      ("review_share_honest", spread)), ("recall", "fpr")),
    ("archetype", (("archetype", _name), ("orders", _count), ("gangs", _count),
                   ("gangs_caught_reject", _count)), ("recall",)),
    ("honest_type", (("honest_type", _name), ("orders", _count), ("status", _name)), ("fpr",)),
    ("gang_novelty", (("gangs", _name), ("count", _count), ("orders", _count)), ("recall",)),
    ("week", (("week", str), ("orders", _count), ("fraud", _count),
              ("review_share_honest", spread)), ("recall", "fpr")),
)  # fmt: skip


def _slices(report: Mapping[str, Any], words: Words) -> list[Section]:
    sections = []
    for key, first, shares in _TABLES:
        table = report["slices"].get(key)
        if not table:
            # A table that is there and empty is one of which no two rows may be told.
            sections += (
                [Section(words(key), [UNTOLD])] if key in report["slices"] and "cells" in report else []
            )
            continue
        columns = [_name(c) for c, _ in first]
        columns += [f"{_name(s)}, {kind}" for s in shares for kind in ("reject", "reject or review")]
        rows = [
            [*(form(r[c]) for c, form in first), *(t for s in shares for t in _both(r, s))] for r in table
        ]
        sections.append(Section(words(key), (), None, columns, rows))
    return sections


def _record(report: Mapping[str, Any], words: Words) -> list[Section]:
    tiers = [
        [_name(t["tier"]), f"{t['from_days']} to {t['to_days'] or '…'}", *(_count(t[k]) for k in
         ("orders", "labelled_fraud", "labelled_clean", "unlabelled")),
         NONE if t["true_fraud"] is None else _count(t["true_fraud"])]
        for t in report["label_tiers"]
    ]  # fmt: skip
    columns = [
        "tier",
        "age in days",
        "orders",
        "labelled fraud",
        "labelled clean",
        "unlabelled",
        "true fraud",
    ]
    note = f"Judged by: {report['truth']}. Reported labels are those known at {report['labels_known_at']}."
    counts = report["rows"]
    rows = [[e["reason"], _count(e["count"])] for e in counts["excluded"]]
    of = "" if counts["in_window"] is None else f"of {_count(counts['in_window'])} "
    used = f"{_count(counts['used'])} {of}orders in the window count."
    bootstrap, origin = report["bootstrap"], report["out_of_time"]
    until = origin["trained_until"] or "not known, so that this report does not show it to be out of time"
    facts = [
        *([f"model: {k}", str(v)] for k, v in report["model"].items()),
        ["model learned from orders up to", until],
        ["decision tree, SHA-256", report["tree_sha256"] or NONE],
        ["thresholds, SHA-256", report["thresholds_sha256"]],
        *([f"code: {k}", str(v)] for k, v in report["code"].items()),
        *([f"seed: {k}", str(v)] for k, v in report["seeds"].items()),
        ["intervals", f"{bootstrap['kind']}; {_count(bootstrap['draws'])} draws, seed {bootstrap['seed']}; "
         f"{_count(bootstrap['fraud_clusters'])} fraud and {_count(bootstrap['honest_clusters'])} honest "
         f"clusters; gangs are {report['gangs_are']}"],
        *([f"data: {k}", v] for k, v in report["data"].items()),
    ]  # fmt: skip
    return [
        Section(words("labels"), [note], None, columns, tiers),
        Section(words("excluded"), [used], None, ["reason", "orders"], rows),
        Section(words("record"), [words("verify")], None, ["what", "value"], facts),
    ]


_SECTIONS = (_key_figures, _roc, _baselines, _pictures, _slices, _record)
