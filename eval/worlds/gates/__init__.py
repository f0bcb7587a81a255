"""The eight gates that a simulated world must pass before anything is measured on it."""

from riskgraph.eval.worlds.gates.certificates import Certificate, broken, certificate, certified, row
from riskgraph.eval.worlds.gates.certify import certify, holds
from riskgraph.eval.worlds.gates.figure import GATES, Figure
from riskgraph.eval.worlds.gates.guard import label_guard
from riskgraph.eval.worlds.gates.material import Material

__all__ = [
    "GATES",
    "Certificate",
    "Figure",
    "Material",
    "broken",
    "certificate",
    "certified",
    "certify",
    "holds",
    "label_guard",
    "row",
]
