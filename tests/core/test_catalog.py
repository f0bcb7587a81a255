"""The catalogue is whole, and everything derived from it follows the rules."""

from __future__ import annotations

import pytest

from riskgraph.commands.catalog import markdown_page, node_json
from riskgraph.core.catalog import EDGE_TYPES, FAMILIES, Catalog, Form, catalog, read_table

NODES = catalog().nodes


@pytest.mark.parametrize("node", NODES, ids=lambda n: n.id)
def test_no_node_lacks_any_of_its_fields(node):
    described = node_json(node)
    empty = [key for key, value in described.items() if value in ("", None, [], {})]
    assert not empty
    assert all(described["label"].values())
    assert all(described["lawful_basis"].values())
    assert node.family in FAMILIES
    assert node.source in {"js", "order", "pay", "lbs", "logi", "acct", "graph"}
    assert node.computed_by in {"sdk", "checkout", "riskgraph"}
    assert node.purpose in {"none", "behavior", "motion", "location", "device"}
    assert node.monotone in {"none", "up", "down"}
    assert node.pair_component in node.components


def test_there_are_137_nodes_with_unique_ids_and_labels():
    assert [n.id for n in NODES] == [f"B{i:03d}" for i in range(1, 138)]
    assert len({n.name for n in NODES}) == len({n.name_zh for n in NODES}) == 137


def test_the_template_has_309_typed_edges_over_284_pairs_and_259_components():
    book = catalog()
    assert (len(book.edges), len(book.pairs), len(book.components)) == (309, 284, 259)
    assert {e.type for e in book.edges} == set(EDGE_TYPES)
    assert all(e.source != e.target for e in book.edges)


def test_fifty_nodes_and_110_pairs_need_no_consent():
    free = [not n.consent_needed for n in NODES]
    assert sum(free) == 50
    assert sum(free[p.a] and free[p.b] for p in catalog().pairs) == 110


def test_the_template_graph_is_connected():
    neighbours = {i: set() for i in range(137)}
    for pair in catalog().pairs:
        neighbours[pair.a].add(pair.b)
        neighbours[pair.b].add(pair.a)
    seen, queue = {0}, [0]
    while queue:
        for other in neighbours[queue.pop()] - seen:
            seen.add(other)
            queue.append(other)
    assert len(seen) == 137


def test_the_seed_pair_is_one_pair_of_the_template():
    ends = sorted((catalog()["B110"].index, catalog()["location_permission_state"].index))
    assert "corroborates" in catalog().pairs[catalog().pair_index[tuple(ends)]].types


def test_no_counterfactual_may_name_an_optional_node():
    assert not [n.id for n in NODES if n.actionable and n.consent_needed]


def test_histogram_bins_follow_their_scale():
    edges = catalog()["B033"].histograms[0].edges
    assert edges[:4] == (0, 1, 2, 4)
    assert edges[-2:] == (2**14, 2**15)
    assert catalog()["B016"].histograms[0].edges[1:3] == (16, 32)
    linear = catalog()["B023"].histograms[0].edges
    assert linear[0] == 0
    assert linear[-1] == 1
    assert [h.name for h in catalog()["B013"].histograms] == ["speed", "turn", "pause"]


def test_context_nodes_are_the_five_that_only_riskgraph_writes():
    assert [n.id for n in NODES if n.form is Form.CONTEXT] == ["B131", "B132", "B133", "B134", "B135"]


def test_the_docs_page_names_every_node():
    page = markdown_page()
    assert all(f"| {n.id} | `{n.name}` |" in page for n in NODES)


def with_found(*rows: str) -> Catalog:
    found = "\n".join(("from,to,proposal", *rows))
    return Catalog.read(read_table("catalog.csv"), read_table("edges.csv"), found)


def test_each_adopted_proposal_is_a_version_and_its_pairs_are_of_type_found():
    two = ("path_entropy,tab_hide_count,a", "coupon_stack_depth,device_account_fanout,b")
    once, twice = with_found(two[0]), with_found(*two)
    assert (once.version, twice.version) == ("1.1", "1.2")
    assert len({catalog().sha256, once.sha256, twice.sha256}) == 3
    assert [e.type for e in twice.edges[len(catalog().edges) :]] == ["found", "found"]
    # what is stored by the place of a pair, as reports are, stays right
    assert twice.pairs[: len(once.pairs)] == once.pairs
    assert once.pairs[: len(catalog().pairs)] == catalog().pairs
    assert twice.edge_types == (*EDGE_TYPES, "found")


@pytest.mark.parametrize(
    "row",
    [
        "path_entropy,path_entropy,a",  # one node
        "product_page_dwell_dist,site_search_count,a",  # a template pair
        "path_entropy,input_modality,a",  # may not raise the score alone
        "path_entropy,pointer_speed_profile,a",  # sensitive raw input
    ],
)
def test_data_adds_no_pair_that_the_rules_leave_out(row):
    with pytest.raises(ValueError, match="data may not add the pair"):
        with_found(row)


def test_data_adds_a_pair_once():
    with pytest.raises(ValueError, match="data may not add"):
        with_found("path_entropy,tab_hide_count,a", "tab_hide_count,path_entropy,b")
