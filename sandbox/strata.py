"""Strata: absence comes in blocks, so rows are grouped by which blocks they have.

A pattern is (phase, front end, touch, mouse). A pattern that fewer than 1.2 k units of either class
show loses blocks, in both classes alike, until it matches a larger one: were only one class to lose
them, the model would learn who was suppressed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.catalog import catalog
from riskgraph.core.errors import Invalid
from riskgraph.core.subgraph import State

MARGIN = 1.2
FRONTS = ("no_front_end", "refused", "front_end")
PHASES = ("pre_auth", "post_auth")
COUNT = 24
_RESULTS = ("B064", "B065", "B066", "B070")


def _places(ids: list[str]) -> NDArray[np.intp]:
    return np.array([catalog()[i].index for i in ids], dtype=np.intp)


TOUCH = _places([f"B{i:03d}" for i in range(26, 30)])
MOUSE = _places([f"B{i:03d}" for i in (*range(13, 23), 24, 25)])
SDK = np.array([n.index for n in catalog() if n.computed_by == "sdk"], dtype=np.intp)
RESULTS = _places(list(_RESULTS))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A block pattern, packed as ``phase * 12 + front * 4 + touch * 2 + mouse``."""

    phase: int
    front: int
    touch: int
    mouse: int

    @classmethod
    def of(cls, code: int) -> Pattern:
        """The pattern with a code."""
        return cls(code // 12, code // 4 % 3, code // 2 % 2, code % 2)

    @property
    def code(self) -> int:
        return self.phase * 12 + self.front * 4 + self.touch * 2 + self.mouse

    @property
    def availability(self) -> str:
        return f"{PHASES[self.phase]}/{FRONTS[self.front]}"

    @property
    def name(self) -> str:
        blocks = "+".join(w for w, on in (("touch", self.touch), ("mouse", self.mouse)) if on)
        return f"{self.availability}/{blocks}" if blocks else self.availability

    def smaller(self) -> Pattern | None:
        """The pattern with one block less, or None at the last one."""
        if self.touch:
            return Pattern(self.phase, self.front, 0, self.mouse)
        if self.mouse:
            return Pattern(self.phase, self.front, 0, 0)
        if self.front:
            return Pattern(self.phase, 0, 0, 0)
        return Pattern(0, 0, 0, 0) if self.phase else None


def blocked() -> NDArray[np.bool_]:
    """bool[24, 137]: nodes that lie in a block which a pattern lacks, so that no row of it has them."""
    out = np.zeros((COUNT, len(catalog().nodes)), dtype=np.bool_)
    for code in range(COUNT):
        pattern = Pattern.of(code)
        blocks = ((SDK, pattern.front == 2), (TOUCH, pattern.touch), (MOUSE, pattern.mouse))
        for nodes, there in (*blocks, (RESULTS, pattern.phase)):
            if not there:
                out[code, nodes] = True
    return out


def patterns(states: NDArray[np.uint8], availability: NDArray[np.object_]) -> NDArray[np.int16]:
    """Pattern code of each row, int16[N], from uint8[N, 137] states and the availability classes."""
    words = availability.tolist()
    bases = {word: _base(str(word)) for word in sorted(set(words))}
    base = np.array([bases[word] for word in words], dtype=np.int16)
    present = states == State.PRESENT
    touch, mouse = present[:, TOUCH].any(axis=1), present[:, MOUSE].any(axis=1)
    front = base // 4 % 3 == 2
    out: NDArray[np.int16] = (base + (touch & front) * 2 + (mouse & front)).astype(np.int16)
    return out


def _base(availability: str) -> int:
    phase, _, front = availability.partition("/")
    if phase not in PHASES or front not in FRONTS:
        # Never the word itself: it would stand in the audit record.
        raise Invalid("availability: a class is not one of the known", field="availability")
    return PHASES.index(phase) * 12 + FRONTS.index(front) * 4


def merge_patterns(
    pattern: NDArray[np.int16], unit: NDArray[np.int64], label: NDArray[np.int8], k: int
) -> NDArray[np.int16]:
    """int16[24]: the pattern that each pattern becomes, so that both classes have 1.2 k units in each.

    The last pattern, (pre_auth, no front end), has no block left and may stay smaller.
    """
    target = np.arange(COUNT, dtype=np.int16)
    keys = np.unique((unit * 2 + label) * COUNT + pattern)
    person, kind, code = keys // COUNT // 2, keys // COUNT % 2, keys % COUNT
    while True:
        now = np.unique((person * 2 + kind) * COUNT + target[code])
        size = np.stack([np.bincount(now[now // COUNT % 2 == c] % COUNT, minlength=COUNT) for c in (0, 1)])
        used, least = size.sum(axis=0) > 0, size.min(axis=0)
        weak = [c for c in np.flatnonzero(used & (least < MARGIN * k)) if Pattern.of(int(c)).smaller()]
        if not weak:
            return target
        # the richest pattern first: what it loses may be what a smaller one needs
        worst = max(weak, key=lambda c: (int(c), -int(least[c])))
        # Everything that was merged into it moves along.
        step = Pattern.of(int(worst)).smaller()
        target[target == worst] = step.code if step else worst


def suppress(
    values: NDArray[np.float32],
    states: NDArray[np.uint8],
    before: NDArray[np.int16],
    after: NDArray[np.int16],
) -> None:
    """Blank in place the blocks that rows lost: float32[N, 259] values and uint8[N, 137] states."""
    for key in np.unique(before[before != after] * COUNT + after[before != after]).tolist():
        code, now = divmod(key, COUNT)
        old, new = Pattern.of(code), Pattern.of(now)
        rows = np.flatnonzero((before == code) & (after == now))
        if old.touch and not new.touch:
            _blank(values, states, rows, TOUCH, State.NOT_APPLICABLE)
        if old.mouse and not new.mouse:
            _blank(values, states, rows, MOUSE, State.NOT_APPLICABLE)
        if old.front and not new.front:
            # As where there never was a front end: a suppressed row must look like those that it joins. Last,
            # since touch and mouse are of the front end.
            _blank(values, states, rows, SDK, State.NOT_DELIVERED)
        if old.phase and not new.phase:
            _blank(values, states, rows, RESULTS, State.NOT_DELIVERED)


def _blank(
    values: NDArray[np.float32],
    states: NDArray[np.uint8],
    rows: NDArray[np.intp],
    nodes: NDArray[np.intp],
    cause: State,
) -> None:
    columns = np.flatnonzero(np.isin(catalog().component_node, nodes))
    values[np.ix_(rows, columns)] = np.nan
    states[np.ix_(rows, nodes)] = cause
