"""What an order may give for training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph import bootstrap
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.order import JURISDICTIONS
from riskgraph.core.subgraph import State
from riskgraph.core.table import NODE_PURPOSES, OrderTable
from riskgraph.releasing import training_policy
from riskgraph.sandbox import Policy, admit, find_units
from riskgraph.sandbox.choice import choose, window
from riskgraph.sandbox.policy import CLASSES, PURPOSES, RULES, objectors

UNTIL = date(2026, 6, 30)
CN, EU = JURISDICTIONS.index("CN"), JURISDICTIONS.index("EU")
_CELLS = [(j, c, p) for j in JURISDICTIONS for c in CLASSES for p in PURPOSES]


def _nodes(purpose: str, kind: str | None = None) -> list[int]:
    return [
        n.index for n in catalog() if n.purpose == purpose and kind in (None, n.pipl_class.removesuffix("·S"))
    ]


@pytest.fixture(scope="module")
def small(make_world: Callable[..., OrderTable]) -> OrderTable:
    return make_world(2, 900, 300, 300, 150)


def test_the_shipped_table_has_a_rule_and_an_article_for_every_node_everywhere() -> None:
    policy = Policy.default()
    for place in JURISDICTIONS:
        for node in catalog():
            kind = node.pipl_class.removesuffix("·S")
            for purpose in {node.purpose, "model_training"} - {"none"}:
                cell = f"{place}.{kind}.{purpose}"
                assert policy.rules[cell] in ("granted", "barred")
                assert policy.grounds[cell]
                assert policy.further[cell]


def test_grounds_are_consent_alone_and_other_rules_stand_apart() -> None:
    basis = Policy.default().legal_basis(JURISDICTIONS)
    assert basis["gdpr"] == ["GDPR 6(1)(a), 7"]
    assert basis["pipl"] is not None
    assert {"PIPL 13(1)(1), 14(2)", "where sensitive PIPL 29"} <= set(basis["pipl"])
    assert basis["further_rules"] is not None
    assert {"GDPR 5(1)(b)", "ePrivacy Directive 5(3)", "PIPL 6"} <= set(basis["further_rules"])
    cited = str(basis)
    assert not any(article in cited for article in ("4(14)", "6(4)", "PIPL 28,"))


def test_what_a_merchant_bars_is_no_ground_of_its_release() -> None:
    barred = {kind: {"model_training": "barred"} for kind in CLASSES}
    policy = Policy.default().tightened({"EU": barred, "CN": {"R": {p: "barred" for p in NODE_PURPOSES}}})
    basis = policy.legal_basis(JURISDICTIONS)
    assert basis["gdpr"] is None
    assert basis["further_rules"] is not None
    assert not any(cited.startswith(("GDPR", "ePrivacy")) for cited in basis["further_rules"])
    assert policy.legal_basis([]) == dict.fromkeys(basis)


@pytest.mark.parametrize("purpose", NODE_PURPOSES)
@pytest.mark.parametrize("answer", [0, -1])
def test_a_node_whose_purpose_was_not_granted_is_refused_even_if_a_value_lies_there(
    small: OrderTable, purpose: str, answer: int
) -> None:
    purposes = small.purposes.copy()
    purposes[::2, NODE_PURPOSES.index(purpose)] = answer
    before = admit(small, until=UNTIL, policy=Policy.default())
    after = admit(dataclasses.replace(small, purposes=purposes), until=UNTIL, policy=Policy.default())
    nodes = _nodes(purpose)
    gave = before.states[::2][:, nodes] == State.PRESENT
    assert gave.any()
    assert (after.states[::2][:, nodes][gave] == State.REFUSED).all()
    components = np.isin(catalog().component_node, nodes)
    assert np.isnan(after.values[::2][:, components]).all()
    assert after.withheld == gave.sum()
    assert np.array_equal(after.values[1::2], before.values[1::2], equal_nan=True)
    assert np.array_equal(after.values[:, ~components], before.values[:, ~components], equal_nan=True)


def test_a_cause_that_was_there_before_stays(small: OrderTable) -> None:
    nobody = dataclasses.replace(small, purposes=np.zeros_like(small.purposes))
    after = admit(nobody, until=UNTIL, policy=Policy.default()).states
    before = small.states[admit(small, until=UNTIL, policy=Policy.default()).rows]
    absent = before != State.PRESENT
    assert np.array_equal(after[absent], before[absent])


def test_a_barred_cell_is_not_delivered_and_only_in_its_jurisdiction(small: OrderTable) -> None:
    policy = Policy.default().tightened({"EU": {"R": {"behavior": "barred"}}})
    before, after = (
        admit(small, until=UNTIL, policy=Policy.default()),
        admit(small, until=UNTIL, policy=policy),
    )
    europe = small.jurisdiction[after.rows] == EU
    mine = np.zeros(before.states.shape, dtype=bool)
    mine[np.ix_(np.flatnonzero(europe), _nodes("behavior", "R"))] = True
    gone = mine & (before.states == State.PRESENT)
    assert gone.any()
    assert (after.states[gone] == State.NOT_DELIVERED).all()
    assert np.array_equal(after.states[~gone], before.states[~gone])


def test_a_class_that_is_barred_for_training_gives_nothing(small: OrderTable) -> None:
    policy = Policy.default().tightened({"CN": {"N*": {"model_training": "barred"}}})
    after = admit(small, until=UNTIL, policy=policy)
    china = small.jurisdiction[after.rows] == CN
    assert not (after.states[china][:, _nodes("none", "N*")] == State.PRESENT).any()
    assert (after.states[~china][:, _nodes("none", "N*")] == State.PRESENT).any()


def test_orders_of_a_jurisdiction_that_may_give_nothing_are_left_out(small: OrderTable) -> None:
    barred = {kind: {"model_training": "barred"} for kind in CLASSES}
    policy = Policy.default().tightened({"EU": barred})
    consent = np.ones(len(small), dtype=np.bool_)
    consent[:7] = False
    table = dataclasses.replace(small, training_consent=consent)
    after = admit(table, until=UNTIL, policy=policy)
    assert after.dropped["no_consent"] == 7
    assert after.dropped["barred"] == (small.jurisdiction[7:] == EU).sum()
    assert not (table.jurisdiction[after.rows] == EU).any()


def test_a_table_that_does_not_ask_for_training_keeps_the_row_and_only_what_it_allows(
    small: OrderTable,
) -> None:
    shipped = Policy.default()
    rules = {n: "not_asked" if n.endswith("N.model_training") else r for n, r in shipped.rules.items()}
    nobody = dataclasses.replace(small, training_consent=np.zeros(len(small), dtype=np.bool_))
    after = admit(nobody, until=UNTIL, policy=dataclasses.replace(shipped, rules=rules))
    assert after.dropped["no_consent"] == 0
    given_ = (after.states == State.PRESENT).any(axis=0)
    assert set(np.flatnonzero(given_).tolist()) == set(_nodes("none", "N"))


def test_an_objection_drops_every_order_of_the_account(small: OrderTable) -> None:
    objected = np.zeros(len(small), dtype=np.bool_)
    objected[5] = True
    table = dataclasses.replace(small, objected=objected)
    same = small.account == small.account[5]
    after = admit(table, until=UNTIL, policy=Policy.default())
    assert same.sum() > 1
    assert after.dropped["objected"] == same.sum()
    assert not np.isin(after.rows, np.flatnonzero(same)).any()


def test_an_order_without_an_account_objects_for_itself_alone(small: OrderTable) -> None:
    objected = np.zeros(len(small), dtype=np.bool_)
    objected[5] = True
    guests = dataclasses.replace(small, objected=objected, account=np.full_like(small.account, -1))
    assert np.flatnonzero(objectors(guests)).tolist() == [5]


@given(seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_an_objection_reaches_the_unit_and_never_less_than_the_account(small: OrderTable, seed: int) -> None:
    rng = np.random.default_rng(seed)
    account = np.where(rng.random(len(small)) < 0.1, -1, small.account)
    card = np.where(rng.random(len(small)) < 0.3, rng.integers(0, 200, len(small)), -1)
    said = rng.random(len(small)) < 0.01
    table = dataclasses.replace(small, account=account, card=card, objected=said)
    unit = find_units(table).unit
    by_account, by_unit = objectors(table), objectors(table, unit)
    assert (by_unit >= by_account).all()
    assert (by_account >= said).all()
    assert set(unit[by_unit].tolist()) == set(unit[said].tolist())
    assert (by_unit == np.isin(unit, unit[by_unit])).all()


def test_an_objection_from_a_persons_second_account_holds_for_the_first(small: OrderTable) -> None:
    first, second = np.unique(small.account)[:2]
    both = np.isin(small.account, [first, second])
    table = dataclasses.replace(
        small,
        objected=small.account == second,
        card=np.where(both, 10**9, small.card),
        placed_at=np.where(small.account == second, small.placed_at.max() + 1, small.placed_at),
    )
    intake, _ = choose(window(table, UNTIL), until=UNTIL, k=50, policy=Policy.default())
    assert intake.dropped["objected"] >= both.sum()
    assert not both[intake.rows].any()


def test_an_objection_that_came_after_the_window_counts(make_world: Callable[..., OrderTable]) -> None:
    table = make_world(3, 3_000, 900, 900, 300)
    objected, placed = np.zeros(len(table), dtype=np.bool_), table.placed_at.copy()
    accounts, orders = np.unique(table.account, return_counts=True)
    same = np.flatnonzero(table.account == accounts[orders.argmax()])
    objected[same[0]], placed[same[0]] = True, table.placed_at.max() + 400 * 86_400_000_000
    table = dataclasses.replace(table, objected=objected, placed_at=placed)
    intake, _ = choose(window(table, UNTIL), until=UNTIL, k=50, policy=Policy.default())
    assert intake.dropped["objected"] == len(same) - 1 > 0


@pytest.mark.parametrize(
    ("own", "field"),
    [
        ({"CN": {"C": {"behavior": "not_asked"}}}, "training.CN.C.behavior"),
        ({"EU": {"N": {"model_training": "not_asked"}}}, "training.EU.N.model_training"),
        ({"US": {}}, "training.US"),
        ({"CN": {"Z": {}}}, "training.CN.Z"),
        ({"CN": {"C": {"marketing": "granted"}}}, "training.CN.C.marketing"),
        ({"CN": {"C": {"behavior": "perhaps"}}}, "training.CN.C.behavior"),
        ({"CN": {"C": "barred"}}, "training.CN.C"),
        ([], "training"),
    ],
)
def test_a_merchants_table_may_only_be_stricter_and_names_what_is_wrong(own: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        Policy.default().tightened(own)
    assert caught.value.field == field
    assert field in caught.value.message


def test_a_looser_rule_is_refused_with_the_article_that_asks_for_more() -> None:
    with pytest.raises(
        Invalid, match=r"looser than granted \(PIPL 13\(1\)\(1\), 14; where sensitive PIPL 29\)"
    ):
        Policy.default().tightened({"CN": {"R": {"motion": "not_asked"}}})


def test_a_stricter_table_has_a_digest_of_its_own_and_says_where_it_differs() -> None:
    own = Policy.default().tightened({"CN": {"C": {"device": "barred", "motion": "granted"}}})
    assert own.stricter == {"CN.C.device": "barred"}
    assert own.sha256 != Policy.default().sha256 == Policy.default().tightened({}).sha256
    assert Policy.default().stricter == {}


def test_the_merchants_profile_makes_the_table_stricter(tmp_path: Path) -> None:
    profile = tmp_path / "merchant.toml"
    known = bootstrap.simulated_settings(tmp_path / "home")
    profile.write_text(bootstrap.example_merchant() + '\n[training.EU.R]\nbehavior = "barred"\n', "utf-8")
    assert training_policy(known).stricter == {}
    policy = training_policy(dataclasses.replace(known, merchant=profile))
    assert policy.stricter == {"EU.R.behavior": "barred"}
    profile.write_text('training = "none"\n', "utf-8")
    with pytest.raises(Invalid, match="training must be a table"):
        training_policy(dataclasses.replace(known, merchant=profile))


@pytest.mark.parametrize(
    ("own", "front"), [({}, "refused"), ({"C": {"device": "barred"}}, "refused"), (None, "no_front_end")]
)
def test_a_row_that_lost_its_front_end_changes_its_availability_class(
    small: OrderTable, own: dict[str, Any] | None, front: str
) -> None:
    nobody = dataclasses.replace(small, purposes=np.zeros_like(small.purposes))
    bars = {p: "barred" for p in NODE_PURPOSES}
    cells = {"C": bars, "R": bars} if own is None else own
    policy = Policy.default().tightened({place: cells for place in JURISDICTIONS})
    table = small if own is None else nobody
    after = admit(table, until=UNTIL, policy=policy)
    had = table.availability[after.rows] == "pre_auth/front_end"
    assert set(after.availability[had].tolist()) == {f"pre_auth/{front}"}
    assert np.array_equal(after.availability[~had], table.availability[after.rows][~had])


@pytest.mark.parametrize("wrong", [-1, 3])
def test_an_unknown_jurisdiction_is_an_error_that_names_the_column(small: OrderTable, wrong: int) -> None:
    places = small.jurisdiction.copy()
    places[3] = wrong
    with pytest.raises(Invalid) as caught:
        admit(dataclasses.replace(small, jurisdiction=places), until=UNTIL, policy=Policy.default())
    assert caught.value.field == "jurisdiction"


def test_purposes_of_another_shape_are_an_error_that_names_the_column(small: OrderTable) -> None:
    with pytest.raises(Invalid) as caught:
        admit(
            dataclasses.replace(small, purposes=small.purposes[:, :3]), until=UNTIL, policy=Policy.default()
        )
    assert caught.value.field == "purposes"


cells = st.lists(st.tuples(st.sampled_from(_CELLS), st.sampled_from(["granted", "barred"])), max_size=12)


def _tightened(chosen: list[tuple[tuple[str, str, str], str]]) -> Policy:
    policy = Policy.default()
    for (place, kind, purpose), rule in chosen:
        if RULES.index(rule) >= RULES.index(policy.rules.get(f"{place}.{kind}.{purpose}", RULES[0])):
            policy = policy.tightened({place: {kind: {purpose: rule}}})
    return policy


@given(chosen=cells, seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_whatever_the_table_and_the_answers_nothing_is_given_that_was_not_granted(
    small: OrderTable, chosen: list[tuple[tuple[str, str, str], str]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    table = dataclasses.replace(
        small,
        purposes=rng.integers(-1, 2, small.purposes.shape).astype(np.int8),
        training_consent=rng.random(len(small)) < 0.7,
        jurisdiction=rng.integers(0, 3, len(small)).astype(np.int8),
    )
    policy = _tightened(chosen)
    after = admit(table, until=UNTIL, policy=policy)
    assert table.training_consent[after.rows].all()
    for node in catalog():
        gave = after.rows[after.states[:, node.index] == State.PRESENT]
        kind = node.pipl_class.removesuffix("·S")
        for place in np.unique(table.jurisdiction[gave]):
            asked = {node.purpose, "model_training"} - {"none"}
            assert all(policy.rules[f"{JURISDICTIONS[place]}.{kind}.{p}"] != "barred" for p in asked)
        if node.purpose != "none":
            assert (table.purposes[gave, NODE_PURPOSES.index(node.purpose)] == 1).all()
    # A stricter table never lets more through.
    law = admit(table, until=UNTIL, policy=Policy.default())
    assert set(after.rows.tolist()) <= set(law.rows.tolist())
    same = np.isin(law.rows, after.rows)
    assert not ((after.states == State.PRESENT) & (law.states[same] != State.PRESENT)).any()
    assert np.isnan(after.values[(after.states != State.PRESENT)[:, list(catalog().component_node)]]).all()
