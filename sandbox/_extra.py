"""Names the missing extra before anything else of the sandbox is imported."""

from importlib.util import find_spec

from riskgraph.core.errors import ExtraMissing

if any(find_spec(name) is None for name in ("scipy", "pyarrow", "threadpoolctl")):
    raise ExtraMissing("the sandbox", "lab")
