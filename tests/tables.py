"""Figures of ``make tables`` with the hashes of its tables, as a plain run of the bench quotes them.

Run as ``python tests/tables.py FIGURES TABLES OUT``.
"""

from __future__ import annotations

import json
import sys
from hashlib import sha256
from pathlib import Path


def quoted(figures: Path, tables: Path) -> dict[str, object]:
    """Hashes by file name, and figures as the bench printed them."""
    hashes = {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(tables.iterdir())}
    return {"sha256": hashes, "figures": json.loads(figures.read_text(encoding="utf-8"))}


if __name__ == "__main__":
    body = quoted(Path(sys.argv[1]), Path(sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
