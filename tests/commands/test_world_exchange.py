"""A world leaves as NDJSON and comes back, through the command line."""

from __future__ import annotations

import json

import pytest

from tests.support.cli import riskgraph


def test_a_world_goes_out_and_comes_back_as_the_simulated_world_it_is(tiny_world, tmp_path):
    home = tmp_path / "home"
    written = riskgraph("world", "export", tiny_world, "--ndjson", tmp_path / "nd", "--json", home=home)
    assert written.json()["provenance"] == "simulated"
    assert written.json()["orders"] == 3000
    back = riskgraph("world", "import", tmp_path / "nd", "--out", tmp_path / "w", "--json", home=home).json()
    assert back == riskgraph("world", "describe", tiny_world, "--json", home=home).json()


def test_without_its_manifest_an_export_is_a_merchants_history(tiny_world, tmp_path):
    home = tmp_path / "home"
    assert riskgraph("world", "export", tiny_world, "--ndjson", tmp_path / "nd", home=home).code == 0
    (tmp_path / "nd" / "manifest.json").unlink()
    back = riskgraph("world", "import", tmp_path / "nd", "--out", tmp_path / "w", "--json", home=home)
    assert back.json()["provenance"] == "merchant"


def test_an_altered_export_does_not_hold(tiny_world, tmp_path):
    home = tmp_path / "home"
    assert riskgraph("world", "export", tiny_world, "--ndjson", tmp_path / "nd", home=home).code == 0
    with (tmp_path / "nd" / "outcomes-00000.ndjson").open("a") as lines:
        lines.write(json.dumps({"outcome_id": "forged"}))
    ran = riskgraph("world", "import", tmp_path / "nd", "--out", tmp_path / "w", home=home)
    assert (ran.code, "outcomes-00000.ndjson differs" in ran.error) == (3, True)
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--replay", "http://127.0.0.1:9"), "--world"),
        (("--replay", "127.0.0.1:9", "--world", "."), "--replay"),
        (("--replay", "http://127.0.0.1:9", "--world", "."), "RISKGRAPH_KEY"),
        (("--replay", "http://127.0.0.1:9", "--world", ".", "--key", "rk", "--speed", "fast"), "--speed"),
        (("--replay", "http://127.0.0.1:9", "--world", ".", "--key", "rk", "--speed", "-1"), "--speed"),
    ],
    ids=str,
)
def test_wrong_usage_of_a_replay_is_named(arguments, named, tmp_path):
    ran = riskgraph("simulate", *arguments, home=tmp_path / "home")
    assert ran.code == 2
    assert named in ran.error


def test_a_replay_to_nobody_says_so(tiny_world, tmp_path):
    arguments = ("--replay", "http://127.0.0.1:9", "--world", tiny_world, "--key", "rk")
    ran = riskgraph("simulate", *arguments, home=tmp_path / "home")
    assert ran.code == 1
    assert "no service answers at http://127.0.0.1:9" in ran.error
