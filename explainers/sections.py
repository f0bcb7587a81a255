"""The parts of a report that the data subject may read (tier 1), for every audience."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from riskgraph.core.catalog import FAMILIES, NodeSpec, catalog
from riskgraph.core.report import DecisionReport, Reason
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.explainers.afterwards import Afterwards, day
from riskgraph.explainers.merchant import RECIPIENT, MerchantProfile
from riskgraph.explainers.reasons import RELIEF
from riskgraph.explainers.standing import AS_DECIDED, Standing
from riskgraph.explainers.texts import say, table
from riskgraph.explainers.values import concerns_others, label, spaced, value_text
from riskgraph.explainers.wording import reason_text

SENSITIVE = ("rhythm", "motion", "location", "payment")
SOLELY = ("solely", "step_up")
LAWS = {"gdpr": ("EU",), "pipl": ("CN",), "both": ("EU", "CN")}
# From half on, what is not told outweighs the reasons.
MOST = 0.5
SHORTEST_MONTH = 28
TAG = {"zh": "zh-Hans", "en": "en"}


@dataclass(frozen=True)
class View:
    """One record as one reader sees it."""

    record: DecisionReport
    subgraph: OrderSubgraph
    merchant: MerchantProfile
    audience: str
    law: str
    lang: str
    standing: Standing = AS_DECIDED

    @property
    def after(self) -> Afterwards:
        """What happened since: objections and human review."""
        return self.standing.after

    @property
    def observed(self) -> bool:
        """Whether nothing was done: the verdict was only recorded."""
        return bool(self.record.score["mode"] == "observe")

    @property
    def degraded(self) -> bool:
        return self.record.score["degraded_cause"] is not None

    @property
    def compliance(self) -> bool:
        """Whether the reader sees tier 2: everyone but the data subject does."""
        return self.audience != "subject"

    @property
    def jurisdictions(self) -> tuple[str, ...]:
        """Jurisdictions whose bases and authorities the report names."""
        own = str(self.record.order["jurisdiction"])
        return (*LAWS[self.law], "other") if own == "other" else LAWS[self.law]

    def say(self, key: str, **values: object) -> str:
        return say(key, self.lang, **values)

    def then(self, text: str) -> str:
        """A text about the decision as it was made; dated, once a person's verdict holds in its place."""
        if self.after.told["stands"] is None:
            return text
        at = datetime.fromisoformat(self.record.issued_at).timestamp()
        return self.say("then.text", day=day(at, self.lang), text=text)

    def stated(self, path: str) -> str:
        """The merchant's text, or the statement that the merchant gives none."""
        return self.merchant.text(path, self.lang) or self.say("missing.field")

    def present(self) -> Iterator[NodeSpec]:
        return (node for node in catalog() if self.subgraph.state(node.id) is State.PRESENT)


def identity(view: View) -> dict[str, Any]:
    """Who decides and on what (GDPR Art. 13(1)(a), (b); PIPL Art. 17, 52, 53)."""
    order = view.record.order
    keys = ("order_id", "trace_id", "channel_code", "attempt", "phase", "placed_at", "amount", "currency")
    people: dict[str, Any] = {
        role: {part: view.stated(f"{role}.{part}") for part in parts}
        for role, parts in (
            ("controller", ("name", "address", "contact")),
            ("representative", ("name", "contact")),
            ("dpo", ("name", "contact")),
        )
    }
    if not view.merchant.text("representative.name", view.lang):
        # Only controllers elsewhere need one (GDPR Art. 27; PIPL Art. 53).
        people["representative"] = None
    return {
        "order": {**{key: order[key] for key in keys}, "jurisdiction": order["jurisdiction"]},
        **people,
        "provenance": provenance(view),
    }


