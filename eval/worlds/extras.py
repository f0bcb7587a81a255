"""The optional libraries of a world, named by their extra when one is missing."""

from __future__ import annotations

import importlib
from typing import Any

from riskgraph.core.errors import ExtraMissing


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExtraMissing("simulation", "lab") from error


def arrow() -> Any:
    """``pyarrow``.

    Raises:
        ExtraMissing: If the extra ``lab`` is not installed.
    """
    return _load("pyarrow")


def compute() -> Any:
    """``pyarrow.compute``.

    Raises:
        ExtraMissing: If the extra ``lab`` is not installed.
    """
    return _load("pyarrow.compute")


def parquet() -> Any:
    """``pyarrow.parquet``.

    Raises:
        ExtraMissing: If the extra ``lab`` is not installed.
    """
    return _load("pyarrow.parquet")


def faker() -> Any:
    """``faker``.

    Raises:
        ExtraMissing: If the extra ``lab`` is not installed.
    """
    return _load("faker")
