"""Where a family is tried: a small simulated world, read by the model as in a backtest."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from riskgraph.core.door import Door
from riskgraph.core.verdict import Verdict
from riskgraph.eval.backtest import BatchScorer, Verdicts, probabilities
from riskgraph.eval.metrics import FLAGGED, auc
from riskgraph.eval.worlds.config import WorldConfig, epoch
from riskgraph.eval.worlds.family import Family
from riskgraph.eval.worlds.oracle import read_oracle
from riskgraph.eval.worlds.placing.search import Finding
from riskgraph.eval.worlds.reader import World
from riskgraph.eval.worlds.simulate import simulate

# Few thousand orders must hold many gangs of the family, or the search would follow chance.
FRAUD_SHARE = 0.10
FAMILY_SHARE = 0.90


@dataclass(frozen=True)
class Ground:
    """Small worlds, and the model that looks at them.

    Attributes:
        config: The worlds' configuration and size; they hold more fraud than it says.
        scorer: The model, with its frozen thresholds.
        verdicts: What the service would answer, gates included.
        door: Keyed hashing of entities.
    """

    config: WorldConfig
    scorer: BatchScorer
    verdicts: Verdicts
    door: Door

    def __call__(self, family: Family, seed: int) -> Finding:
        """What the model finds of a family in the world of a seed; the world is thrown away.

        Raises:
            Invalid: If the family's play fails, or the model does not know an order's class.
            CheckFailed: If the model gives scores that are not numbers.
        """
        # Gangs of the size that they have in a whole world of the configuration.
        config = replace(self.config, fraud_share=FRAUD_SHARE, min_gangs=1)
        tried = replace(family, archetype=replace(family.archetype, share=FAMILY_SHARE))
        with tempfile.TemporaryDirectory() as spare:
            path = simulate(config, seed, Path(spare) / "world", families=(tried,))
            return self._read(World.open(path), family)

    def _read(self, world: World, family: Family) -> Finding:
        oracle, table = read_oracle(world), world.table(None, self.door)
        own = oracle.archetype == family.name
        began = epoch(family.archetype.starts or self.config.start) * 1e6
        honest = ~oracle.is_fraud & (table.placed_at >= began)
        rows, own_gangs = table.take(own | honest), len(set(oracle.gang_id[own]))
        own = own[own | honest]
        scores = probabilities(self.scorer, rows, "model")
        verdict = np.array([str(v) for v in self.verdicts(rows, scores)], dtype=object)
        flagged = np.isin(verdict, [str(v) for v in FLAGGED["reject_or_review"]])
        return Finding(
            orders=int(own.sum()),
            gangs=own_gangs,
            honest=int((~own).sum()),
            flagged=float(flagged[own].mean()),
            rejected=float((verdict[own] == str(Verdict.REJECT)).mean()),
            auc=auc(scores, own),
            score=float(scores[own].mean()),
            honest_flagged=float(flagged[~own].mean()),
        )
