"""Linkage: the owner of a raw record looks for the group that it went into, to name one person in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from riskgraph.sandbox.attack.findings import LINKAGE, VALUE, Trials
from riskgraph.sandbox.attack.likelihood import fitting, log_likelihood, masked, nearest
from riskgraph.sandbox.attack.published import Published
from riskgraph.sandbox.attack.records import Records, centroid_places

Floats = NDArray[np.float32]
CLASSES = ("honest", "fraud")


def link(published: Published, members: Records, group: NDArray[np.int32], drawn: Records) -> list[Trials]:
    """The chance to name one person, by each way to pick a group, per class.

    Whoever picks the right group has one of its persons by guessing: success is the share of right
    picks, each divided by the units of its group. The owner knows the class and the stratum. Control
    is a blind guess: one among all persons of the class. Groups of k persons keep that chance at 1/k
    whatever the picks are, so the share of right picks is told beside it (``right_group``); its control
    are guesses by the sizes of the groups that the record can be in.

    Args:
        published: The release.
        members: N records that went into it.
        group: int32[N], their true groups; they judge a pick, the attacker does not see them.
        drawn: The drawn rows on the same scale.
    """
    out = []
    for label, name in enumerate(CLASSES):
        mine = np.flatnonzero(members.label == label)
        records, true = members.take(mine), group[mine]
        total = float(published.groups.units[published.groups.label == label].sum())
        by_size = _by_size(published, records, true)
        for method, picked in _picks(published, records, drawn).items():
            right = picked == true
            credit = np.where(right, 1.0 / published.groups.units[true], 0.0)
            for attack, bound, value, blind in (
                ("linkage", LINKAGE, credit, 1 / max(total, 1.0)),
                ("right_group", None, right * 1.0, by_size),
            ):
                side = np.ones(len(mine), dtype=np.bool_)
                out.append(
                    Trials(
                        attack, method, name, "row", "mean", bound, VALUE, value, side, records.unit, blind
                    )
                )
    return out


def _by_size(published: Published, records: Records, group: NDArray[np.int32]) -> float:
    """Share of right picks when a group of the record's class and stratum is guessed by its persons."""
    units = published.groups.units.astype(np.float64)
    among = fitting(published, records, own_class=True) @ units
    return float((units[group] / np.maximum(among, units[group])).mean()) if len(group) else 0.0


def _picks(published: Published, records: Records, drawn: Records) -> dict[str, NDArray[np.intp]]:
    """The group that each way picks for each record."""
    allowed = fitting(published, records, own_class=True)
    likely = masked(log_likelihood(published.groups, records), allowed)
    by_centroid = masked(-_apart(centroid_places(published), records.place), allowed)
    there, mean = records.present.astype(np.float32), published.groups.mean
    by_mean = masked(2 * records.z @ mean.T - there @ np.square(mean).T, allowed)
    close, _ = nearest(records.z, drawn.z)
    of_drawn = masked(
        log_likelihood(published.groups, drawn.take(close)), fitting(published, records, own_class=True)
    )
    return {
        "R2: likeliest group": likely.argmax(axis=1),
        "R2: nearest mean": by_mean.argmax(axis=1),
        "R1: nearest centroid": by_centroid.argmax(axis=1),
        "nearest drawn row, then its likeliest group": of_drawn.argmax(axis=1),
    }


def _apart(centres: Floats, places: Floats) -> Floats:
    """float32[N, G]: mean squared distance to each centre over what both have (ranks, -1 where absent)."""
    mine, theirs = ((v >= 0).astype(np.float32) for v in (places, centres))
    record, centre = np.maximum(places, 0), np.maximum(centres, 0)
    total = np.square(record) @ theirs.T - 2 * record @ centre.T + mine @ np.square(centre).T
    out: Floats = total / np.maximum(mine @ theirs.T, 1)
    return out
