"""riskgraph: a lawful, explainable fraud decision service for web shops."""

__version__ = "0.1.0"
