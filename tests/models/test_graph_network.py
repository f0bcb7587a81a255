import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from riskgraph.core.catalog import DIRECTED, NODE_COUNT, catalog
from riskgraph.models.rows import Rows, split
from tests.models.helpers import planted_rows, random_components, random_edges

torch = pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

from riskgraph.models.fit_graph import GraphRecipe, fit_graph  # noqa: E402
from riskgraph.models.graph_network import RELATIONS, BehaviorGraphNetwork, Sizes, typed_edges  # noqa: E402

KINDS = ("rgcn", "gatv2")
SMALL = Sizes(width=6, layers=2, heads=2, hidden=8)
QUICK = GraphRecipe(epochs=3, rate=5e-3, sizes=SMALL)


def network(kind: str, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    return BehaviorGraphNetwork(kind, SMALL).double().eval()


def some_bins(rows: int, seed: int, absent: float = 0.4) -> Any:
    return torch.from_numpy(random_edges(1).apply(random_components(rows, seed, absent=absent))).long()


def dense_rgcn(conv: Any, x: Any, adjacency: Any) -> Any:
    """Root term and the mean over each relation's neighbours, by dense matrices."""
    out = x @ conv.root + conv.bias
    for relation, weight in zip(adjacency, conv.weight, strict=True):
        out = out + relation @ x @ weight / relation.sum(1, keepdim=True).clamp(min=1)
    return out


def dense_gatv2(conv: Any, x: Any, adjacency: Any) -> Any:
    """Softmax attention over all neighbours and relations, by dense tensors [target, source, relation]."""
    heads, size = conv.heads, conv.out_channels
    source = conv.lin_l(x).view(1, NODE_COUNT, 1, heads, size)
    target = conv.lin_r(x).view(NODE_COUNT, 1, 1, heads, size)
    typed = conv.lin_edge(torch.eye(len(RELATIONS), dtype=x.dtype)).view(1, 1, -1, heads, size)
    energy = (torch.nn.functional.leaky_relu(source + target + typed, 0.2) * conv.att[0]).sum(-1)
    there = adjacency.permute(1, 2, 0)[..., None] > 0
    weight = torch.exp(energy) * there
    total = weight.sum((1, 2), keepdim=True)
    share = weight / torch.where(total > 0, total, 1.0)
    return torch.einsum("tsrh,shd->thd", share, source[0, :, 0]).reshape(NODE_COUNT, -1) + conv.bias


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_network_is_its_dense_form_written_out(kind: str) -> None:
    model, bins = network(kind), some_bins(4, 2)
    ends, relation = typed_edges()
    for row, logit in zip(bins, model(bins), strict=True):
        state, present = model._inputs(row[None])
        x, there = state[0], present[0].to(state.dtype)[:, None]
        adjacency = torch.zeros(len(RELATIONS), NODE_COUNT, NODE_COUNT, dtype=x.dtype)
        adjacency[torch.from_numpy(relation), torch.from_numpy(ends[1]), torch.from_numpy(ends[0])] = 1.0
        adjacency *= there * there.T
        for layer in model.rounds:
            dense = dense_gatv2 if kind == "gatv2" else dense_rgcn
            x = (x + torch.relu(dense(layer.conv, x, adjacency))) * there
        assert float(model.readout(x.reshape(1, -1))) == pytest.approx(float(logit), abs=1e-5)


def test_every_template_edge_speaks_both_ways_and_a_directed_one_in_two_relations() -> None:
    ends, relation = typed_edges()
    assert ends.shape == (2, 2 * len(catalog().edges))
    spoken = {(int(a), int(b), RELATIONS[r]) for (a, b), r in zip(ends.T, relation, strict=True)}
    for edge in catalog().edges:
        back = f"{edge.type}_reversed" if edge.type in DIRECTED else edge.type
        assert {(edge.source, edge.target, edge.type), (edge.target, edge.source, back)} <= spoken
    assert len(RELATIONS) == 8


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_readout_keeps_every_node_apart(kind: str) -> None:
    model = network(kind)
    assert model.readout[0].in_features == NODE_COUNT * SMALL.width
    bins = some_bins(1, 3, absent=-1.0)
    state, _ = model._inputs(bins)
    swapped = state.clone()
    swapped[0, [3, 40]] = state[0, [40, 3]]
    first, other = (float(model.readout(s.view(1, -1))) for s in (state, swapped))
    assert first != other


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_an_absent_node_neither_sends_nor_receives(kind: str) -> None:
    model, bins = network(kind), some_bins(3, 4, absent=0.5)
    _, present = model._inputs(bins)
    ends, _ = model._messages(present)
    assert present.reshape(-1)[ends.reshape(-1)].all()
    nothing = model(torch.zeros_like(bins[:1]))
    zeros = torch.zeros(1, NODE_COUNT * SMALL.width, dtype=torch.float64)
    torch.testing.assert_close(nothing, model.readout(zeros).squeeze(-1))


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_orders_of_a_batch_do_not_hear_one_another(kind: str) -> None:
    model, bins = network(kind), some_bins(6, 5)
    alone = torch.cat([model(row[None]) for row in bins])
    torch.testing.assert_close(model(bins), alone, rtol=0, atol=1e-9)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return planted_rows(4000, 7)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_held_out_loss(kind: str, rows: Rows) -> None:
    told: list[tuple[str, int, int]] = []
    fit = fit_graph(
        kind, *split(rows, 0), seed=0, recipe=replace(QUICK, epochs=6), progress=lambda *s: told.append(s)
    )
    assert min(fit.losses) < 0.97 * fit.losses[0]
    assert told == [("train", n, 6) for n in range(1, len(fit.losses))]


def test_training_stops_when_the_held_out_loss_no_longer_falls(rows: Rows) -> None:
    fitting, held_out = split(rows.take(np.arange(1000)), 1)
    wrong = replace(held_out, label=(1 - held_out.label).astype(np.int8))
    fit = fit_graph("gatv2", fitting, wrong, seed=0, recipe=replace(QUICK, epochs=20, patience=2))
    assert fit.losses.index(min(fit.losses)) == len(fit.losses) - 1 - 2


def test_the_generator_of_the_process_is_left_as_it_was(rows: Rows) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_graph(
        "rgcn", *split(rows.take(np.arange(400)), 1), seed=0, recipe=replace(QUICK, epochs=1)
    )  # fmt: skip
    torch.testing.assert_close(torch.rand(3), expected)


def test_another_seed_is_another_network(rows: Rows) -> None:
    parts = split(rows.take(np.arange(400)), 1)
    first, again, other = (
        fit_graph("gatv2", *parts, seed=seed, recipe=replace(QUICK, epochs=1)).weights for seed in (1, 1, 2)
    )
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["readout.0.weight"] != other["readout.0.weight"]).any()


def test_networks_leave_no_file_in_the_temporary_folder(tmp_path):
    made = (
        "from riskgraph.models.graph_network import BehaviorGraphNetwork, Sizes\n"
        "from riskgraph.models.network import PairLayer\n"
        "PairLayer(), BehaviorGraphNetwork('rgcn', Sizes()), BehaviorGraphNetwork('gatv2', Sizes())\n"
    )
    subprocess.run([sys.executable, "-c", made], env=os.environ | {"TMPDIR": str(tmp_path)}, check=True)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []
