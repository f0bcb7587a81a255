"""A stored decision, computed again: it matches, or the first thing that does not is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from riskgraph import bootstrap, replaying, writing
from riskgraph.core.catalog import catalog
from riskgraph.core.report import Counterfactual, DecisionReport
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import DecisionTree, Verdict, Walk
from riskgraph.explainers.acts import acts_sha256
from riskgraph.explainers.counterfactual import find_counterfactual
from riskgraph.explainers.games import AnyExplainer, explainer_of
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.replay import replay
from tests.api.conftest import order
from tests.explainers.helpers import GameScorer, some_record
from tests.models.helpers import random_model
from tests.support.cli import riskgraph
from tests.support.sealed import reseal


def asked(**changes):
    granted = order()["consent"]
    granted["purposes"] = dict.fromkeys(granted["purposes"], True)
    return order(signals=order()["signals"] | {"B085": "unavailable"}, consent=granted, **changes)


def again(shop, decision, role="compliance"):
    path = f"/v1/decisions/{decision['decision_id']}/replay"
    return shop.client.get(path, headers=shop.headers(role))


def alter(shop, decision_id: str, **changes) -> None:
    """Change what was committed, behind the service's back."""
    alter_sealed(shop, decision_id, record=lambda kept: replace(kept, **changes))


def alter_sealed(shop, decision_id: str, **changed) -> None:
    reseal(shop.settings.home / "riskgraph.db", bootstrap.open_secrets(shop.settings), decision_id, **changed)


@pytest.mark.parametrize("kind", ["shop", "tree_shop"])
def test_every_decision_comes_out_byte_for_byte(kind, request):
    shop = request.getfixturevalue(kind)
    refused = order(order_id="A-3")
    refused["consent"]["purposes"] = dict.fromkeys(refused["consent"]["purposes"], False)
    bodies = [asked(), asked(attempt=2), asked(order_id="A-2", lang="zh"), refused]
    for body in bodies:
        decision = shop.decide(body).json()
        assert not decision["degraded"]
        told = again(shop, decision).json()
        assert (told["matches"], told["same_bytes"], told["first_difference"]) == (True, True, None)
        assert (told["verdict"], told["path"]) == (decision["verdict"], decision["path"])
        assert told["versions"] == decision["versions"]


def test_the_as_of_context_lies_in_the_stored_subgraph_and_no_later_order_changes_it(shop):
    first = shop.decide(asked()).json()
    for number in range(5):
        shop.decide(asked(order_id=f"B-{number}", placed_at="2026-11-11T12:30:00+08:00"))
    told = again(shop, first).json()
    assert told["matches"]
    context = told["context"]
    assert (context["source"], context["stored_in"], context["computed_nodes"]) == ("local", "subgraph", 37)
    record = shop.service.store.read_record(first["decision_id"]).report
    subgraph = OrderSubgraph.unpack(record.subgraph)
    computed = [n for n in catalog() if n.computed_by == "riskgraph"]
    assert context["present"] == sum(subgraph.value(n.id) is not None for n in computed) > 0


@pytest.mark.parametrize("cause", ["model_unavailable", "history_unavailable"])
def test_a_degraded_decision_is_replayed_under_the_merchants_policy(shop, cause, caplog):
    class Broken:
        async def read_context(self, order):
            raise OSError

    part = {"store": Broken()} if cause == "history_unavailable" else {"scorer": None}
    line = replace(shop.service.line, **part)
    if cause == "model_unavailable":
        line = replace(line, writer=replace(line.writer, scorer=None))
    shop.service.line = line
    large = asked(amount={"value": "90000.00", "currency": "CNY"})
    decision = shop.decide(large).json()
    assert (decision["degraded_cause"], decision["action"]) == (cause, "hold")
    assert ("the history cannot be read: OSError" in caplog.text) == (cause == "history_unavailable")
    assert again(shop, decision).json()["matches"]


def test_a_context_that_nobody_read_cannot_have_filled_a_node(shop):
    decision = shop.decide(asked()).json()
    record = shop.service.store.read_record(decision["decision_id"]).report
    alter(shop, decision["decision_id"], score={**record.score, "context": "none"})
    told = again(shop, decision).json()
    assert told["first_difference"]["field"].startswith("subgraph.B")


def bent(record: DecisionReport, what: str) -> dict:
    """One change of a record."""
    if what == "phi":
        phi = np.frombuffer(record.phi).copy()
        phi[16] = np.nextafter(phi[16], 9.0)
        return {"phi": phi.tobytes()}
    if what == "subgraph":
        node = next(r.nodes[0] for r in (*record.reasons, *record.mitigating))
        return {"subgraph": OrderSubgraph.unpack(record.subgraph).without(node).pack()}
    if what == "reasons":
        return {"reasons": tuple(reversed(record.mitigating)) or record.reasons[:-1]}
    if what == "provenance":
        return {"provenance": "merchant"}
    if what == "placed_at":
        return {"order": {**record.order, "placed_at": "2026-11-11T12:03:05+08:00"}}
    values = {"verdict": "accept", "action": "block", "mode": "observe", "path": ["leaf:none"], "logit": 9.0}
    if record.score["verdict"] == "accept":
        values["verdict"] = "reject"
    return {"score": {**record.score, what: values[what]}}


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("verdict", "score.verdict"), ("action", "score.action"), ("mode", "score.mode"),
        ("path", "score.path"), ("logit", "score.logit"), ("phi", "phi.B017"), ("reasons", "reasons"),
        ("provenance", "provenance"), ("placed_at", "order.trace_id"), ("subgraph", "score."),
    ],
)  # fmt: skip
def test_a_record_that_was_changed_is_named_and_the_command_exits_with_3(shop, what, named):
    decision = shop.decide(asked()).json()
    name = decision["decision_id"]
    record = shop.service.store.read_record(name).report
    alter(shop, name, **bent(record, what))
    told = again(shop, decision).json()
    assert told["matches"] is False
    assert told["first_difference"]["field"].startswith(named)
    shop.service.close()
    ran = riskgraph("report", "replay", name, "--json", home=shop.settings.home, environment=at(shop))
    assert ran.code == 3
    assert named in ran.error
    assert json.loads(ran.out)["first_difference"] == told["first_difference"]


