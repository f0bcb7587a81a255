"""Libraries that not every install has, imported when a kind of model needs them."""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path
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


def drop_generated_files() -> None:
    """Remove the files that PyTorch Geometric leaves behind for each class of layer.

    It writes a module for the class into the temporary folder, loads it once, and never removes it
    (``torch_geometric.template.module_from_template``).
    """
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and name.endswith(("_propagate", "_edge_updater")):
            file = Path(path)
            if file.parent == Path(tempfile.gettempdir()):
                file.unlink(missing_ok=True)