def provenance(view: View) -> dict[str, Any]:
    """Simulated is called simulated, in every report (GDPR Art. 5(1)(a); PIPL Art. 7)."""
    model, merchant = view.record.provenance == "simulated", view.merchant.simulated
    key = "both" if model and merchant else "model" if model else "merchant" if merchant else None
    return {
        "model": view.record.provenance,
        "merchant": "simulated" if merchant else "merchant",
        "simulated": model or merchant,
        "statement": view.say(f"simulated.{key}") if key else None,
    }


def decision(view: View) -> dict[str, Any]:
    """Verdict, action and effect in plain words (GDPR Art. 15(1)(h); PIPL Art. 24)."""
    facts = view.record.score
    action = "none" if view.observed else str(facts["action"])
    verdict = "verdict_observed" if view.observed else "verdict"
    effect = view.say("effect.observe" if view.observed else f"effect.{action}")
    statement = None
    if view.degraded:
        statement = view.then(view.say("degraded.goes_on" if action == "none" else "degraded.statement"))
    return {
        "verdict": facts["verdict"],
        "verdict_text": view.then(view.say(f"{verdict}.{facts['verdict']}")),
        "action": facts["action"],
        "action_text": view.say(f"action.{facts['action']}"),
        "mode": facts["mode"],
        "effect": view.then(effect),
        "duration": view.then(spaced(view.say(f"duration.{action}", hours=_hours(view)), view.lang)),
        "degraded": view.degraded,
        "degraded_statement": statement,
    }


def automation(view: View) -> dict[str, Any]:
    """Whether a person took part, and on which ground not (GDPR Art. 22(1)-(3); PIPL Art. 24(3))."""
    facts = view.record.score
    key = _automation(facts["mode"], facts["action"], view.degraded)
    held = key in ("person", "fallback")
    return {
        "solely_automated": key in SOLELY,
        "statement": view.say(f"automation.{key}"),
        "art22_ground": ground(view) if key in SOLELY and "EU" in view.jurisdictions else None,
        "human_role": {
            "who": view.stated("human_review.who"),
            "authority": view.stated("human_review.authority"),
            "when": view.then(_when(view, key)),
            "deadline_hours": view.merchant.get("human_review.deadline_hours") if held else None,
        },
    }


def ground(view: View) -> dict[str, Any]:
    """On which ground a decision may be made by automated means alone (GDPR Art. 22(2))."""
    return {"ground": view.merchant.get("art22.ground"), "text": view.stated("art22.text")}


def _when(view: View, key: str) -> str:
    """Orders on hold wait for a person; else somebody has to ask, and is answered like any request."""
    answer = answer_within(view, str(view.record.order["jurisdiction"]))
    return spaced(view.say(f"human_when.{key}", hours=_hours(view), answer=answer), view.lang)


def answer_within(view: View, jurisdiction: str) -> str:
    """Until when a request is answered (GDPR Art. 12(3); GB/T 35273-2020, 8.7)."""
    days = view.merchant.answer_days(jurisdiction)
    return view.say("answer.month" if days > SHORTEST_MONTH else "answer.days", n=days)


def _hours(view: View) -> Any:
    return view.merchant.get("human_review.deadline_hours") or "–"


def _automation(mode: str, action: str, degraded: bool) -> str:
    """Who acted: it follows from what was done, not from the verdict's name."""
    if degraded:
        return "fallback" if mode != "observe" and action == "hold" else "none"
    if mode == "observe":
        return "observe"
    if action == "hold":
        return "person"
    return "step_up" if action == "step_up" else "solely"


def reason(view: View, chosen: Reason) -> dict[str, Any]:
    """One reason in both languages; its exact share is for compliance (GDPR Art. 15(1)(h), 15(4))."""
    nodes = [catalog()[key] for key in chosen.nodes]
    out: dict[str, Any] = {
        "code": chosen.code,
        "text_zh": reason_text(chosen, view.subgraph, "zh"),
        "text_en": reason_text(chosen, view.subgraph, "en"),
        "direction": chosen.direction,
        "band": chosen.band,
        "interaction_of": list(chosen.nodes) if len(nodes) > 1 else [],
        "own_facts": [fact(view, node) for node in nodes],
    }
    if view.compliance:
        out["share"] = chosen.share
    return out


