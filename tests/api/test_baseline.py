"""Orders by a merchant's baseline: a shop without one, what reports say, and what a replay needs."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO

import pytest
from pypdf import PdfReader
from starlette.testclient import TestClient

from riskgraph import bootstrap
from riskgraph.api.app import create_app
from riskgraph.core.baseline import BASELINE_FILE, Baseline, is_trajectory
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Conflict, Invalid, ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.governance.keys import create_key
from riskgraph.models.card import read_card
from riskgraph.models.compiled import write_card
from riskgraph.models.reference import open_seeing, views_of, write_reference
from riskgraph.models.registry import shipped_champion
from riskgraph.recorded import Given
from riskgraph.replaying import replay_stored
from riskgraph.settings import Settings
from tests.api.conftest import ORDER, Shop, order
from tests.explainers.helpers import random_subgraph
from tests.models.helpers import random_model
from tests.support.baselines import some_baseline

REFERENCE, OWN = some_baseline(1, provenance="simulated"), some_baseline(2, merchants=("m-17",))
HERE = [node.id for node in catalog() if is_trajectory(node) and node.id in ORDER["signals"]]


def profile_of(kind: str) -> MerchantProfile:
    demo = bootstrap.demo_profile()
    return demo if kind == "simulated" else MerchantProfile({**demo.data, "provenance": "merchant"})


def opened(tmp_path, kind, baseline=None):
    """A shop with a model that has a reference, of simulated origin."""
    random_model(tmp_path / "model", seed=3)
    (tmp_path / "model" / BASELINE_FILE).write_bytes(REFERENCE.to_bytes())
    settings = replace(Settings(), home=tmp_path / "home", model=tmp_path / "model", deadline_ms=60_000)
    if baseline is not None:
        (tmp_path / "own.json").write_bytes(baseline.to_bytes())
        settings = replace(settings, baseline=tmp_path / "own.json")
    service = bootstrap.open_service(settings, profile_of(kind))
    with bootstrap.open_keys(settings) as store:
        keys = {
            role: create_key(store, roles=[role], org="m-17", per_second=10_000)
            for role in ("checkout", "compliance", "auditor")
        }
        keys["other"] = create_key(store, roles=["checkout", "compliance"], org="m-99", per_second=10_000)
    return Shop(TestClient(create_app(service), raise_server_exceptions=False), service, keys, settings)


def asked():
    granted = order()["consent"]
    granted["purposes"] = dict.fromkeys(granted["purposes"], True)
    return order(consent=granted)


def report(shop, decision, audience, form="json", lang="en"):
    role = {"subject": "checkout", "compliance": "compliance", "authority": "auditor"}[audience]
    path = f"/v1/decisions/{decision['decision_id']}/report"
    asked_for = {"format": form, "audience": audience, "lang": lang}
    return shop.client.get(path, params=asked_for, headers=shop.headers(role))


def replayed(shop, decision, kind, **given):
    return replay_stored(
        shop.service.store, profile_of(kind), shop.settings, decision["decision_id"], given=Given(**given)
    )


def test_a_real_shop_without_a_baseline_is_not_judged_by_how_people_move_elsewhere(tmp_path):
    assert HERE
    shop = opened(tmp_path, "merchant")
    with shop.client:
        decision = shop.decide(asked()).json()
        assert decision["versions"]["baseline"] == "none"
        told = report(shop, decision, "compliance").json()
        assert told["compliance"]["baseline"]["unseen"] == HERE
        rows = {row["node"]: row for row in told["compliance"]["nodes"]}
        for node in HERE:
            assert (rows[node]["state"], rows[node]["phi"], rows[node]["own"]) == ("present", 0.0, 0.0)
        text = report(shop, decision, "subject").json()["logic_summary"]["baseline"]
        assert text.startswith("How you moved, touched and typed did not count")
        assert "baseline" not in report(shop, decision, "subject").json().get("compliance", {})
        for audience in ("subject", "compliance"):
            assert report(shop, decision, audience, "pdf", "zh").content.startswith(b"%PDF")
        # What is stored is what was measured, or no baseline could ever be made.
        record = shop.service.store.read_record(decision["decision_id"]).report
        stored = OrderSubgraph.unpack(record.subgraph)
        assert all(stored.value(node) is not None for node in HERE)
        assert replayed(shop, decision, "merchant")["same_bytes"]


def test_a_shop_with_a_baseline_is_judged_by_its_own_shoppers(tmp_path):
    shop = opened(tmp_path, "merchant", OWN)
    with shop.client:
        decision = shop.decide(asked()).json()
        assert decision["versions"]["baseline"] == OWN.baseline_id
        told = report(shop, decision, "compliance").json()["compliance"]["baseline"]
        assert told["unseen"] == []
        assert (told["id"], told["reference"]) == (OWN.baseline_id, REFERENCE.baseline_id)
        assert (told["provenance"], told["releases"]) == ("merchant", list(OWN.releases))
        record = shop.service.store.read_record(decision["decision_id"]).report
        seen = shop.service.line.views.see(OrderSubgraph.unpack(record.subgraph), "m-17")
        assert seen != OrderSubgraph.unpack(record.subgraph)
        score = shop.service.line.scorer.score(seen, record.score["availability"])
        assert score.logit == record.score["logit"]
        assert replayed(shop, decision, "merchant")["same_bytes"]
        for form, lang, words in (
            ("html", "zh", "与本店其他购物者"),
            ("html", "en", "other shoppers of this shop"),
        ):
            assert words in report(shop, decision, "subject", form, lang).text
        printed = PdfReader(BytesIO(report(shop, decision, "compliance", "pdf").content))
        words = " ".join(page.extract_text() for page in printed.pages)
        assert "Kind of device" in words
        assert OWN.baseline_id in words.replace("\n", "")
        page = report(shop, decision, "compliance", "html").text
        assert OWN.baseline_id in page
        assert REFERENCE.baseline_id in page
        assert (
            report(shop, decision, "authority").json()["authority"]["hashes"]["baseline"] == OWN.baseline_id
        )


def test_one_merchants_baseline_judges_nobody_elses_shoppers(tmp_path):
    shop = opened(tmp_path, "merchant", OWN)
    with shop.client:
        mine = shop.decide(asked()).json()
        other = shop.decide(asked() | {"merchant_id": "m-99", "order_id": "B-1"}, "other").json()
        assert (mine["versions"]["baseline"], other["versions"]["baseline"]) == (OWN.baseline_id, "none")
        path = f"/v1/decisions/{other['decision_id']}/report?audience=compliance"
        told = shop.client.get(path, headers=shop.headers("other")).json()
        assert told["compliance"]["baseline"]["unseen"] == HERE
        assert replayed(shop, other, "merchant")["same_bytes"]


def test_a_baseline_that_names_no_merchant_is_refused_where_shoppers_are_real(tmp_path):
    with pytest.raises(Invalid, match="--merchant") as refused:
        opened(tmp_path, "merchant", some_baseline(2))
    assert refused.value.field == "RISKGRAPH_BASELINE"


def test_in_a_simulated_shop_a_baseline_holds_whatever_the_shop_is_called(tmp_path):
    (tmp_path / "own.json").write_bytes(some_baseline(2).to_bytes())
    random_model(tmp_path, seed=3)
    views = views_of(tmp_path, tmp_path / "own.json", True)
    assert {views.of(name).baseline_id for name in ("m-demo", "another")} == {some_baseline(2).baseline_id}


def own_model(folder, reference):
    """A model that a merchant trained on releases of its own orders."""
    random_model(folder, seed=3)
    card = replace(write_reference(folder, reference, read_card(folder)), provenance="merchant")
    write_card(folder, card)


def test_the_reference_of_an_own_model_holds_for_those_that_the_promotion_names_and_no_other(tmp_path):
    own_model(tmp_path, some_baseline(5))
    views = views_of(tmp_path, None, False, ["m-17"])
    assert [views.of(name).baseline_id for name in ("m-17", "m-99")] == [some_baseline(5).baseline_id, "none"]
    assert views_of(tmp_path, None, False).of("m-17").baseline_id == "none"
    (tmp_path / "own.json").write_bytes(OWN.to_bytes())
    both = views_of(tmp_path, tmp_path / "own.json", False, ["m-17", "m-18"])
    told = {name: both.of(name).baseline_id for name in ("m-17", "m-18", "m-99")}
    assert told == {"m-17": OWN.baseline_id, "m-18": some_baseline(5).baseline_id, "m-99": "none"}


def test_what_is_measured_on_several_merchants_needs_one_baseline_for_all_of_them(tmp_path):
    own_model(tmp_path, some_baseline(5))
    assert open_seeing(tmp_path, None, False, ["m-17", "m-99"]) is not None
    (tmp_path / "own.json").write_bytes(OWN.to_bytes())
    assert open_seeing(tmp_path, tmp_path / "own.json", False, ["m-17"]) is not None
    with pytest.raises(Invalid, match="--merchant"):
        open_seeing(tmp_path, tmp_path / "own.json", False, ["m-17", "m-99"])


def test_a_replay_asks_for_the_baseline_of_that_time_and_takes_it(tmp_path):
    shop = opened(tmp_path, "merchant", OWN)
    with shop.client:
        decision = shop.decide(asked()).json()
        (tmp_path / "own.json").rename(tmp_path / "old.json")
        (tmp_path / "own.json").write_bytes(some_baseline(4, merchants=("m-17",)).to_bytes())
        with pytest.raises(Conflict, match="--baseline"):
            replayed(shop, decision, "merchant")
        assert replayed(shop, decision, "merchant", baseline=tmp_path / "old.json")["same_bytes"]


def test_a_simulated_shop_sees_by_the_models_own_reference_and_says_so(tmp_path):
    shop = opened(tmp_path, "simulated")
    with shop.client:
        decision = shop.decide(asked()).json()
        told = report(shop, decision, "subject").json()["logic_summary"]["baseline"]
        assert "Those other shoppers are simulated." in told
        assert decision["versions"]["baseline"] == REFERENCE.baseline_id
        assert replayed(shop, decision, "simulated")["same_bytes"]


def test_the_shipped_model_sees_the_simulated_merchant_as_it_was_trained_bit_for_bit():
    folder = shipped_champion()
    view = views_of(folder, None, True).of("m-demo")
    assert view.merchant.provenance == "simulated"
    assert list(view.merchant.releases) == [r["release_id"] for r in read_card(folder).releases]
    for seed in range(20):
        whole = random_subgraph(seed, 0.8)
        assert view.see(whole) is whole
    assert views_of(folder, None, False).of("m-17").baseline_id == "none"


def test_what_was_trained_by_its_baseline_abstains_in_a_simulated_shop_too(tmp_path):
    few = some_baseline(1, lambda component, kind: 499, provenance="simulated")
    random_model(tmp_path, seed=3)
    write_card(tmp_path, write_reference(tmp_path, few, read_card(tmp_path)))
    view = views_of(tmp_path, None, True).of("m-demo")
    assert view.unseen(random_subgraph(1, 1.0)) == [n.id for n in catalog() if is_trajectory(n)]
    (tmp_path / BASELINE_FILE).write_bytes(REFERENCE.to_bytes())
    with pytest.raises(ModelUnavailable, match="altered"):
        views_of(tmp_path, None, True)


def test_a_configured_baseline_that_cannot_be_read_is_named_at_the_start(tmp_path):
    wrong = json.loads(OWN.to_bytes()) | {"k": 1}
    (tmp_path / "own.json").write_text(json.dumps(wrong))
    random_model(tmp_path / "model", seed=3)
    settings = replace(Settings(), home=tmp_path, model=tmp_path / "model", baseline=tmp_path / "own.json")
    with pytest.raises(Invalid, match="altered") as refused:
        bootstrap.open_service(settings, bootstrap.demo_profile())
    assert refused.value.field == "RISKGRAPH_BASELINE"
    assert Baseline.parse(OWN.to_json()) == OWN
