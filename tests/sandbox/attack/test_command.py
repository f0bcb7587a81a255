"""``riskgraph sandbox attack``: what it prints, writes, logs and exits with."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from riskgraph import attacks, bootstrap
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.sandbox import verify_audit
from riskgraph.sandbox.attack import run
from riskgraph.sandbox.attack.run import NAMES, Effort
from tests.sandbox.conftest import swept_once
from tests.support.cli import riskgraph

UNTIL = date(2026, 6, 30)


def silent(*_: object) -> None:
    pass


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stands in for a world on disk: worlds in which half of the fraud persons reach k take minutes."""

    def put(table: Any) -> None:
        world = SimpleNamespace(manifest={"provenance": "merchant"}, table=lambda *_: table)
        monkeypatch.setattr(attacks.worlds.World, "open", lambda path: world)
        monkeypatch.setattr(attacks.worlds, "replay", silent)

    return put


def options(home: Path, **changes: Any) -> dict[str, Any]:
    base = {"until": UNTIL, "seed": 4, "k": 50, "kind": "none", "out": None, "progress": silent}
    return {**base, "settings": bootstrap.simulated_settings(home), **changes}


def test_an_attack_is_written_printed_and_logged_and_leaves_no_release(
    on_disk: Any, make_world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk(make_world(3, 3_600, 1_200, 1_600, 500))
    monkeypatch.setattr(run, "Effort", lambda: Effort(rows=300, predicates=100, halves=100))
    home, out = tmp_path / "home", tmp_path / "out" / "attacks.json"
    with swept_once():
        made = attacks.attack(tmp_path, **options(home, out=out))
    assert json.loads(out.read_text()) == made
    assert tuple(made["figures"]) == NAMES
    assert made["figures"]["membership_model_auc"] is None
    assert len(made["broken"]) == sum(not line["pass"] for line in made["attacks"])
    settings = bootstrap.simulated_settings(home)
    (record,) = verify_audit(home / "sandbox-audit.jsonl", bootstrap.open_verifier(settings))
    assert (record["event"], record["output"]) == ("attack", None)
    assert record["risk"]["attacks"] == made["attacks"]
    assert set(record["risk"]["wp216"]) == {"singling_out", "linkability", "inference"}
    assert record["verdict"] == ("broken" if made["broken"] else "held")
    assert str(tmp_path) not in json.dumps(record)
    for half in made["halves"]:
        assert half["fraud"]["persons"] >= 100
    assert not list(tmp_path.rglob("*.parquet"))


def test_too_few_fraud_persons_for_two_halves_are_told(on_disk: Any, make_world: Any, tmp_path: Path) -> None:
    on_disk(make_world(3, 1_500, 400, 700, 150))
    with pytest.raises(CheckFailed, match="fraud class has"):
        attacks.attack(tmp_path, **options(tmp_path / "home"))


def test_an_unknown_kind_of_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="order2, gbdt, none.*forest") as caught:
        attacks.attack(tmp_path, **options(tmp_path / "home", kind="forest"))
    assert caught.value.field == "--kind"


def told(broken: list[str]) -> dict[str, Any]:
    line = {
        "name": "linkage", "method": "R2", "subjects": "fraud", "per": "row", "n": 9, "controls": 0,
        "success": 0.5, "control": 0.01, "value": 0.5, "ci": [0.4, 0.6], "bound": 0.02,
        "judged_by": "value", "pass": not broken,
    }  # fmt: skip
    half = {word: {"rows": 9, "persons": 5, "components": 3} for word in ("honest", "fraud")}
    shown = {"value": 0.5, "lower": 0.4, "upper": 0.6, "note": "fraud, per row, R2; n 9, controls 0"}
    figures = {name: shown if name == "linkage" else None for name in NAMES}
    head = {"world": "W", "provenance": "simulated", "until": "2026-06-30", "k": 50, "seed": 0, "model": None}
    return {**head, "halves": [half, half], "figures": figures, "attacks": [line], "broken": broken}


@pytest.mark.parametrize(("broken", "code"), [([], 0), (["linkage (fraud, per row, R2)"], 3)])
def test_a_broken_bound_exits_with_3_after_everything_is_told(
    broken: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks, "attack", lambda *_, **__: told(broken))
    base = ("sandbox", "attack", "--world", tmp_path, "--until", "2026-06-30", "--kind", "none")
    ran = riskgraph(*base, home=tmp_path)
    text = ran.out.decode()
    assert ran.code == code
    assert "membership_model_auc: not measured" in text
    as_json = riskgraph(*base, "--json", home=tmp_path)
    assert json.loads(as_json.out) == told(broken)
    assert ("linkage (fraud" in as_json.err) == bool(broken)


@pytest.mark.parametrize(("kind", "extra"), [("order2", "train"), ("gbdt", "lab")])
def test_a_missing_extra_is_named(
    kind: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "find_spec", lambda package: None)
    base = ("sandbox", "attack", "--world", tmp_path, "--until", "2026-06-30", "--kind", kind)
    ran = riskgraph(*base, home=tmp_path)
    assert ran.code == 1
    assert f"riskgraph[{extra}]" in ran.error


@pytest.mark.slow
def test_a_simulated_world_is_attacked_to_the_end_with_a_model(tmp_path: Path) -> None:
    home, world = tmp_path / "home", tmp_path / "world"
    assert riskgraph("simulate", "--config", "demo", "--out", world, home=home).code == 0
    base = ("sandbox", "attack", "--world", world, "--until", "2026-06-30", "--kind", "gbdt", "--json")
    ran = riskgraph(*base, home=home)
    made = json.loads(ran.out)
    assert ran.code == (3 if made["broken"] else 0)
    assert all(figure is not None for figure in made["figures"].values())
    assert made["figures"]["linkage"]["value"] <= 0.02
