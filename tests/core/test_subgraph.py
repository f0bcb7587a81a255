"""An order subgraph is valid when it exists, and survives packing bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.catalog import Form, catalog
from riskgraph.core.door import Door
from riskgraph.core.errors import SubgraphError
from riskgraph.core.order import parse_order
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.models.exports import to_networkx, to_pyg

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/order.json").read_text())


def golden() -> OrderSubgraph:
    order = parse_order(GOLDEN, Door(b"k" * 32))
    return OrderSubgraph.build(order.signals, order.absent)


def wire_value(node):
    bins = st.lists(st.integers(0, 40), min_size=16, max_size=16).filter(sum)
    histogram = bins.map(lambda b: {"n": sum(b), "bins": b})
    if node.form is Form.NUMBER:
        return st.floats(*node.bounds, width=32)
    if node.form is Form.CLASS:
        return st.sampled_from(node.words)
    if node.form is Form.FLAG:
        return st.booleans()
    if node.form is Form.CONTEXT:
        return st.fixed_dictionaries({c: st.floats(0, 100) for c in node.components})
    if len(node.histograms) == 1:
        return histogram
    return st.fixed_dictionaries({h.name: histogram for h in node.histograms})


@st.composite
def subgraphs(draw):
    values, absent = {}, {}
    for node in draw(st.lists(st.sampled_from(catalog().nodes), unique=True, max_size=25)):
        if draw(st.booleans()):
            values[node.id] = draw(wire_value(node))
        else:
            absent[node.id] = draw(st.sampled_from([s for s in State if s]))
    return OrderSubgraph.build(values, absent)


@given(subgraphs())
def test_packing_gives_back_the_same_bits(subgraph):
    packed = subgraph.pack()
    again = OrderSubgraph.unpack(packed)
    assert again == subgraph
    assert again.pack() == packed
    assert np.array_equal(again.components, subgraph.components, equal_nan=True)


@given(subgraphs())
def test_pairs_are_present_exactly_when_both_ends_are(subgraph):
    for pair, present in zip(catalog().pairs, subgraph.present_pairs, strict=True):
        ends = subgraph.states[pair.a] == State.PRESENT, subgraph.states[pair.b] == State.PRESENT
        assert bool(present) == all(ends)


def test_a_full_order_packs_into_one_and_a_half_kilobytes():
    flat = {"n": 16, "bins": [1] * 16}
    values = {}
    for node in catalog():
        if node.form is Form.HISTOGRAM:
            values[node.id] = flat if len(node.histograms) == 1 else {h.name: flat for h in node.histograms}
        elif node.form is Form.CONTEXT:
            values[node.id] = dict.fromkeys(node.components, 1)
        else:
            values[node.id] = {
                Form.NUMBER: node.bounds[1] if node.form is Form.NUMBER else 0,
                Form.CLASS: node.words[0] if node.words else "",
                Form.FLAG: True,
            }[node.form]
    subgraph = OrderSubgraph.build(values, {})
    assert subgraph.present.all()
    assert len(subgraph.pack()) <= 1536


def test_a_node_nobody_mentions_is_not_delivered_and_has_no_value():
    subgraph = OrderSubgraph.build({}, {})
    assert set(subgraph.states) == {State.NOT_DELIVERED}
    assert subgraph.value("B001") is None


@pytest.mark.parametrize("cut", [0, 1, 30, 60, -1])
def test_a_truncated_packed_form_is_refused(cut):
    with pytest.raises(SubgraphError):
        OrderSubgraph.unpack(golden().pack()[:cut])


def test_the_constructor_names_what_it_got_and_expected():
    good = golden()
    with pytest.raises(SubgraphError, match=r"components: got float64\[259\], expected float32\[259\]"):
        OrderSubgraph(good.states, good.components.astype(np.float64), good.shares)
    with pytest.raises(SubgraphError, match=r"states: got uint8\[136\], expected uint8\[137\]"):
        OrderSubgraph(good.states[:-1], good.components, good.shares)
    stray = good.components.copy()
    stray[catalog().component_index["B085.value"]] = 1
    with pytest.raises(SubgraphError, match=r"B085: got a value on an absent node"):
        OrderSubgraph(good.states, stray, good.shares)
    empty = good.states.copy()
    empty[catalog()["B085"].index] = State.PRESENT
    with pytest.raises(SubgraphError, match="B085: got no component"):
        OrderSubgraph(empty, good.components, good.shares)


def test_the_networkx_export_has_137_nodes_and_the_edges_with_both_ends():
    graph = to_networkx(golden())
    assert graph.number_of_nodes() == 137
    states = {name: data["state"] for name, data in graph.nodes(data=True)}
    assert states["B085"] == "refused"
    assert all(states[a] == states[b] == "present" for a, b in graph.edges())
    assert graph.number_of_edges() > 0


def test_the_pyg_export_agrees_with_the_networkx_export():
    pytest.importorskip("torch_geometric", reason="needs the extra 'train'")
    subgraph = golden()
    data, graph = to_pyg(subgraph), to_networkx(subgraph)
    assert data["behavior"].x.shape == (137, 15)
    assert sum(index.shape[1] for index in data.edge_index_dict.values()) == graph.number_of_edges()
