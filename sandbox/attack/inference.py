"""Inference: a hidden value, or the label, guessed from the rest of a record with the release."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from riskgraph.sandbox.attack.findings import HOLM, RISK, UPPER, Trials
from riskgraph.sandbox.attack.likelihood import fitting, log_likelihood, masked, nearest, posterior, variance
from riskgraph.sandbox.attack.linkage import CLASSES
from riskgraph.sandbox.attack.published import Published
from riskgraph.sandbox.attack.records import Records

TOLERANCE = 0.05
MOST_BINS, LEAST_BINS = 4, 2
COMMONEST = 0.9
SECRETS, TRIALS = 8, 16_000

Hits = NDArray[np.bool_]
Places = NDArray[np.intp]


def secrets(published: Published) -> NDArray[np.bool_]:
    """bool[259]: components whose value is worth guessing.

    On as many bins as are to be had, four at best and never one, and with no bin that nearly everybody
    shares: guessing that would drown the others. Small releases have few bins.
    """
    bins = np.array([len(scale.z) for scale in published.scales])
    varied = np.zeros(len(bins), dtype=np.bool_)
    for j, shape in enumerate(published.shapes):
        share = np.bincount(shape.bin, shape.share.sum(axis=0), bins[j])
        varied[j] = share.max(initial=0) <= COMMONEST * share.sum()
    floor = MOST_BINS
    while floor > LEAST_BINS and np.count_nonzero(varied & (bins >= floor)) < SECRETS:
        floor -= 1
    out: NDArray[np.bool_] = varied & (bins >= floor)
    return out


def hide(
    published: Published, records: Records, turns: int, rng: np.random.Generator
) -> tuple[Places, Places]:
    """Up to ``turns`` different components of each record, of those that it has, at random.

    Returns:
        intp[T] records and intp[T] components, one entry a trial.
    """
    chance = rng.random(records.present.shape, dtype=np.float32)
    chance[~(records.present & secrets(published))] = -1.0
    first = np.argpartition(-chance, turns - 1, axis=1)[:, :turns]
    there = np.take_along_axis(chance, first, axis=1) >= 0
    row, turn = np.nonzero(there)
    return row, first[row, turn]


def infer(
    published: Published, members: Records, controls: Records, drawn: Records, rng: np.random.Generator
) -> list[Trials]:
    """Attributes and labels, guessed for members and for controls in the same way.

    One record a person; several of its values are hidden in turn. The risk of all records together is
    judged by the upper end of its interval. A class alone, and a label, of which a record has but one,
    may be too few for that: they are broken when they are shown to be above the bound.
    """
    once = tuple(side.take(one_each(side, rng)) for side in (members, controls))
    turns = min(max(TRIALS // max(*map(len, once), 1), 1), SECRETS)
    hidden = [hide(published, side, turns, rng) for side in once]
    sides = [side.take(rows) for side, (rows, _) in zip(once, hidden, strict=True)]
    places = [places for _, places in hidden]
    near = [by_nearest(side, drawn, p) for side, p in zip(sides, places, strict=True)]
    group = [by_group(published, side, p) for side, p in zip(sides, places, strict=True)]
    why = "" if all(map(len, sides)) else "no component of these records is on two bins or more"
    out = _lines("inference", "nearest drawn row", sides, near, why)
    out += _lines("attribute_inference", "groups by the rest of the record", sides, group, why)
    guesses = {
        "likeliest class": [guess_label(published, side) for side in once],
        "label of the nearest drawn row": [drawn.label[nearest(side.z, drawn.z)[0]] for side in once],
    }
    for method, guess in guesses.items():
        right = [g == side.label for g, side in zip(guess, once, strict=True)]
        alike = len(np.unique(np.concatenate(guess))) < 2
        out += _lines("label_inference", method, once, right, "every guess is alike" if alike else "")
    return out


def one_each(records: Records, rng: np.random.Generator) -> Places:
    """One row of each person and class, at random."""
    order = rng.permutation(len(records))
    first = np.unique(records.unit[order] * 2 + records.label[order], return_index=True)[1]
    out: Places = np.sort(order[first])
    return out


def _lines(
    attack: str, method: str, sides: Sequence[Records], hits: Sequence[Hits], reason: str
) -> list[Trials]:
    out = []
    label, unit = (np.concatenate([getattr(side, f) for side in sides]) for f in ("label", "unit"))
    won = np.concatenate(hits).astype(np.float64)
    member = np.repeat([True, False], [len(side) for side in sides])
    for name, kept in (("all", (0, 1)), *((name, (value,)) for value, name in enumerate(CLASSES))):
        mine = np.isin(label, kept)
        by = UPPER if name == "all" and attack != "label_inference" else HOLM
        found = (won[mine], member[mine], unit[mine])
        out.append(Trials(attack, method, name, "row", "risk", RISK, by, *found, reason=reason))
    return out


def by_nearest(records: Records, drawn: Records, hidden: Places) -> Hits:
    """bool[N]: whether the drawn row that is nearest by all else has the hidden value.

    A number is right within 5 % and a class when it is the same, as anonymeter has it.
    """
    close, _ = nearest(records.z, drawn.z, hidden)
    rows = np.arange(len(records))
    truth, guess = records.raw.components[rows, hidden], drawn.raw.components[close, hidden]
    out: Hits = np.abs(guess - truth) <= TOLERANCE * np.abs(guess) + 1e-12
    return out


def by_group(published: Published, records: Records, hidden: Places) -> Hits:
    """bool[N]: whether the groups that explain the rest of a record have the bin of its hidden value."""
    groups, rows = published.groups, np.arange(len(records))
    likely = log_likelihood(published.groups, records)
    mean, spread = groups.mean[:, hidden].T, variance(groups)[:, hidden].T
    likely += 0.5 * np.square(records.z[rows, hidden][:, None] - mean) / spread + 0.5 * np.log(spread)
    weight = posterior(masked(likely, fitting(published, records, own_class=True)))
    guess = (weight * mean).sum(axis=1)
    out = np.zeros(len(records), dtype=np.bool_)
    for row, j in enumerate(hidden):
        scale = published.scales[j].z
        out[row] = np.abs(scale - guess[row]).argmin() + 1 == records.code[row, j]
    return out


def guess_label(published: Published, records: Records) -> NDArray[np.int8]:
    """int8[N]: the class whose groups explain a record best, by their sizes."""
    groups = published.groups
    likely = masked(
        log_likelihood(published.groups, records) + np.log(groups.rows.astype(np.float32)),
        fitting(published, records, own_class=False),
    )
    weight = posterior(likely)
    fraud: NDArray[np.bool_] = weight @ (groups.label == 1).astype(np.float32) > 0.5
    return fraud.astype(np.int8)
