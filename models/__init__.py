"""Encoders, the graph-additive network, training, the compiled scorer and the registry.

Importing this package needs numpy only; training imports torch when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from riskgraph.core.errors import ModelUnavailable
from riskgraph.models.card import CARD_FILE, read_card
from riskgraph.models.compiled import CompiledModel

if TYPE_CHECKING:
    from riskgraph.models.trees import TreeModel

__all__ = ["CompiledModel", "load_model"]


def load_model(folder: Path | str) -> CompiledModel | TreeModel:
    """Open a model of either kind.

    Raises:
        ModelUnavailable: If it cannot be served; the message names the file and what is wrong.
    """
    kind = read_card(Path(folder)).kind
    if kind == "order2":
        return CompiledModel.load(folder)
    if kind == "gbdt":
        from riskgraph.models.trees import TreeModel

        return TreeModel.load(folder)
    raise ModelUnavailable(f"{Path(folder) / CARD_FILE}: unknown kind {kind!r}")
