"""What is told of counts over few persons."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.table import OrderTable
from riskgraph.sandbox import Policy, ReleaseRequest, verify_audit, write_release
from riskgraph.sandbox.partition import Shortage
from riskgraph.sandbox.published import least, shares, told, total

UNTIL = date(2026, 6, 30)
REQUEST = ReleaseRequest(until=UNTIL, seed=1, provenance="merchant", now=0.0, code="test")
MakeWorld = Callable[..., OrderTable]
counts = st.integers(0, 5_000)
pytestmark = pytest.mark.usefixtures("without_pairs")


@given(counts, st.integers(50, 200))
def test_a_count_is_told_to_k_orders_and_no_closer(count: int, k: int) -> None:
    shown = told(count, k)
    assert shown == (f"<{k}" if count < k else count // k * k)
    alike = [other for other in range(max(0, count - k), count + k) if told(other, k) == shown]
    assert len(alike) == k
    assert least(shown) <= count < least(shown) + k


@given(st.lists(counts, min_size=1, max_size=8), st.integers(50, 200), st.data())
def test_a_total_is_the_same_whatever_the_parts_are_below_their_rounding(
    parts: list[int], k: int, data: Any
) -> None:
    others = [least(told(p, k)) + data.draw(st.integers(0, k - 1)) for p in parts]
    assert total(told(p, k) for p in parts) == total(told(p, k) for p in others) <= sum(parts)


@given(st.lists(st.integers(0, 400), min_size=2, max_size=4), st.integers(50, 200), st.data())
def test_a_small_part_of_a_known_whole_is_not_what_the_largest_leaves(
    parts: list[int], k: int, data: Any
) -> None:
    largest = sum(parts) + 2 * k
    names = [f"p{i}" for i in range(len(parts))]
    whole = sum(parts) + largest
    seen = shares({**dict(zip(names, parts, strict=True)), "largest": largest}, whole, k)
    # Other small parts that are rounded alike make the same picture of the same whole.
    others = [least(told(p, k)) + data.draw(st.integers(0, k - 1)) for p in parts]
    rest = whole - sum(others)
    if rest > max(others):
        assert shares({**dict(zip(names, others, strict=True)), "largest": rest}, whole, k) == seen


def _numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [n for part in value.values() for n in _numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in _numbers(part)]
    return [value] if isinstance(value, int) else []


@pytest.fixture(scope="module")
def odd(make_world: MakeWorld) -> OrderTable:
    """Few objections, few orders of the EU, few without consent, few under the cap."""
    table = make_world(3, 3_000, 900, 900, 300)
    rng = np.random.default_rng(1)
    objected, consent = np.zeros(len(table), dtype=np.bool_), np.ones(len(table), dtype=np.bool_)
    objected[5], consent[7:10] = True, False
    place = np.zeros(len(table), dtype=np.int8)
    place[rng.choice(len(table), 9, replace=False)] = 1
    return dataclasses.replace(table, objected=objected, training_consent=consent, jurisdiction=place)


def test_manifest_and_record_tell_no_exact_count_of_few_orders(
    odd: OrderTable, signer: Any, tmp_path: Path
) -> None:
    made = write_release(odd, tmp_path / "r", REQUEST, signer, policy=Policy.default())
    (record,) = (json.loads(line) for line in (made.path / "audit.jsonl").read_text("utf-8").splitlines())
    asked = made.manifest["input"]
    assert record["input"] == asked
    assert asked["dropped"]["objected"] == asked["dropped"]["no_consent"] == "<50"
    assert asked["by_jurisdiction"]["EU"] == asked["by_jurisdiction"]["other"] == "<50"
    inside = total(entry["orders"] for entry in asked["classes"])
    assert 0 <= made.manifest["timings"]["rows"] - inside < 100
    parts = (
        *asked["dropped"].values(),
        *asked["by_jurisdiction"].values(),
        record["dominance"]["cells_fixed"],
    )
    assert all(n % 50 == 0 for n in _numbers(list(parts)))
    assert asked["records"] - inside == total(asked["dropped"].values())
    left_out = total(asked["dropped"][reason] for reason in ("cap", "residual"))
    assert asked["accepted"] - inside == left_out == record["loss"]["suppression"]["rows"]
    assert sum(c["orders"] for c in asked["classes"]) == inside


def test_the_record_of_a_refusal_tells_few_persons_as_few(
    make_world: MakeWorld, signer: Any, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    with pytest.raises(Shortage, match="fraud class has"):
        write_release(
            make_world(3, 1_500, 90, 700, 31),
            tmp_path / "r",
            REQUEST,
            signer,
            audit_log=log,
            policy=Policy.default(),
        )
    (record,) = verify_audit(log, signer)
    assert record["input"]["classes"][1]["units"] == "<50"
    assert record["refused_reasons"][0]["message"] == "the fraud class has too few persons for 2 groups"
    assert all(n % 50 == 0 for c in record["input"]["classes"] for n in _numbers({**c, "label": 0}))
