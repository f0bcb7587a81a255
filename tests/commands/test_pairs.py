"""Proposing pairs and adopting them, through the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from riskgraph.core.catalog import Catalog, catalog, read_table
from riskgraph.core.errors import Invalid, ModelUnavailable
from riskgraph.governance.signing import Ed25519Signer
from riskgraph.models import card, load_model
from riskgraph.models.registry import shipped_champion
from riskgraph.models.train import train
from riskgraph.sandbox.proposal import FoundPair
from tests.support.cli import riskgraph

pytest.importorskip("torch", reason="looking for pairs needs the extra train")

FOUND = (FoundPair(("B005", "B071"), 30.0), FoundPair(("B102", "B131"), 20.0))
TABLE = "from,to,proposal\npath_entropy,tab_hide_count,abc\n"


def other_catalog() -> Catalog:
    return Catalog.read(read_table("catalog.csv"), read_table("edges.csv"), TABLE)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def made(tiny_world: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A proposal of two pairs; the search itself is tested where it is."""
    from riskgraph import proposing

    monkeypatch.setattr(proposing, "find_pairs", lambda *_, **__: FOUND)
    out = tmp_path / "pairs.json"
    asked = ("sandbox", "pairs", "--world", tiny_world, "--until", "2026-06-30", "--count", 5, "--out", out)
    ran = riskgraph(*asked, "--json", home=home)
    assert ran.json() == json.loads(out.read_bytes())
    again = riskgraph(*asked, home=home)
    assert (again.code, "never overwritten" in again.error) == (1, True)
    return out


def test_a_proposal_says_what_was_looked_for_and_of_which_catalogue(made: Path) -> None:
    told = json.loads(made.read_bytes())
    assert set(told) == {
        "schema", "provenance", "catalog", "window", "k", "rule", "asked", "seed", "code", "at", "pairs",
        "key_id", "signature",
    }  # fmt: skip
    assert told["schema"] == "pair_proposal/1"
    assert told["provenance"] == "simulated"
    assert told["catalog"] == {"version": catalog().version, "sha256": catalog().sha256}
    assert told["pairs"] == [
        {"rank": 1, "nodes": ["B005", "B071"], "gain": 30.0},
        {"rank": 2, "nodes": ["B102", "B131"], "gain": 20.0},
    ]


def test_each_proposal_is_on_record_with_its_digest(made: Path, home: Path, tmp_path: Path) -> None:
    records = riskgraph("sandbox", "audit", "--json", home=home).json()
    assert [r["event"] for r in records] == ["proposal"]
    adopted = riskgraph(
        "catalog", "pairs", made, "--table", tmp_path / "found.csv", "--json", home=home
    ).json()
    assert records[0]["output"]["sha256"] == adopted["proposal_sha256"]
    assert records[0]["output"]["pairs"] == [["B005", "B071"], ["B102", "B131"]]
    assert (records[0]["input"]["k"], records[0]["input"]["until"]) == (50, "2026-06-30")


def test_adopted_pairs_are_a_new_version_of_the_catalogue(made: Path, home: Path, tmp_path: Path) -> None:
    table = tmp_path / "found.csv"
    told = riskgraph("catalog", "pairs", made, "--first", 1, "--table", table, "--json", home=home).json()
    assert (told["before"]["version"], told["after"]["version"]) == ("1", "1.1")
    book = Catalog.read(read_table("catalog.csv"), read_table("edges.csv"), table.read_text())
    assert book.sha256 == told["after"]["sha256"] != catalog().sha256
    assert len(book.pairs) == len(catalog().pairs) + 1
    ends = (book["B005"].index, book["B071"].index)
    assert book.pairs[book.pair_index[ends]].types == ("found",)


def test_a_proposal_of_another_key_is_refused_unless_the_key_is_named(
    made: Path, home: Path, tmp_path: Path
) -> None:
    table, key = tmp_path / "found.csv", tmp_path / "key.pem"
    asked = ("catalog", "pairs", made, "--table", table)
    refused = riskgraph(*asked, home=tmp_path / "elsewhere")
    assert (refused.code, "--public-key" in refused.error) == (3, True)
    assert not table.exists()
    key.write_bytes(_public_key(home))
    assert riskgraph(*asked, "--public-key", key, home=tmp_path / "elsewhere").code == 0


def _public_key(home: Path) -> bytes:
    found = next(home.parent.rglob("signing.key"))
    return Ed25519Signer.open(found).public_pem


def test_the_catalogue_that_ships_has_adopted_no_pair() -> None:
    assert read_table("found.csv") == ""
    assert catalog().version == "1"
    assert "found" not in catalog().edge_types


def test_the_shipped_model_is_refused_where_a_pair_was_adopted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "catalog", other_catalog)
    with pytest.raises(ModelUnavailable, match=r"made for catalogue version 1, this installation has 1\.1"):
        load_model(shipped_champion())


def test_a_release_of_another_catalogue_trains_no_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from riskgraph.sandbox.release import _OPENED, Release

    manifest = {"release_id": "r-1", "catalog": {"version": "1", "sha256": catalog().sha256}}
    rows: Any = SimpleNamespace()
    release = Release(tmp_path, manifest, rows, token=_OPENED)
    monkeypatch.setattr(sys.modules["riskgraph.models.train"], "catalog", other_catalog)
    with pytest.raises(
        Invalid, match=r"r-1 was made for catalogue version 1, .* another \(1\.1\)"
    ) as refused:
        train([release], tmp_path / "model")
    assert refused.value.field == "release"


WITH_TABLE = """
import sys
from riskgraph.core import catalog as module
ships = module.read_table
module.read_table = lambda name: sys.argv[1] if name == "found.csv" else ships(name)
from riskgraph.commands.catalog import catalog_json
from riskgraph.models.layout import Layout
from riskgraph.sandbox.pairs import pair_ends
import json
layout, told = Layout.of_catalog(), catalog_json()
place = [p["types"] for p in told["pairs"]].index(["found"])
print(json.dumps([
    told["version"], len(told["pairs"]), len(layout.ends), len(pair_ends()), told["pairs"][place]["nodes"],
    bool(layout.listed[place]), layout.optional_ends[place].tolist(),
]))
"""


def test_model_and_release_get_a_table_for_an_adopted_pair_and_consent_stays_neutral_in_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", WITH_TABLE, TABLE], capture_output=True, text=True, check=True
    )
    expected = ["1.1", 285, 285, 285, ["B005", "B071"], False, [1.0, 1.0]]
    assert json.loads(ran.stdout) == expected
