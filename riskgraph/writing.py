"""What one merchant's profile makes of a decision: mode, action, and the record that its reports are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from riskgraph.core.baseline_view import Views
from riskgraph.core.order import Order
from riskgraph.core.report import Attribution, Counterfactual, Decision, DecisionReport
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import DecisionTree, OrderScore, Scale, Walk
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.record import build_report
from riskgraph.explainers.texts import language
from riskgraph.explainers.wording import reason_text
from riskgraph.ports import Clock, Scorer
from riskgraph.recorded import policy_digest

SIMULATED = "simulated"


def class_without_consent(availability: str) -> str:
    """Availability class of the same order had the shopper refused all optional data."""
    return availability.replace("/front_end", "/refused")


@dataclass(frozen=True)
class MerchantReportWriter:
    """Writes report records under one merchant's profile."""

    profile: MerchantProfile
    tree: DecisionTree
    clock: Clock
    scorer: Scorer | None
    enforces_for: frozenset[str] = frozenset()
    parity: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    views: Views = field(default_factory=Views)

    def mode(self, merchant_id: str) -> str:
        """``enforce`` only where an own model was promoted for this merchant, or in a simulated shop."""
        if self.profile.simulated:
            return self.profile.mode
        # Without a model it is degraded_policy that acts: a shop that enforces must not fail open.
        own = self.scorer is None or self.scorer.provenance != SIMULATED
        return "enforce" if own and merchant_id in self.enforces_for else "observe"

    @cached_property
    def model_provenance(self) -> str:
        own = self.scorer is None or self.scorer.provenance != SIMULATED
        return "merchant" if own else SIMULATED

    @property
    def simulated(self) -> bool:
        return self.profile.simulated

    @cached_property
    def provenance(self) -> str:
        return SIMULATED if self.profile.simulated else self.model_provenance

    def scale_without_consent(self, score: OrderScore | None) -> Scale | None:
        """What the order would have been judged on had the shopper refused all optional data."""
        if score is None or self.scorer is None:
            return None
        return self.scorer.scale(class_without_consent(score.availability))

    def action_for(self, order: Order, walk: Walk, *, degraded: bool) -> tuple[str, str]:
        if self.mode(order.merchant_id) == "observe":
            return "none", "observe"
        # Without a score there is no walk to act on; the merchant's own policy decides.
        if degraded:
            return self.profile.degraded_action(order.amount, order.currency), "enforce"
        return walk.action, "enforce"

    def write(
        self,
        order: Order,
        subgraph: OrderSubgraph,
        score: OrderScore | None,
        walk: Walk,
        attribution: Attribution | None,
        decision_id: str,
        action: str,
        mode: str,
        degraded_cause: str | None,
        context_source: str,
        counterfactual: Counterfactual | None = None,
    ) -> DecisionReport:
        view = self.views.of(order.merchant_id)
        issued = datetime.fromtimestamp(self.clock.now(), UTC).isoformat(timespec="milliseconds")
        return build_report(
            order,
            subgraph,
            walk=walk,
            score=score,
            attribution=attribution,
            decision_id=decision_id,
            issued_at=issued,
            action=action,
            mode=mode,
            versions=self.versions(None if view is None else view.baseline_id),
            provenance=self.model_provenance,
            bare=self.scale_without_consent(score),
            parity=self.parity.get(order.phase),
            degraded_cause=degraded_cause,
            context=context_source,
            counterfactual=counterfactual,
            baseline=None if view is None else view.told(subgraph),
        )

    def versions(self, baseline_id: str | None) -> dict[str, str]:
        """What an order is decided by, with the merchant's baseline if there is a view."""
        model = self.scorer.versions if self.scorer else {"model": "none", "model_sha256": ""}
        tree = {"tree": self.tree.version, "tree_sha256": self.tree.sha256}
        baseline = {} if baseline_id is None else {"baseline": baseline_id}
        return {**model, **baseline, **tree, "policy": self.policy}

    @cached_property
    def policy(self) -> str:
        return policy_digest(self.profile)

    def review_due(self, decision: Decision) -> float | None:
        if decision.action != "hold":
            return None
        return self.clock.now() + 3600.0 * self.profile.review_hours

    def texts(self, report: DecisionReport, subgraph: OrderSubgraph, lang: str) -> list[str]:
        return [reason_text(reason, subgraph, language(lang)) for reason in report.reasons]
