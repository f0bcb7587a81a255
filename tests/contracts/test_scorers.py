"""What every kind of model promises behind the one ``Scorer`` port."""

from __future__ import annotations

import math
import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph.core.catalog import NODE_COUNT, catalog
from riskgraph.core.errors import ExtraMissing, Invalid, ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.core.verdict import GameScore, RiskScore
from riskgraph.explainers.games import AnyExplainer
from riskgraph.models import load_model
from riskgraph.models.arrays import fit_scorer
from riskgraph.models.card import AVAILABILITY_CLASSES, CARD_FILE, Card, read_card
from riskgraph.models.compiled import write_card
from riskgraph.models.kinds import COMPILED, DEEP, KINDS, extra_to_train
from riskgraph.models.train import _train_rows
from tests.models.helpers import planted_rows, random_components, random_subgraph

pytest.importorskip("sklearn")
TORCH = find_spec("torch") is not None and find_spec("torch_geometric") is not None
ORIGIN = {"provenance": "merchant", "releases": [], "window": {}}
CLASS = "pre_auth/front_end"
SUBGRAPHS = [random_subgraph(seed, absent=seed % 10 / 10) for seed in range(24)]
CLASSES = np.array([AVAILABILITY_CLASSES[i % 6] for i in range(24)], dtype=object)
COMPONENTS = np.stack([s.components for s in SUBGRAPHS])


def usable(kinds: tuple[str, ...]) -> list[Any]:
    """Kinds as parameters; those that this install cannot train are skipped."""
    return [
        pytest.param(
            kind,
            marks=pytest.mark.skipif(
                extra_to_train(kind) == "train" and not TORCH, reason="trained with torch (extra train)"
            ),
        )
        for kind in kinds
    ]


every_kind = pytest.mark.parametrize("kind", usable(KINDS))
compiled_kinds = pytest.mark.parametrize("kind", usable(COMPILED))
other_kinds = pytest.mark.parametrize("kind", usable(tuple(k for k in KINDS if k not in COMPILED)))
deep_kinds = pytest.mark.parametrize("kind", usable(DEEP))