def fact(view: View, node: NodeSpec) -> dict[str, Any]:
    value = view.subgraph.value(node.id)
    return {
        "node": node.id,
        "label": label(node, view.lang),
        "value": spaced(value_text(node, value, view.lang, exact=view.compliance), view.lang),
    }


def reasons(view: View) -> dict[str, Any]:
    """At most four reasons and what speaks against them (C-203/22; PIPL Art. 24(3))."""
    record = view.record
    accepted = record.score["verdict"] == "accept"
    against = record.mitigating
    if not view.compliance:
        # A subject is told what helped, not which further suspicions an accepted order raised.
        against = tuple(r for r in against if r.direction == RELIEF)
    if view.degraded:
        statement = view.say("degraded.no_reasons")
    elif record.reasons:
        statement = view.say("reasons.intro_relief" if accepted else "reasons.intro_risk")
    else:
        statement = view.say("reasons.none_relief" if accepted else "reasons.none_risk")
    other: dict[str, Any] = other_factors(view)
    return {
        "reasons": [reason(view, r) for r in record.reasons],
        "reasons_statement": statement,
        "mitigating_factors": [reason(view, r) for r in against],
        "other_factors": other,
    }


def other_factors(view: View) -> dict[str, Any]:
    """What the reasons leave out, in words for the subject (GDPR Art. 5(1)(a); PIPL Art. 24(1))."""
    share = view.record.other_share
    word = "none" if share < 1e-9 else "little" if share < 0.25 else "some" if share < MOST else "much"
    out: dict[str, Any] = {"word": word, "text": view.say(f"other.{word}")}
    if view.compliance:
        out["share"] = share
    return out


def data_used(view: View) -> list[dict[str, Any]]:
    """The subject's own values, each with source, class and retention (GDPR Art. 15(1); PIPL Art. 17)."""
    consent, own = view.record.order["consent"]["record_id"], str(view.record.order["jurisdiction"])
    rows = []
    for node in view.present():
        kept = f"retention.{own}.{node.retention_class}"
        rows.append(
            {
                **fact(view, node),
                "category": family(node.family, view.lang),
                "source": view.say(f"source.{node.source}"),
                "collected": view.say(f"collected.{node.source}"),
                "necessary": node.pipl_class == "N",
                "necessity": view.say(f"necessity.{_necessity(node)}"),
                "sensitive": node.sensitive,
                "data_class": node.retention_class,
                "data_class_text": view.say(f"data_class.{node.retention_class}"),
                "retention": view.stated(kept),
                "retention_until": _until(view, kept),
                "consent_ref": consent if node.consent_needed else None,
                "withheld": not view.compliance and concerns_others(node),
            }
        )
    return rows


def _necessity(node: NodeSpec) -> str:
    if node.consent_needed:
        return "optional"
    return "needed" if node.pipl_class == "N" else "record"


def sensitive_data(view: View) -> str:
    """Which sensitive information was at hand, why, and what it means for the person (PIPL Art. 28-30)."""
    kinds = {_kind_of_sensitive(node) for node in view.present() if node.sensitive}
    if not kinds:
        return view.say("sensitive.none")
    parts = ["used", *(kind for kind in SENSITIVE if kind in kinds), "unused" if view.degraded else "effect"]
    return ("" if view.lang == "zh" else " ").join(view.say(f"sensitive.{part}") for part in parts)


def _kind_of_sensitive(node: NodeSpec) -> str:
    if node.family in ("PAY", "GRF"):
        return "payment"
    return node.purpose if node.purpose in SENSITIVE else "rhythm"


def family(code: str, lang: str) -> str:
    english, chinese = FAMILIES[code]
    return chinese if lang == "zh" else english.capitalize()


