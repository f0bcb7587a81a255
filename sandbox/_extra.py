"""Names the missing extra before anything else of the sandbox is imported."""

from importlib.util import find_spec

from riskgraph.core.errors import ExtraMissing

if find_spec("scipy") is None or find_spec("pyarrow") is None:
    raise ExtraMissing("the sandbox", "lab")
