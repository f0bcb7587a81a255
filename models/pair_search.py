"""What additive terms leave over to pairs of nodes, for the sandbox, where pairs are looked for."""

from __future__ import annotations

import numpy as np

from riskgraph.models.binning import fit_edges
from riskgraph.models.layout import Layout
from riskgraph.models.libraries import torch_module
from riskgraph.models.rows import Rows, split, stack
from riskgraph.models.screening import LeftOver
from riskgraph.ports import TrainingRows


def left_over(rows: TrainingRows, seed: int) -> LeftOver:
    """Fit the additive part of the served network and see what it leaves over on the same rows.

    Terms are not bound to a direction or to consent: an effect that a node has alone, and that the served
    model may not give it, would else count as an effect of each pair of the node.

    Args:
        rows: Columns of :class:`riskgraph.models.rows.Rows`.
        seed: Of the split and of the fit.

    Raises:
        Invalid: If there are too few rows of a class.
        ExtraMissing: If torch is not installed.
    """
    fitting = torch_module("fit", "looking for pairs")
    every = stack([Rows.of(rows)]).load()
    train, held_out = split(every, seed)
    layout = Layout.of_catalog().with_pairs([]).without_demands()
    edges = fit_edges(train.components, train.label, train.weight, layout)
    # rows as they are: what is left over where a source was hidden is of no order
    recipe = fitting.Recipe(hide_consent=0.0, hide_sdk=0.0)
    fit = fitting.fit_order2(train, held_out, seed=seed, recipe=recipe, edges=edges)
    bias = np.array([fit.bias[str(name)] for name in every.availability])
    return LeftOver.of(fit.tables, bias, every)
