"""k-anonymous releases of training data: what enters, who is counted, what leaves.

``write_release`` makes a release of a history of orders; ``Release.open`` verifies one. Training
accepts nothing else.
"""

from riskgraph.sandbox import _extra as _extra
from riskgraph.sandbox.audit import append_audit, verify_audit
from riskgraph.sandbox.draw import ReleasedRows
from riskgraph.sandbox.files import read_rows, read_table
from riskgraph.sandbox.intake import Rejected, admit, check_fields, search_values
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.release import Release
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.units import ClassUnits, Units, count_units, describe, find_units
from riskgraph.sandbox.write import refused_names_on_record, write_release

__all__ = [
    "ClassUnits",
    "Policy",
    "Rejected",
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
    "read_rows",
    "read_table",
    "refused_names_on_record",
    "search_values",
    "verify_audit",
    "write_release",
]
