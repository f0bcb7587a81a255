import json
import math
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid, ModelUnavailable
from riskgraph.core.subgraph import OrderSubgraph, State
from riskgraph.models import load_model
from riskgraph.models.card import AVAILABILITY_CLASSES, Card
from riskgraph.models.compiled import CompiledModel, Tables, write_model
from riskgraph.models.timing import times_us
from tests.models.helpers import random_card, random_components, random_model, random_subgraph, random_tables

CLASS = "pre_auth/front_end"
CONSENT_NODES = [n.id for n in catalog() if n.consent_needed]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    random_model(folder, 5)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> CompiledModel:
    return CompiledModel.load(folder)


def by_hand(model: CompiledModel, subgraph: OrderSubgraph, availability: str) -> float:
    """The formula written out, one table cell at a time."""
    tables, names = model.tables, catalog().component_index
    x = subgraph.components.tolist()
    bins = [
        0 if math.isnan(v) else 1 + sum(v >= e for e in edges.tolist())
        for v, edges in zip(x, tables.edges.inner, strict=True)
    ]
    total = model.card.classes[availability].offset
    total += sum(float(tables.own[c, b]) for c, b in enumerate(bins))
    for pair in catalog().pairs:
        a, b = catalog().nodes[pair.a], catalog().nodes[pair.b]
        i, j = names[f"{a.id}.{a.pair_component}"], names[f"{b.id}.{b.pair_component}"]
        total += float(tables.pairs[pair.index, bins[i], bins[j]])
    return total


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("availability", AVAILABILITY_CLASSES)
def test_the_score_is_the_formula_written_out(model: CompiledModel, seed: int, availability: str) -> None:
    subgraph = random_subgraph(seed)
    score = model.score(subgraph, availability)
    assert score.logit == pytest.approx(by_hand(model, subgraph, availability), abs=1e-9)
    parts = score.offset + score.component_terms.sum() + score.pair_terms.sum()
    assert score.logit == pytest.approx(parts, abs=1e-9)
    assert score.probability == pytest.approx(1 / (1 + math.exp(-score.logit)), abs=1e-12)
    assert score.thresholds == model.card.classes[availability].thresholds


def test_batch_and_single_scores_agree(model: CompiledModel) -> None:
    subgraphs = [random_subgraph(seed, absent=seed % 10 / 10) for seed in range(60)]
    classes = np.array([AVAILABILITY_CLASSES[i % 6] for i in range(60)], dtype=object)
    logit, probability = model.score_batch(np.stack([s.components for s in subgraphs]), classes)
    singles = [model.score(s, c) for s, c in zip(subgraphs, classes, strict=True)]
    np.testing.assert_allclose(logit, [s.logit for s in singles], rtol=0, atol=1e-9)
    np.testing.assert_allclose(probability, [s.probability for s in singles], rtol=0, atol=1e-9)


