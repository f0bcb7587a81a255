"""Inference: a hidden value, or the label, guessed from the rest of a record with the release."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from riskgraph.sandbox.attack.findings import Finding, risk
from riskgraph.sandbox.attack.likelihood import fitting, log_likelihood, masked, nearest, posterior, variance
from riskgraph.sandbox.attack.linkage import CLASSES
from riskgraph.sandbox.attack.published import Published
from riskgraph.sandbox.attack.records import Records

TOLERANCE = 0.05
MIN_BINS = 4
SECRETS, TRIALS = 8, 16_000

Hits = NDArray[np.bool_]
Places = NDArray[np.intp]


def hide(published: Published, records: Records, rng: np.random.Generator) -> Places:
    """intp[N]: for each record one component that it has, at random.

    Only components on many bins are hidden: a flag that nearly everybody shares is no secret, and
    guessing it would drown the others.
    """
    secret = np.array([len(scale.z) >= MIN_BINS for scale in published.scales])
    chance = rng.random(records.present.shape, dtype=np.float32)
    out: Places = np.where(records.present & secret, chance, -1.0).argmax(axis=1)
    return out


def infer(
    published: Published, members: Records, controls: Records, drawn: Records, rng: np.random.Generator
) -> list[Finding]:
    """Attributes and labels, guessed for members and for controls in the same way.

    One record a person, so that trials do not hang together; several of its values are hidden in turn.
    The risk of all records together is judged by the upper end of its interval. A class alone, and a
    label, of which a record has but one, may be too few trials for that: they fail when the lower end
    is above the bound, which is a leak beyond doubt.
    """
    once = tuple(side.take(one_each(side, rng)) for side in (members, controls))
    sides = tuple(side.take(_turns(len(side), rng)) for side in once)
    hidden = [hide(published, side, rng) for side in sides]
    near = [by_nearest(side, drawn, places) for side, places in zip(sides, hidden, strict=True)]
    group = [by_group(published, side, places) for side, places in zip(sides, hidden, strict=True)]
    label = [guess_label(published, side) == side.label for side in once]
    drawn_label = [drawn.label[nearest(side.z, drawn.z)[0]] == side.label for side in once]
    out = _lines("inference", "nearest drawn row", sides, near)
    out += _lines("attribute_inference", "groups by the rest of the record", sides, group)
    out += _lines("label_inference", "likeliest class", once, label)
    return out + _lines("label_inference", "label of the nearest drawn row", once, drawn_label)


def one_each(records: Records, rng: np.random.Generator) -> Places:
    """One row of each person and class, at random."""
    order = rng.permutation(len(records))
    first = np.unique(records.unit[order] * 2 + records.label[order], return_index=True)[1]
    out: Places = np.sort(order[first])
    return out


def _turns(count: int, rng: np.random.Generator) -> Places:
    """Every record up to ``SECRETS`` times, ``TRIALS`` in all at most."""
    return np.resize(rng.permutation(count), min(SECRETS * count, TRIALS))


def _lines(attack: str, method: str, sides: Sequence[Records], hits: Sequence[Hits]) -> list[Finding]:
    out = []
    for name, kept in (("all", (0, 1)), *((name, (label,)) for label, name in enumerate(CLASSES))):
        mine, other = (h[np.isin(side.label, kept)] for side, h in zip(sides, hits, strict=True))
        sizes, successes = (len(mine), len(other)), (int(mine.sum()), int(other.sum()))
        by = "upper" if name == "all" and attack != "label_inference" else "lower"
        out.append(risk(attack, method, name, sizes, successes, by=by))
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
