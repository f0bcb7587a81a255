"""Placing: a new kind of fraud goes where a given model finds it least, as real gangs do by trial."""

from riskgraph.eval.worlds.placing.family_text import NOTICE, Against, family_text
from riskgraph.eval.worlds.placing.ground import Ground
from riskgraph.eval.worlds.placing.newcomer import base_family, days_left, newcomer
from riskgraph.eval.worlds.placing.search import Finding, Placed, Try, place
from riskgraph.eval.worlds.placing.variants import vary

__all__ = [
    "NOTICE",
    "Against",
    "Finding",
    "Ground",
    "Placed",
    "Try",
    "base_family",
    "days_left",
    "family_text",
    "newcomer",
    "place",
    "vary",
]
