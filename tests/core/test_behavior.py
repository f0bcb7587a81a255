"""A flush of the browser SDK is checked as its schema says, and its sums become nodes by the map."""

from __future__ import annotations

import copy
import json
import math
import random
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.behavior import MAP, PURPOSES, SCHEMA, Flush, Sums, evidence_bits, refuse_ungranted
from riskgraph.core.behavior_nodes import NODES, nodes
from riskgraph.core.catalog import Form, catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.subgraph import OrderSubgraph, State

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/flush.json").read_text("utf-8"))
VALID = jsonschema.Draft202012Validator(SCHEMA)
RULES_OF_THE_SDK = ROOT / "sdk_js/test/support/nodes.mjs"

counts = st.lists(st.integers(0, 400), min_size=16, max_size=16)
histograms = st.dictionaries(st.sampled_from(sorted(MAP["histograms"])), counts.filter(any), max_size=12)


def amounts(key):
    limits = SCHEMA["properties"]["counters"]["properties"][key]
    if limits["type"] == "integer":
        return st.integers(max(limits["minimum"], -300), 300)
    return st.floats(max(limits["minimum"], -900), 900).map(lambda value: round(value, 3))


counters = st.lists(st.sampled_from(sorted(MAP["counters"])), unique=True, max_size=40).flatmap(
    lambda keys: st.fixed_dictionaries({key: amounts(key) for key in keys})
)
words = st.fixed_dictionaries({}, optional={k: st.sampled_from(w) for k, w in MAP["words"].items()})


@st.composite
def flushes(draw):
    zones: dict[str, dict[str, object]] = {}
    for key, bins in draw(histograms).items():
        zone, name = key.split(".")
        zones.setdefault(zone, {})[name] = {"n": sum(bins), "h": bins}
    envelope = {"v": 1, "session": "s", "nonce": "n", "consent_id": "c", "seq": draw(st.integers(0, 10**9))}
    return {**envelope, **draw(words), "zones": zones, "counters": draw(counters)}


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 10**10), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "mouse", "phone", "x" * 201, 1.0, 0.5, [], {}, [0] * 16, [1.0] * 16, [0] * 15]),
)  # fmt: skip


@st.composite
def altered(draw):
    """A flush of which one place holds something else, nothing any more, or one thing more."""
    flush = draw(flushes())
    path = draw(st.sampled_from(list(places(flush))[1:]))
    at = flush
    for key in path[:-1]:
        at = at[key]
    what = draw(st.sampled_from(["replace", "remove", "add"]))
    if what == "replace":
        at[path[-1]] = draw(ODD)
    elif what == "remove":
        at.pop(path[-1])
    elif isinstance(at, dict):
        at[draw(st.sampled_from(["x", "any", "moves", "keys", "n", "page_url"]))] = draw(ODD)
    return flush


def holds(flush):
    """What the schema says, and what it cannot say."""
    if not VALID.is_valid(flush):
        return False
    return all(one["n"] == sum(one["h"]) for zone in flush["zones"].values() for one in zone.values())


def accepted(flush):
    try:
        Flush.parse(flush)
    except Invalid:
        return False
    return True


@given(flushes())
def test_every_flush_that_the_schema_allows_is_taken(flush):
    assert holds(flush)
    assert accepted(flush)


@settings(max_examples=400)
@given(altered())
def test_a_flush_is_refused_where_the_schema_refuses_it_and_nowhere_else(flush):
    assert accepted(flush) == holds(flush)


def changed(path, value):
    flush = copy.deepcopy(GOLDEN)
    *parents, last = path.split("/")
    at = flush
    for key in parents:
        at = at[key]
    at[last] = value
    return flush


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("zones/any/ptr_speed/n", 51, "zones.any.ptr_speed.n"),
        ("zones/any/ptr_speed/h", [1] * 15, "zones.any.ptr_speed.h"),
        ("zones/any/ptr_speed/raw", [], "zones.any.ptr_speed.raw"),
        ("zones/any/ptr_path", {}, "zones.any.ptr_path"),
        ("zones/login", {}, "zones.login"),
        ("counters/keys", 1.5, "counters.keys"),
        ("counters/keys", -1, "counters.keys"),
        ("counters/password", 1, "counters.password"),
        ("url", "/cart", "url"),
        ("seq", True, "seq"),
        ("v", 2, "v"),
        ("device_class", None, "device_class"),
        ("modality", "telepathy", "modality"),
        ("nonce", "", "nonce"),
    ],
)
def test_an_error_names_the_field(path, value, field):
    with pytest.raises(Invalid) as wrong:
        Flush.parse(changed(path, value))
    assert wrong.value.field == field


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_field_whose_purpose_is_not_granted_is_refused(purpose):
    name = next(key for key, row in MAP["counters"].items() if row["purpose"] == purpose)
    bare = {key: value for key, value in GOLDEN.items() if key not in MAP["words"]}
    flush = Flush.parse({**bare, "zones": {}, "counters": {name: 1}})
    refuse_ungranted(flush, [purpose])
    with pytest.raises(Invalid) as wrong:
        refuse_ungranted(flush, [other for other in PURPOSES if other != purpose])
    assert (wrong.value.field, wrong.value.code) == (f"counters.{name}", "purpose_not_granted")


