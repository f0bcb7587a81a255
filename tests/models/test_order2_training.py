import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgraph.core.baseline import trajectory_components
from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.models import load_model
from riskgraph.models.compiled import CompiledModel, table_logits
from riskgraph.models.fitters import Means
from riskgraph.models.reference import read_reference, trained_by
from riskgraph.models.rows import Rows, balanced, split, stack
from riskgraph.models.train import _train_rows, describe, train
from riskgraph.sandbox import Release, human_baseline
from tests.models.helpers import planted_rows

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph.models.fit import Fit, Recipe, class_indexes, fit_order2  # noqa: E402
from riskgraph.models.network import monotone_signs, never_raising  # noqa: E402

ORIGIN = {"provenance": "simulated", "releases": [{"release_id": "r-1"}], "window": {"r-1": {}}}
QUICK = Recipe(epochs=8, rate=0.03)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return planted_rows(16_000, 7)[0]


@pytest.fixture(scope="module")
def fit(rows: Rows) -> Fit:
    return fit_order2(*split(rows, 0), seed=0, recipe=QUICK)


def test_training_lowers_the_held_out_loss(fit: Fit) -> None:
    assert min(fit.losses) < 0.93 * fit.losses[0]


def test_the_planted_pair_stands_out_and_unneeded_pairs_are_near_zero(fit: Fit) -> None:
    sizes = np.abs(fit.tables.pairs).max(axis=(1, 2))
    planted = planted_rows(1, 7)[1]
    by_hand = np.array(
        [bool({"causal", "corroborates", "consistency"} & set(p.types)) for p in catalog().pairs]
    )
    assert sizes[planted] == sizes[~by_hand | (np.arange(len(sizes)) == planted)].max()
    assert np.median(sizes[~by_hand]) < 0.25 * sizes[planted]


def test_the_planted_nodes_have_the_largest_own_terms(fit: Fit) -> None:
    sizes = np.ptp(fit.tables.own, axis=1)
    top = {catalog().components[i] for i in np.argsort(-sizes)[:4]}
    assert {"B064.value", "B131.accounts_30d"} <= top


def test_fitted_tables_obey_the_catalogue(fit: Fit) -> None:
    own, counts = fit.tables.own, fit.tables.edges.counts
    assert (own[never_raising()] <= 0).all()
    assert (own[never_raising()] < 0).any()
    for component in np.flatnonzero(monotone_signs()):
        steps = np.diff(own[component, 1 : counts[component] + 1]) * monotone_signs()[component]
        assert (steps >= -1e-12).all(), catalog().components[component]


