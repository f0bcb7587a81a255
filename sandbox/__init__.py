"""k-anonymous releases of training data: what enters, who is counted, what leaves.

``write_release`` makes a release of a history of orders; ``Release.open`` verifies one. Training
accepts nothing else.
"""

from riskgraph.sandbox import _extra as _extra
from riskgraph.sandbox.audit import append_audit, verify_audit
from riskgraph.sandbox.baseline import human_baseline
from riskgraph.sandbox.draw import ReleasedRows
from riskgraph.sandbox.files import read_rows, read_table
from riskgraph.sandbox.intake import admit, check_fields
from riskgraph.sandbox.release import Release
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.units import ClassUnits, Units, count_units, describe, find_units
from riskgraph.sandbox.write import write_release

__all__ = [
    "ClassUnits",
    "Release",
    "ReleaseRequest",
    "ReleasedRows",
    "Units",
    "admit",
    "append_audit",
    "check_fields",
    "count_units",
    "describe",
    "find_units",
    "human_baseline",
    "read_rows",
    "read_table",
    "verify_audit",
    "write_release",
]
