"""Each golden file is what the writing side writes and what the reading side reads."""

from __future__ import annotations

import hashlib
import io
import json
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from riskgraph.commands.score import show_answer
from riskgraph.core.catalog import Form, catalog
from riskgraph.core.errors import Invalid, ModelUnavailable, Unauthenticated
from riskgraph.core.schema import signals_schema
from riskgraph.core.subgraph import OrderSubgraph
from riskgraph.core.verdict import DecisionTree
from riskgraph.explainers.integrity import canonical_sha256
from riskgraph.explainers.merchant import MerchantProfile
from riskgraph.explainers.render_json import schema
from riskgraph.governance.keys import Authenticator, hash_secret
from riskgraph.models.card import CARD_FILE, card_text, read_card
from tests.contracts import golden_makers as makers
from tests.models.helpers import random_card
from tests.support.shape import shape

GOLDEN = makers.GOLDEN


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return makers.decided(tmp_path_factory.mktemp("golden"))


def test_every_golden_file_is_described():
    described = (GOLDEN / "README.md").read_text("utf-8")
    for path in GOLDEN.iterdir():
        assert path.name == "README.md" or f"| `{path.name}` |" in described


def test_there_is_a_node_of_every_form():
    forms = {catalog()[row["node"]].form for row in golden("nodes.json").values()}
    assert forms == set(Form)


@pytest.mark.parametrize("form", golden("nodes.json"))
def test_a_value_on_the_wire_has_the_golden_components(form):
    row = golden("nodes.json")[form]
    assert makers.components(row["node"], row["value"]) == pytest.approx(row["components"], rel=1e-6)
    subgraph = OrderSubgraph.build({row["node"]: row["value"]}, {})
    assert OrderSubgraph.unpack(subgraph.pack()) == subgraph


@pytest.mark.parametrize("form", [f for f in golden("nodes.json") if f != "context"])
def test_the_published_schema_of_signals_admits_what_a_checkout_may_send(form):
    row = golden("nodes.json")[form]
    jsonschema.Draft202012Validator(signals_schema()).validate({row["node"]: row["value"]})


@pytest.mark.parametrize("form", golden("nodes.json"))
def test_the_published_schema_of_signals_refuses_what_no_checkout_may_send(form):
    row = golden("nodes.json")[form]
    checker = jsonschema.Draft202012Validator(signals_schema())
    wrong = [{row["node"]: "no such value"}, {row["node"]: []}, {"B000": row["value"]}]
    if form == "context":  # the service computes it
        wrong.append({row["node"]: row["value"]})
    assert [signals for signals in wrong if checker.is_valid(signals)] == []


def test_the_pipeline_answers_in_the_golden_shape(decided):
    expected, answer = golden("answer.json"), decided[0]
    assert shape(answer) == shape(expected)
    for name in ("trace_id", "availability_class", "context", "degraded", "provenance", "mode"):
        assert answer[name] == expected[name]
    assert list(answer) == list(expected)


def test_the_command_line_shows_the_golden_answer():
    shown = io.StringIO()
    show_answer(Console(file=shown, width=200), golden("answer.json"))
    for reason in golden("answer.json")["reasons"]:
        assert reason["code"] in shown.getvalue()


def test_the_store_emits_events_in_the_golden_shape(decided):
    expected, events = golden("events.json"), decided[1]
    assert [shape(event) for event in events] == [shape(event) for event in expected]
    for event, same in zip(events, expected, strict=True):
        for name in ("seq", "type", "v", "at"):
            assert event[name] == same[name]
        assert event["event_id"].startswith(f"{event['type']}:")
    assert events[0]["subject_key"] == events[1]["subject_key"]


def test_a_world_is_written_with_the_golden_manifest(tmp_path):
    pytest.importorskip("pyarrow", reason="worlds need the extra lab")
    from riskgraph.eval.worlds.check import read_manifest

    expected, manifest = golden("world-manifest.json"), makers.world_manifest(tmp_path)
    assert shape(manifest) == shape(expected)
    for name in ("schema", "provenance", "entities", "counts"):
        assert manifest[name] == expected[name]
    (tmp_path / "manifest.json").write_bytes((GOLDEN / "world-manifest.json").read_bytes())
    assert read_manifest(tmp_path) == expected


def test_a_release_is_written_with_the_golden_manifest(chain):
    manifest = json.loads((chain / "release/manifest.json").read_text("utf-8"))
    expected = golden("release-manifest.json")
    for one in (manifest, expected):
        one["strata"] = list(one["strata"].values())
        # A count is a number or "<50", as the world has it.
        for name in ("dropped", "by_jurisdiction"):
            assert set(map(type, one["input"][name].values())) <= {int, str}
            one["input"][name] = dict.fromkeys(one["input"][name], "<50")
    assert shape(manifest) == shape(expected)
    assert set(manifest["files"]) == set(expected["files"])


