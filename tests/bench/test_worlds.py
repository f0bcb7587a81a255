from __future__ import annotations

from pathlib import Path

import pytest

from riskgraph.bench import child, worlds
from riskgraph.core.errors import CheckFailed

SIMULATED = {"orders_100k_s", "identical", "orders_1m_mb", "replay_orders_s"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in {"GROWTH": (200,), "ASKED": 200, "LARGE": 300, "TWICE": 200}.items():
        monkeypatch.setattr(worlds, name, size)


@pytest.mark.usefixtures("small")
def test_each_figure_of_simulation_is_measured_with_its_ask_and_progress() -> None:
    steps: list[tuple[str, int, int]] = []
    figures = worlds.run(SIMULATED, lambda *step: steps.append(step))
    assert {f.name for f in figures} == SIMULATED
    assert all(f.value and f.note.startswith("ask: ") for f in figures), figures
    assert next(f.value for f in figures if f.name == "identical") == 1
    # A process with numpy and pyarrow cannot be smaller, and this one, with the tests, is larger.
    assert 50 < next(f.value for f in figures if f.name == "orders_1m_mb") < 1000
    assert {"simulate 300", "replay"} <= {step for step, _, _ in steps}


def test_runs_that_differ_are_not_identical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(self: worlds.Bench, name: str, orders: int) -> child.Ran:
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(name)
        return child.Ran(1.0, 1.0)

    monkeypatch.setattr(worlds.Bench, "simulated", written)
    (figure,) = worlds.identical(worlds.Bench(tmp_path, lambda *_: None))
    assert figure.value == 0


def test_rates_are_those_of_the_ends() -> None:
    # 25,000 orders a file: 10 s a file at first, 20 s at the end, and a slow start.
    first = [100.0 + 10 * i for i in range(5)]
    last = [first[-1] + 20 * (i + 1) for i in range(5)]
    assert worlds.edge_rates([*first, *last]) == (2500.0, 1250.0)
    assert worlds.edge_rates(first) is None


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(CheckFailed, match=r"simulate ended with 2: .*--config"):
        child.run("simulate", "--config", "paradise", "--out", "nowhere")


def test_memory_is_that_of_the_command_and_not_of_who_started_it() -> None:
    held = bytearray(b"x") * 400_000_000
    assert 20 < child.run("catalog").peak_mb < 300
    assert len(held)


def test_held_gates_are_counted_on_the_worst_of_the_hard_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def certify(config: str, seeds: range, **_: object) -> dict[str, object]:
        asked.append((config, list(seeds)))
        gates = [{"gate": gate, "held": gate != 5 or config == "world-1"} for gate in range(1, 9)]
        return {"gates": gates}

    monkeypatch.setattr(worlds.chain, "certify", certify)
    (figure,) = worlds.run({"gates_held"}, lambda *_: None)
    assert figure.value == 7
    assert "world-2: gates 1, 2, 3, 4, 6, 7, 8" in figure.note
    assert asked == [("world-1", list(range(761, 766))), ("world-2", list(range(801, 806)))]
