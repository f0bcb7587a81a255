"""``riskgraph bench explain``: reasons, counterfactuals and reports, on simulated orders."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from riskgraph.bench import Figure, explain_integrity, explain_reasons, explain_reports, measure
from riskgraph.bench.explain_ground import Ground
from riskgraph.ports import Progress

# A part and the names of its figures: whoever adds figures adds a module like ``explain_reports`` here.
PARTS: dict[Callable[[Ground], list[Figure]], tuple[str, ...]] = {
    **explain_reasons.PARTS,
    **explain_reports.PARTS,
    **explain_integrity.PARTS,
}


def run(only: set[str], progress: Progress) -> list[Figure]:
    """Measure all figures, or the named ones; a part that fails is reported, never left out."""
    with tempfile.TemporaryDirectory(prefix="riskgraph-bench-") as folder:
        return measure(PARTS, Ground(Path(folder), progress), only)
