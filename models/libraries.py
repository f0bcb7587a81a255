"""Libraries that not every install has, imported when a kind of model needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from riskgraph.core.errors import ExtraMissing


def torch_module(name: str, feature: str) -> Any:
    """A module of this package that needs torch.

    Raises:
        ExtraMissing: If torch or torch-geometric is not installed (extra ``train``).
    """
    try:
        return import_module(f"riskgraph.models.{name}")
    except ModuleNotFoundError as missing:
        # Only a missing torch is the missing extra; any other import that fails is a fault of ours.
        if str(missing.name).split(".")[0] not in ("torch", "torch_geometric"):
            raise
        raise ExtraMissing(feature, "train") from missing
