"""Whether reasons and counterfactuals are exact, faithful, few, and made within a decision's time."""

from __future__ import annotations

from collections.abc import Mapping
from time import thread_time_ns

import numpy as np
from numpy.typing import NDArray

from riskgraph import bootstrap
from riskgraph.bench import Figure
from riskgraph.bench.explain_ground import Ground, Judged, spread
from riskgraph.core.catalog import catalog
from riskgraph.core.report import Counterfactual
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import DecisionTree, OrderScore, Verdict
from riskgraph.explainers.acts import Option, changed, options
from riskgraph.explainers.brute import brute_force, keep_only
from riskgraph.explainers.counterfactual import find_counterfactual
from riskgraph.explainers.games import AnyExplainer
from riskgraph.explainers.reasons import choose_reasons
from riskgraph.models import Model
from riskgraph.models.timing import times_us
from riskgraph.writing import class_without_consent

ROUNDS = 3
BRUTE_ORDERS, PLAYERS = 6, 12
RANDOM_NODES, DRAWS, SEED = 4, 5, 0
SMALL = 3
_CONSENT = np.array([node.consent_needed for node in catalog()])


def inline(ground: Ground) -> list[Figure]:
    """Explanation, choice of reasons and counterfactual of flagged orders, beside the first two alone."""
    explainer = AnyExplainer()

    def bare(j: Judged) -> None:
        choose_reasons(explainer.explain(j.score), j.subgraph, j.walk.verdict)

    def whole(j: Judged) -> None:
        bare(j)
        find_counterfactual(j.subgraph, j.score, j.walk, ground.model, ground.tree)

    calls = {"whole": whole, "bare": bare}
    flagged, accepted = ground.flagged, [j for j in ground.judged if not j.flagged]
    wall = _ms(times_us(calls, flagged, ROUNDS), 50, 99)
    cpu = _ms(times_us({"cpu": whole}, flagged, ROUNDS, clock_ns=thread_time_ns), 50, 99)["cpu"]
    beside = _ms(times_us({"accepted": whole}, accepted, ROUNDS), 50)["accepted"]
    note = (
        f"{len(flagged)} flagged simulated orders, {ROUNDS} rounds, one thread, score not counted; CPU time "
        f"of the thread p50 {cpu[0]:.3f}, p99 {cpu[1]:.3f}; accepted orders, which have no counterfactual: "
        f"p50 {beside[0]:.3f}; baseline: without it"
    )
    return [
        Figure(f"inline_ms_p{percent}", own, "ms", note, baseline=without)
        for percent, own, without in zip((50, 99), wall["whole"], wall["bare"], strict=True)
    ]


def _ms(times: Mapping[str, NDArray[np.float64]], *percents: int) -> dict[str, list[float]]:
    """Percentiles of microseconds, in milliseconds."""
    return {name: [float(np.percentile(us, p)) / 1e3 for p in percents] for name, us in times.items()}


def additivity(ground: Ground) -> list[Figure]:
    """Contributions against the score that they explain."""
    explainer, worst = AnyExplainer(), 0.0
    for judged in ground.judged:
        whole = judged.score.logit - judged.score.offset
        gap = abs(float(explainer.explain(judged.score).phi.sum()) - whole)
        worst = max(worst, gap / max(1.0, abs(whole)))
    note = f"{len(ground.judged)} simulated orders; gap by the size of what is explained, at least 1 logit"
    return [Figure("additivity", worst, "1", note)]


def brute_force_error(ground: Ground) -> list[Figure]:
    """Contributions against Shapley values by their definition, of orders cut down to twelve nodes."""
    explainer, worst = AnyExplainer(), 0.0
    for done, judged in enumerate(spread(ground.flagged, BRUTE_ORDERS)):
        ground.progress("all coalitions", done, BRUTE_ORDERS)
        largest = np.argsort(-np.abs(explainer.explain(judged.score).phi))[:PLAYERS].tolist()
        small, availability = keep_only(judged.subgraph, largest), judged.score.availability
        phi = explainer.explain(ground.model.score(small, availability)).phi
        worst = max(worst, float(np.abs(phi - brute_force(small, ground.model, availability)).max()))
    note = f"{BRUTE_ORDERS} flagged simulated orders with the {PLAYERS} nodes that count most; logits"
    return [Figure("brute_force_error", worst, "logit", note)]


