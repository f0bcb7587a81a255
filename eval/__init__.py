"""Evaluation: worlds of orders, backtests, metrics with intervals, signed reports."""
