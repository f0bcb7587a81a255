"""``riskgraph sandbox audit``, ``erase`` and ``certificate``, and what training puts on record."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from riskgraph import auditing, bootstrap
from riskgraph.chain import open_world, world_table
from riskgraph.core.fonts import PACKAGE
from riskgraph.settings import Settings
from tests.support.cli import riskgraph
from tests.support.once import made_once

HAVE_PDF = all(importlib.util.find_spec(name) for name in ("typst", PACKAGE))


@pytest.fixture
def home(chain: Path, tmp_path: Path) -> Path:
    """The installation that made the release, as a copy that may be changed."""
    home = tmp_path / "home"
    home.mkdir()
    # only the first record: other tests may train at the same time, and so append to the log
    first = (chain / "home/sandbox-audit.jsonl").read_bytes().splitlines(keepends=True)[0]
    (home / "sandbox-audit.jsonl").write_bytes(first)
    shutil.copytree(chain / "home-secrets", tmp_path / "home-secrets")
    return home


@pytest.fixture(scope="session")
def trained(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``home`` in which a tree model was trained on the release, and ``model.json``."""

    def make(folder: Path) -> None:
        shutil.copytree(chain / "home-secrets", folder / "home-secrets")
        (folder / "home").mkdir()
        log = (chain / "home/sandbox-audit.jsonl").read_bytes().splitlines(keepends=True)[0]
        (folder / "home/sandbox-audit.jsonl").write_bytes(log)
        out = ("--out", folder / "model", "--kind", "gbdt", "--json")
        ran = riskgraph("train", "--release", chain / "release", *out, home=folder / "home")
        (folder / "model.json").write_text(json.dumps(ran.json()))

    return made_once(tmp_path_factory, "trained-on-record", make)


def audit(home: Path, *arguments: object) -> Any:
    return riskgraph("sandbox", "audit", *arguments, "--json", home=home)


def test_the_whole_log_is_verified_and_gives_the_hash_to_keep(home, chain):
    (record,) = audit(home).json()
    assert record["seq"] == 0
    shown = riskgraph("sandbox", "audit", home=home).out.decode()
    assert f"riskgraph sandbox audit --expect {record['hash']}" in shown
    assert audit(home, "--expect", record["hash"]).code == 0
    assert audit(home, chain / "release").json() == [record]


def test_training_appends_which_model_read_the_release(trained, chain):
    release, read = audit(trained / "home").json()
    card = json.loads((trained / "model.json").read_text())
    assert (read["event"], read["prev_hash"]) == ("read", release["hash"])
    assert read["output"]["release_id"] == release["output"]["release_id"]
    (consumer,) = read["consumers"]
    assert (consumer["model_id"], consumer["digest_ok"]) == (card["name"], True)
    kept = json.loads((trained / "model/card.json").read_text())
    assert consumer["model_sha256"] == kept["card_sha256"]


def test_a_log_that_was_shortened_is_found_by_a_kept_hash_and_by_its_release(trained, home, chain):
    kept = audit(trained / "home").json()[1]["hash"]
    shorter = audit(home, "--expect", kept)
    assert shorter.code == 3
    assert "shortened" in shorter.error
    (home / "sandbox-audit.jsonl").write_bytes(b"")
    gone = audit(home, chain / "release")
    assert gone.code == 3
    assert "does not hold the record of this release" in gone.error


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda data: data.replace(b'"event":"read"', b'"event":"rest"'), "line 2: the signature"),
        (lambda data: data.splitlines(keepends=True)[1], "line 1: a record is missing"),
        (lambda data: data[:-5], "line 2: cut off"),
    ],
)
def test_what_fails_in_the_log_is_named_with_its_line(trained, tmp_path, change, named):
    shutil.copytree(trained / "home", tmp_path / "home")
    shutil.copytree(trained / "home-secrets", tmp_path / "home-secrets")
    log = tmp_path / "home/sandbox-audit.jsonl"
    log.write_bytes(change(log.read_bytes()))
    ran = audit(tmp_path / "home")
    assert ran.code == 3
    assert named in ran.error


def test_a_home_without_a_log_says_so(tmp_path):
    ran = audit(tmp_path / "home")
    assert ran.code == 1
    assert "nothing was recorded" in ran.error


def test_a_hash_is_asked_of_the_log_not_of_a_release(home, chain):
    ran = audit(home, chain / "release", "--expect", "00")
    assert ran.code == 2
    assert "--expect" in ran.error


def test_an_erasure_is_put_on_record(home):
    ran = riskgraph("sandbox", "erase", "A-1001", "A-1002", "--json", home=home).json()
    assert ran["composition"]["records_erased"] == 2
    assert "A-1001" not in (home / "sandbox-audit.jsonl").read_text()
    assert [record["event"] for record in audit(home).json()] == ["release", "erase"]
    (home / "sandbox-ledger/erased.digests").write_bytes(b"")
    changed = audit(home)
    assert changed.code == 3
    assert "erased.digests is not what the log names" in changed.error


def test_an_order_without_an_id_cannot_be_erased(home):
    assert riskgraph("sandbox", "erase", "", home=home).code == 2