def test_training_and_the_sandbox_read_the_golden_manifest():
    pytest.importorskip("pyarrow", reason="the sandbox needs the extra lab")
    from riskgraph.models.train import describe
    from riskgraph.sandbox.release import SCHEMA, check_certificate

    manifest = golden("release-manifest.json")
    assert manifest["schema"] == SCHEMA
    check_certificate(manifest["certificate"])
    release: Any = SimpleNamespace(
        release_id=manifest["release_id"],
        provenance=manifest["provenance"],
        k=manifest["certificate"]["k"],
        certificate=manifest["certificate"],
        manifest=manifest,
    )
    described = describe([release])
    assert described["provenance"] == "simulated"
    assert described["window"][manifest["release_id"]]["until"] == manifest["input"]["until"]


def test_a_card_is_written_as_the_golden_one_and_reads_back(tmp_path):
    assert (GOLDEN / "card.json").read_text("utf-8").strip() == json.dumps(
        makers.card(), ensure_ascii=False, indent=1
    )
    (tmp_path / CARD_FILE).write_bytes((GOLDEN / "card.json").read_bytes())
    assert read_card(tmp_path).to_json() == random_card(0).to_json()


@pytest.mark.parametrize("name", golden("card.json"))
def test_a_card_without_one_of_its_fields_is_refused(tmp_path, name):
    card = golden("card.json")
    del card[name]
    (tmp_path / CARD_FILE).write_text(json.dumps(card), "utf-8")
    with pytest.raises(ModelUnavailable, match="digest" if name == "card_sha256" else name):
        read_card(tmp_path)


def test_a_card_text_ends_with_its_own_digest():
    assert json.loads(card_text(random_card(0)))["card_sha256"] == random_card(0).digest


def test_the_shipped_tree_is_the_golden_one():
    assert makers.tree() == golden("tree.json")


def test_a_tree_is_named_by_the_digest_of_its_content():
    known = golden("tree.json")
    assert DecisionTree.parse(known["tree"]).sha256 == known["sha256"]
    softer = known["tree"] | {"version": "2"}
    assert DecisionTree.parse(softer).sha256 != known["sha256"]


def test_the_golden_report_follows_the_committed_schema():
    report = golden("report-subject.json")
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(schema(), format_checker=checker).validate(report)
    assert report["integrity"]["canonical_sha256"] == canonical_sha256(report)


def test_the_golden_report_is_the_one_that_is_written():
    assert makers.report() == golden("report-subject.json")


def test_the_golden_merchant_is_complete_and_has_every_field_of_the_example():
    profile = MerchantProfile.load(GOLDEN / "merchant.toml")
    assert profile.problems() == []
    assert not profile.simulated
    mine = tomllib.loads((GOLDEN / "merchant.toml").read_text("utf-8"))
    assert shape(mine) == shape(dict(MerchantProfile.demo().data))


def test_a_merchant_without_a_word_for_its_mode_is_refused(tmp_path):
    text = (GOLDEN / "merchant.toml").read_text("utf-8").replace('mode = "enforce"', 'mode = "force"')
    (tmp_path / "merchant.toml").write_text(text, "utf-8")
    with pytest.raises(Invalid, match="mode"):
        MerchantProfile.load(tmp_path / "merchant.toml")


def test_a_key_is_stored_in_the_golden_shape_and_never_with_its_secret():
    made = makers.api_key()
    assert shape(made) == shape(golden("key.json"))
    secret = made["shown"].split("_", 2)[2]
    assert made["stored"]["hash"] == hashlib.sha256(secret.encode()).hexdigest() == hash_secret(secret)
    assert secret not in json.dumps(made["stored"])


def test_the_golden_key_opens_the_door_and_another_secret_does_not():
    known = golden("key.json")
    store = makers.OneKey()
    store.put_key(known["stored"])
    key = Authenticator(store).authenticate(f"Bearer {known['shown']}", 0.0)
    assert (key.key_id, key.org, key.roles) == (known["stored"]["key_id"], "m-17", ("checkout",))
    with pytest.raises(Unauthenticated):
        Authenticator(store).authenticate(f"Bearer {known['shown']}x", 0.0)


def test_no_golden_file_is_larger_than_it_must_be():
    assert all(path.stat().st_size < 40_000 for path in Path(GOLDEN).iterdir())
