"""Fixtures of the backtest tests."""

from __future__ import annotations

import pytest

from riskgraph.eval.backtest import BacktestResult
from tests.eval.backtest_toy import Toy, backtest, make_toy


@pytest.fixture(scope="session")
def toy() -> Toy:
    return make_toy()


@pytest.fixture(scope="session")
def report_once(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> BacktestResult:
    """One finished report; tests that change it copy it first."""
    return backtest(toy, tmp_path_factory.mktemp("backtest") / "report")