def processing(view: View) -> dict[str, Any]:
    """Purpose, bases, recipients, retention (GDPR Art. 13(1), 15(1), 5(1)(e); PIPL Art. 17, 19, 23, 38)."""
    classes = ("contract_record", "optional")
    own = str(view.record.order["jurisdiction"])
    return {
        "purpose": view.stated("purpose.text"),
        "legal_basis": [
            {
                "jurisdiction": j,
                "data_class": c,
                "data_class_text": view.say(f"data_class.{c}"),
                "basis": view.stated(f"legal_basis.{j}.{c}"),
                "retention": view.stated(f"retention.{j}.{c}"),
            }
            for j in view.jurisdictions
            for c in classes
        ],
        "provision": view.say("provision.text"),
        "recipients": [
            {part: row.text(part, view.lang) or view.say("missing.field") for part in RECIPIENT}
            for row in view.merchant.recipients
        ],
        "transfers": view.stated("transfers.text"),
        "retention": {
            "report": view.stated(f"retention.{own}.report"),
            "report_until": _until(view, f"retention.{own}.report"),
            "legal_hold": view.standing.legal_hold,
            "erasure_state": view.standing.erasure_state,
            "erasure_text": view.say(f"erasure.{view.standing.erasure_state}"),
        },
    }


def _until(view: View, path: str) -> str | None:
    """Last day of a period of the merchant's, counted from the decision; None where it names no days."""
    days = view.merchant.get(f"{path}.days")
    return str(date.fromisoformat(view.record.issued_at[:10]) + timedelta(days=days)) if days else None


def logic(view: View) -> dict[str, Any]:
    """Procedure and principles in general terms (GDPR Art. 13(2)(f); C-203/22; PIPL Art. 24(1))."""
    profile = view.say("logic.profile")
    if view.record.provenance == "simulated":
        profile = view.say("logic.simulated_profile")
    used = list(dict.fromkeys(node.family for node in view.present()))
    why = table("law")["pertinence"]
    return {
        "text": summary(view),
        "profile": profile,
        "built": view.say("logic.built"),
        "categories": [
            {"category": family(code, view.lang), "pertinence": why[code][view.lang]} for code in used
        ],
    }


def summary(view: View) -> str:
    """How the score came about; where it is no sum of terms, how its parts were told apart."""
    explained = view.record.score.get("explained")
    parts = [view.say("logic.unused")] if view.degraded else []
    if explained is None:
        parts.append(view.say("logic.summary"))
    else:
        shares = view.say("logic.shares_exact" if explained["error"] is None else "logic.shares_estimated")
        parts += [view.say("logic.summary_joint"), shares]
    return ("" if view.lang == "zh" else " ").join(parts)


def objection(view: View) -> dict[str, str] | None:
    """The right to object, on its own (GDPR Art. 21(4)); None where the report is not about the GDPR."""
    if view.law == "pipl":
        return None
    told = table("law")["objection"]
    contact = view.stated("rights.contact")
    return {"law": "gdpr", "article": told["article"], "text": told["text"][view.lang] + contact}


def recourse(view: View) -> dict[str, Any]:
    """Rights, how to use them, and where to complain (GDPR Art. 12-22, 77, 79; PIPL Art. 44-50, 65)."""
    laws = ("gdpr", "pipl") if view.law == "both" else (view.law,)
    rows = [row for row in table("law")["rights"] if row["law"] in laws]
    return {
        "rights": {
            "list": [
                {**{k: row[k] for k in ("law", "right", "article")}, "text": row["text"][view.lang]}
                for row in rows
            ],
            "object": objection(view),
            "url": view.stated("rights.url"),
            "contact": view.stated("rights.contact"),
            "deadlines": [
                {"jurisdiction": j, "days": view.merchant.answer_days(j), "text": answer_within(view, j)}
                for j in view.jurisdictions
            ],
        },
        "complaint": [
            {
                "jurisdiction": j,
                **{part: view.stated(f"complaint.{j}.{part}") for part in ("authority", "url", "court")},
            }
            for j in view.jurisdictions
        ],
    }
