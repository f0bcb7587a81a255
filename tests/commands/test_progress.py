from __future__ import annotations

import pytest
from rich.progress import Progress

from riskgraph.commands import ui


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """The bars that a command drew."""
    made: list[Progress] = []

    class Kept(Progress):
        def __init__(self, *columns: object, **options: object) -> None:
            super().__init__(*columns, **options)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(ui, "Bars", Kept)
    return made


def test_no_bar_stands_unfinished_after_a_command_that_ended_well(drawn: list[Progress]) -> None:
    with ui.progress_bars() as progress:
        progress("people", 0, 5)
        progress("orders", 3, 5)
    assert [(task.completed, task.total) for task in drawn[0].tasks] == [(5, 5), (5, 5)]


def fail_halfway() -> None:
    with ui.progress_bars() as progress:
        progress("orders", 3, 5)
        raise ValueError("disk")


def test_a_command_that_failed_shows_how_far_it_came(drawn: list[Progress]) -> None:
    with pytest.raises(ValueError, match="disk"):
        fail_halfway()
    assert [task.completed for task in drawn[0].tasks] == [3]
