"""Anjana on a table of numbers, in an environment of its own: it pins a numpy that riskgraph cannot use.

Run as ``PYTHON -I peer_anjana.py IN.npy OUT.npz K SUPPRESSED``; needs anjana and pandas, not riskgraph.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray


def main(source: str, target: str, k: int, suppressed: int) -> None:
    """Anonymise int64[N, Q] and write what came out.

    Args:
        source: A ``.npy`` file of codes from 0.
        target: An ``.npz`` file: ``seconds`` of CPU, ``kept`` (the rows that were not suppressed) and
            ``codes``, their generalised values, int64[kept, Q].
        k: Least number of records in a class.
        suppressed: Most records that may be left out, in percent.
    """
    import pandas as pd
    from anjana.anonymity import k_anonymity

    values = np.load(source)
    names = [f"f{i}" for i in range(values.shape[1])]
    data = pd.DataFrame(values, columns=names)
    data["row"] = np.arange(len(values))
    ladders = {name: _ladder(column) for name, column in zip(names, values.T, strict=True)}
    start = time.process_time()
    out = k_anonymity(data, [], names, k, suppressed, ladders)
    seconds = time.process_time() - start
    codes = np.column_stack([np.unique(out[name].astype(str), return_inverse=True)[1] for name in names])
    np.savez(target, seconds=seconds, kept=out["row"].to_numpy(), codes=codes)


def _ladder(column: NDArray[np.int64]) -> dict[int, NDArray[Any]]:
    """Nested intervals of 2, 4, 8, ... codes, by level, up to a single one.

    One entry a code, as in the tables of anjana's examples; with one a record it takes ten times longer.
    """
    codes = np.unique(column)
    steps = range(int(column.max()).bit_length() + 1)
    return {step: (codes >> step).astype(str).astype(object) if step else codes for step in steps}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
