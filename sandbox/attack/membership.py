"""Membership: was this person among those that a release describes?

Every score says how much more a released number is what it is because the record went in. The best
of them is what is judged; that it was picked after the fact makes it look better than it is.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from riskgraph.sandbox.attack.findings import MEMBERSHIP_DATA, MEMBERSHIP_MODEL, VALUE, Trials
from riskgraph.sandbox.attack.likelihood import fitting, log_likelihood, masked, nearest, variance
from riskgraph.sandbox.attack.linkage import CLASSES
from riskgraph.sandbox.attack.published import GroupTable, Published
from riskgraph.sandbox.attack.rates import per_person
from riskgraph.sandbox.attack.records import WIDTH, Records
from riskgraph.sandbox.bins import COARSE_BINS
from riskgraph.sandbox.pairs import APART, joint_cells

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
_FOLDS = 2


def scores(published: Published, records: Records, drawn: Records) -> dict[str, Doubles]:
    """Scores of N records of one class, larger for members.

    Args:
        published: The release.
        records: N records.
        drawn: Drawn rows of the same class, on the same scale.
    """
    label = int(records.label[0])
    allowed = fitting(published, records, own_class=True)
    likely = masked(log_likelihood(published.groups, records), allowed)
    best, share = likely.argmax(axis=1), _class_share(published, label)
    whole = log_likelihood(_pooled(published.groups, share), records)[:, 0]
    lift, fit = _correlated(published, records, best, share)
    _, close = nearest(records.z, drawn.z)
    _, exact = nearest(records.place, drawn.place)
    found = {
        "R2: fit of the best group": likely.max(axis=1),
        "R2: best group against its class": likely.max(axis=1) - whole,
        "R2: pull towards the best group": lift,
        "R3: fit of correlations": fit,
        "R3: marginals against the other class": _marginals(published, records, label),
        "R4: cells against independence": _cells(published, records, label),
        "nearest drawn row, on bins": -close,
        "nearest drawn row, on ranks": -exact,
    }
    return {name: np.asarray(score, dtype=np.float64) for name, score in found.items()}


def _class_share(published: Published, label: int) -> Floats:
    """float32[G]: share of a class's rows in each of its groups, 0 for the other class."""
    rows = np.where(published.groups.label == label, published.groups.rows, 0).astype(np.float32)
    out: Floats = rows / max(float(rows.sum()), 1.0)
    return out


def _pooled(groups: GroupTable, share: Floats) -> GroupTable:
    """A class as one group; what no likelihood reads stays that of the first group."""
    mean = share @ groups.mean
    square = share @ (np.square(groups.sd) + np.square(groups.mean))
    first: GroupTable = GroupTable(**{f.name: getattr(groups, f.name)[:1] for f in fields(groups)})
    return replace(
        first,
        mean=mean[None],
        sd=np.sqrt(np.maximum(square - np.square(mean), 0))[None],
        presence=(share @ groups.presence)[None],
    )


def _correlated(
    published: Published, records: Records, best: NDArray[np.intp], share: Floats
) -> tuple[Doubles, Doubles]:
    """Two scores with R3's correlation: pull of the record on its group's mean, and fit of the rest.

    A member is 1/n of its group's mean, so that (m_g - m) C^-1 (z - m) is larger for it by about
    259 / n; the rest (z - m_g) fits C better when it was one of those that C was counted over.
    """
    groups = published.groups
    inverse = np.linalg.inv(published.correlation[:WIDTH, :WIDTH].astype(np.float64))
    centre, scale = share @ groups.mean, np.sqrt(variance(groups))
    there = records.present
    spread = np.sqrt(share @ np.square(scale))
    off = np.where(there, (records.z - centre) / spread, 0.0)
    pulled = np.where(there, (groups.mean[best] - centre) / spread, 0.0)
    rest = np.where(there, (records.z - groups.mean[best]) / scale[best], 0.0)
    lift = np.einsum("nc,nc->n", off @ inverse, pulled)
    fit = 0.5 * (np.square(rest).sum(axis=1) - np.einsum("nc,nc->n", rest @ inverse, rest))
    return lift, fit


def _marginals(published: Published, records: Records, label: int) -> Doubles:
    """Sum over components of how much commoner the record's bin is in its class than in the other."""
    out = np.zeros(len(records))
    for j, (scale, shape) in enumerate(zip(published.scales, published.shapes, strict=True)):
        share = np.stack([_sums(shape.bin, s, len(scale.z)) for s in shape.share])
        odds = np.log((share[label] + 1e-3) / (share[1 - label] + 1e-3))
        out += np.append(0.0, odds)[records.code[:, j]]
    return out


