"""``riskgraph bench models``: the champion's network beside other models, on data of several kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from riskgraph.bench import Figure, linked, measure, new_families, real, refusal, speed, training
from riskgraph.bench.real import Sets
from riskgraph.ports import Progress

# A part and the names of its figures: whoever adds figures adds a module like ``real`` and its parts here.
PARTS: dict[Callable[[Sets], list[Figure]], tuple[str, ...]] = {
    **new_families.PARTS,
    **linked.PARTS,
    **refusal.PARTS,
    **speed.PARTS,
    **real.PARTS,
    **training.PARTS,
}


def run(
    only: set[str], progress: Progress, *, data: Path | None = None, seeds: int = 1, out: Path | None = None,
    workers: int = 1,
) -> list[Figure]:  # fmt: skip
    """Measure all figures, or the named ones; a part that fails is reported, never left out.

    Args:
        only: Names of figures; none means all.
        progress: Told before each fold.
        data: Folder of the real sets; if left out, the one that ``RISKGRAPH_DATA`` names.
        seeds: How often what is drawn is drawn anew, in multiples of a plain run.
        out: Folder for whole tables.
        workers: Processes that share parts and seeds of unseen families.
    """
    return measure(PARTS, Sets(data, progress, seeds, out, workers), only)