def test_the_class_of_the_device_needs_the_purpose_device():
    flush = Flush.parse({**GOLDEN, "zones": {}, "counters": {}})
    with pytest.raises(Invalid) as wrong:
        refuse_ungranted(flush, ["behavior"])
    assert wrong.value.field == "device_class"


def summed(*flushes):
    sums = Sums()
    for flush in flushes:
        sums.add(Flush.parse(flush))
    return sums


@given(st.lists(flushes(), min_size=2, max_size=4))
def test_sums_do_not_depend_on_the_order_of_flushes_but_for_the_last_words(many):
    there, back = summed(*many), summed(*reversed(many))
    assert there.histograms == back.histograms
    assert {k: pytest.approx(v) for k, v in there.counters.items()} == back.counters


@given(st.lists(flushes(), min_size=1, max_size=3))
def test_whatever_a_page_sends_gives_nodes_that_an_order_can_have(many):
    told = nodes(summed(*many), PURPOSES)
    OrderSubgraph.build(told.values, told.absent)
    assert not told.values.keys() & told.absent.keys()


def test_a_session_that_sent_nothing_says_nothing_of_any_node():
    told = nodes(Sums(), PURPOSES)
    assert (dict(told.values), dict(told.absent)) == ({}, {})


@given(flushes(), st.sets(st.sampled_from(PURPOSES)))
def test_nodes_of_a_purpose_that_is_not_granted_are_not_spoken_of(flush, granted):
    told = nodes(summed(flush), granted)
    purposes = {node.id: node.purpose for node in catalog()}
    assert {purposes[node] for node in [*told.values, *told.absent]} <= granted


def test_a_value_that_its_node_cannot_have_is_as_one_not_delivered():
    sums = Sums(counters={"order_presses": 1, "order_s": -5.0})
    assert nodes(sums, PURPOSES).absent["B010"] is State.NOT_DELIVERED


@given(counts.filter(any), st.lists(st.floats(0.01, 1), min_size=16, max_size=16))
def test_no_shares_make_a_histogram_more_probable_than_its_own_do(bins, weights):
    total = sum(bins)
    logs = [c * math.log(w / sum(weights)) - math.lgamma(c + 1) for c, w in zip(bins, weights, strict=True)]
    assert -(math.lgamma(total + 1) + sum(logs)) / math.log(2) >= evidence_bits(bins) - 1e-6


@given(st.integers(1, 10**6), st.integers(0, 15))
def test_a_histogram_in_one_bin_is_no_evidence(n, at):
    assert evidence_bits([n if i == at else 0 for i in range(16)]) == 0


def by_the_sdk(many, folder):
    """Values and causes as the SDK's tests read them from the map; without their packages."""
    needs = "import { DATA } from './stub.mjs';"
    source = RULES_OF_THE_SDK.read_text("utf-8")
    assert needs in source
    data = json.dumps((ROOT / "riskgraph/core/data").as_uri() + "/")
    script = folder / "nodes.mjs"
    script.write_text(
        source.replace(needs, f"const DATA = new URL({data});")
        + "console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(nodesOf)));"
    )
    ran = subprocess.run(["node", script], input=json.dumps(many), capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def visit(draw):
    """Sums in which most nodes are reached, many of them just at what they need."""
    sums = Sums()
    for key in MAP["histograms"]:
        if draw.random() < 0.8:
            sums.histograms[key] = [draw.choice((0, 0, 1, 2, 7, 30)) for _ in range(16)]
    for key, row in MAP["counters"].items():
        if draw.random() < 0.8:
            whole = draw.choice((0, 1, 2, 3, 5, 10, 20, 50, 120))
            sums.counters[key] = whole if row["unit"] == "n" else whole + round(draw.random(), 3)
    sums.words = {name: draw.choice(known) for name, known in MAP["words"].items() if draw.random() < 0.8}
    return sums


def possible(node_id, value):
    """Drawn counters need not fit together: one of these pages could not be, and its value is left out."""
    node = next(node for node in catalog() if node.id == node_id)
    if node.form is Form.NUMBER:
        return value is not None and node.bounds[0] <= value <= node.bounds[1]
    return node.form is not Form.HISTOGRAM or '"n": 0' not in json.dumps(value)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_sums_become_the_nodes_that_the_sdk_says_they_become(tmp_path):
    draw = random.Random(7)
    visits = [visit(draw) for _ in range(400)]
    reached = set()
    for sums, theirs in zip(visits, by_the_sdk([asdict(one) for one in visits], tmp_path), strict=True):
        ours = nodes(sums, PURPOSES)
        values = {node: value for node, value in theirs["values"].items() if possible(node, value)}
        assert ours.values.keys() == values.keys()
        for node, value in values.items():
            assert ours.values[node] == (pytest.approx(value, rel=1e-9) if type(value) is float else value), (
                node
            )
        causes = {node: cause.word for node, cause in ours.absent.items()}
        assert causes == {node: theirs["absent"].get(node, "not_delivered") for node in causes}
        reached |= values.keys()
    assert reached == set(NODES)