def train(kind: str, out: Path, *, seed: int = 1, rows: int | None = None) -> Card:
    source = planted_rows(1600, 3)[0]
    return _train_rows([source], ORIGIN, out, kind=kind, seed=seed, epochs=3, rows=rows)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One trained model a kind, made when it is first asked for."""
    root = tmp_path_factory.mktemp("models")

    class Trained(dict[str, Path]):
        def __missing__(self, kind: str) -> Path:
            train(kind, root / kind)
            self[kind] = root / kind
            return self[kind]

    return Trained()


@pytest.fixture
def model(kind: str, folders: dict[str, Path]) -> Any:
    return load_model(folders[kind])


@every_kind
def test_a_model_says_of_what_kind_it_is_and_scores_differ_by_order(kind: str, model: Any) -> None:
    assert model.card.kind == kind
    logits = [model.score(s, CLASS).logit for s in SUBGRAPHS]
    assert np.ptp(logits) > 0.01
    assert isinstance(model.score(SUBGRAPHS[0], CLASS), RiskScore if kind in COMPILED else GameScore)


@every_kind
def test_single_and_batch_scores_agree(model: Any) -> None:
    logit, probability = model.score_batch(COMPONENTS, CLASSES)
    singles = [model.score(s, c) for s, c in zip(SUBGRAPHS, CLASSES, strict=True)]
    np.testing.assert_allclose(logit, [s.logit for s in singles], rtol=0, atol=1e-6)
    np.testing.assert_allclose(probability, [s.probability for s in singles], rtol=0, atol=1e-6)


@every_kind
def test_an_empty_batch_gives_empty_scores(model: Any) -> None:
    logit, probability = model.score_batch(random_components(0, 1), np.empty(0, dtype=object))
    assert logit.shape == probability.shape == (0,)


@every_kind
def test_the_probability_is_that_of_the_logit(model: Any) -> None:
    for subgraph in SUBGRAPHS:
        score = model.score(subgraph, CLASS)
        assert score.probability == pytest.approx(1 / (1 + math.exp(-score.logit)), abs=1e-12)


@every_kind
@pytest.mark.parametrize("availability", AVAILABILITY_CLASSES)
def test_a_score_is_judged_on_the_scale_of_its_class(availability: str, model: Any) -> None:
    score, scale = model.score(SUBGRAPHS[3], availability), model.scale(availability)
    assert score.availability == availability
    assert (score.offset, score.thresholds) == (scale.offset, scale.thresholds)
    assert model.thresholds(availability) == scale.thresholds
    assert scale.thresholds == model.card.classes[availability].thresholds


@every_kind
def test_an_order_without_any_node_scores_the_offset(model: Any) -> None:
    score = model.score(random_subgraph(1, absent=1.1), CLASS)
    assert score.logit == pytest.approx(score.offset, abs=1e-9)
    assert not score.removal_effects().any()


@every_kind
def test_what_taking_a_node_away_costs_is_what_the_order_without_it_scores(model: Any) -> None:
    subgraph = SUBGRAPHS[2]
    score, nodes = model.score(subgraph, CLASS), np.flatnonzero(subgraph.present)[:20]
    effects = score.removal_effects()
    for node in nodes:
        without = model.score(subgraph.without(catalog().nodes[node].id, State.REFUSED), CLASS)
        assert score.logit - without.logit == pytest.approx(effects[node], abs=1e-9)
    assert not effects[~subgraph.present].any()


@every_kind
def test_the_cause_of_an_absence_does_not_matter(model: Any) -> None:
    node = catalog().nodes[int(np.flatnonzero(SUBGRAPHS[1].present)[0])].id
    refused, missing = (
        model.score(SUBGRAPHS[1].without(node, cause), CLASS).logit
        for cause in (State.REFUSED, State.NOT_DELIVERED)
    )
    assert refused == missing


@compiled_kinds
def test_a_refused_node_adds_exactly_zero_to_tables(model: Any) -> None:
    for node in (n for n in catalog() if n.consent_needed and SUBGRAPHS[0].present[n.index]):
        score = model.score(SUBGRAPHS[0].without(node.id, State.REFUSED), CLASS)
        assert not score.component_terms[catalog().component_slices[node.index]].any()
        assert not score.pair_terms[[node.index in (p.a, p.b) for p in catalog().pairs]].any()


@compiled_kinds
def test_the_terms_of_tables_sum_to_the_logit(kind: str, model: Any) -> None:
    for subgraph in SUBGRAPHS:
        score = model.score(subgraph, CLASS)
        parts = score.offset + score.component_terms.sum() + score.pair_terms.sum()
        assert score.logit == pytest.approx(parts, abs=1e-9)
        assert kind == "order2" or not score.pair_terms.any()


@other_kinds
def test_a_game_runs_from_the_offset_to_the_logit(model: Any) -> None:
    for subgraph in SUBGRAPHS[:6]:
        score = model.score(subgraph, CLASS)
        masks = np.stack([np.zeros(NODE_COUNT, bool), score.present, np.ones(NODE_COUNT, bool)])
        np.testing.assert_array_equal(score.present, subgraph.present)
        np.testing.assert_allclose(score.game(masks), [score.offset, score.logit, score.logit], atol=1e-9)
        assert score.game(masks[:0]).shape == (0,)


@other_kinds
def test_a_game_with_some_nodes_is_the_score_of_an_order_that_has_only_those(model: Any) -> None:
    kept = np.random.default_rng(1).random((8, NODE_COUNT)) < 0.5
    subgraph = SUBGRAPHS[1]
    got = model.score(subgraph, CLASS).game(kept)
    expected = [model.score(with_only(subgraph, mask), CLASS).logit for mask in kept]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9)
    assert np.ptp(got) > 0


def with_only(subgraph: OrderSubgraph, mask: np.ndarray[Any, Any]) -> OrderSubgraph:
    for node in np.flatnonzero(subgraph.present & ~mask):
        subgraph = subgraph.without(catalog().nodes[node].id)
    return subgraph


@every_kind
def test_reasons_sum_to_the_score_and_an_absent_node_is_none(model: Any) -> None:
    score = model.score(SUBGRAPHS[4], CLASS)
    told = AnyExplainer(pairs=2).explain(score)
    assert told.phi.sum() == pytest.approx(score.logit - score.offset, abs=1e-6)
    assert not told.phi[~SUBGRAPHS[4].present].any()


@every_kind
def test_an_unknown_availability_class_is_named(model: Any) -> None:
    assert model.scale("pre_auth/robot") is None
    for ask in (model.thresholds, lambda name: model.score(SUBGRAPHS[0], name)):
        with pytest.raises(Invalid, match="'pre_auth/robot'"):
            ask("pre_auth/robot")
    with pytest.raises(Invalid, match="'x'"):
        model.score_batch(COMPONENTS[:2], np.array([CLASS, "x"], dtype=object))


@every_kind
def test_versions_name_the_model_and_its_digest(kind: str, folders: dict[str, Path], model: Any) -> None:
    card = read_card(folders[kind])
    assert model.versions == {"model": card.name, "model_sha256": card.digest}
    assert card.name.startswith(kind)
    assert model.provenance == "merchant"


@every_kind
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_a_damaged_file_is_refused_by_name(
    kind: str, damage: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    (stored,) = read_card(folders[kind]).files
    for name in (stored, CARD_FILE):
        copy = tmp_path / name
        shutil.copytree(folders[kind], copy)
        data = bytearray((copy / name).read_bytes())
        (copy / name).unlink()
        if damage != "missing":
            data[len(data) // 2] ^= 1
            (copy / name).write_bytes(data if damage == "altered" else data[: len(data) // 2])
        with pytest.raises(ModelUnavailable, match=name):
            load_model(copy)


@every_kind
@pytest.mark.parametrize("change", [{"catalog_version": "0"}, {"catalog_sha256": "0" * 64}])
def test_a_model_for_another_catalogue_is_refused(
    kind: str, change: dict[str, str], folders: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(folders[kind], tmp_path, dirs_exist_ok=True)
    write_card(tmp_path, replace(read_card(folders[kind]), **change))
    with pytest.raises(ModelUnavailable, match="made for catalogue"):
        load_model(tmp_path)


@every_kind
def test_arrays_of_another_model_are_refused(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    """Whoever seals a foreign file with a sound card is told by name too."""
    import hashlib

    shutil.copytree(folders[kind], tmp_path, dirs_exist_ok=True)
    card = read_card(folders[kind])
    (stored,) = card.files
    with (tmp_path / stored).open("wb") as file:
        np.save(file, np.zeros(3)) if stored.endswith(".npy") else np.savez(file, weights=np.zeros(3))
    digest = hashlib.sha256((tmp_path / stored).read_bytes()).hexdigest()
    write_card(tmp_path, replace(card, files={stored: digest}))
    with pytest.raises(ModelUnavailable, match=stored):
        load_model(tmp_path)


@every_kind
def test_loading_twice_gives_equal_bits(kind: str, folders: dict[str, Path]) -> None:
    first, again = (load_model(folders[kind]).score_batch(COMPONENTS, CLASSES)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


@every_kind
def test_the_same_seed_gives_the_same_model(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    before, again = read_card(folders[kind]), train(kind, tmp_path)
    assert again.files == before.files
    assert again.classes == before.classes


@every_kind
def test_fitting_arrays_ranks_like_the_model_of_that_kind(kind: str, folders: dict[str, Path]) -> None:
    rows = planted_rows(800, 5)[0]
    score = fit_scorer(rows, 1, kind=kind)  # type: ignore[arg-type]
    logit = score(rows.components, rows.availability)
    assert logit.shape == (800,)
    assert logit[rows.fraud].mean() > logit[~rows.fraud].mean()


@every_kind
def test_the_card_says_which_demands_of_the_catalogue_do_not_bind(
    kind: str, folders: dict[str, Path]
) -> None:
    limits = " ".join(read_card(folders[kind]).limits)
    assert ("need not keep them" in limits) == (kind not in ("order2", "additive"))
    assert ("adds exactly zero" in limits) == (kind in COMPILED)


@every_kind
def test_at_most_so_many_rows_are_fitted_as_were_asked_for(kind: str, tmp_path: Path) -> None:
    assert train(kind, tmp_path, rows=400).recipe["rows"] == 400


def test_too_few_rows_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="at least 120 rows, got 119") as told:
        train("gbdt", tmp_path, rows=119)
    assert told.value.field == "rows"


@deep_kinds
def test_a_deep_network_served_without_torch_names_the_extra(
    kind: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folders[kind]
    for name in ("torch", "torch_geometric"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "riskgraph.models.graph_network", raising=False)
    with pytest.raises(ExtraMissing, match=r"riskgraph\[train\]"):
        load_model(folder)
