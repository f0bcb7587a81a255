"""Encoders, the graph-additive network, training, the compiled scorer and the registry.

Importing this package needs numpy only; training imports torch when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from riskgraph.core.errors import ModelUnavailable
from riskgraph.models.card import CARD_FILE, read_card
from riskgraph.models.compiled import CompiledModel
from riskgraph.models.kinds import COMPILED, DEEP, TREES

if TYPE_CHECKING:
    from riskgraph.models.graph_model import GraphModel
    from riskgraph.models.trees import TreeModel

__all__ = ["CompiledModel", "load_model"]


def load_model(folder: Path | str) -> CompiledModel | TreeModel | GraphModel:
    """Open a model of any kind.

    Raises:
        ModelUnavailable: If it cannot be served; the message names the file and what is wrong.
        ExtraMissing: If it is a deep network and torch is not installed (extra ``train``).
    """
    kind = read_card(Path(folder)).kind
    if kind in COMPILED:
        return CompiledModel.load(folder)
    if kind in TREES:
        from riskgraph.models.trees import TreeModel

        return TreeModel.load(folder)
    if kind in DEEP:
        from riskgraph.models.graph_model import GraphModel

        return GraphModel.load(folder)
    raise ModelUnavailable(f"{Path(folder) / CARD_FILE}: unknown kind {kind!r}")
