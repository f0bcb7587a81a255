"""``python -m riskgraph``."""

from riskgraph.cli import main

main()