def test_a_batch_over_several_chunks_equals_its_parts(
    model: CompiledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    components = random_components(50, 1)
    classes = np.full(50, CLASS, dtype=object)
    whole, _ = model.score_batch(components, classes)
    monkeypatch.setattr("riskgraph.models.compiled.CHUNK_ROWS", 7)
    np.testing.assert_array_equal(model.score_batch(components, classes)[0], whole)


def test_an_empty_batch_gives_empty_scores(model: CompiledModel) -> None:
    logit, probability = model.score_batch(random_components(0, 1), np.empty(0, dtype=object))
    assert logit.shape == probability.shape == (0,)


def test_an_order_without_any_node_scores_the_offset_exactly(model: CompiledModel) -> None:
    score = model.score(random_subgraph(1, absent=1.1), CLASS)
    assert score.logit == model.card.classes[CLASS].offset
    assert not score.component_terms.any()
    assert not score.pair_terms.any()


@settings(max_examples=150, deadline=None)
@given(node=st.sampled_from(CONSENT_NODES), seed=st.integers(0, 40))
def test_a_refused_node_adds_exactly_zero(model: CompiledModel, node: str, seed: int) -> None:
    subgraph = random_subgraph(seed, absent=0.1)
    refused = model.score(subgraph.without(node, State.REFUSED), CLASS)
    index = catalog()[node].index
    touching = [p.index for p in catalog().pairs if index in (p.a, p.b)]
    others = [p.index for p in catalog().pairs if index not in (p.a, p.b)]
    before = model.score(subgraph, CLASS)
    assert not refused.component_terms[catalog().component_slices[index]].any()
    assert not refused.pair_terms[touching].any()
    np.testing.assert_array_equal(refused.pair_terms[others], before.pair_terms[others])
    assert refused.logit == model.score(subgraph.without(node, State.NOT_DELIVERED), CLASS).logit


def test_every_consent_node_refused_at_once_adds_exactly_zero(model: CompiledModel) -> None:
    subgraph = random_subgraph(3, absent=0.0)
    for node in CONSENT_NODES:
        subgraph = subgraph.without(node, State.REFUSED)
    score = model.score(subgraph, "pre_auth/refused")
    gone = [i for i, n in enumerate(catalog().component_node) if catalog().nodes[n].consent_needed]
    assert not score.component_terms[gone].any()


def test_an_unknown_availability_class_is_named(model: CompiledModel) -> None:
    with pytest.raises(Invalid, match="'pre_auth/robot'"):
        model.score(random_subgraph(1), "pre_auth/robot")
    with pytest.raises(Invalid, match="'x'"):
        model.score_batch(random_components(2, 1), np.array([CLASS, "x"], dtype=object))


def test_threads_may_share_a_model(model: CompiledModel) -> None:
    subgraphs = [random_subgraph(seed) for seed in range(20)]
    expected = [model.score(s, CLASS).logit for s in subgraphs]
    got: list[list[float]] = []

    def run() -> None:
        got.append([model.score(s, CLASS).logit for s in subgraphs * 20])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [expected * 20] * 4


def test_versions_and_provenance_come_from_the_card(model: CompiledModel, folder: Path) -> None:
    stored = json.loads((folder / "card.json").read_text())
    assert model.versions == {"model": "random-5", "model_sha256": stored["card_sha256"]}
    assert model.provenance == "simulated"


def test_another_threshold_makes_another_model_digest() -> None:
    card = random_card(1)
    assert replace(card, version="1").digest != card.digest == random_card(1).digest


def copy_of(folder: Path, tmp_path: Path) -> Path:
    for name in ("tables.npy", "card.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", ["tables.npy", "card.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_a_damaged_file_is_refused_by_name(folder: Path, tmp_path: Path, name: str, damage: str) -> None:
    path = copy_of(folder, tmp_path) / name
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        place = data.index(b"0.71") + 3 if name == "card.json" else len(data) - 3
        data[place] ^= 1
        path.write_bytes(data)
    with pytest.raises(ModelUnavailable, match=rf"{name}.*(missing|truncated|altered)"):
        CompiledModel.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"catalog_version": "0"}, "catalogue version 0"),
        ({"catalog_sha256": "0" * 64}, "catalogue digest"),
        ({"kind": "gbdt"}, "has no tables"),
        ({"kind": "oracle"}, "unknown kind 'oracle'"),
    ],
)
def test_a_model_for_something_else_is_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    write_model(tmp_path, random_tables(1), replace(random_card(1), **change))
    with pytest.raises(ModelUnavailable, match=message):
        CompiledModel.load(tmp_path) if "tables" in message else load_model(tmp_path)


