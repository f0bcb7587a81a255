"""What the merchant bars, and what the search of texts finds, reaches the sandbox from the command line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from riskgraph import attacks, bootstrap, chain, cost, releasing
from riskgraph.core.errors import CheckFailed
from riskgraph.sandbox import Rejected
from tests.support.cli import riskgraph

UNTIL = "2026-06-30"
BARRED = '\n[training.CN.C]\nmotion = "barred"\n'


@pytest.fixture(autouse=True)
def barring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merchant.toml that is stricter than the law in one cell."""
    path = tmp_path / "merchant.toml"
    path.write_text(bootstrap.example_merchant() + BARRED, encoding="utf-8")
    monkeypatch.setenv("RISKGRAPH_MERCHANT", str(path))


def run(command: str, world: Path, home: Path, *more: object) -> Any:
    return riskgraph("sandbox", command, "--world", world, "--until", UNTIL, *more, home=home)


def bars(policy: Any) -> bool:
    return bool(policy.stricter)


def test_a_release_counts_first_and_puts_the_policy_and_what_was_found_on_record(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = (Rejected("texts", "belief", "planted", 3),)
    monkeypatch.setattr(releasing, "search_values", lambda _: found)
    ran = run("release", tiny_world, tmp_path / "home", "--out", tmp_path / "out")
    assert ran.code == 3, ran.err
    said = ran.err.index("left out:"), ran.err.index("error:")
    assert "fraud: " in ran.err[: said[0]]
    assert said[0] < said[1]
    record = json.loads((tmp_path / "home/sandbox-audit.jsonl").read_bytes().splitlines()[-1])
    assert record["event"] == "refusal"
    assert record["input"]["policy"]["stricter"]
    assert "planted" in json.dumps(record["fields"]["found"])


def test_an_attack_releases_under_the_merchants_policy(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    choose = attacks.choose

    def chosen(*a: Any, policy: Any, **more: Any) -> Any:
        seen.append(policy)
        return choose(*a, policy=policy, **more)

    def grouped(*a: Any) -> Any:
        seen.append(a[3])
        raise CheckFailed("enough seen", field="policy")

    monkeypatch.setattr(attacks, "choose", chosen)
    monkeypatch.setattr(attacks, "write_release", lambda *a, policy, **more: seen.append(policy))
    monkeypatch.setattr(attacks, "read_published", lambda release: release)
    monkeypatch.setattr(attacks, "true_groups", grouped)
    ran = run("attack", tiny_world, tmp_path / "home")
    assert "enough seen" in ran.err
    assert [bars(policy) for policy in seen] == [True, True, True]


def test_a_cost_is_measured_under_the_merchants_policy(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def measured(*a: Any, policy: Any) -> Any:
        seen.append(policy)
        raise CheckFailed("enough seen", field="policy")

    monkeypatch.setattr(cost, "measure_cost", measured)
    ran = run("cost", tiny_world, tmp_path / "home")
    assert "enough seen" in ran.err
    assert [bars(policy) for policy in seen] == [True]


@pytest.mark.parametrize("command", ["release", "attack", "cost"])
def test_raw_rows_that_a_killed_run_left_are_taken_away_also_by_small_runs(
    command: str, tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: Any, **__: Any) -> None:
        raise CheckFailed("enough seen")

    left = tmp_path / "temporary" / "riskgraph-raw-left"
    left.mkdir(parents=True)
    (left / "rows").write_bytes(b"raw")
    left.with_name(f"{left.name}.lock").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(left.parent))
    for module, name in ((chain, "write_release"), (attacks, "choose"), (cost, "measure_cost")):
        monkeypatch.setattr(module, name, stops)
    out = ("--out", tmp_path / "out") if command == "release" else ()
    assert "enough seen" in run(command, tiny_world, tmp_path / "home", *out).err
    assert not left.exists()