def fidelity(ground: Ground) -> list[Figure]:
    """Whether a flagged verdict turns milder without the nodes of its reasons, beside random nodes."""
    explainer, rng = AnyExplainer(), np.random.default_rng(SEED)
    turned, named = [], []
    drawn: list[bool] = []
    as_many: list[bool] = []
    for judged in ground.flagged:
        chosen = choose_reasons(explainer.explain(judged.score), judged.subgraph, judged.walk.verdict)
        nodes = {catalog()[key].index for reason in chosen.reasons for key in reason.nodes}
        turned.append(_turns(ground, judged, nodes))
        named.append(len(nodes))
        there = np.flatnonzero(judged.subgraph.present)
        for count, kept in ((RANDOM_NODES, drawn), (len(nodes), as_many)):
            kept += [
                _turns(ground, judged, set(rng.permutation(there)[:count].tolist())) for _ in range(DRAWS)
            ]
    note = (
        f"{len(turned)} flagged simulated orders; the nodes of at most four reasons reset to absent "
        f"({np.mean(named):.1f} nodes on average, {max(named)} at most); baseline: {RANDOM_NODES} random "
        f"present nodes, {DRAWS} draws an order; as many random nodes as they name {np.mean(as_many):.4f}"
    )
    return [Figure("fid_plus_4", float(np.mean(turned)), "1", note, baseline=float(np.mean(drawn)))]


def _turns(ground: Ground, judged: Judged, without: set[int]) -> bool:
    kept = [node for node in np.flatnonzero(judged.subgraph.present).tolist() if node not in without]
    score = ground.model.score(keep_only(judged.subgraph, kept), judged.score.availability)
    return ground.tree.walk(score).verdict.milder(judged.walk.verdict)


def without_consent(ground: Ground) -> list[Figure]:
    """Rejects of which the report says that they are none without all data given by consent (0034).

    Each is scored again without these data, on the scale of orders that refuse them, by bands as the report
    says it; beside that with the tree's gates, and on the order's own scale.
    """
    rejects = [judged for judged in ground.judged if judged.walk.verdict is Verdict.REJECT]
    band, walked, own = [], [], []
    for judged in rejects:
        kept = keep_only(judged.subgraph, np.flatnonzero(judged.subgraph.present & ~_CONSENT).tolist())
        score = ground.model.score(kept, class_without_consent(judged.score.availability))
        band.append(_below_reject(score))
        walked.append(ground.tree.walk(score).verdict is not Verdict.REJECT)
        own.append(_below_reject(ground.model.score(kept, judged.score.availability)))
    optional = sum(bool((judged.subgraph.present & _CONSENT).any()) for judged in rejects)
    note = (
        f"{sum(band)} of {len(rejects)} simulated rejects, of which {optional} have data given by consent; "
        f"on the scale of refusers, by bands as the report says it; with the tree's gates {sum(walked)}; "
        f"on the scale of the order itself {sum(own)}"
    )
    return [Figure("rejects_flip_without_consent", float(np.mean(band)), "1", note)]


def _below_reject(score: OrderScore) -> bool:
    return score.probability < score.thresholds.reject


def counterfactuals(ground: Ground) -> list[Figure]:
    """Counterfactuals scored again by a model loaded anew, from subgraphs that were packed and unpacked."""
    model, tree = bootstrap.serving_model(ground.settings)[0], bootstrap.load_tree(ground.settings)
    counts, touched, held, none = [], [], [], 0
    for judged in ground.flagged:
        found = find_counterfactual(judged.subgraph, judged.score, judged.walk, ground.model, ground.tree)
        if found is None or not found.acts:
            none += 1
            continue
        order = OrderSubgraph.unpack(judged.subgraph.pack())
        chosen = [option for option in options(order) if option.act.code in found.acts]
        held.append(verified(order, chosen, found, judged, model, tree))
        counts.append(len(found.acts))
        touched.append(sum(len(option.moved) for option in chosen))
    small = np.array(counts) <= SMALL
    note = f"{len(counts)} flagged simulated orders that have one, {none} have none; by a model loaded anew"
    few = (
        f"of the simulated orders that have one: things done otherwise {_shares(counts)}; at most "
        f"{SMALL} nodes follow from them in "
        f"{np.mean(np.array(touched) <= SMALL):.4f}, {max(touched)} at most"
    )
    return [
        Figure("counterfactual_verified", float(np.mean(held)), "1", note),
        Figure("counterfactual_small", float(np.mean(small)), "1", few),
    ]


def verified(
    order: OrderSubgraph,
    chosen: list[Option],
    found: Counterfactual,
    judged: Judged,
    model: Model,
    tree: DecisionTree,
) -> bool:
    """Whether the acts are there, give no absent data, and lead to the milder verdict that is named."""
    after = changed(order, chosen)
    if len(chosen) != len(found.acts) or (after.present & ~order.present).any():
        return False
    checked = OrderSubgraph(after.states, after.components, after.shares)
    verdict = tree.walk(model.score(checked, judged.score.availability)).verdict
    return verdict is found.verdict and verdict.milder(judged.walk.verdict)


def _shares(counts: list[int]) -> str:
    return ", ".join(f"{count} in {np.mean(np.array(counts) == count):.4f}" for count in sorted(set(counts)))


PARTS = {
    inline: ("inline_ms_p50", "inline_ms_p99"),
    additivity: ("additivity",),
    brute_force_error: ("brute_force_error",),
    fidelity: ("fid_plus_4",),
    without_consent: ("rejects_flip_without_consent",),
    counterfactuals: ("counterfactual_verified", "counterfactual_small"),
}
