"""Attacks on a release by someone who knows whole raw records.

``attack_release`` makes all of them and returns one line each; ``split_history`` makes members and
controls; ``true_groups`` makes the map of rows to groups again, which judges linkage.
"""

from riskgraph.sandbox.attack.findings import Finding, worst
from riskgraph.sandbox.attack.published import Published, read_published
from riskgraph.sandbox.attack.records import Raw, Records, encode
from riskgraph.sandbox.attack.run import Result, Scorer, attack_release, both_ways, figures, raw_of
from riskgraph.sandbox.attack.split import Split, split_history
from riskgraph.sandbox.attack.truth import Grouping, true_groups

__all__ = [
    "Finding",
    "Grouping",
    "Published",
    "Raw",
    "Records",
    "Result",
    "Scorer",
    "Split",
    "attack_release",
    "both_ways",
    "encode",
    "figures",
    "raw_of",
    "read_published",
    "split_history",
    "true_groups",
    "worst",
]
