"""What is told of a release while it is made: its steps, their seconds, and what is known so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from riskgraph.sandbox.intake import Rejected
from riskgraph.sandbox.manifest import Facts

if TYPE_CHECKING:
    from riskgraph.ports import Progress

Tell = Callable[[str], None]
STEPS = ("units", "partition", "count", "tables", "cells", "draw", "swap", "rake", "write")


@dataclass
class Watch:
    """Seconds per step, the caller's progress bar, and what is known so far."""

    progress: Progress | None
    tell: Tell | None = None
    found: tuple[Rejected, ...] = ()
    facts: Facts | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name, STEPS.index(name), len(STEPS))
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def elapsed(self) -> float:
        return time.perf_counter() - self.began

    def timings(self, rows: int) -> dict[str, float]:
        """Seconds by step and the rows in groups; ``partition_s`` includes intake and unit count."""
        s = self.seconds
        inner = ("r1_r3", "r4")
        out = {f"{n}_s": s[n] for n in (*STEPS[2:5], *inner, *STEPS[5:])}
        out |= {"partition_s": s["units"] + s["partition"], "total_s": self.elapsed()}
        return {name: round(value, 3) for name, value in out.items()} | {"rows": rows}
