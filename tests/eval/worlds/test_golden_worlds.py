"""Worlds that figures were published from stay what they were, byte for byte.

``python tests/eval/worlds/test_golden_worlds.py`` writes the digests anew, for a change that is meant.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgraph.eval.worlds import PRESETS, preset, simulate

GOLDEN = Path(__file__).with_name("golden_worlds.json")
PUBLISHED = ("demo", "champion", "bench", "world-1", "world-2", "world-natural")


def small(name: str, out: Path) -> dict[str, Any]:
    """Versions and digests of a small world; the manifest's own bytes are covered by its parts."""
    folder = simulate(preset(name).scaled(orders=1500), PRESETS[name].seed, out)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    versions = {**manifest["made_with"], "numpy": np.__version__}
    return {"versions": versions, "config": manifest["config_sha256"], "files": manifest["files"]}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_configuration_still_gives_the_bytes_it_gave(name: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[name]
    made = small(name, tmp_path / "w")
    assert made["config"] == golden["config"]
    if made["versions"] != golden["versions"]:
        pytest.skip("other library versions draw or write other bytes")
    assert made["files"] == golden["files"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: small(name, Path(scratch) / name) for name in PUBLISHED}
    GOLDEN.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