def at(shop) -> dict[str, str]:
    return {"RISKGRAPH_MODEL": str(shop.settings.model)}


def test_an_answer_that_was_changed_is_named(shop):
    decision = shop.decide(asked()).json()
    forged = json.dumps(decision | {"score": 0.0001}).encode()
    alter_sealed(shop, decision["decision_id"], answer=lambda kept: forged)
    assert again(shop, decision).json()["first_difference"]["field"] == "answer.score"


def test_another_wording_is_told_and_is_no_mismatch(shop, monkeypatch):
    decision = shop.decide(asked()).json()
    monkeypatch.setattr(writing, "reason_text", lambda *_: "better words")
    told = again(shop, decision).json()
    assert (told["matches"], told["same_bytes"]) == (True, False)


def test_the_command_finds_a_promoted_model_by_its_digest(shop):
    decision = shop.decide(asked()).json()
    shop.service.close()
    home = shop.settings.home
    shutil.copytree(shop.settings.model, home / "models" / "anything")
    (home / "models" / "damaged").mkdir()
    (home / "models" / "damaged" / "card.json").write_text("{")
    ran = riskgraph("report", "replay", decision["decision_id"], home=home)
    assert ran.code == 0, ran.err
    assert b"matches" in ran.out


def an_older_line(shop, what: str, old: Path):
    """The shop's line under a version that is neither configured nor shipped, which then lies in ``old``."""
    line = shop.service.line
    if what == "merchant":
        old.write_text(bootstrap.example_merchant().replace("Head of Legal", "Head of Law"), "utf-8")
        return replace(line, writer=replace(line.writer, profile=MerchantProfile.load(old)))
    if what == "tree":
        data = {**line.tree.data, "version": "8"}
        old.write_text(json.dumps(data), "utf-8")
        tree = DecisionTree.parse(data)
        return replace(line, tree=tree, writer=replace(line.writer, tree=tree))
    scorer = random_model(old, seed=9)
    return replace(line, scorer=scorer, writer=replace(line.writer, scorer=scorer))


@pytest.mark.parametrize("what", ["model", "tree", "merchant"])
def test_a_version_that_is_not_there_any_more_is_named_and_can_be_given(shop, what, tmp_path):
    old = tmp_path / "old"
    shop.service.line = an_older_line(shop, what, old)
    decision = shop.decide(asked()).json()
    answer = again(shop, decision)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "version_missing")
    assert f"--{what}" in answer.json()["error"]["message"]
    shop.service.close()
    command = "report", "replay", decision["decision_id"]
    ran = riskgraph(*command, home=shop.settings.home, environment=at(shop))
    assert ran.code == 1
    assert f"--{what}" in ran.error
    found = riskgraph(*command, f"--{what}", old, home=shop.settings.home, environment=at(shop))
    assert found.code == 0, found.err


def test_a_decision_under_another_catalogue_is_not_compared(shop):
    decision = shop.decide(asked()).json()
    forged = decision | {"versions": decision["versions"] | {"catalog": "0"}}
    alter_sealed(shop, decision["decision_id"], answer=lambda kept: json.dumps(forged).encode())
    answer = again(shop, decision)
    assert (answer.status_code, answer.json()["error"]["field"]) == (409, "versions.catalog")


def test_another_merchant_and_a_checkout_key_learn_nothing(shop):
    decision = shop.decide(asked()).json()
    assert again(shop, decision, "other").status_code == 404
    assert again(shop, decision, "checkout").status_code == 403


@pytest.mark.parametrize("pairs", [2, 7])
def test_estimated_contributions_come_out_with_the_pairs_that_the_record_tells(shop, pairs):
    line = replace(shop.service.line, scorer=GameScorer(3, deep=1.0))
    line = replace(line, writer=replace(line.writer, scorer=line.scorer))
    shop.service.line = replace(line, explainer=AnyExplainer(pairs))
    decision = shop.decide(asked()).json()
    found = shop.service.store.read_record(decision["decision_id"])
    told_by_the_record = replace(line, explainer=explainer_of(found.report))
    assert not replay(found.report, found.answer, told_by_the_record).differences
    other = replay(found.report, found.answer, replace(line, explainer=AnyExplainer(pairs + 1)))
    assert other.differences


def test_a_counterfactual_of_another_table_of_acts_is_taken_as_it_stands():
    told = Counterfactual(("card_details",), Verdict.ACCEPT, "exact", 1, acts_sha256())
    walk = Walk(Verdict.REVIEW, "hold", ("leaf:review",))
    mine = some_record(1, walk=walk, counterfactual=told)
    assert replaying._finder(mine) is find_counterfactual
    older = some_record(1, walk=walk, counterfactual=replace(told, table="0" * 64))
    finder = replaying._finder(older)
    assert finder is not None
    assert finder() == replace(told, table="0" * 64)
    assert [replaying._compared(record) for record in (mine, older)] == ["sought_again", "as_stored"]
