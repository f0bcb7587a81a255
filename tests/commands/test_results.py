"""What the commands print and write, and what they refuse."""

from __future__ import annotations

import asyncio
import json
import shutil
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from riskgraph import bootstrap, promotion
from riskgraph.commands.backtest import show_backtest
from riskgraph.core.catalog import catalog
from riskgraph.models.registry import shipped_champion
from riskgraph.pipeline import decide
from riskgraph.settings import Settings
from tests.models.helpers import random_tree_model
from tests.support.cli import riskgraph
from tests.support.promoting import passed_backtest, released

ORDER = Path(__file__).parents[1] / "golden/order.json"


def tampered(folder: Path, name: str, target: Path) -> Path:
    """A copy of a folder with one more byte at the end of one file."""
    shutil.copytree(folder, target)
    with (target / name).open("ab") as file:
        file.write(b" ")
    return target


def test_the_catalogue_prints_as_one_value(tmp_path):
    shown = riskgraph("catalog", "--json", home=tmp_path).json()
    assert len(shown["nodes"]) == 137
    assert shown["sha256"] == catalog().sha256
    assert len(shown["pairs"]) == len(catalog().pairs)


def test_the_schema_of_signals_prints_as_one_value(tmp_path):
    assert riskgraph("catalog", "--schema", home=tmp_path).json()["type"] == "object"


def test_the_tree_prints_as_one_value(tmp_path):
    shown = riskgraph("tree", "show", "--json", home=tmp_path).json()
    assert shown["sha256"] == bootstrap.load_tree(Settings()).sha256
    assert {gate["id"] for gate in shown["gates"]} == {"single_node"}


def test_the_shipped_champion_scores_the_golden_order(tmp_path):
    answer = riskgraph("score", ORDER, "--json", home=tmp_path).json()
    assert not answer["degraded"]
    assert answer["verdict"] in ("accept", "review", "reject")
    assert 0 < answer["score"] < 1
    assert answer["provenance"] == "simulated"
    assert (
        answer["versions"]["model_sha256"]
        == bootstrap.load_model(shipped_champion()).versions["model_sha256"]
    )


def test_reasons_come_in_the_asked_language(tmp_path):
    english, chinese = (
        riskgraph("score", ORDER, "--lang", lang, "--json", home=tmp_path).json()["reasons"]
        for lang in ("en", "zh")
    )
    assert [r["code"] for r in english] == [r["code"] for r in chinese]
    assert english
    for one, other in zip(english, chinese, strict=True):
        assert one["text"].isascii()
        assert not other["text"].isascii()


@pytest.mark.parametrize("by", ["--model", "RISKGRAPH_MODEL"])
def test_a_model_that_was_asked_for_by_name_and_is_none_is_an_error(by, tmp_path):
    asked = ("--model", tmp_path) if by == "--model" else ()
    environment = {} if asked else {by: str(tmp_path)}
    ran = riskgraph("score", ORDER, *asked, home=tmp_path / "home", environment=environment)
    assert (ran.code, ran.out) == (1, b"")
    assert str(tmp_path / "card.json") in ran.error


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"{", "not JSON"),
        (b"[]", "JSON object"),
        (b"{}", "merchant_id"),
        (b" " * 70_000, "larger than 65536"),
    ],
)
def test_a_body_that_is_no_order_is_wrong_input(body, named, tmp_path):
    (tmp_path / "order.json").write_bytes(body)
    ran = riskgraph("score", tmp_path / "order.json", home=tmp_path / "home")
    assert (ran.code, ran.out) == (2, b"")
    assert named in ran.error


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with one decision in its store, and the decision's id."""
    home = tmp_path_factory.mktemp("decided")
    service = bootstrap.open_service(Settings(home=home, deadline_ms=60_000), bootstrap.demo_profile())
    try:
        body = json.loads(ORDER.read_text("utf-8"))
        answer = asyncio.run(
            decide(body, service.line, key_id="k", idempotency_key="i", body_sha256="0" * 64)
        )
    finally:
        service.close()
    return home, json.loads(answer.body)["decision_id"]


def test_a_stored_report_prints_as_one_value_or_as_a_file(decided, tmp_path):
    home, decision = decided
    shown = riskgraph("report", "show", decision, "--json", home=home).json()
    assert shown["decision_id"] == decision
    page = tmp_path / "report.html"
    show = ("report", "show", decision, "--format", "html", "--out", page)
    told = riskgraph(*show, "--json", home=home).json()
    content = page.read_bytes()
    assert content.startswith(b"<!")
    assert told == {"path": str(page), "media_type": "text/html; charset=utf-8", "bytes": len(content)}


