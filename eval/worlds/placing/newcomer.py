"""The family that is placed: one that ships or a stranger's, under a name of its own, from a date on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from riskgraph.core.errors import Invalid
from riskgraph.eval.worlds.config import WorldConfig
from riskgraph.eval.worlds.families import FAMILIES
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.family_files import load_family
from riskgraph.eval.worlds.shop import DAY

PLACED = "_placed"


def base_family(name: str, config: WorldConfig) -> Family:
    """A family that ships, with the configuration's figures where it has some, or that of a file.

    Args:
        name: Its name, or the path of a family file (``*.py``); the file's code is run.
        config: The configuration that it will join.

    Raises:
        Invalid: If there is neither, or the file states a family wrongly.
    """
    if name in FAMILIES:
        figures = {kind.name: kind for kind in config.archetypes}
        return replace(FAMILIES[name], archetype=figures.get(name, FAMILIES[name].archetype))
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise Invalid(
            f"FAMILY must be a family file (*.py) or one of {', '.join(FAMILIES)}, got {name!r}",
            field="FAMILY",
        )
    return load_family(path)


def newcomer(base: Family, config: WorldConfig, starts: date) -> Family:
    """The family as a new one that nobody tries before a date.

    Raises:
        Invalid: If the date lies outside the world, or leaves too few days for the family's gangs.
    """
    kind = base.archetype
    needed = max(2.0, kind.window_days[1])
    first = date.fromisoformat(config.start)
    last = datetime.fromtimestamp(config.end_s - needed * DAY, UTC).date()
    if not first <= starts <= last:
        end = first + timedelta(days=config.days - 1)
        raise Invalid(
            f"starts must lie between {first} and {last}, got {starts}: {config.name} ends on {end},"
            f" and gangs of {kind.name} act for up to {needed:g} days",
            field="starts",
        )
    return replace(base, archetype=replace(kind, name=kind.name + PLACED, starts=starts.isoformat()))


def days_left(config: WorldConfig, starts: date) -> float:
    """Days from a date to the end of a world."""
    return config.days - (starts - date.fromisoformat(config.start)).days
