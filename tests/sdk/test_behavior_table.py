"""What the browser SDK sends and what the catalogue has the SDK compute are one list."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from riskgraph.core.catalog import BIN_COUNT, Form, HistogramSpec, catalog

DATA = resources.files("riskgraph.core") / "data"
MAP = json.loads((DATA / "behavior-map.json").read_text("utf-8"))
SCHEMA = json.loads((DATA / "behavior-1.schema.json").read_text("utf-8"))
NODES = [node for node in catalog() if node.computed_by == "sdk"]
KEYS = MAP["histograms"] | MAP["counters"]
FORMS = {
    Form.HISTOGRAM: {"histogram"},
    Form.NUMBER: {"median", "sum", "after_first", "ratio", "entropy", "variation", "rms"},
    Form.FLAG: {"any", "none", "contradiction"},
    Form.CLASS: {"largest", "word", "field_order", "modality"},
}
# Where the SDK counts what lies between: two product views are one pair, two focus changes one gap.
BETWEEN = {"B006": 1, "B063": 1}
# No sum is below 0; a move holds one sample or more.
FLOORS = {"B081": 1}
LEAST = {
    node.id: int(asked[0])
    for node in NODES
    if (asked := re.findall(r"absent[^.]*?under (\d+)\b(?! ?s\b)", node.definition))
}


def keys_of(value: Any) -> Iterator[str]:
    """Every histogram and counter that a rule names."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)
    elif isinstance(value, str) and value in KEYS:
        yield value


def objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for inner in schema.values():
            yield from objects_in(inner)


def test_the_map_has_the_nodes_of_the_catalogue_and_no_other():
    assert list(MAP["nodes"]) == [node.id for node in NODES]
    assert len(NODES) == 79
    assert set(MAP["limits"]) <= set(MAP["nodes"])


@pytest.mark.parametrize("node", NODES, ids=lambda n: n.id)
def test_a_rule_gives_a_value_of_the_form_that_the_catalogue_asks(node):
    rule = MAP["nodes"][node.id]
    assert rule["rule"] in FORMS[node.form]
    if node.form is Form.HISTOGRAM:
        names = {spec.name: spec.edges for spec in node.histograms}
        found = {name: HistogramSpec.parse(KEYS[key]["bins"]).edges for name, key in rule["of"].items()}
        assert found == names
    if "cap" in rule:
        assert rule["cap"] == node.bounds[1]
    if rule["rule"] == "largest":
        assert tuple(rule["of"]) == node.words
    if rule["rule"] == "word":
        assert tuple(MAP["words"][rule["of"]]) == node.words


@pytest.mark.parametrize("node", NODES, ids=lambda n: n.id)
def test_a_rule_rests_on_the_purpose_that_the_catalogue_names(node):
    rule = MAP["nodes"][node.id]
    named = set(keys_of(rule))
    assert named or rule["rule"] == "word"
    assert {KEYS[key]["purpose"] for key in named} <= {node.purpose}


def test_the_definitions_that_give_a_least_count_are_37():
    assert len(LEAST) == 37
    assert set(BETWEEN) <= set(LEAST)


@pytest.mark.parametrize("node_id", LEAST)
def test_a_node_is_absent_below_the_count_that_its_definition_gives(node_id):
    least = {need.get("least") for need in MAP["nodes"][node_id]["needs"]}
    assert BETWEEN.get(node_id, LEAST[node_id]) in least


@pytest.mark.parametrize("node", [node for node in NODES if node.form is Form.NUMBER], ids=lambda n: n.id)
def test_no_sums_of_a_page_give_a_number_outside_the_range_of_its_node(node):
    rule = MAP["nodes"][node.id]
    most = {"entropy": math.log2(BIN_COUNT * len(rule.get("of", [0]))), "rms": 1}
    low, high = node.bounds
    assert low == FLOORS.get(node.id, 0)
    assert (most[rule["rule"]] if rule["rule"] in most else rule["cap"]) <= high


def test_every_key_that_is_sent_serves_a_node():
    served = {key for rule in MAP["nodes"].values() for key in keys_of(rule)}
    assert set(KEYS) - served == set()


def test_every_count_has_16_bins_or_one_number():
    for row in MAP["histograms"].values():
        scale, _, words = row["bins"].partition(" ")
        if scale == "words":
            assert len(words.split("|")) <= BIN_COUNT
        else:
            assert len(HistogramSpec.parse(row["bins"]).edges) == BIN_COUNT + 1


def test_the_schema_is_closed_at_every_level_and_has_the_keys_of_the_map():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert all(one["additionalProperties"] is False for one in objects_in(SCHEMA))
    zones = SCHEMA["properties"]["zones"]["properties"]
    sent = {f"{zone}.{name}" for zone, inner in zones.items() for name in inner["properties"]}
    assert sent == set(MAP["histograms"])
    assert set(SCHEMA["properties"]["counters"]["properties"]) == set(MAP["counters"])


def test_a_signed_counter_is_the_only_one_that_may_fall():
    counters = SCHEMA["properties"]["counters"]["properties"]
    falling = {key for key, row in counters.items() if row["minimum"] < 0}
    assert falling == {key for key, row in MAP["counters"].items() if row["signed"]}


def test_the_golden_flush_fits_the_schema_and_each_histogram_adds_up():
    flush = json.loads((Path(__file__).parents[1] / "golden/flush.json").read_text("utf-8"))
    jsonschema.validate(flush, SCHEMA)
    histograms = [histogram for zone in flush["zones"].values() for histogram in zone.values()]
    assert histograms
    assert all(histogram["n"] == sum(histogram["h"]) for histogram in histograms)