@pytest.mark.parametrize("command", [("report", "show"), ("graph", "order")], ids=" ".join)
def test_a_report_or_picture_that_cannot_be_written_is_named(command, decided, tmp_path):
    home, decision = decided
    out = tmp_path / "nope" / "x.svg"
    ran = riskgraph(*command, decision, "--out", out, home=home)
    assert (ran.code, ran.err) == (1, f"error: {out}: No such file or directory\n")


def test_keys_are_shown_once_listed_without_secrets_and_revoked(tmp_path):
    made = riskgraph("keys", "create", "--role", "checkout", "--merchant", "m-1", "--json", home=tmp_path)
    key_id = made.json()["key"].split("_")[1]
    (row,) = riskgraph("keys", "list", "--json", home=tmp_path).json()
    assert (row["key_id"], row["roles"], row["org"], row["revoked"]) == (key_id, ["checkout"], "m-1", False)
    assert "hash" not in row
    assert riskgraph("keys", "revoke", key_id, "--json", home=tmp_path).json() == {"revoked": key_id}
    assert riskgraph("keys", "list", "--json", home=tmp_path).json()[0]["revoked"]
    assert riskgraph("keys", "revoke", "nobody", home=tmp_path).code == 1


def test_a_publishable_key_is_listed_with_its_origins(tmp_path):
    origins = ("https://shop.example", "https://m.shop.example")
    named = [part for origin in origins for part in ("--origin", origin)]
    create = ("keys", "create", "--role", "publishable", "--merchant", "m-1", *named, "--json")
    assert riskgraph(*create, home=tmp_path).json()["key"].startswith("pk_")
    (row,) = riskgraph("keys", "list", "--json", home=tmp_path).json()
    assert (row["roles"], row["origins"]) == (["publishable"], list(origins))


