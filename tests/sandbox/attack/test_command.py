"""``riskgraph sandbox attack``: what it prints, writes, logs and exits with."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from riskgraph import attacks, bootstrap
from riskgraph.core.errors import CheckFailed, Invalid
from riskgraph.sandbox import verify_audit
from riskgraph.sandbox.attack import RULES, Trials, run
from riskgraph.sandbox.attack.run import NAMES, Effort
from riskgraph.settings import Settings
from tests.sandbox.attack.test_split import rekeyed
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
    base = {"until": UNTIL, "seed": 4, "k": 50, "kind": "none", "splits": 1, "out": None, "progress": silent}
    return {**base, "settings": bootstrap.simulated_settings(home), **changes}


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Effort", lambda: Effort(rows=200, predicates=60, halves=60))


def test_an_attack_is_written_printed_and_logged_and_leaves_no_release(
    on_disk: Any, little: None, make_world: Any, tmp_path: Path
) -> None:
    on_disk(make_world(3, 3_600, 1_200, 1_600, 500))
    home, out = tmp_path / "home", tmp_path / "out" / "attacks.json"
    with swept_once():
        made = attacks.attack(tmp_path, **options(home, out=out))
    assert json.loads(out.read_text()) == made
    assert tuple(made["figures"]) == NAMES
    assert made["figures"]["membership_model_auc"]["value"] is None
    assert len(made["broken"]) == sum(line["pass"] is False for line in made["attacks"])
    assert len(made["open"]) == sum(line["verdict"] == "open" for line in made["attacks"])
    settings = bootstrap.simulated_settings(home)
    (record,) = verify_audit(home / "sandbox-audit.jsonl", bootstrap.open_verifier(settings))
    assert (record["event"], record["output"]) == ("attack", None)
    assert set(record["risk"]["wp216"]) == {"singling_out", "linkability", "inference"}
    assert record["verdict"] == ("broken" if made["broken"] else "open" if made["open"] else "held")
    assert str(tmp_path) not in json.dumps(record)
    assert len(made["halves"]) == 2
    for half in made["halves"]:
        assert half["fraud"]["persons"] >= 100
    assert not list(tmp_path.rglob("*.parquet"))
    assert_rounded(record, made)


def assert_rounded(record: Any, made: Any) -> None:
    """No count in the record is exact, and no rate has digits enough to work one out."""
    for logged, exact in zip(record["input"]["halves"], made["halves"], strict=True):
        for word, sizes in exact.items():
            for name, count in sizes.items():
                assert logged[word][name] == (count - count % 50 if count >= 50 else "<50")
    for logged, exact in zip(record["risk"]["attacks"], made["attacks"], strict=True):
        assert {"name", "n", "success", "control", "ci", "bound", "pass"} <= set(logged)
        assert logged["pass"] is exact["pass"]
        for name in ("n", "controls", "persons"):
            assert isinstance(logged[name], str) or logged[name] % 50 == 0
        for name in ("success", "control", "value", "p"):
            assert logged[name] == (exact[name] and round(exact[name], 4))


@pytest.mark.slow
def test_two_installations_with_other_keys_find_the_same_with_the_same_seed(
    on_disk: Any, little: None, world: Any, tmp_path: Path
) -> None:
    """The door numbers entities by its key; halves, groups, noise and samples must not hang on that."""
    found, keys = [], []
    for name, table in (("one", world), ("two", rekeyed(world, 9))):
        on_disk(table)
        settings = Settings(home=tmp_path / name)
        found.append(attacks.attack(tmp_path, **options(tmp_path / "base", settings=settings)))
        keys.append((settings.secret_folder / "door.key").read_bytes())
    assert keys[0] != keys[1]
    assert found[0] == found[1]


def test_every_split_has_its_own_halves_and_seed_and_all_are_added_up(
    on_disk: Any, world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk(world)
    seeds, cuts, said = [], [], []

    def halves(table: Any, split: Any, request: Any, *_: Any) -> Any:
        seeds.append(request.seed)
        cuts.append(split.first)
        side = np.repeat([True, False], 3)
        who = np.arange(6) + 10 * len(seeds)
        line = Trials("linkability", "m", "all", "row", "risk", 0.02, "upper", side * 1.0, side, who)
        sizes = {"rows": 60, "persons": 55, "components": 50}
        return [{"honest": sizes, "fraud": sizes}] * 2, [[line], [line]]

    monkeypatch.setattr(attacks, "_attack_halves", halves)

    def progress(step: str, done: int, total: int) -> None:
        said.append((step, done, total))

    made = attacks.attack(tmp_path, **options(tmp_path / "home", splits=3, progress=progress))
    assert len(set(seeds)) == 3
    assert all(0.3 < (cuts[0] == cut).mean() < 0.7 for cut in cuts[1:])
    assert [entry for entry in said if entry[0] == "splits"] == [("splits", turn, 3) for turn in range(3)]
    (line,) = made["attacks"]
    assert (line["n"], line["persons"], line["verdict"]) == (18, 9, "broken")
    assert (made["splits"], len(made["halves"])) == (3, 6)
    fewer = attacks.attack(tmp_path, **options(tmp_path / "home", splits=1))
    assert seeds[3] == seeds[0]
    assert fewer["splits"] == 1


def test_too_few_fraud_persons_for_two_halves_are_told(on_disk: Any, make_world: Any, tmp_path: Path) -> None:
    on_disk(make_world(3, 1_500, 400, 700, 150))
    with pytest.raises(CheckFailed, match="fraud class has"):
        attacks.attack(tmp_path, **options(tmp_path / "home"))


def test_an_unknown_kind_of_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="order2, gbdt, none.*forest") as caught:
        attacks.attack(tmp_path, **options(tmp_path / "home", kind="forest"))
    assert caught.value.field == "--kind"


def told(verdict: str) -> dict[str, Any]:
    passed = {"held": True, "broken": False}.get(verdict)
    line = {
        "name": "linkage", "method": "R2", "subjects": "fraud", "per": "row", "n": 9, "controls": 0,
        "persons": 5, "success": 0.5, "control": 0.01, "value": 0.5, "ci": [0.4, 0.6], "bound": 0.02,
        "judged_by": "value", "p": 0.5, "verdict": verdict, "pass": passed, "reason": None,
    }  # fmt: skip
    gone = {
        **line, "name": "inference", "success": None, "control": None, "value": None, "ci": None,
        "pass": None, "verdict": "not measured", "reason": "nothing to guess",
    }  # fmt: skip
    half = {word: {"rows": 9, "persons": 5, "components": 3} for word in ("honest", "fraud")}
    shown = {"value": 0.5, "lower": 0.4, "upper": 0.6, "bound": 0.02, "judged_by": "value", "pass": passed,
             "rule": RULES["value"], "note": "fraud, per row, R2"}  # fmt: skip
    none = {**dict.fromkeys(shown), "note": "not measured"}
    figures = {name: shown if name == "linkage" else none for name in NAMES}
    head = {"world": "W", "provenance": "simulated", "until": "2026-06-30", "k": 50, "seed": 0, "model": None}
    named = {word: ["linkage (fraud, per row, R2)"] if verdict == word else [] for word in ("broken", "open")}
    found = {"figures": figures, "attacks": [line, gone], "rules": RULES, **named}
    return {**head, "splits": 1, "halves": [half, half], **found}


@pytest.mark.parametrize(("verdict", "code"), [("held", 0), ("open", 0), ("broken", 3)])
def test_only_a_broken_bound_exits_with_3_after_everything_is_told(
    verdict: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attacks, "attack", lambda *_, **__: told(verdict))
    monkeypatch.setenv("COLUMNS", "200")
    base = ("sandbox", "attack", "--world", tmp_path, "--until", "2026-06-30", "--kind", "none")
    ran = riskgraph(*base, home=tmp_path)
    text = " ".join(ran.out.decode().split())
    assert ran.code == code
    assert "membership_model_auc: not measured" in text
    assert (verdict.upper() if verdict == "broken" else verdict) in text
    assert "by value, bound 0.02" in text
    assert "not measured: inference (fraud, per row, R2): nothing to guess" in text
    assert all(f"judged by {rule}: {words}" in text for rule, words in RULES.items())
    as_json = riskgraph(*base, "--json", home=tmp_path)
    assert json.loads(as_json.out) == told(verdict)
    assert ("linkage (fraud" in as_json.err) == (verdict == "broken")


def test_no_split_is_no_attack(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="--splits must be at least 1"):
        attacks.attack(tmp_path, **options(tmp_path / "home", splits=0))


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
    base = (
        "sandbox",
        "attack",
        "--world",
        world,
        "--until",
        "2026-06-30",
        "--kind",
        "gbdt",
        "--splits",
        1,
        "--json",
    )
    ran = riskgraph(*base, home=home)
    made = json.loads(ran.out)
    assert ran.code == (3 if made["broken"] else 0)
    assert all(figure["value"] is not None for figure in made["figures"].values())
    assert made["figures"]["linkage"]["value"] <= 0.02
