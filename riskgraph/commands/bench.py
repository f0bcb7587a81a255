"""``riskgraph bench``: the figures of this release, measured here and now."""

from __future__ import annotations

import typer


def register(root: typer.Typer) -> None:
    """Filled below."""