def test_a_key_can_be_made_to_expire_and_the_list_says_when(tmp_path):
    create = ("keys", "create", "--role", "checkout", "--merchant", "m-1", "--json")
    on_a_day = riskgraph(*create, "--expires", "2099-01-31", home=tmp_path).json()
    assert on_a_day["expires"] == "2099-01-31T00:00:00+00:00"
    in_a_week = datetime.fromisoformat(riskgraph(*create, "--days", 7, home=tmp_path).json()["expires"])
    assert abs(in_a_week - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    assert riskgraph(*create, home=tmp_path).json()["expires"] is None
    rows = riskgraph("keys", "list", "--json", home=tmp_path).json()
    assert {row["expires"] for row in rows} == {on_a_day["expires"], in_a_week.isoformat(), None}


def test_a_figure_that_is_undefined_is_shown_as_such():
    """Precision, of a model that rejects nothing."""
    written = Console(file=StringIO(), width=200)
    row = {"name": "precision (reject)", "value": None, "lower": None, "upper": None}
    show_backtest(written, {"provenance": "simulated", "figures": [row], "path": "report"})
    assert "undefined" in written.file.getvalue()


def test_a_model_of_simulated_origin_may_be_promoted_to_observe_only(tmp_path):
    report = passed_backtest(shipped_champion(), tmp_path / "report", Settings(home=tmp_path))
    asked = ("model", "promote", shipped_champion(), "--by", "me", "--backtest", report)
    refused = riskgraph(*asked, "--enforce", "m-17", home=tmp_path)
    assert refused.code == 3
    assert "may only observe" in refused.error
    done = riskgraph(*asked, "--json", home=tmp_path).json()
    assert (done["by"], done["mode"], done["merchants"]) == ("me", "observe", [])
    rows = riskgraph("model", "list", "--json", home=tmp_path).json()
    assert [row["champion"] for row in rows] == [False, True]
    assert rows[0]["name"] == promotion.shipped_card()["name"]


def test_a_rollback_lets_the_champion_before_decide_again(tmp_path):
    refused = riskgraph("model", "rollback", "--by", "me", home=tmp_path)
    assert refused.code == 1
    assert "nothing was promoted" in refused.error
    random_tree_model(tmp_path / "new", 1, **released())
    folders = []
    for path in (shipped_champion(), tmp_path / "new"):
        report = passed_backtest(path, tmp_path / f"of-{path.name}", Settings(home=tmp_path))
        asked = ("model", "promote", path, "--by", "me", "--backtest", report, "--json")
        folders.append(riskgraph(*asked, home=tmp_path).json()["folder"])
    done = riskgraph("model", "rollback", "--by", "you", "--json", home=tmp_path).json()
    assert (done["folder"], done["by"], done["event"]) == (folders[0], "you", "rollback")
    assert done["instead_of"] == "random-1"
    rows = riskgraph("model", "list", "--json", home=tmp_path).json()
    assert [Path(row["folder"]).name for row in rows if row["champion"]] == folders[:1]
    first = riskgraph("model", "rollback", "--by", "you", home=tmp_path)
    assert first.code == 1
    assert "first champion" in first.error


def test_simulate_describes_the_world_it_made(chain):
    shown = json.loads((chain / "simulate.json").read_text())
    again = riskgraph("world", "describe", chain / "world", "--json", home=chain / "home").json()
    assert shown == again
    assert again["provenance"] == "simulated"
    assert again["orders"] == 12_000


def test_the_hidden_truth_is_counted_on_request_only(chain):
    shown = riskgraph("world", "describe", chain / "world", "--oracle", "--json", home=chain / "home").json()
    assert sum(shown["archetype"].values()) == shown["orders"]
    assert "archetype" not in json.loads((chain / "simulate.json").read_text())


def test_a_folder_that_holds_something_is_never_overwritten(chain):
    ran = riskgraph("simulate", "--orders", 300, "--out", chain / "world", home=chain / "home")
    assert ran.code == 1
    assert "not empty" in ran.error


def test_a_release_certifies_its_groups(chain):
    made = json.loads((chain / "release.json").read_text())
    held = made["certificate"]
    assert made["k"] == 50
    assert held["min_units"] >= 50
    assert held["min_units"] == held["independent"]["min_units"]
    assert held["fraud_groups"] >= 2


def test_the_audit_record_of_a_release_can_be_read_back(chain):
    (record,) = riskgraph("sandbox", "audit", chain / "release", "--json", home=chain / "home").json()
    assert (record["event"], record["verdict"]) == ("release", "released")
    assert record["k_check"] == json.loads((chain / "release.json").read_text())["certificate"]


def test_a_world_with_too_few_fraud_persons_is_refused_and_told_what_is_missing(tiny_world, tmp_path):
    out = tmp_path / "release"
    ran = riskgraph(
        "sandbox", "release", "--world", tiny_world, "--until", "2026-06-30", "--out", out, home=tmp_path
    )
    assert ran.code == 3
    for part in ("the fraud class has", "at least 100 persons in 2 groups of 50", "missing"):
        assert part in ran.error
    assert not out.exists()


@pytest.mark.parametrize("name", ["rows.parquet", "manifest.json", "audit.jsonl", "centroids.parquet"])
def test_a_release_that_was_altered_is_refused(chain, tmp_path, name):
    copy = tampered(chain / "release", name, tmp_path / "release")
    for command in (
        ("sandbox", "audit", copy),
        ("train", "--release", copy, "--out", tmp_path / "model", "--kind", "gbdt"),
    ):
        ran = riskgraph(*command, home=chain / "home")
        assert ran.code == 3
        assert name in ran.error
    assert not (tmp_path / "model").exists()


def test_a_release_of_another_installation_is_refused(chain, tmp_path):
    ran = riskgraph("sandbox", "audit", chain / "release", home=tmp_path / "another")
    assert ran.code == 3
    assert "signature" in ran.error


def exported_key(home: Path, out: Path) -> Path:
    ran = riskgraph("keys", "public", "--out", out, home=home)
    assert ran.code == 0, ran.err
    return out


def test_the_public_key_prints_as_one_value_or_as_a_file(tmp_path):
    shown = riskgraph("keys", "public", "--json", home=tmp_path / "home").json()
    assert shown["algorithm"] == "Ed25519"
    plain = riskgraph("keys", "public", home=tmp_path / "home").out.decode()
    assert plain == shown["public_key"]
    written = exported_key(tmp_path / "home", tmp_path / "key.pem").read_text()
    assert written == plain
    assert written.startswith("-----BEGIN PUBLIC KEY-----")
    assert "PRIVATE" not in written


def test_a_third_party_verifies_with_the_exported_key_alone(chain, tmp_path):
    key = exported_key(chain / "home", tmp_path / "key.pem")
    elsewhere = tmp_path / "elsewhere"
    audit = ("sandbox", "audit", chain / "release", "--public-key", key, "--json")
    (record,) = riskgraph(*audit, home=elsewhere).json()
    assert record["key_id"] == riskgraph("keys", "public", "--json", home=chain / "home").json()["key_id"]
    verify = ("backtest", "verify", chain / "report", "--public-key", key, "--json")
    assert riskgraph(*verify, home=elsewhere).json() == {"problems": []}
    assert not elsewhere.exists()
    assert not elsewhere.with_name("elsewhere-secrets").exists()


def test_the_public_key_of_another_installation_verifies_nothing(chain, tmp_path):
    key = exported_key(tmp_path / "another", tmp_path / "key.pem")
    for command in (("sandbox", "audit", chain / "release"), ("backtest", "verify", chain / "report")):
        assert riskgraph(*command, "--public-key", key, home=chain / "home").code == 3


@pytest.mark.parametrize(
    "text", ["", "rk_000000000000_x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
)
def test_a_file_that_is_no_public_key_is_wrong_usage(chain, tmp_path, text):
    key = tmp_path / "key.pem"
    key.write_text(text)
    ran = riskgraph("backtest", "verify", chain / "report", "--public-key", key, home=chain / "home")
    assert ran.code == 2
    assert "key.pem" in ran.error


def test_a_backtest_gives_every_figure_with_its_interval(chain):
    shown = json.loads((chain / "backtest.json").read_text())
    assert shown["provenance"] == "simulated"
    figures = {row["name"]: row for row in shown["figures"]}
    for name in ("auc", "recall (reject)", "fpr (reject)", "precision (reject)"):
        row = figures[name]
        assert row["lower"] <= row["value"] <= row["upper"]
    assert 0.02 < figures["base rate"]["value"] < 0.1


def test_a_backtest_of_a_merchant_without_orders_names_those_that_have_some(chain, tmp_path):
    asked = ("backtest", "--world", chain / "world", "--out", tmp_path / "report", "--merchant", "m-99")
    ran = riskgraph(*asked, "--from", "2026-09-01", "--to", "2026-09-30", home=tmp_path / "home")
    assert ran.code == 2
    assert "--merchant 'm-99' has no order from 2026-09-01 to 2026-09-30; known: m-demo" in ran.error
    assert not (tmp_path / "report").exists()


def test_a_backtest_of_one_merchant_is_signed_as_of_that_merchant_alone(chain, tmp_path):
    all_of_them = json.loads((chain / "backtest.json").read_text())
    window = json.loads((chain / "report/report.json").read_bytes())["window"]
    asked = ("backtest", "--world", chain / "world", "--out", tmp_path / "report", "--merchant", "m-demo")
    days = ("--from", window["from"], "--to", window["to"])
    shown = riskgraph(*asked, *days, "--json", home=chain / "home").json()
    assert json.loads((tmp_path / "report/report.json").read_bytes())["merchants"] == ["m-demo"]
    assert shown["figures"] == all_of_them["figures"]


def test_a_backtest_that_cannot_be_written_leaves_the_world_as_it_is(chain, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "mine").touch()
    days = ("--from", "2026-09-01", "--to", "2026-09-30")
    before = {path: path.stat().st_mtime_ns for path in (chain / "world/derived").iterdir()}
    ran = riskgraph(
        "backtest", "--world", chain / "world", "--out", tmp_path / "report", *days, home=tmp_path / "home"
    )
    assert ran.code == 1
    assert "not empty" in ran.error
    assert {path: path.stat().st_mtime_ns for path in (chain / "world/derived").iterdir()} == before


def test_a_backtest_report_verifies_until_it_is_altered(chain, tmp_path):
    home = chain / "home"
    assert riskgraph("backtest", "verify", chain / "report", "--json", home=home).json() == {"problems": []}
    copy = tampered(chain / "report", "report.json", tmp_path / "report")
    ran = riskgraph("backtest", "verify", copy, "--json", home=home)
    assert ran.code == 3
    assert "report.json" in ran.error
    assert ran.error == "error: " + "; ".join(json.loads(ran.out)["problems"])


def test_replay_writes_what_follows_from_earlier_orders(chain):
    shown = riskgraph("world", "replay", chain / "world", "--json", home=chain / "home").json()
    assert list(Path(shown["derived"]).glob("orders-*.parquet"))
