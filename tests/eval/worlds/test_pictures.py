"""Pictures of worlds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from riskgraph.core.door import Door
from riskgraph.eval.worlds import World, pictures
from riskgraph.eval.worlds.gates import Material


def draw(folder: Path, world: World, material: Material) -> dict[str, bytes]:
    folder.mkdir()
    truth, relations = material.oracle, material.relations
    pictures.plot_volume(folder, relations.placed_s, truth.is_fraud)
    pictures.plot_label_arrival(folder, world, material)
    pictures.plot_gate_camouflage(folder, material)
    pictures.plot_gang(
        folder, relations.kinds, material.gang, int(np.bincount(material.gang[material.gang >= 0]).argmax())
    )
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_the_same_world_gives_the_same_pictures(tmp_path: Path, small_world: World, door: Door) -> None:
    material = Material.of(small_world, door)
    first = draw(tmp_path / "a", small_world, material)
    names = ("gang", "gate-camouflage", "labels", "volume")
    assert sorted(first) == sorted(f"{n}.{kind}" for n in names for kind in ("png", "svg"))
    assert first == draw(tmp_path / "b", small_world, material)