def test_fitted_network_and_tables_agree(fit: Fit, rows: Rows) -> None:
    assert fit.network is not None
    some = rows.take(np.arange(500))
    classes = torch.from_numpy(class_indexes(some.availability))
    with torch.no_grad():
        logits = fit.network(torch.from_numpy(fit.tables.edges.apply(some.components)).long(), classes)
    compiled = table_logits(fit.tables.flat(), fit.tables.edges, some.components)
    compiled += np.array([fit.bias[name] for name in some.availability])
    np.testing.assert_allclose(logits.numpy(), compiled, rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_tables_bit_for_bit(rows: Rows) -> None:
    parts = split(rows.take(np.arange(3000)), 1)
    first, again, other = (
        fit_order2(*parts, seed=seed, recipe=replace(QUICK, epochs=2)).tables.flat() for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_row_weights_count_as_repeated_rows_do() -> None:
    small = planted_rows(3000, 5)[0]
    heavy = replace(small, weight=np.where(small.label == 1, 5.0, 1.0))
    fits = [fit_order2(r, r, seed=0, recipe=replace(QUICK, epochs=2)).losses[0] for r in (small, heavy)]
    rates = [r.fraud_rate for r in (small, heavy)]
    entropy = [-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in rates]
    np.testing.assert_allclose(fits, entropy, rtol=1e-9)


def test_training_stops_when_the_held_out_loss_no_longer_falls(rows: Rows) -> None:
    train_part, held_out = split(rows.take(np.arange(2000)), 1)
    wrong = replace(held_out, label=(1 - held_out.label).astype(np.int8))
    fit = fit_order2(train_part, wrong, seed=0, recipe=Recipe(epochs=30, patience=2))
    assert len(fit.losses) < 31
    assert fit.losses.index(min(fit.losses)) == len(fit.losses) - 1 - 2


def test_training_writes_a_model_that_serves(tmp_path: Path, rows: Rows) -> None:
    seen: list[tuple[str, int, int]] = []
    card = _train_rows(
        [rows], ORIGIN, tmp_path, seed=2, epochs=3, progress=lambda *told: seen.append(told)
    )  # fmt: skip
    model = CompiledModel.load(tmp_path)
    assert model.card.digest == card.digest == json.loads((tmp_path / "card.json").read_text())["card_sha256"]
    assert [told[1:] for told in seen] == [(1, 3), (2, 3), (3, 3)]
    assert all(told[0].startswith("train: held-out loss 0.") for told in seen)
    assert card.recipe["seed"] == 2
    assert card.recipe["epochs_run"] == 3
    assert card.provenance == "simulated"
    assert any("simulated" in text.lower() for text in card.limits)
    assert 0.5 < card.metrics["auroc"] <= 1
    assert not [name for name in card.metrics if "reject" in name or "review" in name]
    assert any("same groups" in text and "backtest" in text for text in card.limits)
    assert all(c.thresholds.review < c.thresholds.reject for c in card.classes.values())


@pytest.mark.parametrize("thing", [planted_rows(200, 1)[0], {"rows": 1}, "RELEASE"])
def test_training_on_anything_but_a_release_is_a_type_error(tmp_path: Path, thing: object) -> None:
    with pytest.raises(TypeError, match="releases only"):
        train([thing], tmp_path / "model")  # type: ignore[list-item]
    assert not (tmp_path / "model").exists()


def test_training_without_a_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="at least one release"):
        train([], tmp_path)


def test_an_unknown_kind_is_refused(tmp_path: Path, rows: Rows) -> None:
    with pytest.raises(Invalid, match="'oracle'"):
        _train_rows([rows], ORIGIN, tmp_path, kind="oracle")  # type: ignore[arg-type]


def test_too_few_fraud_rows_are_refused(rows: Rows) -> None:
    few = rows.take(np.flatnonzero(~rows.fraud)[:500])
    with pytest.raises(Invalid, match="0 fraud and 500 honest"):
        stack([few])


def test_a_quarter_of_each_class_is_held_out_at_the_rate_of_the_whole(rows: Rows) -> None:
    kept, held_out = split(rows, 3)
    for label in (0, 1):
        assert (held_out.label == label).sum() == round((rows.label == label).sum() / 4)
    assert len(kept) + len(held_out) == len(rows)
    assert kept.fraud_rate == pytest.approx(rows.fraud_rate) == pytest.approx(held_out.fraud_rate)


def test_fraud_of_each_cluster_is_trained_on_and_held_out(rows: Rows) -> None:
    inside, outside = (set(part.cluster[part.fraud].tolist()) for part in split(rows, 3))
    assert inside == outside == set(rows.cluster[rows.fraud].tolist())


def test_clusters_of_several_releases_stay_apart(rows: Rows) -> None:
    both = stack([rows, rows])
    half = len(rows)
    assert not set(both.cluster[:half][rows.fraud]) & set(both.cluster[half:][rows.fraud])
    assert (both.cluster[half:][~rows.fraud] == -1).all()


def opened_release(rows: Rows, provenance: str) -> Release:
    """A release as ``Release.open`` leaves it, without its files."""
    counts = {"groups": 9, "min_units": 50, "min_components": 40, "min_rows": 55, "max_unit_share": 0.1}
    manifest = {
        "release_id": f"rel-{provenance}",
        "catalog": {"version": catalog().version, "sha256": catalog().sha256},
        "provenance": provenance,
        "certificate": {"k": 50, **counts},
        "files": {"rows.parquet": {"rows": len(rows), "sha256": "ab" * 32}},
        "input": {
            "until": "2026-06-30",
            "records": 10,
            "accepted": 9,
            "classes": [{"label": 0, "units": 200}],
        },
    }
    release = object.__new__(Release)
    for name, value in (("path", Path("r")), ("manifest", manifest), ("stored", rows)):
        object.__setattr__(release, name, value)
    return release


def test_the_card_names_releases_certificate_and_window(tmp_path: Path, rows: Rows) -> None:
    card = train([opened_release(rows.take(np.arange(3000)), "merchant")], tmp_path, seed=1, epochs=1)
    assert card.provenance == "merchant"
    assert card.releases[0]["certificate"]["min_units"] == card.releases[0]["k"] == 50
    assert card.releases[0]["digests"] == {"rows.parquet": "ab" * 32}
    assert card.window == {"rel-merchant": {"until": "2026-06-30", "records": 10, "accepted": 9}}
    reference = read_reference(tmp_path, card)
    assert trained_by(card)
    assert reference is not None
    assert (reference.releases, reference.provenance) == (("rel-merchant",), "merchant")


def test_two_releases_are_fitted_on_one_scale(tmp_path: Path, rows: Rows) -> None:
    mine = [opened_release(rows.take(np.arange(3000)), kind) for kind in ("merchant", "simulated")]
    card = train(mine, tmp_path, seed=1, epochs=1)
    reference = read_reference(tmp_path, card)
    assert reference == human_baseline(mine)
    # 400 persons are too few to judge anybody by, so nothing of how people move was learned.
    assert not any(quantiles.calibrated for quantiles in reference.quantiles)
    own = load_model(tmp_path).tables.own
    assert own.any()
    assert not own[list(trajectory_components())].any()


def test_one_simulated_release_makes_the_model_simulated(rows: Rows) -> None:
    mixed = [opened_release(rows, kind) for kind in ("merchant", "simulated")]
    assert describe(mixed)["provenance"] == "simulated"
    assert describe(mixed[:1])["provenance"] == "merchant"


@given(
    st.lists(st.tuples(st.integers(-1, 4), st.floats(0.1, 50.0)), min_size=1, max_size=60), st.integers(1, 30)
)
def test_balanced_fraud_clusters_weigh_alike_and_fraud_as_much_as_before(
    frauds: list[tuple[int, float]], honest: int
) -> None:
    cluster = np.array([c for c, _ in frauds] + [-1] * honest, dtype=np.int32)
    weight = np.array([w for _, w in frauds] + [1.0] * honest)
    label = np.array([1] * len(frauds) + [0] * honest, dtype=np.int8)
    words = np.full(len(label), "pre_auth/front_end", dtype=object)
    rows = Rows(np.zeros((len(label), 259), np.float32), words, label, weight, cluster)
    even = balanced(rows)
    mass = [even.weight[(cluster == c) & (label == 1)].sum() for c in {c for c, _ in frauds}]
    assert mass == pytest.approx([mass[0]] * len(mass))
    assert even.fraud_rate == pytest.approx(rows.fraud_rate)
    assert np.array_equal(even.weight[label == 0], weight[label == 0])


def test_training_that_balances_clusters_says_so_and_learns_other_tables(tmp_path: Path, rows: Rows) -> None:
    release = opened_release(rows.take(np.arange(3000)), "simulated")
    cards = {
        name: train([release], tmp_path / name, seed=1, epochs=2, means=means)
        for name, means in (("plain", Means()), ("even", Means(balance=True)))
    }
    assert cards["even"].recipe["balanced_clusters"] is True
    assert "balanced_clusters" not in cards["plain"].recipe
    plain, even = (np.load(tmp_path / name / "tables.npy") for name in cards)
    assert not np.array_equal(plain, even)
