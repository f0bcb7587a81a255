"""What readers beyond the subject find in the PDF: facts and tables, laid out by one loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from riskgraph.explainers.texts import headings, labels, say

Rows = list[tuple[str, str]]
PAIRS_SHOWN = 15


def staff_sections(report: Mapping[str, Any], lang: str) -> list[dict[str, Any]]:
    """Parts for readers of tier 2 to 4, in the order of the page.

    Each has ``title``, ``field`` (for its articles), ``facts`` (label and value) and ``tables``, each with a
    caption, ``widths`` in parts, a header and rows of texts.
    """
    if "compliance" not in report:
        return []
    make = _Parts(report, lang)
    parts = [make.score(), *make.contributions(), make.nodes(), make.model(), make.register()]
    parts += [make.rules()] if "rules" in report else []
    parts += make.authority() if "authority" in report else []
    return parts


class _Parts:
    """The sections of one report; ``c`` is its part for compliance."""

    def __init__(self, report: Mapping[str, Any], lang: str) -> None:
        self.r, self.c = report, report["compliance"]
        self.h, self.words = headings(lang), labels(lang)
        self.lang, self.nothing = lang, say("missing.none", lang)
        self.names = {row["node"]: f"{row['node']} {row['label']}" for row in self.c["nodes"]}
        self.comma, self.semi = ("、", "；") if lang == "zh" else (", ", "; ")

    def section(
        self, key: str, field: str, facts: Rows, tables: Iterable[Mapping[str, Any]] = ()
    ) -> dict[str, Any]:
        return {"title": self.h[key], "field": field, "facts": facts, "tables": list(tables)}

    def table(
        self, caption: str, widths: list[float], header: list[str], rows: list[list[str]]
    ) -> dict[str, Any]:
        titles = [self.words[key] for key in header]
        return {"caption": self.h[caption], "widths": widths, "header": titles, "rows": rows}

    def yes(self, value: bool) -> str:
        return self.words["yes" if value else "no"]

    def score(self) -> dict[str, Any]:
        c, words = self.c, self.words
        facts: Rows = []
        if c["score"]:
            score = c["score"]
            facts += [
                (words["probability"], f"{score['probability']:.4f}"),
                (words["review_at"], f"{score['thresholds']['review']:.4f}"),
                (words["reject_at"], f"{score['thresholds']['reject']:.4f}"),
                (words["logit"], f"{score['logit']:+.3f} ({words['base']} {score['offset']:+.3f})"),
                (words["availability"], score["availability"]),
            ]
        if c["degraded_cause"]:
            facts.append((words["degraded"], c["degraded_cause"]))
        facts += [
            (words["path"], " → ".join(c["path"])),
            (words["context"], say(f"context.{c['context']}", self.lang)),
        ]
        if c["attribution"]:
            told = c["attribution"]
            facts += [
                (words["method"], told["method"]),
                (words["reference"], told["reference_id"]),
                (words["gap"], f"{told['additivity_gap']:.1e}"),
            ]
        for key, label in (("fidelity", "fidelity"), ("optional_data", "optional")):
            if c[key]:
                word = say(f"verdict.{c[key]['band']}", self.lang)
                told = f"{c[key]['probability']:.4f} ({word}); {words['flips']}: {self.yes(c[key]['flips'])}"
                facts.append((words[label], told))
        gate = self.r["consent_gate"]
        facts += [
            (words["refused_nodes"], self.comma.join(gate["features"]) or self.nothing),
            (words["refused_sum"], f"{gate['contribution_of_refused']:.1e}"),
        ]
        return self.section("score", "compliance.score", facts)

    def contributions(self) -> list[dict[str, Any]]:
        told = self.c["attribution"]
        if told is None:
            return []
        phi = {row["node"]: row["phi"] for row in self.c["nodes"]}
        top = [[self.names[key], f"{phi[key]:+.3f}"] for key in told["top_nodes"]]
        groups = sorted(told["group_phi"], key=lambda row: -abs(row["phi"]))
        tables = [
            self.table("contributions", [4, 1], ["feature", "phi"], top),
            self.table(
                "groups", [4, 1], ["family", "phi"], [[row["label"], f"{row['phi']:+.3f}"] for row in groups]
            ),
        ]
        if told["pair_phi"]:
            pairs = [
                [*(self.names[key] for key in row["nodes"]), f"{row['g']:+.3f}"]
                for row in told["pair_phi"][:PAIRS_SHOWN]
            ]
            tables.append(self.table("pairs", [3, 3, 1], ["feature", "with", "pair"], pairs))
        return [self.section("contributions", "compliance.attribution", [], tables)]

    def nodes(self) -> dict[str, Any]:
        rows = [
            [
                self.names[row["node"]],
                say(f"state.{row['state']}", self.lang),
                row["value"] or "–",
                _signed(row["phi"]),
                row["pipl_class"],
                self.semi.join(row["basis"]),
            ]
            for row in self.c["nodes"]
        ]
        header = ["feature", "state", "value", "phi", "class", "basis"]
        table = self.table("all_nodes", [2.9, 1.5, 2.6, 1.4, 0.9, 2.4], header, rows)
        return self.section("all_nodes", "compliance.nodes", [], [table])

    def model(self) -> dict[str, Any]:
        c, words = self.c, self.words
        facts: Rows = [(key, value) for key, value in c["versions"].items()]
        if c["model"] is None:
            facts.append((self.h["origin"], words["model_gone"]))
        else:
            facts += [
                (
                    words["release"],
                    f"{row['release_id']}, k ≥ {row['k']}, {words['until_day']} {row['until'] or '–'}",
                )
                for row in c["model"]["releases"]
            ]
            by = [
                f"{row['by']} {row['at']} ({row['event']}, {row['mode']})" for row in c["model"]["approvals"]
            ]
            facts.append((words["approval"], self.comma.join(by) or self.nothing))
        facts += [(row["text"], self.comma.join(row["nodes"])) for row in c["blind_spots"]]
        facts += [(row["kind"], row["pseudonym"]) for row in c["entity_context"]]
        facts += [
            (key.removesuffix("_ref").upper(), c["assessments"][key] or "–") for key in c["assessments"]
        ]
        facts.append(
            (self.h["merchant_problems"], self.semi.join(c["merchant_problems"]) or words["complete"])
        )
        reviews = [self.semi.join(f"{k}: {v}" for k, v in entry.items()) for entry in c["review_log"]]
        facts += self.baseline()
        facts += [(self.h["review_log"], text) for text in reviews or [self.nothing]]
        return self.section("model", "compliance.model", facts)

    def baseline(self) -> Rows:
        told, words = self.c["baseline"], self.words
        if told is None:
            return []
        kind = f" ({say('provenance.' + told['provenance'], self.lang)})" if told["provenance"] else ""
        return [
            (words["baseline_id"], told["id"] + kind),
            (words["release"], self.comma.join(told["releases"]) or self.nothing),
            (words["reference_baseline"], told["reference"]),
            (words["device_class"], told["device_class"]),
            (words["unseen_nodes"], self.comma.join(told["unseen"]) or self.nothing),
        ]

    def register(self) -> dict[str, Any]:
        rows = [
            [row["text"], row["ground_text"], row["approver"], row["date"]]
            for row in self.c["withheld_from_subject"]
        ]
        header = ["field", "withheld_ground", "approved", "date"]
        table = self.table("register", [4, 1.4, 2, 1.4], header, rows)
        return self.section("register", "compliance.withheld_from_subject", [], [table])

    def rules(self) -> dict[str, Any]:
        rules, words = self.r["rules"], self.words
        facts: Rows = [(self.h["rules"], rules["statement"]), (words["tree"], rules["tree"] or "–")]
        for key in ("gates", "patterns", "sub_patterns"):
            facts.append((words[key], self.comma.join(rules[key]) or self.nothing))
        return self.section("rules", "rules", facts)

    def authority(self) -> list[dict[str, Any]]:
        a, words = self.r["authority"], self.words
        expected = a["replay"]["expected"]
        facts: Rows = [
            (words["reference"], f"{a['reference']['text']} ({a['reference']['id']})"),
            (words["reference_digest"], a["reference"]["subgraph_sha256"]),
            *((words[f"digest_{key}"], digest or "–") for key, digest in a["hashes"].items()),
            (words["availability"], a["replay"]["availability"] or "–"),
            (words["expected"], say(f"verdict.{expected['verdict']}", self.lang)),
            *(
                (words[key], "–" if expected[key] is None else repr(expected[key]))
                for key in ("logit", "probability")
            ),
            (self.h["packed"], a["replay"]["subgraph_base64"]),
        ]
        rows = [
            [
                row["node"],
                say(f"state.{row['state']}", self.lang),
                self.semi.join(f"{name} {_number(value)}" for name, value in row["components"].items()),
            ]
            for row in a["vector"]
        ]
        table = self.table("vector", [0.7, 1.3, 8], ["feature", "state", "components"], rows)
        return [self.section("replay", "authority", facts, [table])]


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}" if value else "0"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.7g}"
