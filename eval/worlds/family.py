"""A family: one kind of fraud, as its file under ``families`` or in a stranger's folder states it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from riskgraph.core.errors import NotFound
from riskgraph.eval.worlds.profiles import Archetype

if TYPE_CHECKING:
    from riskgraph.eval.worlds.gangs import Gang
    from riskgraph.eval.worlds.scene import Scene

Play = Callable[["Scene", "Gang"], None]


@dataclass(frozen=True)
class Family:
    """A kind of fraud: its figures, what its gangs do, and what else shows at the checkout.

    Shares are 0 to 1. Traits that describe open play fade with a gang's camouflage.

    Attributes:
        archetype: Name, share, timing, label path and behavior shifts; part of a world's configuration.
        play: Enters the orders of one gang, ``gang.size`` of them, with ``scene.place``.
        burst_hours: Spread of a burst (standard deviation, hours).
        chases_launches: Share of bursts that start within half an hour after a launch.
        chases_promotions: Share of bursts that fall on a promotion day, in worlds that are ``lifelike``.
        awake: Share of orders that keep to the hours at which people shop.
        night: Share of orders that keep night hours.
        stopped: Share of orders that the shop stops before shipping.
        declines: Mean declined payment attempts before an order, in open play, on top of everybody's.
        guesses_cards: How much declines name wrong card data (0 as anybody's, 1 about twice as often).
        guesses_passwords: Failed sign-ins before an order, in open play (1 adds about half a failure).
        one_time_codes: Signs in by one-time code and from changing networks (0 as anybody, 1 mostly).
        invited: Share of the gang's accounts that were invited by another account.
        tunnels: How much more often than other gangs it comes by proxy or datacenter (0 as they do).
        refunded: Share of delivered orders that are claimed back on a pretext.
        hides_position: The shopper's own device gives no position (at ``position_fails``).
        naive: Declared to be easy: its tools leave traces.
        placed_against: SHA-256 of the model that it was placed against (``riskgraph world place``); empty
            for families that no model had a part in.
        source: File that a stranger's family came from; empty for those that ship.
        sha256: Digest of that file.
    """

    archetype: Archetype
    play: Play
    burst_hours: float = 20.0
    chases_launches: float = 0.0
    chases_promotions: float = 0.0
    awake: float = 0.65
    night: float = 0.0
    stopped: float = 0.25
    declines: float = 0.0
    guesses_cards: float = 0.0
    guesses_passwords: float = 0.0
    one_time_codes: float = 0.0
    invited: float = 0.15
    tunnels: float = 0.0
    refunded: float = 0.0
    hides_position: bool = False
    naive: bool = False
    placed_against: str = ""
    source: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        return self.archetype.name


def chosen(archetypes: tuple[Archetype, ...], known: Iterable[Family]) -> tuple[Family, ...]:
    """The family of each archetype of a configuration, with the configuration's figures.

    Raises:
        NotFound: If no family has the name of an archetype.
    """
    by_name = {family.name: family for family in known}
    missing = [a.name for a in archetypes if a.name not in by_name]
    if missing:
        raise NotFound(f"no family {missing[0]!r}; known are {', '.join(by_name)}", field="archetypes")
    return tuple(replace(by_name[a.name], archetype=a) for a in archetypes)