def test_nothing_more_is_learned_from_an_erased_order(home, chain):
    settings = Settings.from_environment({"RISKGRAPH_HOME": str(home)})
    table = world_table(open_world(chain / "world"), 2e9, bootstrap.open_door(settings), lambda *_: None)
    assert auditing.without_erased(table, settings) is table
    gone = str(table.order_id[7])
    riskgraph("sandbox", "erase", gone, home=home)
    left = auditing.without_erased(table, settings)
    assert len(left) == len(table) - 1
    assert gone not in left.order_id


def test_what_the_cost_process_measured_is_on_record_and_in_certificates_of_the_same_procedure(
    home, chain, tmp_path
):
    loss = {"raw": 0.9, "release": 0.85, "loss": 0.05, "lower": 0.04, "upper": 0.0625}
    cell = {
        "model": "trees",
        "kind": "all",
        "unseen": False,
        "orders": 321,
        "units": 200,
        "auc": loss,
        "recall": loss,
    }
    asked = {"until": "2026-06-30", "k": 50}
    result = {"request": asked, "provenance": "simulated", "judged_by": "its truth"}
    result["cells"] = [cell, {**cell, "kind": "fake merchants"}]
    auditing.log_cost(result, Settings.from_environment({"RISKGRAPH_HOME": str(home)}))
    last = audit(home).json()[-1]
    assert (last["event"], len(last["utility"]), last["utility"][0]["auc_loss"]) == ("cost", 1, 0.05)
    assert last["utility"][0]["fraud_orders"] == 300
    assert "321" not in json.dumps(last["utility"])
    pages = []
    for k in (50, 60):
        result["request"] = {**asked, "k": k}
        auditing.log_cost(result, Settings.from_environment({"RISKGRAPH_HOME": str(home)}))
        out = tmp_path / f"{k}.html"
        ran = riskgraph(
            "sandbox", "certificate", chain / "release", "--out", out, "--format", "html", home=home
        )
        assert ran.code == 0, ran.error
        pages.append(out.read_text())
    assert "0.04–0.062" in pages[0]
    assert pages[0].count("0.04–0.062") == pages[1].count("0.04–0.062")


@pytest.mark.parametrize("event", ["attack", "cost"])
def test_attacks_and_costs_of_one_piece_are_told_of_releases_in_one_piece_only(event):
    record = {"event": event, "output": None, "input": {"k": 50}, "actor": {"code_commit": "c"}}
    for chunked, told in ((None, True), ({"rows": 32_768, "bucket": 16_384, "sample": 16_384}, False)):
        release = SimpleNamespace(k=50, manifest={"code": "c", "algorithm": {"chunked": chunked}})
        assert auditing._speaks_of(record, release) == told


def test_training_does_not_begin_where_it_cannot_go_on_record(home, chain, tmp_path):
    (home / "sandbox-audit.jsonl").write_text('{"seq": 0}\n')
    asked = ("--release", chain / "release", "--kind", "gbdt", "--out", tmp_path / "model")
    ran = riskgraph("train", *asked, home=home)
    assert ran.code == 3
    assert "no chain" in ran.error
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(("lang", "word"), [("zh", "训练数据脱敏发布证书"), ("en", "SIMULATED")])
def test_a_certificate_is_written_in_both_languages(home, chain, tmp_path, lang, word):
    out = tmp_path / "certificate.html"
    made = riskgraph(
        "sandbox", "certificate", chain / "release", "--out", out, "--lang", lang, "--json", home=home
    ).json()
    assert made["path"] == str(out)
    assert word in out.read_text("utf-8")
    again = riskgraph("sandbox", "certificate", chain / "release", "--out", out, home=home)
    assert again.code == 1
    assert "exists" in again.error


def test_a_certificate_names_the_models_on_record(trained, chain, tmp_path):
    out = tmp_path / "certificate.html"
    riskgraph("sandbox", "certificate", chain / "release", "--out", out, home=trained / "home")
    assert json.loads((trained / "model.json").read_text())["name"] in out.read_text("utf-8")


def test_a_line_that_a_kill_cut_off_keeps_nobody_from_a_certificate(home, chain, tmp_path):
    with (home / "sandbox-audit.jsonl").open("ab") as log:
        log.write(b'{"actor":')
    assert audit(home).code == 3
    out = tmp_path / "certificate.html"
    assert riskgraph("sandbox", "certificate", chain / "release", "--out", out, home=home).code == 0


@pytest.mark.skipif(not HAVE_PDF, reason="the extra pdf is optional")
def test_a_certificate_can_be_a_pdf(home, chain, tmp_path):
    out = tmp_path / "certificate.pdf"
    ran = riskgraph("sandbox", "certificate", chain / "release", "--out", out, "--format", "pdf", home=home)
    assert ran.code == 0, ran.err
    assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("option", [("--lang", "fr"), ("--format", "docx")])
def test_a_wrong_choice_is_wrong_usage_and_writes_nothing(home, chain, tmp_path, option):
    out = tmp_path / "certificate"
    ran = riskgraph("sandbox", "certificate", chain / "release", "--out", out, *option, home=home)
    assert ran.code == 2
    assert option[0] in ran.error
    assert not out.exists()


def test_no_certificate_is_written_of_a_release_that_does_not_hold(home, chain, tmp_path):
    copy = shutil.copytree(chain / "release", tmp_path / "copy")
    (copy / "rows.parquet").write_bytes(b"")
    ran = riskgraph("sandbox", "certificate", copy, "--out", tmp_path / "out.html", home=home)
    assert ran.code == 3
    assert "rows.parquet" in ran.error
    assert not (tmp_path / "out.html").exists()
