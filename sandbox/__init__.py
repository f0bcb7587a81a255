"""k-anonymous releases of training data: what enters, who is counted, what leaves.

``write_release`` makes a release of a history of orders; ``Release.open`` verifies one. Training
accepts nothing else.
"""

from riskgraph.core.units import Units, find_units
from riskgraph.sandbox import _extra as _extra
from riskgraph.sandbox.audit import (
    append_audit,
    check_logged,
    empty_record,
    read_log,
    verify_audit,
    verify_copy,
)
from riskgraph.sandbox.baseline import human_baseline
from riskgraph.sandbox.chunks import Chunking
from riskgraph.sandbox.draw import ReleasedRows
from riskgraph.sandbox.files import read_table
from riskgraph.sandbox.intake import Rejected, admit, check_fields, search_values
from riskgraph.sandbox.ledger import Ledger, check_ledger
from riskgraph.sandbox.manifest import stamp
from riskgraph.sandbox.policy import Policy
from riskgraph.sandbox.release import Release
from riskgraph.sandbox.request import ReleaseRequest
from riskgraph.sandbox.units import ClassUnits, count_units, describe
from riskgraph.sandbox.write import refusal_on_record, write_release

__all__ = [
    "Chunking",
    "ClassUnits",
    "Ledger",
    "Policy",
    "Rejected",
    "Release",
    "ReleaseRequest",
    "ReleasedRows",
    "Units",
    "admit",
    "append_audit",
    "check_fields",
    "check_ledger",
    "check_logged",
    "count_units",
    "describe",
    "empty_record",
    "find_units",
    "human_baseline",
    "read_log",
    "read_table",
    "refusal_on_record",
    "search_values",
    "stamp",
    "verify_audit",
    "verify_copy",
    "write_release",
]
