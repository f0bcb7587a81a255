"""Placing: a new family goes where a model finds it least, within what a gang could do."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph import chain
from riskgraph.core.catalog import catalog
from riskgraph.core.door import Door
from riskgraph.core.errors import Invalid, NotFound
from riskgraph.core.table import OrderTable
from riskgraph.core.verdict import Thresholds
from riskgraph.eval.worlds import (
    FAMILIES,
    PRESETS,
    Family,
    World,
    load_families,
    placing,
    preset,
    read_oracle,
    simulate,
)
from riskgraph.eval.worlds.placing import Against, Finding, Ground, Placed, variants
from riskgraph.eval.worlds.profiles import Archetype

CONFIG = preset("demo").scaled(orders=1000)
STARTS = date(2026, 6, 1)
DAYS = placing.days_left(CONFIG, STARTS)
AGAINST = Against("toy", "ab" * 32, "simulated", "cd" * 32)
EXAMPLE = Path(__file__).resolve().parents[3] / "docs/examples/triangulation.py"
# What a gang cannot choose.
FIXED = ("name", "family", "share", "delay_days", "reported", "report", "starts")


class OneNodeScorer:
    """Looks at nothing but how often something was pasted (B054)."""

    provenance = "simulated"
    versions = {"model": "toy", "model_sha256": "ab" * 32}

    def score_batch(self, components: Any, availability: Any) -> tuple[Any, Any]:
        pasted = np.nan_to_num(components[:, catalog().component_index["B054.value"]].astype(float))
        return pasted, pasted / (pasted + 2.0)

    def thresholds(self, availability: str) -> Thresholds:
        return Thresholds(0.5, 0.7)


def bands(table: OrderTable, probability: Any) -> Any:
    return np.where(probability >= 0.7, "reject", np.where(probability >= 0.5, "review", "accept"))


def new(name: str) -> Family:
    return placing.newcomer(placing.base_family(name, CONFIG), CONFIG, STARTS)


def shift(kind: Archetype, driver: str) -> float:
    return dict(kind.shifts).get(driver, 0.0)


def finding(flagged: float, auc: float = 0.5) -> Finding:
    return Finding(100, 10, 900, flagged, flagged / 2, auc, 0.5, 0.01)


def by_position(family: Family, seed: int) -> Finding:
    """A model that finds whoever hides the position: no world is needed."""
    return finding(family.archetype.position_fails + seed / 1000)


def placed_by_position(seed: int = 1, tries: int = 6, name: str = "proxy_buying") -> Placed:
    return placing.place(new(name), by_position, tries=tries, seed=seed, days=DAYS)


@pytest.fixture(scope="module")
def ground(door: Door) -> Ground:
    return Ground(CONFIG, OneNodeScorer(), bands, door)


@pytest.fixture(scope="module")
def placed(ground: Ground) -> Placed:
    return placing.place(new("proxy_buying"), ground, tries=5, seed=7, days=DAYS)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_variant_stays_within_what_a_gang_could_do(name: str) -> None:
    rng = np.random.default_rng(0)
    base = kind = FAMILIES[name].archetype
    for _ in range(60):
        kind = placing.vary(rng, base, kind, 120.0)
        assert 0.5 <= round(variants.strength(kind.shifts) / variants.strength(base.shifts), 2) <= 1.0
        assert len(dict(kind.shifts)) == len(base.shifts)
        assert max(abs(by) for _, by in kind.shifts) <= max(abs(by) for _, by in base.shifts) + 0.001
        for figure, (low, high) in variants.RANGES.items():
            own = getattr(base, figure)
            assert min(low, own) <= getattr(kind, figure) <= max(high, own)
        assert 0.5 <= round(kind.window_days[1] / base.window_days[1], 2) <= 3.0
        assert kind.window_days[1] <= max(90.0, base.window_days[1])
        assert {f: getattr(kind, f) for f in FIXED} == {f: getattr(base, f) for f in FIXED}


def test_a_kind_that_needs_the_shops_own_pages_stays_there() -> None:
    rng = np.random.default_rng(0)
    base = FAMILIES["remote_control"].archetype
    assert {placing.vary(rng, base, base, 120.0).marketplace for _ in range(20)} == {0.0}


def test_over_many_variants_every_habit_is_tried_in_both_directions() -> None:
    rng = np.random.default_rng(0)
    base = FAMILIES["proxy_buying"].archetype
    tried = [placing.vary(rng, base, base, 120.0) for _ in range(200)]
    for driver in variants.DRIVERS:
        ways = {np.sign(shift(kind, driver)) for kind in tried}
        assert {-1.0, 0.0, 1.0} <= ways


def test_a_strangers_unusual_figures_give_variants_that_can_be_written_down() -> None:
    rng = np.random.default_rng(0)
    usual = FAMILIES["proxy_buying"].archetype
    plain = replace(usual, shifts=(("paste", 0.0),), window_days=(0.001, 0.002), orders_per_account=9.0)
    for _ in range(20):
        kind = placing.vary(rng, plain, plain, 120.0)
        assert kind.shifts == plain.shifts
        assert 0 < kind.window_days[0] <= kind.window_days[1]
    doubled = replace(usual, shifts=usual.shifts * 2)
    assert len(placing.vary(rng, doubled, doubled, 120.0).shifts) == len(usual.shifts)


def test_no_gang_acts_longer_than_the_world_has_days_left() -> None:
    rng = np.random.default_rng(0)
    base = FAMILIES["card_testing"].archetype
    assert max(placing.vary(rng, base, base, 8.0).window_days[1] for _ in range(40)) <= 8.0


def test_the_same_seed_places_the_same_and_another_seed_elsewhere() -> None:
    assert placed_by_position() == placed_by_position()
    assert placed_by_position(seed=2).family.archetype != placed_by_position().family.archetype


def test_the_variant_that_is_found_least_is_kept_and_it_is_found_less_than_the_base() -> None:
    result = placed_by_position()
    least = min(result.tries, key=lambda one: one.finding.flagged)
    assert result.family.archetype == least.archetype
    assert result.best.rank < result.base.rank


def test_where_verdicts_are_the_same_scores_decide() -> None:
    def by_auc(family: Family, seed: int) -> Finding:
        return finding(0.3, auc=family.archetype.position_fails)

    result = placing.place(new("proxy_buying"), by_auc, tries=6, seed=1, days=DAYS)
    assert result.best.auc == min(one.finding.auc for one in result.tries) < result.base.auc


def test_the_check_is_on_a_seed_that_the_search_never_saw() -> None:
    seen: list[tuple[Archetype, int]] = []

    def watched(family: Family, seed: int) -> Finding:
        seen.append((family.archetype, seed))
        return by_position(family, seed)

    base = new("proxy_buying")
    result = placing.place(base, watched, tries=4, seed=5, days=DAYS)
    assert [seed for _, seed in seen] == [5] * 5 + [6, 6]
    assert [kind for kind, seed in seen if seed == 6] == [base.archetype, result.family.archetype]
    assert result.best_check.flagged == pytest.approx(result.best.flagged + 0.001)


def test_a_base_that_no_variant_falls_short_of_is_told_and_nothing_is_placed() -> None:
    with pytest.raises(NotFound, match=r"tried \(3\) the model finds none less"):
        placing.place(new("proxy_buying"), lambda *_: finding(0.2), tries=3, seed=1, days=DAYS)


def test_a_search_without_tries_is_refused() -> None:
    with pytest.raises(Invalid, match="tries must be 1 or more, got 0"):
        placed_by_position(tries=0)


def test_a_model_that_looks_at_one_node_is_evaded_by_moving_away_from_its_habit(placed: Placed) -> None:
    base = FAMILIES["proxy_buying"].archetype
    assert shift(base, "paste") == 1.5
    assert shift(placed.family.archetype, "paste") < 0.5
    assert placed.best.flagged < placed.base.flagged - 0.1
    # It holds where the search did not look, too.
    assert placed.best_check.flagged < placed.base_check.flagged


def test_the_same_world_is_read_the_same_twice(ground: Ground, placed: Placed) -> None:
    assert ground(placed.family, 7) == placed.best


def test_a_trial_counts_the_familys_orders_and_honest_ones_since_it_began(placed: Placed) -> None:
    assert placed.base.orders == placed.best.orders == 90
    assert placed.base.gangs >= 4
    # About 45 % of the world's days lie after 1 June.
    assert 300 < placed.base.honest < 600
    assert 0 < placed.base.honest_flagged < placed.base.flagged


def test_the_written_file_loads_and_nobody_tries_the_family_before_its_date(
    placed: Placed, tmp_path: Path
) -> None:
    text = placing.family_text(placed, AGAINST, CONFIG)
    assert text == placing.family_text(placed, AGAINST, CONFIG)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "placed.py").write_text(text, encoding="utf-8")
    loaded = load_families(tmp_path / "mine")
    assert loaded[0].archetype == placed.family.archetype
    assert loaded[0].play is FAMILIES["proxy_buying"].play
    world = World.open(simulate(CONFIG, 3, tmp_path / "world", families=loaded))
    mine = read_oracle(world).archetype == "proxy_buying_placed"
    placed_at = np.concatenate([p["placed_at"].to_numpy() for p in world.parts(["placed_at"])])
    assert mine.sum() >= 5
    assert placed_at[mine].min() >= np.datetime64(STARTS)
    assert world.manifest["placed_against"] == {"proxy_buying_placed": "ab" * 32}


def test_the_file_says_against_which_model_and_how_it_was_placed(placed: Placed) -> None:
    header = placing.family_text(placed, AGAINST, CONFIG).split("\n\n")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    for part in ("toy (simulated), SHA-256 abab", "demo, 1000 orders", "2026-06-01", "5 variants on seed 7"):
        assert part in header
    assert "Never compare" in header
    assert f"{placed.best.flagged:.1%}" in header
    assert f"{placed.best_check.flagged:.1%}" in header


def test_a_model_cannot_write_code_into_the_file_by_its_name(placed: Placed) -> None:
    sly = replace(AGAINST, model="toy\nraise SystemExit")
    assert "\nraise" not in placing.family_text(placed, sly, CONFIG)


def test_a_strangers_family_is_placed_with_its_own_play_in_one_file(tmp_path: Path) -> None:
    result = placed_by_position(name=str(EXAMPLE))
    text = placing.family_text(result, AGAINST, CONFIG, EXAMPLE)
    (tmp_path / "placed.py").write_text(text, encoding="utf-8")
    (loaded,) = load_families(tmp_path)
    assert loaded.archetype == result.family.archetype
    assert loaded.name == "triangulation_placed"
    assert loaded.burst_hours == 48.0
    simulate(CONFIG, 3, tmp_path / "world", families=(loaded,))


def test_a_family_of_the_configuration_is_varied_with_the_configurations_figures() -> None:
    hard = preset("world-1")
    own = next(kind for kind in hard.archetypes if kind.name == "account_takeover")
    assert placing.base_family("account_takeover", hard).archetype == own
    assert own != FAMILIES["account_takeover"].archetype


@pytest.mark.parametrize("name", ["nobody", "nobody.py"])
def test_an_unknown_family_is_named_with_those_that_there_are(name: str) -> None:
    with pytest.raises(Invalid, match=rf"FAMILY must be .* proxy_buying, .*, got '{name}'") as refused:
        placing.base_family(name, CONFIG)
    assert refused.value.field == "FAMILY"


@pytest.mark.parametrize("day", [date(2025, 12, 31), date(2026, 7, 20), date(2027, 1, 1)])
def test_a_date_outside_the_world_is_refused_with_the_days_that_are_left(day: date) -> None:
    base = placing.base_family("proxy_buying", CONFIG)
    said = f"starts must lie between 2026-01-01 and 2026-07-13, got {day}: demo ends on 2026-09-30"
    with pytest.raises(Invalid, match=said) as refused:
        placing.newcomer(base, CONFIG, day)
    assert refused.value.field == "starts"


def test_a_backtest_on_such_a_world_warns_its_readers() -> None:
    manifest = {"provenance": "simulated", "placed_against": {"x_placed": "ab" * 32}}
    notes = " ".join(chain.notes_of(World(Path(), manifest)))
    assert "(x_placed) placed where the model with the SHA-256 abab" in notes
    assert "must not be used to compare models" in notes
    assert "placed" not in " ".join(chain.notes_of(World(Path(), {"provenance": "simulated"})))


def test_no_named_configuration_holds_a_placed_family() -> None:
    for config in PRESETS.values():
        assert {kind.name for kind in config.archetypes} <= FAMILIES.keys()
    assert not any(family.placed_against for family in FAMILIES.values())


def test_every_figure_of_an_archetype_is_written(placed: Placed) -> None:
    text = placing.family_text(placed, AGAINST, CONFIG)
    assert all(f"        {spec.name}=" in text for spec in fields(Archetype))
