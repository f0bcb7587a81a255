"""certify: simulate a configuration over several seeds and read every gate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from riskgraph.core.door import Door
from riskgraph.core.errors import Conflict
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.gates import likeness, people, strength
from riskgraph.eval.worlds.gates.figure import GATES, Figure
from riskgraph.eval.worlds.gates.guard import label_time
from riskgraph.eval.worlds.gates.material import Material
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.simulate import simulate
from riskgraph.eval.worlds.writer import Progress, quiet

_READ = (
    strength.single_components,
    strength.rules,
    strength.order_alone,
    strength.with_relations,
    likeness.look_alikes,
    people.odd_people,
    people.camouflage,
)


def certify(
    config: WorldConfig, seeds: Sequence[int], folder: Path, door: Door, progress: Progress = quiet
) -> Iterator[Figure]:
    """Figures of all gates, seed by seed; those of two seeds come last.

    Args:
        config: The configuration; its own seed is not used.
        seeds: Seeds of the worlds; at least two, or one seed cannot be told from another.
        folder: Worlds are made in ``folder/seed-N``; one that is there already is read.
        door: Keyed hashing of entities.
        progress: Called with (step, done, total).

    Raises:
        Conflict: If a world that is there is of another configuration.
    """
    samples = {}
    for number, seed in enumerate(seeds):
        progress("worlds", number, len(seeds))
        world = _world(config.scaled(seed=seed), folder / f"seed-{seed}", progress)
        material = Material.of(world, door, progress)
        for done, read in enumerate(_READ):
            progress(f"gates, seed {seed}", done, len(_READ))
            yield from read(material)
        yield from label_time(material, world.outcomes())
        progress(f"gates, seed {seed}", len(_READ), len(_READ))
        # A sample only: several whole worlds need not fit into memory.
        samples[seed] = likeness.seed_sample(material)
    progress("worlds", len(seeds), len(seeds))
    for seed, other in zip(seeds, [*seeds[1:], seeds[0]], strict=True):
        yield from likeness.two_seeds(seed, samples[seed], other, samples[other])


def _world(config: WorldConfig, folder: Path, progress: Progress) -> World:
    if not (folder / "manifest.json").is_file():
        simulate(config, config.seed, folder, progress)
    world = World.open(folder)
    if world.manifest.get("config_sha256") != config.sha256:
        raise Conflict(f"{folder} holds a world of another configuration", field="out")
    return world


def holds(figures: Sequence[Figure]) -> dict[int, bool]:
    """Whether each gate holds: all its figures at all seeds, and at least one of them."""
    return {g: bool(mine := [f.held for f in figures if f.gate == g]) and all(mine) for g in GATES}
