"""Attacks on a release by someone who knows whole raw records.

``attack_release`` makes all of them and ``settle`` judges what came out, one line each, over several
releases; ``split_history`` makes members and controls; ``true_groups`` makes the map of rows to groups
again, which judges linkage.
"""

from riskgraph.sandbox.attack.findings import RULES, Finding, Trials, pooled, worst
from riskgraph.sandbox.attack.published import Published, read_published
from riskgraph.sandbox.attack.records import Raw, Records, encode
from riskgraph.sandbox.attack.run import Result, Scorer, attack_release, figures, raw_of, settle
from riskgraph.sandbox.attack.split import Split, numbered, split_history
from riskgraph.sandbox.attack.truth import Grouping, true_groups

__all__ = [
    "RULES",
    "Finding",
    "Grouping",
    "Published",
    "Raw",
    "Records",
    "Result",
    "Scorer",
    "Split",
    "Trials",
    "attack_release",
    "encode",
    "figures",
    "numbered",
    "pooled",
    "raw_of",
    "read_published",
    "settle",
    "split_history",
    "true_groups",
    "worst",
]
