"""Pictures of worlds."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from riskgraph.core.door import Door
from riskgraph.core.errors import NotFound
from riskgraph.eval.worlds import World, pictures


def test_the_same_world_gives_the_same_pictures(tmp_path: Path, small_world: World, door: Door) -> None:
    first = pictures.draw(small_world, tmp_path / "a", door)
    assert [path.name for path in first] == ["volume.svg", "gang.svg", "labels.svg", "camouflage.svg"]
    again = pictures.draw(small_world, tmp_path / "b", door)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]


def test_pictures_are_small_say_simulated_in_words_and_know_dark_pages(
    tmp_path: Path, small_world: World, door: Door
) -> None:
    for path in pictures.draw(small_world, tmp_path, door):
        text = path.read_text(encoding="utf-8")
        assert path.stat().st_size < 100_000
        assert "prefers-color-scheme:dark" in text
        words = [e.text for e in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
        assert "SIMULATED" in words


def test_a_second_drawing_replaces_the_first(tmp_path: Path, small_world: World, door: Door) -> None:
    (tmp_path / "gang.svg").write_text("an older one", encoding="utf-8")
    (tmp_path / "other.txt").write_text("stays", encoding="utf-8")
    pictures.draw(small_world, tmp_path, door)
    assert "<svg" in (tmp_path / "gang.svg").read_text(encoding="utf-8")
    assert (tmp_path / "other.txt").read_text(encoding="utf-8") == "stays"


def test_the_gang_that_is_drawn_shares_many_kinds_of_things_and_is_not_too_large() -> None:
    gang = np.repeat([-1, 0, 1, 2], [5, pictures.MOST_DRAWN + 1, 6, 8])
    alone = np.arange(len(gang))
    shared = np.where(gang == 1, 900, alone)
    kinds = {
        "account": alone,
        "device": shared,
        "card": shared,
        "door": np.full(len(gang), 7),
        "phone": alone,
    }
    assert pictures.telling_gang(kinds, gang) == 1


def test_a_history_without_truth_has_no_pictures(tmp_path: Path, small_world: World, door: Door) -> None:
    with pytest.raises(NotFound, match="oracle"):
        pictures.draw(World(tmp_path, small_world.manifest), tmp_path / "pictures", door)
    assert not (tmp_path / "pictures").exists()
