"""What is timed beside the tables computes the same, and what cannot run is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the bench of models needs the extra train")
pytest.importorskip("torch_geometric")
pytest.importorskip("pyarrow")

from riskgraph.bench import speed
from riskgraph.bench.onnx_graph import run_with, to_onnx
from riskgraph.bench.real import Sets
from riskgraph.bench.shap_values import kernel_shap, tree_shap
from riskgraph.core.table import OrderTable
from riskgraph.explainers.games import AnyExplainer
from riskgraph.models import CompiledModel
from riskgraph.models.card import AVAILABILITY_CLASSES
from riskgraph.models.compiled import Tables, table_logits
from tests.models.helpers import (
    random_components,
    random_forest,
    random_model,
    random_states,
    random_subgraph,
    random_tables,
)

FIGURES = {
    "score_us_p50", "explained_us_p50", "rgcn_us_p50", "onnx_us_p50", "treeshap_us_p50", "kernelshap_us_p50",
    "score_touched_bytes", "table_vs_network_max_diff", "load_ms",
}  # fmt: skip


def quiet(*_: object) -> None: ...


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CompiledModel:
    return random_model(tmp_path_factory.mktemp("model"), 5)


@pytest.fixture
def ground(model: CompiledModel, tmp_path: Path) -> Any:
    return speed.Ground(tmp_path, None, orders(4), model, quiet)  # type: ignore[arg-type]


def orders(count: int) -> OrderTable:
    """Random orders of all availability classes in turn."""
    components = random_components(count, 7)
    classes = np.array([AVAILABILITY_CLASSES[i % 6] for i in range(count)], dtype=object)
    zeros = {
        name: np.zeros(count, dtype=np.int64)
        for name in ("placed_at", "account", "device", "card", "address")
    }
    return OrderTable(
        order_id=np.array([str(i) for i in range(count)], dtype=object), components=components,
        states=random_states(components, 8), availability=classes, label=np.zeros(count, dtype=np.int8),
        training_consent=np.ones(count, dtype=bool), jurisdiction=np.zeros(count, dtype=np.int8),
        purposes=np.ones((count, 4), dtype=np.int8), objected=np.zeros(count, dtype=bool), **zeros,
    )  # fmt: skip


def test_every_figure_that_was_asked_for_has_a_place() -> None:
    assert {name for names in speed.PARTS.values() for name in names} == FIGURES


def test_the_onnx_graph_gives_the_logits_of_the_tables() -> None:
    pytest.importorskip("onnx", reason="the extra peers has it")
    pytest.importorskip("onnxruntime", reason="the extra peers has it")
    tables, components = random_tables(3), random_components(300, 4)
    components[0] = np.nan
    for column, edges in enumerate(tables.edges.inner):
        if len(edges):
            components[1, column] = edges[-1]
    logits = run_with(to_onnx(tables, -4.0))(components)
    np.testing.assert_allclose(
        logits, table_logits(tables.flat(), tables.edges, components) - 4.0, rtol=0, atol=1e-5
    )
    assert np.ptp(logits) > 1


def test_tables_and_network_agree_on_every_order_one_by_one_and_in_batches(model: CompiledModel) -> None:
    assert max(speed.differences(model, orders(1_500), quiet)) <= 1e-6


def test_a_cell_that_differs_is_seen(model: CompiledModel) -> None:
    table = orders(50)
    own = model.tables.own.copy()
    own[:, 1:] += 0.001
    wrong = CompiledModel(
        model.card, Tables(model.tables.edges, own, model.tables.pairs), model.tables.flat()
    )
    assert min(speed.differences(wrong, table, quiet)) > 0.001


def test_values_of_trees_by_shap_add_up_to_the_score() -> None:
    forest, order = random_forest(2), random_subgraph(9)
    ends = forest.logits(np.stack([order.components, np.full_like(order.components, np.nan)]))
    assert tree_shap(forest)(order).sum() == pytest.approx(ends[0] - ends[1], abs=1e-4)
    assert abs(ends[0] - ends[1]) > 0.1


def test_values_by_kernel_shap_are_of_the_game_that_is_explained(model: CompiledModel) -> None:
    order = random_subgraph(10, absent=0.9)
    score = model.score(order, speed.CLASS)
    phi = kernel_shap(model)(order)
    exact = AnyExplainer().explain(score).phi
    assert phi.sum() == pytest.approx(score.logit - score.offset, abs=1e-6)
    # an estimate from a few thousand coalitions, ten values of which it keeps
    assert np.corrcoef(phi, exact)[0, 1] > 0.9


def test_an_absent_extra_gives_a_figure_without_value_and_the_others_come(
    ground: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    named = {n: m for n, m in speed.MAKERS.items() if n == "onnx_us_p50"}
    stand_in = speed.Contestant(lambda order: sum(range(2_000)), "made up")
    others = {n: lambda _: stand_in for n in speed.MAKERS if n not in named}
    monkeypatch.setattr(speed, "MAKERS", named | others)
    found = {f.name: f for f in speed.latency(ground, ground.last(1), rounds=2)}
    assert tuple(found) == (*speed.OWN, *speed.BESIDE)
    assert found["onnx_us_p50"].value is None
    assert "riskgraph[peers]" in found["onnx_us_p50"].note
    for name in speed.BESIDE:
        if name != "onnx_us_p50":
            assert found[name].baseline == found[speed.BESIDE[name]].value
            assert "made up" in found[name].note


def test_threads_are_as_before_after_timing() -> None:
    import torch

    before = torch.get_num_threads()
    with speed.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_floor_of_an_order_without_nodes_is_its_components_alone(model: CompiledModel) -> None:
    assert speed.floor_bytes(model, random_subgraph(1, absent=1.0)) == 259 * 4


def test_the_floor_counts_edges_and_cells_of_what_is_there(model: CompiledModel) -> None:
    whole = speed.floor_bytes(model, random_subgraph(1, absent=0.0))
    cells = (259 + 284) * 8
    assert 259 * 4 + cells <= whole <= 259 * 4 + cells + 259 * 2 * 4
    figure = speed.touched(model, [random_subgraph(1, absent=0.0)])
    assert figure.baseline == whole
    assert figure.ratio is not None
    assert figure.ratio > 1


def test_scratch_is_what_a_call_holds_at_most() -> None:
    assert 8_000_000 <= speed.scratch_bytes(lambda: np.zeros(1_000_000)) < 8_100_000


def test_the_champion_loads_without_a_learning_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "LOADS", 1)
    (figure,) = speed.loading(None)  # type: ignore[arg-type]
    assert figure.value is not None
    assert figure.value > 0


@pytest.mark.slow
def test_everything_is_timed_in_one_run_on_a_small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SMALL": 8_000, "ROWS": 2_000, "ROUNDS": 2, "TIMED": 20}.items():
        monkeypatch.setattr(speed, name, value)
    figures = speed.small_world(Sets(None, quiet))
    assert tuple(f.name for f in figures) == speed.PARTS[speed.small_world]
    for figure in figures:
        if figure.value is None:
            assert "riskgraph[peers]" in figure.note
        else:
            assert figure.name == speed.SCORE or figure.baseline is not None
    assert any(f.name == "rgcn_us_p50" and f.value is not None for f in figures)