def rewrite(folder: Path, **change: object) -> None:
    data = json.loads((folder / "card.json").read_text())
    data.update(change)
    (folder / "card.json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "model_card/9"}, "schema is 'model_card/9'"),
        ({"classes": {"pre_auth/robot": {}}}, "unknown availability class"),
        ({"classes": {CLASS: {"offset": 1, "review": 0.9, "reject": 0.5, "how": ""}}}, "thresholds"),
        ({"classes": {CLASS: {"offset": 1}}}, "'review' is missing"),
        ({"layout": []}, "layout is list"),
        ({"provenance": "Simulated"}, "provenance is 'Simulated'"),
        ({"metrics": {"auroc": float("nan")}}, "no canonical form"),
        ({"name": "\ud800"}, "no canonical form"),
        ({"releases": [1]}, "no canonical form"),
    ],
)
def test_a_wrong_card_says_what_is_wrong(
    folder: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    rewrite(copy_of(folder, tmp_path), **change)
    with pytest.raises(ModelUnavailable, match=message):
        CompiledModel.load(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", "", "[" * 100_000], ids=["list", "half", "empty", "deep"])
def test_a_card_that_is_no_json_object_is_refused(folder: Path, tmp_path: Path, text: str) -> None:
    (copy_of(folder, tmp_path) / "card.json").write_text(text)
    with pytest.raises(ModelUnavailable, match=r"card\.json"):
        CompiledModel.load(tmp_path)


def test_a_pickled_table_is_never_opened(folder: Path, tmp_path: Path) -> None:
    copy_of(folder, tmp_path)
    np.save(tmp_path / "tables.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ModelUnavailable, match="altered"):
        CompiledModel.load(tmp_path)


@pytest.mark.parametrize("place", ["own", "row", "column"])
def test_tables_that_charge_for_absence_cannot_be_made(place: str) -> None:
    tables = random_tables(1)
    own, pairs = tables.own.copy(), tables.pairs.copy()
    cell = {"own": own[4], "row": pairs[7, 0, 2:], "column": pairs[7, 2]}[place]
    cell[0] = 1e-300
    with pytest.raises(ValueError, match="absent"):
        Tables(tables.edges, own, pairs)


def test_tables_must_be_finite_and_of_the_right_shape() -> None:
    tables = random_tables(1)
    own = tables.own.copy()
    own[3, 3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        Tables(tables.edges, own, tables.pairs)
    with pytest.raises(ValueError, match="G has shape"):
        Tables(tables.edges, tables.own, tables.pairs[1:])


def test_writing_again_leaves_an_open_model_as_it_was(tmp_path: Path) -> None:
    first = random_model(tmp_path, 1)
    before = first.score(random_subgraph(1), CLASS).logit
    second = random_model(tmp_path, 2)
    assert first.score(random_subgraph(1), CLASS).logit == before
    assert second.score(random_subgraph(1), CLASS).logit != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["card.json", "tables.npy"]


def test_a_card_survives_the_round_trip(folder: Path, model: CompiledModel) -> None:
    card: Card = model.card
    assert card.to_json()["classes"][CLASS]["reject"] == random_card(5).classes[CLASS].thresholds.reject
    assert card.layout["F"] == {"start": 0, "shape": [259, 13]}
    assert len(card.layout["pairs"]) == len(catalog().pairs)


def test_serving_imports_neither_torch_nor_sklearn_nor_pyarrow() -> None:
    code = (
        "import sys, riskgraph.models, riskgraph.models.compiled, riskgraph.models.registry\n"
        "heavy = {'torch', 'torch_geometric', 'sklearn', 'pyarrow', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_timing_takes_turns_after_a_warm_up_round() -> None:
    seen: list[tuple[str, int]] = []
    orders = [random_subgraph(seed) for seed in range(3)]
    calls = {name: lambda o, n=name: seen.append((n, orders.index(o))) for name in ("quick", "slow")}
    times = times_us(calls, orders, rounds=2, few={"slow": 1})
    assert {name: len(spent) for name, spent in times.items()} == {"quick": 6, "slow": 2}
    assert (times["quick"] > 0).all()
    assert seen == [("quick", 0), ("quick", 1), ("quick", 2), ("slow", 0)] * 3