def _cells(published: Published, records: Records, label: int) -> Doubles:
    """Sum over pairs of how much fuller the record's cell is than independence would have it."""
    pairs, out = published.pairs, np.zeros(len(records))
    coarse = {
        int(j): np.append(0, published.scales[j].coarse + 1).astype(np.uint8) for j in np.unique(pairs.ends)
    }
    for (a, b), cell, total in zip(
        *(v[pairs.label == label] for v in (pairs.ends, pairs.cell, pairs.total)), strict=True
    ):
        apart = _independent(published, int(a), int(b), label) * total[:APART].sum()
        lift = np.log((total + 5) / (_sums(cell, apart, APART + 1) + 5))
        lift[APART] = 0.0
        joint = joint_cells(coarse[int(a)][records.code[:, a]], coarse[int(b)][records.code[:, b]])
        out += np.append(lift[cell], [0.0, 0.0])[joint]
    return out


def _independent(published: Published, a: int, b: int, label: int) -> Doubles:
    """float64[16]: share of each coarse cell of a pair if its ends were independent."""
    ends = []
    for j in (a, b):
        coarse, shape = published.scales[j].coarse, published.shapes[j]
        ends.append(_sums(coarse[shape.bin], shape.share[label], COARSE_BINS))
    out: Doubles = np.outer(*ends).ravel()
    return out


def _sums(place: NDArray[np.int8] | NDArray[np.uint8], weight: Doubles, count: int) -> Doubles:
    """float64[count]: weights summed by place."""
    out = np.zeros(count)
    np.add.at(out, place, weight)
    return out


def _combined(found: dict[str, Doubles], member: NDArray[np.bool_], unit: NDArray[np.int64]) -> Doubles:
    """One score from all of them, fitted on the half of the persons that is not being scored."""
    table = StandardScaler().fit_transform(np.column_stack(list(found.values())))
    fold, out = unit % _FOLDS, np.zeros(len(table))
    for turn in range(_FOLDS):
        fitted, scored = fold != turn, fold == turn
        if len(np.unique(member[fitted])) == 2:
            model = LogisticRegression(C=0.1, class_weight="balanced").fit(table[fitted], member[fitted])
            out[scored] = model.decision_function(table[scored])
    return out


def membership(
    published: Published, records: Records, member: NDArray[np.bool_], drawn: Records
) -> list[Trials]:
    """Every score on members and controls, per class, per row and per person.

    Args:
        published: The release.
        records: Members and controls, N in all.
        member: bool[N].
        drawn: The drawn rows.
    """
    out = []
    for label, name in enumerate(CLASSES):
        mine = np.flatnonzero(records.label == label)
        known, side = records.take(mine), member[mine]
        found = scores(published, known, drawn.take(drawn.label == label))
        found["all of them, fitted on half of the persons"] = _combined(found, side, known.unit)
        for method, score in found.items():
            # a table whose cells all fell to the rest cell tells nothing jointly
            cells = published.pairs.cell[published.pairs.label == label]
            told = not method.startswith("R4") or bool((cells != APART).any())
            reason = "" if told else "no joint table of this class is told"
            out += _compared(
                "membership_data", method, name, score, side, known.unit, MEMBERSHIP_DATA, reason
            )
    return out


def _compared(
    attack: str, method: str, subjects: str, score: Doubles, member: NDArray[np.bool_],
    unit: NDArray[np.int64], bound: float, reason: str = "",
) -> list[Trials]:  # fmt: skip
    """A score per row and per person."""
    mean, first = per_person(score, unit)
    return [
        Trials(attack, method, subjects, per, "area", bound, VALUE, value, side, who, reason=reason)
        for per, value, side, who in (
            ("row", score, member, unit),
            ("person", mean, member[first], unit[first]),
        )
    ]


def model_membership(loss: Doubles, records: Records, member: NDArray[np.bool_]) -> list[Trials]:
    """Whether a model trained on the release has a smaller loss on members than on controls.

    Yeom et al., "Privacy Risk in Machine Learning" (CSF 2018): membership by loss.

    Args:
        loss: float64[N], log loss of the model at each record.
        records: Members and controls.
        member: bool[N].
    """
    out = []
    for label, name in enumerate(CLASSES):
        mine = records.label == label
        out += _compared(
            "membership_model", "loss", name, -loss[mine], member[mine], records.unit[mine], MEMBERSHIP_MODEL
        )
    return out
